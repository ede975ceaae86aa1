"""DSP-informed bandwidth extension: its filter, and the parts that its losses train."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.generators.bandwidth_extension.dsp_informed import EXCITATION, DSPInformed

CUTOFF, FRAMES = 4000.0, 200

narrow = partial(
    DSPInformed,
    sample_rate=48000,
    n_fft=1024,
    hop_length=256,
    n_mels=20,
    channels=16,
    upsample_rates=[8, 8, 2, 2],
    context_channels=8,
    hidden=8,
    blocks=1,
    cutoff_range=[CUTOFF, CUTOFF],
)


@pytest.fixture
def network() -> DSPInformed:
    torch.manual_seed(0)
    return narrow()


def slope(strength: float) -> Tensor:
    """A log-mel that rises or falls over the band and over time.   Shape: [1, 20, F]."""
    return strength * (torch.linspace(-1, 1, 20)[:, None] + torch.linspace(0, 1, FRAMES))[None]


@pytest.mark.parametrize("strength", [-1e4, -2.0, 2.0, 1e4])
def test_response_is_not_negative_and_one_below_the_cutoff(
    network: DSPInformed, strength: float
) -> None:
    response = network.filter.response(slope(strength))
    below = torch.linspace(0.0, 24000.0, 513) < CUTOFF
    assert torch.isfinite(response).all()
    assert (response >= 0.0).all()
    assert (response[:, below] == 1.0).all()


@pytest.mark.parametrize("strength", [-2.0, 2.0])
def test_white_noise_comes_out_as_predicted(network: DSPInformed, strength: float) -> None:
    mel = slope(strength)
    noise = EXCITATION * torch.randn(1, 1, FRAMES * 256)
    made = network.upper(network.filter(noise, mel))
    # The mean of magnitudes over time, as a single one of noise is random.
    ratio = (network.upper.spec.expand(made) / network.upper.spec.expand(mel)).mean(dim=-1)
    assert (ratio[:, 1:].log().abs() < 0.15).all()  # into the first, the band below leaks


def test_a_coloured_excitation_misses_the_spectrum(network: DSPInformed) -> None:
    """No loss demands a white excitation, but only that gives the predicted spectrum."""
    mel, noise = slope(2.0), EXCITATION * torch.randn(1, 1, FRAMES * 256)
    pre_emphasis = torch.tensor([[[-0.9, 1.0]]])
    coloured = F.conv1d(F.pad(noise, (1, 0)), pre_emphasis)
    errors = [
        F.l1_loss(network.upper(network.filter(excitation, mel)), mel)
        for excitation in (noise, coloured)
    ]
    assert errors[1] > 2.0 * errors[0]


def test_the_filter_does_not_change_the_low_band(network: DSPInformed) -> None:
    turns = 3000.0 / 48000 * torch.arange(FRAMES * 256, dtype=torch.float64)
    tone = torch.sin(2.0 * torch.pi * turns).float()[None, None]
    change = (network.filter(tone, slope(2.0)) - tone)[..., 2048:-2048]
    assert change.abs().max() < 1e-4  # -80 dB


def test_predictor_and_exciter_learn_from_the_upper_band(network: DSPInformed) -> None:
    """Both from the mel of the audio; the predictor alone from the mel that it predicts."""
    narrowband, real = 0.1 * torch.randn(2, 2, 1, 4096)

    def learned(loss: Tensor) -> set[str]:
        network.zero_grad(set_to_none=True)
        loss.backward()
        learning = (n for n, p in network.named_parameters() if p.grad is not None and p.grad.any())
        return {name.split(".")[0] for name in learning}

    made = network.upper(network(narrowband))
    assert learned(F.l1_loss(made, network.upper(real))) == {"backbone", "head", "exciter"}
    (loss,) = network.auxiliary(real, narrowband=narrowband).values()
    assert learned(loss) == {"backbone", "head"}


def test_the_acoustic_loss_is_zero_for_the_right_prediction(
    network: DSPInformed, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = 0.1 * torch.randn(2, 1, 4096)
    monkeypatch.setattr(network, "predict", lambda narrowband: network.upper(real))
    assert network.auxiliary(real, narrowband=real) == {"acoustic": 0.0}
