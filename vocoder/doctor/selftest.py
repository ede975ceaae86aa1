"""Self-tests of models by a built-in sound: harmonics that glide, vowels, and noise."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vocoder.doctor.pairs.synthesis import pitch_of, vocoded
from vocoder.errors import AudioError
from vocoder.evaluation.metrics.log_mel import log_mel_error
from vocoder.evaluation.metrics.pitch import f0_median
from vocoder.inference.extender import Extender
from vocoder.inference.vocoder import Vocoder
from vocoder.io.audio import resample_soxr

_SECONDS = 2.4
_RATE = 48000
_FORMANTS = ((700.0, 1220.0, 2600.0), (300.0, 2200.0, 3000.0), (350.0, 800.0, 2400.0))
_BANDWIDTH = 110.0  # Hz, of formants
_WORST_LOG_MEL = 0.7  # nepers
_WORST_PITCH = 60.0  # cents
_LOUDEST = 1.5  # of full scale


@dataclass(frozen=True)
class Outcome:
    """What came of a self-test: words with scores, whether they are bad, and how to do it again."""

    words: str
    bad: bool
    seconds: float
    """Of the audio that is made."""
    again: Callable[[], Tensor]


def voice_like(sample_rate: int) -> Tensor:
    """A sound of 2.4 s like a voice: three vowels of gliding pitch with noise between them. [T]."""
    time = torch.arange(round(_SECONDS * _RATE), dtype=torch.float64) / _RATE
    f0 = 150.0 * 2.0 ** (0.35 * torch.sin(2.0 * math.pi * 0.6 * time))
    phase = 2.0 * math.pi * f0.cumsum(0) / _RATE
    third = round(len(time) / len(_FORMANTS))
    audio = torch.zeros_like(time)
    for number, formants in enumerate(_FORMANTS):
        part = slice(number * third, (number + 1) * third - third // 5)
        fade = torch.hann_window(len(time[part]), periodic=False, dtype=torch.float64).sqrt()
        for k in range(1, 60):
            hz = k * f0[part]
            gain = sum(1.0 / (1.0 + ((hz - f) / _BANDWIDTH) ** 2) for f in formants) + 0.01
            audio[part] += fade * gain / k**0.5 * torch.sin(k * phase[part]) * (hz < 11000.0)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(time), generator=generator, dtype=torch.float64).diff(n=2)
    gate = (time * len(_FORMANTS) / _SECONDS % 1.0 > 0.8).double()[: len(noise)]
    audio[: len(noise)] += 0.05 * noise * gate + 1e-4 * noise
    return resample_soxr((0.3 * audio / audio.abs().max()).float(), _RATE, sample_rate)


def vocodes(vocoder: Vocoder) -> Outcome:
    """Copy synthesis of the built-in sound by a vocoder."""
    rate = vocoder.sample_rate
    sound = voice_like(rate)
    mel = vocoder.mel(sound, sample_rate=rate)
    pitch = pitch_of(sound, vocoder.spec, mel.shape[1])
    f0 = pitch.f0 * pitch.voiced
    audio = vocoded(vocoder, mel, f0)[: len(sound)]
    peak = float(audio.abs().max())
    sound = sound[: len(audio)]
    error = log_mel_error(sound, audio, rate)
    try:
        cents = f0_median(sound, audio, rate)
        heard = f"pitch {cents:.0f} cents off"
    except AudioError:
        cents, heard = math.inf, "without any pitch"
    words = f"copying a voice-like sound: {error:.2f} Np off in log-mel, {heard}, peak {peak:.2f}"
    bad = error > _WORST_LOG_MEL or cents > _WORST_PITCH or peak > _LOUDEST
    return Outcome(words, bad, len(audio) / rate, lambda: vocoded(vocoder, mel, f0))


def extends(extender: Extender) -> Outcome:
    """Extension of the built-in sound, without what lies above the network's highest cutoff."""
    rate = extender.sample_rate
    cutoff = extender.cutoff_range[1]
    narrow_rate = round(2 * min(cutoff, rate / 2))
    sound = voice_like(rate)
    narrow = resample_soxr(sound, rate, narrow_rate)
    audio = extender(narrow, sample_rate=narrow_rate)
    bins = torch.fft.rfftfreq(audio.shape[-1], 1.0 / rate)
    spectrum = torch.fft.rfft(audio.double()).abs().square()
    samples = min(audio.shape[-1], sound.shape[-1])
    low = float((audio[..., :samples] - resample_soxr(narrow, narrow_rate, rate)[:samples]).norm())
    low = 20.0 * math.log10(low / float(sound.norm()))
    added = float((spectrum[bins > 1.02 * cutoff].sum() / spectrum.sum()).clamp_min(1e-12).log10())
    words = (
        f"extending a voice-like sound from {narrow_rate} Hz: {10.0 * added:.0f} dB of the power "
        f"are new, the difference in all is {low:.0f} dB"
    )
    peak = float(audio.abs().max())
    bad = peak > _LOUDEST or low > -3.0 or 10.0 * added < -80.0
    return Outcome(
        words, bad, audio.shape[-1] / rate, lambda: extender(narrow, sample_rate=narrow_rate)
    )
