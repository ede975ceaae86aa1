"""Parallel WaveGAN is the published network, and its noise can be given as a feature."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.generators.parallel_wavegan import ParallelWaveGAN, Upsampler
from vocoder.nn.weight_norm import fold_weight_norm
from vocoder.streaming.tracing import symbolic_trace

MELS, HOP = 6, 15
narrow = partial(
    ParallelWaveGAN,
    n_mels=MELS,
    hop_length=HOP,
    upsample_rates=[3, 5],
    layers=4,
    stacks=2,
    channels=6,
    gate_channels=8,
    skip_channels=5,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("frames", [1, 7])
def test_it_is_the_published_network(frames: int) -> None:
    """Written out again: dilations, gates, scales, the smoothing, the key names."""
    generator, mel = narrow().eval(), torch.randn(1, MELS, frames)
    noise = torch.randn(1, HOP, frames)
    fold_weight_norm(generator)
    weights = generator.state_dict()

    def conv(name: str, x: Tensor, dilation: int = 1) -> Tensor:
        weight, bias = weights.pop(f"{name}.weight"), weights.pop(f"{name}.bias", None)
        padding = dilation * (weight.shape[-1] - 1) // 2
        return F.conv1d(x, weight, bias, padding=padding, dilation=dilation)

    c = torch.cat([mel[..., :1]] * 2 + [mel] + [mel[..., -1:]] * 2, dim=-1)
    c = F.conv1d(c, weights.pop("upsampler.conv_in.weight"))
    for stage, rate in enumerate([3, 5]):
        weight = weights.pop(f"upsampler.smooth.{stage}.weight")[0]
        stretched = torch.stack([c] * rate, dim=-1).flatten(-2)
        c = torch.cat([F.conv1d(row, weight, padding=rate) for row in stretched.split(1, 1)], 1)

    x, skips = conv("conv_pre", noise[0].T.reshape(1, 1, -1)), []
    for layer, dilation in enumerate([1, 2, 1, 2]):
        name = f"layers.{layer}"
        both = conv(f"{name}.conv", x, dilation) + conv(f"{name}.condition", c)
        y = torch.tanh(both[:, :4]) * torch.sigmoid(both[:, 4:])
        x = (x + conv(f"{name}.out", y)) * math.sqrt(0.5)
        skips.append(conv(f"{name}.skip", y))
    y = conv("conv_mid", F.relu(sum(skips) * math.sqrt(0.25)))
    expected = conv("conv_post", F.relu(y))
    assert not weights
    torch.testing.assert_close(generator(mel, noise), expected, rtol=0.0, atol=1e-6)


def test_own_noise_is_drawn_in_training_and_the_same_in_evaluation() -> None:
    generator, mel = narrow().eval(), torch.randn(1, MELS, 9)
    audio = generator(mel)
    assert torch.equal(audio, generator(mel))
    # Sample n of the noise depends on n alone: this is what a longer mel starts with.
    longer = generator(torch.cat([mel, torch.randn(1, MELS, 5)], dim=-1))
    assert torch.allclose(audio[..., : 4 * HOP], longer[..., : 4 * HOP], atol=1e-6)
    generator.train()
    assert not torch.equal(generator(mel), generator(mel))
    pair = generator(mel.expand(2, -1, -1))
    assert not torch.equal(pair[0], pair[1])


def test_own_noise_is_white_noise_given_frame_by_frame() -> None:
    generator, mel = narrow().eval(), torch.randn(2, MELS, 9)
    table = generator.noise[: 9 * HOP]
    noise = table.reshape(9, HOP).T.expand(2, -1, -1)
    assert torch.equal(generator(mel), generator(mel, noise))
    assert generator.noise.std().item() == pytest.approx(1.0, abs=0.01)


def test_without_noise_trace_and_export_compute_the_same() -> None:
    generator = narrow().eval()
    traced = symbolic_trace(generator, {"noise": None})
    frames = torch.export.Dim("frames", min=2, max=4096)
    mel = torch.randn(1, MELS, 8)
    exported = torch.export.export(generator, (mel,), dynamic_shapes={"mel": {2: frames}}).module()
    for count in (3, 21):
        mel = torch.randn(1, MELS, count)
        assert torch.equal(traced(mel, None), generator(mel))
        assert torch.allclose(exported(mel), generator(mel), atol=1e-6)


def test_untrained_smoothing_is_a_mean() -> None:
    upsampler = Upsampler(1, rates=[4], context=1)
    fold_weight_norm(upsampler)
    upsampler.conv_in.weight.data = torch.tensor([[[0.0, 1.0, 0.0]]])
    out = upsampler(torch.tensor([[[0.0, 9.0, 0.0]]]))
    # Four nines, averaged over a window of nine samples.
    assert out[0, 0].tolist() == pytest.approx([1, 2, 3, 4, 4, 4, 4, 4, 4, 3, 2, 1], abs=1e-5)


@pytest.mark.parametrize(
    ("rates", "parameters"), [([4, 4, 4, 4], 1_334_309), ([4, 5, 3, 5], 1_334_311)]
)
def test_published_sizes(rates: list[int], parameters: int) -> None:
    with torch.device("meta"):
        generator = ParallelWaveGAN(hop_length=math.prod(rates), upsample_rates=rates)
    fold_weight_norm(generator)
    assert sum(parameter.numel() for parameter in generator.parameters()) == parameters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hop_length": 16}, "choose rates whose product is 16"),
        ({"layers": 5}, "5 layers do not form 2 stacks"),
        ({"stacks": 0}, "4 layers do not form 0 stacks"),
        ({"gate_channels": 7}, "gate_channels is 7; it must be even"),
        ({"kernel_size": 2}, "kernel size 2 has no center; use 3"),
    ],
)
def test_sizes_that_do_not_fit_are_named(change: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        narrow(**change)
