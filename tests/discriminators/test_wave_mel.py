"""HiFi-GAN BWE's discriminators are the published networks."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vocoder.discriminators.wave_mel import MelMap, MultiRate
from vocoder.dsp.resample import resample
from vocoder.features.mel import MelSpec, MelSpectrogram

SPEC = MelSpec(
    sample_rate=8000, n_fft=128, hop_length=16, win_length=64, n_mels=24, padding="center"
)


def test_logit_of_each_rate_is_the_mean_of_unpadded_scores() -> None:
    """Reference implementation: no padding, groups of four, slope 0.1."""
    model = MultiRate(sample_rate=8000, rates=(4000, 8000), channels=4)
    audio = torch.randn(2, 1, model.shortest + 3000)
    for discriminator, rate, output in zip(
        model.discriminators, (4000, 8000), model(audio), strict=True
    ):
        x = resample(audio, 8000, rate)
        shapes = ((1, 1), (4, 1), (4, 4), (4, 16), (4, 64), (1, 1))
        for conv, (stride, groups) in zip(discriminator.convs, shapes, strict=True):
            x = F.leaky_relu(F.conv1d(x, conv.weight, conv.bias, stride, groups=groups), 0.1)
        torch.testing.assert_close(output.feature_maps[-1], x)
        scores = F.conv1d(x, discriminator.conv_post.weight, discriminator.conv_post.bias)
        torch.testing.assert_close(output.logits, scores.mean(-1))


@pytest.mark.parametrize("seconds", [0.01, 1.0])
def test_mel_map_is_halved_in_time_and_its_scores_are_averaged(seconds: float) -> None:
    """Reference implementation, down to the length that gives a single score."""
    model = MelMap(mel=SPEC, channels=2).eval()
    audio = torch.randn(1, 1, int(8000 * seconds))
    (output,) = model(audio)
    missing = max(53 * 16 - audio.shape[-1], 0)
    padded = torch.from_numpy(np.pad(audio.numpy(), ((0, 0), (0, 0), (0, missing)), "reflect"))
    x = MelSpectrogram(SPEC)(padded)[:, None]
    for layer, feature_map in zip(model.convs, output.feature_maps, strict=True):
        x = F.conv2d(x, layer[0].weight, None, (1, 2), (1, 2)) / math.sqrt(1.0 + 1e-5)
        x = x[:, :2] * torch.sigmoid(x[:, 2:])
        torch.testing.assert_close(feature_map, x, rtol=1e-4, atol=1e-5)
    scores = F.conv2d(x, model.conv_post.weight, model.conv_post.bias, (1, 2))
    assert (scores.shape[-1] == 1) == (seconds < 0.1)
    torch.testing.assert_close(output.logits[0, 0], scores.mean(), rtol=1e-4, atol=1e-5)
