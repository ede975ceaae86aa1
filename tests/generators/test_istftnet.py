"""iSTFTNet is the published network."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.generators.istftnet import ISTFTNet
from vocoder.nn.weight_norm import fold_weight_norm

MELS = 10
istftnet = partial(
    ISTFTNet,
    n_mels=MELS,
    hop_length=64,
    upsample_rates=[4, 4],
    upsample_kernel_sizes=[8, 8],
    channels=8,
    resblock="2",
    resblock_kernel_sizes=[3, 5],
    resblock_dilations=[[1, 2], [2, 6]],
)


def test_is_the_published_network() -> None:
    """Written out again: slopes, paddings, the reflected column, the transform, key names."""
    torch.manual_seed(0)
    generator, mel = istftnet(), torch.randn(2, MELS, 6)
    fold_weight_norm(generator)
    weights = generator.state_dict()

    def conv(name: str, x: Tensor, dilation: int = 1) -> Tensor:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        padding = dilation * (weight.shape[-1] - 1) // 2
        return F.conv1d(x, weight, bias, dilation=dilation, padding=padding)

    x = conv("conv_pre", mel)
    for stage in range(2):
        weight, bias = weights[f"ups.{stage}.weight"], weights[f"ups.{stage}.bias"]
        x = F.conv_transpose1d(F.leaky_relu(x, 0.1), weight, bias, stride=4, padding=2)
        refined = [x, x]
        for block, dilations in enumerate([[1, 2], [2, 6]]):
            for step, dilation in enumerate(dilations):
                y, name = refined[block], f"resblocks.{stage}.{block}.convs.{step}"
                refined[block] = y + conv(name, F.leaky_relu(y, 0.1), dilation)
        x = (refined[0] + refined[1]) / 2
    x = F.pad(F.leaky_relu(x, 0.01), (1, 0), mode="reflect")
    bins = conv("head.out", x)
    assert bins.shape == (2, 18, 6 * 16 + 1)
    spectrum = bins[:, :9].exp() * torch.exp(1j * torch.sin(bins[:, 9:]))
    expected = torch.istft(spectrum, 16, 4, window=torch.hann_window(16))
    difference = (generator(mel)[:, 0] - expected).abs().max()
    assert difference < 1e-6 * expected.abs().max()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hop_length": 60}, r"istft_hop_length 4 upsample by 64 but hop_length is 60"),
        ({"istft_n_fft": 15}, "choose an even n_fft"),
        ({"channels": 6}, "use a multiple of 4"),
    ],
)
def test_names_the_fix(change: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        istftnet(**change)
