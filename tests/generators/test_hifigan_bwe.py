"""HiFi-GAN BWE is the published network, also after folding for inference."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.resample import resample
from vocoder.errors import ConfigError
from vocoder.generators.bandwidth_extension.hifigan_bwe import HiFiGANBWE
from vocoder.nn.weight_norm import count_weights, fold_weight_norm

narrow = partial(
    HiFiGANBWE, layers=4, stacks=2, channels=6, cutoff_range=[4000.0, 12000.0], resampling={}
)
REACH = 2 * (1 + 3)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("samples", [1, 40])
def test_it_is_the_published_network(samples: int) -> None:
    """Written out again: silence around the recording, dilations, gates, scales."""
    generator, given = narrow().eval(), 0.1 * torch.randn(1, 1, samples)
    fold_weight_norm(generator)
    weights = generator.state_dict()

    def conv(name: str, x: Tensor, dilation: int = 1) -> Tensor:
        weight, bias = weights.pop(f"{name}.weight"), weights.pop(f"{name}.bias")
        return F.conv1d(x, weight, bias, padding="same", dilation=dilation)

    x, skips = conv("conv_pre", F.pad(given, (REACH, REACH))), []
    for layer, dilation in enumerate([1, 3, 1, 3]):
        both = conv(f"layers.{layer}.conv", x, dilation)
        y = torch.tanh(both[:, :3]) * torch.sigmoid(both[:, 3:])
        x = (x + conv(f"layers.{layer}.out", y)) * math.sqrt(0.5)
        skips.append(conv(f"layers.{layer}.skip", y))
    expected = torch.tanh(conv("conv_post", sum(skips) * math.sqrt(0.25)))[..., REACH:-REACH]
    assert not weights
    torch.testing.assert_close(generator(given), expected, rtol=0.0, atol=1e-6)


def test_silence_around_the_recording_changes_nothing() -> None:
    """Beyond its start and end, the recording is taken as silent."""
    generator, given = narrow().eval(), 0.1 * torch.randn(1, 1, 30)
    later = generator(F.pad(given, (100, 70)))
    torch.testing.assert_close(later[..., 100:130], generator(given), rtol=0.0, atol=1e-6)


def test_frozen_once_or_twice_it_computes_the_same_with_less() -> None:
    generator, given = (
        HiFiGANBWE(channels=8, cutoff_range=[4000.0, 12000.0], resampling={}),
        torch.randn(2, 1, 300),
    )
    audio, weights = generator(given), count_weights(generator)
    for _ in range(2):
        frozen = generator.freeze()
        assert count_weights(frozen) < weights
        assert not any(weight.requires_grad for weight in frozen.parameters())
        torch.testing.assert_close(frozen(given), audio, rtol=0.0, atol=1e-6)


def test_its_filter_is_an_argument_of_resample() -> None:
    given = torch.randn(1, 1, 500)
    generator = narrow(resampling={"zeros": 16, "rolloff": 0.945, "beta": 14.77})
    audio = resample(given, 16000, 48000, **generator.resampling)
    assert audio.shape == (1, 1, 1500)
    assert not torch.equal(audio, resample(given, 16000, 48000))


def test_published_size() -> None:
    with torch.device("meta"):
        generator = HiFiGANBWE(cutoff_range=[4000.0, 12000.0], resampling={})
    assert count_weights(generator) == 1_055_105
    assert generator.reach == 6560


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 5}, "5 layers do not form 2 stacks"),
        ({"stacks": 0}, "4 layers do not form 0 stacks"),
        ({"channels": 7}, "gate_channels is 7; it must be even"),
        ({"kernel_size": 2}, "kernel size 2 has no center; use 3"),
    ],
)
def test_sizes_that_do_not_fit_are_named(change: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        narrow(**change)
