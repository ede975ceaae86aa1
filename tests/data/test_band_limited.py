"""Band-limited recordings can be training data: batches state the cutoff of every crop."""

from pathlib import Path

import pytest
import torch

from vocoder.data.audit import audit
from vocoder.data.manifest import write_manifest
from vocoder.data.segments import Segments
from vocoder.dsp.lowpass import band_limit

CLIPS = Path(__file__).parents[2] / "egs" / "clips"
RATE = 48000


def energy_above(audio: torch.Tensor, hz: float) -> float:
    """Share of the energy above a frequency, in dB."""
    power = torch.fft.rfft(audio.double()).abs().square()
    first = int(hz / RATE * audio.shape[-1]) + 1
    return 10.0 * float(torch.log10(power[..., first:].sum() / power.sum() + 1e-20))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("band_limited") / "manifest.csv"
    write_manifest(path, audit(CLIPS).clips)
    return path


@pytest.mark.parametrize("speed", [(1.0, 1.0), (0.8, 1.25)])
def test_a_crop_has_no_content_above_its_cutoff(manifest: Path, speed: tuple[float, float]) -> None:
    segments = Segments(
        manifest=manifest,
        sample_rate=RATE,
        segment=8192,
        batch_size=8,
        speed=speed,
        allow_band_limited=True,
    )
    rates = {clip.sample_rate for clip in segments.clips}
    assert rates == {22050, 24000, 48000}
    batch = segments[0]
    assert batch.cutoffs is not None and batch.cutoffs.shape == (8,)
    assert len(batch.cutoffs.unique()) > 1
    for crop, cutoff in zip(batch.audio, batch.cutoffs.tolist(), strict=True):
        assert 8000.0 < cutoff <= RATE / 2
        window = torch.hann_window(crop.shape[-1])
        assert cutoff > 0.95 * RATE / 2 or energy_above(crop * window, 1.05 * cutoff) < -40.0


def test_full_band_batches_have_no_cutoffs(manifest: Path) -> None:
    segments = Segments(manifest=manifest, sample_rate=22050, segment=64, batch_size=1)
    assert segments[0].cutoffs is None


def test_band_limit_ends_every_signal_at_its_own_cutoff() -> None:
    audio, cutoffs = torch.randn(3, 2, 4800), torch.tensor([3000.0, 12000.0, 24000.0])
    limited = band_limit(audio, cutoffs, sample_rate=RATE)
    for before, after, cutoff in zip(audio, limited, cutoffs.tolist(), strict=True):
        assert energy_above(after, cutoff) < -100.0
        change = torch.fft.rfft(after - before)[..., : int(0.96 * cutoff / RATE * 4800)]
        assert change.abs().max() < 1e-3
