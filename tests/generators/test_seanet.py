"""SEANet: lengths for any rates, and where its condition takes effect."""

import pytest
import torch

from vocoder.generators.bandwidth_extension.seanet import SEANet


@pytest.mark.parametrize("rates", [[8, 2], [5, 3], [2]])
def test_length_law(rates: list[int]) -> None:
    hop_length = int(torch.tensor(rates).prod())
    network = SEANet(condition_channels=3, hop_length=hop_length, channels=8, upsample_rates=rates)
    for frames in (1, 2, 7):
        signal = torch.randn(2, 1, frames * hop_length)
        assert network(signal, torch.randn(2, 3, frames)).shape == signal.shape


def test_the_condition_acts_at_its_frame() -> None:
    torch.manual_seed(0)
    network = SEANet(condition_channels=3, hop_length=4, channels=8, upsample_rates=[2, 2])
    signal, condition = torch.randn(1, 1, 400), torch.zeros(1, 3, 100)
    changed = condition.clone()
    changed[..., 50] = 1.0
    change = (network(signal, changed) - network(signal, condition))[0, 0].abs()
    changed_at = change.nonzero()[:, 0].float()
    middle = 4 * 50 + 1.5
    assert abs(float(changed_at.min() + changed_at.max()) / 2 - middle) < 2.0
    assert change.argmax().sub(middle).abs() < 20
