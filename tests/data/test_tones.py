"""Tones have one frequency at a time, and their share of the crops is that of the settings."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vocoder.data.audit import audit
from vocoder.data.manifest import write_manifest
from vocoder.data.segments import Segments
from vocoder.data.tones import gliding_tone
from vocoder.errors import ConfigError

CLIPS = Path(__file__).parents[2] / "egs" / "clips" / "kathleen"


def occupied_bins(audio: torch.Tensor) -> float:
    """Mean share of the bins that have all but a hundredth of a frame's energy."""
    window = torch.hann_window(512)
    power = torch.stft(audio, 512, window=window, return_complex=True).abs().square()
    loudest = power.sort(dim=0, descending=True).values.cumsum(0)
    return float((loudest < 0.99 * loudest[-1]).float().mean())


@pytest.mark.parametrize("seed", range(5))
def test_a_tone_occupies_few_bins(seed: int) -> None:
    tone = gliding_tone(np.random.default_rng(seed), samples=24000, sample_rate=48000)
    assert tone.shape == (24000,)
    assert 0.009 < tone.abs().max() < 0.71
    assert occupied_bins(tone) < 0.05
    assert occupied_bins(torch.randn(24000)) > 0.5


def test_the_share_of_tones_is_that_of_the_settings(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    write_manifest(manifest, audit(CLIPS).clips)
    common = {"manifest": manifest, "sample_rate": 48000, "segment": 4096, "batch_size": 8}
    plain, mixed = Segments(**common), Segments(**common, tone_share=0.4)
    same = [a.equal(b) for i in range(20) for a, b in zip(plain[i][0], mixed[i][0], strict=True)]
    assert 0.45 < sum(same) / len(same) < 0.75  # of 160; the other crops are the same
    assert torch.equal(mixed[3].audio, Segments(**common, tone_share=0.4)[3].audio)
    with pytest.raises(ConfigError, match=r"data\.tone_share"):
        Segments(**common, tone_share=1.0)
