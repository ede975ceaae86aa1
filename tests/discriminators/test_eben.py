"""EBEN's discriminators: the filter bank, and the layers as published."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.discriminators.pqmf import GroupedWaveform, PQMFBands
from vocoder.errors import ConfigError


def bank(bands: int = 4, size: int = 32, cutoff: float = 0.158867) -> Tensor:
    """Reference implementation of the filters, as impulse responses."""
    n = np.arange(size) - (size - 1) / 2
    prototype = cutoff * np.sinc(cutoff * n) * np.kaiser(size, 9.0)
    k = np.arange(bands)[:, None]
    carrier = np.cos((2 * k + 1) * np.pi / (2 * bands) * n + (-1.0) ** k * np.pi / 4)
    return torch.from_numpy(2.0 * prototype * carrier).float()


@pytest.mark.parametrize("highest", [1, 3, 4])
@pytest.mark.parametrize("samples", [1, 61, 400])
def test_bands_are_convolutions_with_cosine_modulated_filters(highest: int, samples: int) -> None:
    audio = torch.randn(2, 2, samples)
    bands = PQMFBands(highest=highest, channels=1, audio_channels=2).analysis(audio)
    full = [
        [np.convolve(channel, response)[::4] for channel in item]
        for response in bank()[4 - highest :].numpy()
        for item in [audio[1].numpy()]
    ]
    assert bands.shape == (2, 2 * highest, (samples + 30) // 4 + 1)
    np.testing.assert_allclose(bands[1].numpy(), np.concatenate(full), atol=1e-5)


def test_signal_can_be_reconstructed_from_the_bands() -> None:
    """By the transpose of the analysis, so the cutoff is the right one."""
    audio = torch.randn(1, 1, 4000)
    model = PQMFBands(highest=4, channels=1)
    bands = model.analysis(audio)
    restored = F.conv_transpose1d(bands, 4 * model.filters.flip(-1), stride=4, padding=31)
    common = slice(100, 3900)
    error = (restored[0, 0, common] - audio[0, 0, common]).square().mean()
    assert 10 * math.log10(1 / error.item()) > 35


def test_bands_are_float32_under_autocast() -> None:
    audio, model = torch.randn(1, 1, 200), PQMFBands(channels=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        bands = model.analysis(audio)
    assert torch.equal(bands, model.analysis(audio))


@pytest.mark.parametrize("audio_channels", [1, 2])
def test_layers_of_each_dilation_are_the_published_ones(audio_channels: int) -> None:
    """Reference implementation: padding that ignores the dilation, one group per band."""
    layers = [(3, 1, 1), *[(7, 2, 3)] * 5, (5, 1, 2)]
    model = PQMFBands(channels=1, audio_channels=audio_channels).eval()
    audio = torch.randn(1, audio_channels, 4000)
    outputs = model(audio)
    for dilation, discriminator, output in zip(
        (1, 2, 3), model.discriminators, outputs, strict=True
    ):
        x = F.pad(model.analysis(audio), (1, 1), mode="reflect")
        for conv, (_, stride, padding) in zip(discriminator.convs, layers, strict=True):
            x = F.conv1d(x, conv.weight, conv.bias, stride, padding, dilation, groups=3)
            x = F.leaky_relu(x, 0.2)
        torch.testing.assert_close(output.feature_maps[-1], x)
        logits = F.conv1d(
            x, discriminator.conv_post.weight, discriminator.conv_post.bias, padding=1
        )
        torch.testing.assert_close(output.logits, logits[:, 0])


@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
def test_shortest_signal_gives_one_logit(dilation: int) -> None:
    (discriminator,) = PQMFBands(dilations=[dilation], channels=1).discriminators
    for samples, logits in [
        (1, 1),
        (max(discriminator.shortest - 2, 1), 1),
        (discriminator.shortest + 30, 2),
    ]:
        assert discriminator(torch.randn(1, 3, samples)).logits.shape == (1, logits)


def test_waveform_layers_have_four_groups() -> None:
    (output,) = GroupedWaveform(channels=4)(torch.randn(1, 1, 3000))
    assert [f.shape[1] for f in output.feature_maps] == [4, 16, 64, 256, 256, 256]
    assert [f.shape[2] for f in output.feature_maps] == [3000, 750, 188, 47, 12, 12]
    assert {c.groups for c in GroupedWaveform(channels=4).discriminator.convs[1:5]} == {4}


def test_impossible_sizes_are_named() -> None:
    with pytest.raises(ConfigError, match="highest"):
        PQMFBands(highest=5)
    with pytest.raises(ConfigError, match="dilations"):
        PQMFBands(dilations=())
    with pytest.raises(ConfigError, match="multiple of 4"):
        GroupedWaveform(channels=6)
