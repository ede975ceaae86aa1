"""Ways to plant an artefact in a recording: (recording, level, rng) → audio [T].

They return None for a recording that has no place for the artefact.
"""

import math

import torch
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Analysis, decibels
from vocoder.evaluation.artefacts.detectors.pitch_steps import held_notes
from vocoder.evaluation.artefacts.detectors.sibilants import fricatives
from vocoder.io.audio import resample_soxr


def _uniform(low: float, high: float, rng: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand(1, generator=rng))


def _amplitude(level: float) -> float:
    return math.pow(10.0, level / 20.0)


def _rms(audio: Tensor) -> float:
    return float(audio.square().mean().sqrt())


def _loud_place(signal: Analysis, rng: torch.Generator, margin: float = 0.1) -> float | None:
    """Time of a random loud frame in seconds, away from the ends."""
    times = (torch.arange(len(signal.level)) + 0.5) * signal.frame_seconds
    inner = (times > margin) & (times < signal.seconds - margin)
    loud = ((signal.level > signal.active_level - 8.0) & inner).nonzero()[:, 0]
    if len(loud) == 0:
        return None
    return float(times[loud[int(torch.randint(len(loud), (1,), generator=rng))]])


def _highpass(audio: Tensor, hz: float, sample_rate: int) -> Tensor:
    """What lies above a frequency, by a brick wall. Shape: [T]."""
    spectrum = torch.fft.rfft(audio)
    spectrum[: math.ceil(hz * len(audio) / sample_rate)] = 0.0
    high: Tensor = torch.fft.irfft(spectrum, n=len(audio))
    return high


def _windowed(length: int, begin: int, end: int, ramp: int) -> Tensor:
    """One from `begin` to `end`, zero outside, with linear ramps. Shape: [T]."""
    at = torch.arange(length, dtype=torch.float32)
    inside: Tensor = torch.minimum((at - begin) / ramp, (end - at) / ramp).clamp(0.0, 1.0)
    return inside


def _warped(signal: Analysis, ratio: Tensor) -> Tensor:
    """Read the recording at another speed at each sample. Shape: [T] → same."""
    fine = resample_soxr(signal.audio, signal.sample_rate, 4 * signal.sample_rate)
    position = ratio.double().cumsum(0) - float(ratio[0])
    place = (4.0 * position).clamp(0.0, len(fine) - 2.0)
    below = place.long()
    share = (place - below).float()
    return fine[below] * (1.0 - share) + fine[below + 1] * share


