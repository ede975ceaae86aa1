"""MelGAN and multi-band MelGAN are the published networks."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.pqmf import pqmf_analysis, pqmf_filters
from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.generators.melgan import MelGAN, MultiBandMelGAN
from vocoder.nn.weight_norm import fold_weight_norm

MELS = 6
melgan = partial(
    MelGAN, n_mels=MELS, hop_length=15, upsample_rates=[3, 5], channels=8, stacks=2, out_channels=2
)
multi_band = partial(
    MultiBandMelGAN, n_mels=MELS, hop_length=24, upsample_rates=[2, 3], channels=8, stacks=2
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def reflected(x: Tensor, margin: int) -> Tensor:
    padding = ((0, 0), (0, 0), (margin, margin))
    return torch.from_numpy(np.pad(x.detach().numpy(), padding, mode="reflect"))


@pytest.mark.parametrize("frames", [1, 2, 6])
def test_it_is_the_published_network(frames: int) -> None:
    """Written out again: slopes, paddings, dilations, the shortcut, the key names."""
    generator, x = melgan().eval(), torch.randn(1, MELS, frames)
    fold_weight_norm(generator)
    mel, weights = x, generator.state_dict()

    def conv(name: str, x: Tensor, dilation: int = 1) -> Tensor:
        weight, bias = weights.pop(f"{name}.weight"), weights.pop(f"{name}.bias")
        x = reflected(x, dilation * (weight.shape[-1] - 1) // 2)
        return F.conv1d(x, weight, bias, dilation=dilation)

    x = conv("conv_pre", x)
    for stage, (rate, padding, extra) in enumerate([(3, 2, 1), (5, 3, 1)]):
        weight, bias = weights.pop(f"ups.{stage}.weight"), weights.pop(f"ups.{stage}.bias")
        assert weight.shape[-1] == 2 * rate
        x = F.conv_transpose1d(F.leaky_relu(x, 0.2), weight, bias, rate, padding, extra)
        for depth, dilation in enumerate([1, 3]):
            name = f"stacks.{stage}.{depth}"
            y = conv(f"{name}.conv", F.leaky_relu(x, 0.2), dilation)
            x = conv(f"{name}.shortcut", x) + conv(f"{name}.mix", F.leaky_relu(y, 0.2))
    expected = torch.tanh(conv("conv_post", F.leaky_relu(x, 0.2)))
    assert not weights
    torch.testing.assert_close(generator(mel), expected, rtol=0.0, atol=1e-6)


def test_multi_band_audio_has_the_bands_of_its_melgan() -> None:
    generator, mel = multi_band().eval(), torch.randn(2, MELS, 80)
    with torch.inference_mode():
        audio, bands = generator(mel), generator.subbands(mel)
    assert audio.shape == (2, 1, 80 * 24) and bands.shape == (2, 4, 80 * 6)
    error = (pqmf_analysis(audio, pqmf_filters()) - bands)[..., 20:-20]
    assert error.square().mean() < 1e-5 * bands.square().mean()


def test_the_filter_bank_is_no_part_of_the_state() -> None:
    assert all(name.startswith("subbands.") for name in multi_band().state_dict())


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (partial(MelGAN, upsample_rates=[8, 8, 2, 2], channels=512, stacks=3), 4_260_257),
        (partial(MelGAN, upsample_rates=[4, 4, 4, 2, 2], channels=1024, stacks=4), 13_117_249),
        (partial(MultiBandMelGAN, upsample_rates=[8, 4, 2], channels=384, stacks=4), 2_534_356),
    ],
    ids=["melgan", "large", "multi-band"],
)
def test_published_sizes(make: partial[Generator], parameters: int) -> None:
    with torch.device("meta"):
        generator = make(hop_length=256)
    fold_weight_norm(generator)
    assert sum(parameter.numel() for parameter in generator.parameters()) == parameters


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (melgan, {"hop_length": 16}, "choose rates whose product is 16"),
        (melgan, {"channels": 6}, "use a multiple of 4"),
        (melgan, {"stacks": 0}, "stacks 0"),
        (melgan, {"out_channels": 0}, "out_channels 0"),
        (melgan, {"kernel_size": 6}, "kernel size 6 has no center; use 7"),
        (melgan, {"stack_kernel_size": 2}, "kernel size 2 has no center; use 3"),
        (multi_band, {"hop_length": 26}, "hop_length 26 is not a multiple of the 4 bands"),
        (multi_band, {"hop_length": 28}, "choose rates whose product is 7"),
        (multi_band, {"taps": 61}, "even number of taps"),
    ],
)
def test_sizes_that_do_not_fit_are_named(
    make: partial[Generator], change: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**change)