def tone(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """A tone, `level` dB above the loudest of the pauses' spectra at its frequency."""
    hz = _uniform(1050.0, 0.4 * signal.sample_rate, rng)
    if not signal.pauses:
        return None
    bin_ = round(hz / signal.bin_hz)
    near = torch.stack([signal.power[a:b, bin_ - 16 : bin_ + 17].mean() for a, b in signal.pauses])
    amplitude = _amplitude(max(float(decibels(near).max()) + level, -82.0))
    at = torch.arange(len(signal.audio), dtype=torch.float64) / signal.sample_rate
    return signal.audio + amplitude * torch.sin(2.0 * math.pi * hz * at).float()


def hop_pattern(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """A random pattern of 256 samples, repeated, in 1 s or more, at `level` dB of its level."""
    if signal.seconds < 1.0:  # too few frames to tell
        return None
    pattern = torch.randn(256, generator=rng).diff(prepend=torch.zeros(1))
    repeated = pattern.repeat(len(signal.audio) // 256 + 1)[: len(signal.audio)]
    return signal.audio + repeated / _rms(pattern) * _rms(signal.audio) * _amplitude(level)


def image(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """The spectrum below a quarter of the sample rate, mirrored about it, at `level` dB."""
    low = signal.audio - _highpass(signal.audio, signal.sample_rate / 4, signal.sample_rate)
    signs = 1.0 - 2.0 * (torch.arange(len(low)) % 2)
    return signal.audio + _amplitude(level) * low * signs


def _loudest_fricative(signal: Analysis) -> tuple[int, int] | None:
    """First and last sample of the fricative with the most energy."""
    found = fricatives(signal)
    if not found:
        return None
    energy = signal.fine.sum(1)
    first, last = max(found, key=lambda place: float(energy[place[0] : place[1]].sum()))
    return first * signal.fine_hop, last * signal.fine_hop


def sibilant_level(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """One fricative above 3.5 kHz changed by `level` dB."""
    place = _loudest_fricative(signal)
    if place is None:
        return None
    inside = _windowed(len(signal.audio), *place, ramp=signal.fine_hop)
    band = _highpass(signal.audio, 3500.0, signal.sample_rate)
    return signal.audio + (_amplitude(level) - 1.0) * inside * band


def sibilant_gap(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """A gap of 15 ms and `level` dB in one fricative above 3.5 kHz."""
    place = _loudest_fricative(signal)
    if place is None:
        return None
    half, middle = round(0.0085 * signal.sample_rate), sum(place) // 2
    ramp = round(0.001 * signal.sample_rate)
    inside = _windowed(len(signal.audio), middle - half, middle + half, ramp)
    band = _highpass(signal.audio, 3500.0, signal.sample_rate)
    return signal.audio + (_amplitude(level) - 1.0) * inside * band


def shelf(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """Everything above half of Nyquist (at least 5 kHz) changed by `level` dB."""
    cutoff = max(5000.0, signal.sample_rate / 4)
    band = _highpass(signal.audio, cutoff, signal.sample_rate)
    if _rms(band) < _amplitude(max(-75.0, signal.active_level - 50.0)):  # nothing is there
        return None
    return signal.audio + (_amplitude(level) - 1.0) * band


def click(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """An impulse of one sample in a loud place, `level` dB above the recording's level."""
    place = _loud_place(signal, rng)
    if place is None:
        return None
    audio = signal.audio.clone()
    audio[round(place * signal.sample_rate)] += _rms(audio) * _amplitude(level)
    return audio


def gap(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """A gap of 25 ms and `level` dB in a loud place, with ramps of 1 ms."""
    place = _loud_place(signal, rng, margin=0.2)
    if place is None:
        return None
    begin = round(place * signal.sample_rate)
    end, ramp = begin + round(0.027 * signal.sample_rate), round(0.001 * signal.sample_rate)
    inside = _windowed(len(signal.audio), begin, end, ramp)
    return signal.audio * (1.0 - (1.0 - _amplitude(level)) * inside)


def _note(signal: Analysis, seconds: float) -> tuple[int, int] | None:
    """First and last sample of the longest held note of at least `seconds`."""
    notes = held_notes(signal, seconds)
    if not notes:
        return None
    first, last = max(notes, key=lambda note: note[1] - note[0])
    return first * signal.hop, last * signal.hop


def pitch_step(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """`level` cents for 0.1 s in the middle of the longest held note of 0.45 s or more."""
    note = _note(signal, 0.45)
    if note is None:
        return None
    half, middle = round(0.05 * signal.sample_rate), sum(note) // 2
    ratio = torch.ones(len(signal.audio))
    ratio[middle - half : middle + half] = 2.0 ** (level / 1200.0)
    return _warped(signal, ratio)


def trembling(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """A tremor of F0 at 11 Hz with a standard deviation of `level` cents, all the time."""
    if _note(signal, 0.45) is None:
        return None
    at = torch.arange(len(signal.audio)) / signal.sample_rate
    cents = math.sqrt(2.0) * level * torch.sin(2.0 * math.pi * 11.0 * at)
    return _warped(signal, 2.0 ** (cents / 1200.0))


def offset(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """A constant of `level` dBFS, where the recording has none of its own."""
    if abs(float(signal.audio.mean())) > _amplitude(-60.0):
        return None
    return signal.audio + _amplitude(level)


def clipped(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """The waveform, clipped `level` dB below its peak."""
    top = float(signal.audio.abs().max()) * _amplitude(level)
    return signal.audio.clamp(-top, top)


def gain(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """The recording, changed by `level` dB."""
    return signal.audio * _amplitude(level)


def drift(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """A gain that changes evenly by `level` dB from the beginning to the end of 2 s or more."""
    if signal.seconds < 2.0:
        return None
    return signal.audio * 10.0 ** (torch.linspace(-0.5, 0.5, len(signal.audio)) * level / 20.0)


def noise(signal: Analysis, level: float, rng: torch.Generator) -> Tensor | None:
    """White noise of `level` dBFS, where a pause is quieter than that by 10 dB."""
    quietest = [float(signal.level[a:b].median()) for a, b in signal.pauses]
    if not quietest or min(quietest) > level - 10.0:
        return None
    return signal.audio + _amplitude(level) * torch.randn(len(signal.audio), generator=rng)
