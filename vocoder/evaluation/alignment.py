"""Delay between a reference and an estimate: found, reported, and removed before scoring."""

import math
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from vocoder.errors import AudioError
from vocoder.io.audio import read_audio, resample_soxr

SHORTEST_SECONDS = 0.1
_REACH_SECONDS = 0.5  # largest delay that is looked for
_LONGEST_SECONDS = 30.0  # of the files, around their middle, that are looked at
_WHITENING = 0.8  # exponent of the cross-spectrum's magnitude that is divided out
_DISTINCT = 3.2  # by what the peak exceeds all others; without common phases they are about equal
_NEAR_HIGHEST = 0.95  # what the plain correlation has there, relative to its own peak
_MAIN_LOBE_SECONDS = 1e-3
_FRAME = 2048  # samples, of the coherence
_NEAR, _STEPS = 4, 64  # samples on each side of the peak that are searched, steps of a sample
_UNSEEN = 0.05  # samples: shorter delays are not measurable, and count as none
_ENVELOPE_RATE = 1000  # Hz
_SHORTEST_ENVELOPE_DELAY = 0.008  # seconds: windows and phases of vocoders move envelopes by less
_LEAST_LIKENESS, _LEAST_GAIN = 0.4, 0.1
_WINDOW = 20  # milliseconds: shorter ones show the periods of voices
_SYLLABLE = 30  # milliseconds around a peak of likeness that belong to it
_LEAST_CHANGE = 0.02  # mean square in nepers: signals that change less have no envelope to align
_BANDS = (100.0, 300.0, 700.0, 1500.0, 3000.0, 6000.0)


class Alignment(NamedTuple):
    """By how much an estimate is later than its reference, and how that is known.

    `delay` is in samples of the rate of comparison, negative if the estimate is early. It comes
    from the "waveform" (to about 0.1 sample) or, where phases have nothing in common, from the
    "envelope" (to about 2 ms). `removed` says whether the files were scored without it.
    """

    delay: float = 0.0
    source: Literal["none", "waveform", "envelope"] = "none"
    removed: bool = False


class AlignedPair(NamedTuple):
    """A reference and an estimate of one rate and length, as every metric sees them.

    `extra_samples` is by how much the estimate was longer, before both were cut.

    Shape: [C, T], [C, T].
    """

    reference: Tensor
    estimate: Tensor
    sample_rate: int
    alignment: Alignment
    extra_samples: int


def load_pair(
    reference: Path, estimate: Path, *, align: bool = True, known: Alignment | None = None
) -> AlignedPair:
    """Read two files, at the lower rate of both, without their delay and of equal length.

    A delay that is `known`, from the same files, is not looked for again. Raises AudioError if they
    cannot be read or have not the same channels, or less than 0.1 s in common.
    """
    real, reference_rate = read_audio(reference)
    fake, estimate_rate = read_audio(estimate)
    if real.shape[0] != fake.shape[0]:
        raise AudioError(f"{estimate}: {fake.shape[0]} channels, its reference has {real.shape[0]}")
    rate = min(reference_rate, estimate_rate)
    real = resample_soxr(real, reference_rate, rate)
    fake = resample_soxr(fake, estimate_rate, rate)
    extra = fake.shape[-1] - real.shape[-1]
    found = known or find_delay(real, fake, rate)
    if align and found.delay:
        real, fake = without_delay(real, fake, found.delay)
        found = found._replace(removed=True)
    samples = min(real.shape[-1], fake.shape[-1])
    if samples < SHORTEST_SECONDS * rate:
        raise AudioError(f"{estimate}: under {SHORTEST_SECONDS} s in common with its reference")
    return AlignedPair(real[:, :samples], fake[:, :samples], rate, found, extra)


def find_delay(reference: Tensor, estimate: Tensor, sample_rate: int) -> Alignment:
    """Delay of an estimate, up to ± 0.5 s, or none where the signals do not tell.

    The waveforms decide if the whitened cross-correlation (Knapp and Carter 1976) of their mean
    over channels has one distinct peak: held tones have many, and so have signals that share no
    phases, as those of many vocoders. Then the envelopes decide, if they agree clearly better at
    a delay of 8 ms or more than without.

    Shape: [C, T], [C, T'].
    """
    samples = min(reference.shape[-1], estimate.shape[-1])
    alike = reference.shape == estimate.shape and torch.equal(reference, estimate)
    if alike or samples < SHORTEST_SECONDS * sample_rate:
        return Alignment()
    kept = min(samples, round(_LONGEST_SECONDS * sample_rate))
    first = (samples - kept) // 2
    real, fake = (audio.mean(0)[first : first + kept] for audio in (reference, estimate))
    if not real.any() or not fake.any():
        return Alignment()
    delay = _waveform_delay(real, fake, sample_rate)
    if delay is not None:
        return Alignment(delay, "waveform") if delay else Alignment()
    delay = _envelope_delay(real, fake, sample_rate)
    return Alignment(delay, "envelope") if delay else Alignment()


def without_delay(reference: Tensor, estimate: Tensor, delay: float) -> tuple[Tensor, Tensor]:
    """Both signals, cut at their beginnings so that the estimate is no longer late by `delay`.

    The part of a sample is removed by a band-limited shift, in the spectrum of the whole signal.

    Shape: [C, T], [C, T'] → the same, shorter by at most |delay| + 1.
    """
    whole = math.floor(delay)
    part = delay - whole
    if part:
        estimate = _earlier(estimate, part)
    return reference[:, max(0, -whole) :], estimate[:, max(0, whole) :]


def _earlier(audio: Tensor, part: float) -> Tensor:
    """The signal `part` of a sample earlier.   Shape: [C, T] → same."""
    samples = audio.shape[-1]
    size = 1 << (samples + 2048).bit_length()  # beyond the end lies silence, not the beginning
    spectrum = torch.fft.rfft(audio.double(), size)
    turns = torch.arange(spectrum.shape[-1], device=audio.device).double() * (part / size)
    shifted: Tensor = torch.fft.irfft(
        spectrum * torch.polar(torch.ones_like(turns), 2 * math.pi * turns)
    )
    return shifted[:, :samples].to(audio.dtype)


def _waveform_delay(real: Tensor, fake: Tensor, sample_rate: int) -> float | None:
    """Delay in samples, 0 if it is too small to be seen; None if no peak is distinct."""
    reach = min(round(_REACH_SECONDS * sample_rate), len(real) // 2)
    plain, whitened = _correlations(real, fake, reach)
    peak = int(whitened.abs().argmax())
    if whitened[peak] < 0.0:  # an estimate of the other polarity
        return _waveform_delay(real, -fake, sample_rate)
    lobe = math.ceil(_MAIN_LOBE_SECONDS * sample_rate)
    others = whitened.clone()
    others[max(0, peak - lobe) : peak + lobe + 1] = 0.0
    if whitened[peak] < _DISTINCT * others.max() or plain[peak] < _NEAR_HIGHEST * plain.max():
        return None
    delay = _refined(real, fake, peak - reach)
    return 0.0 if abs(delay) < _UNSEEN else delay


def _correlations(real: Tensor, fake: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Cross-correlation from lag -reach to reach, plain and whitened.

    Shape: [T], [T] → [2 * reach + 1], same.
    """
    size = 1 << (2 * len(real)).bit_length()
    cross = torch.fft.rfft(fake.double(), size) * torch.fft.rfft(real.double(), size).conj()
    magnitude = cross.abs()
    weight = magnitude.clamp_min(1e-10 * magnitude.max()).pow(-_WHITENING)
    both = torch.fft.irfft(torch.stack([cross, cross * weight]), size)  # [2, size]
    plain, whitened = torch.cat([both[:, -reach:], both[:, : reach + 1]], dim=1)
    return plain, whitened


def _refined(real: Tensor, fake: Tensor, whole: int) -> float:
    """Delay near a whole number of samples, of the frequencies at which the signals are coherent.

    The phases of the cross-spectrum, averaged over frames, count by their coherence c² as
    c² / (1 - c²) (Hannan and Thomson 1973): what an estimate made up, such as the upper band of a
    bandwidth extension, says nothing about its delay.
    """
    real, fake = real[max(0, -whole) :], fake[max(0, whole) :]
    samples = min(len(real), len(fake))
    size = min(_FRAME, samples)
    window = torch.hann_window(size, dtype=torch.float64)
    spectra = [
        torch.fft.rfft(each[:samples].double().unfold(0, size, max(1, size // 2)) * window)
        for each in (real, fake)
    ]
    cross = (spectra[1] * spectra[0].conj()).mean(0)  # [K]
    energies = [each.abs().square().mean(0) for each in spectra]
    frames = len(spectra[0])
    coherence = cross.abs().square() / (energies[0] * energies[1]).clamp_min(1e-30)
    coherence = (coherence - 1.0 / frames).clamp(0.0, 1.0 - 1e-6)  # noise has 1 / frames
    weight = coherence / (1.0 - coherence)
    phases = weight * cross / cross.abs().clamp_min(1e-30)
    places = torch.arange(-_NEAR * _STEPS, _NEAR * _STEPS + 1, dtype=torch.float64) / _STEPS
    turns = torch.outer(places, 2 * math.pi * torch.arange(len(cross)).double() / size)
    values = torch.cos(turns) @ phases.real - torch.sin(turns) @ phases.imag
    best = min(max(int(values.argmax()), 1), len(values) - 2)
    before, top, after = values[best - 1 : best + 2].tolist()
    bend = before - 2.0 * top + after
    offset = 0.5 * (before - after) / bend if bend else 0.0
    return whole + (best + offset) / _STEPS - _NEAR


def _envelope_delay(real: Tensor, fake: Tensor, sample_rate: int) -> float:
    """Delay in samples by which the levels of bands change most alike; 0 if that is not clear."""
    changes = [_level_changes(audio, sample_rate) for audio in (real, fake)]
    frames = changes[0].shape[-1]
    reach = min(round(_REACH_SECONDS * _ENVELOPE_RATE), frames // 4)
    norm = math.prod(each.square().sum().sqrt().item() for each in changes)
    if min(each.square().mean().item() for each in changes) < _LEAST_CHANGE:
        return 0.0
    size = 1 << (2 * frames).bit_length()
    spectra = [torch.fft.rfft(each, size) for each in changes]
    correlation = torch.fft.irfft(spectra[1] * spectra[0].conj(), size).sum(0)
    likeness = torch.cat([correlation[-reach:], correlation[: reach + 1]]) / norm
    peak = int(likeness.argmax())
    seconds = (peak - reach) / _ENVELOPE_RATE
    others = likeness.clone()
    others[max(0, peak - _SYLLABLE) : peak + _SYLLABLE + 1] = 0.0
    rival = max(likeness[reach].item(), others.max().item())
    clear = likeness[peak] > max(_LEAST_LIKENESS, rival + _LEAST_GAIN)
    inside = 0 < peak < 2 * reach
    if not clear or not inside or abs(seconds) < _SHORTEST_ENVELOPE_DELAY:
        return 0.0
    return float(round(seconds * sample_rate))


def _level_changes(audio: Tensor, sample_rate: int) -> Tensor:
    """Changes in nepers of the levels of bands over 10 ms, at 1 kHz.   Shape: [T] → [bands, F]."""
    hop = max(1, round(sample_rate / _ENVELOPE_RATE))
    frames = audio.unfold(0, _WINDOW * hop, hop) * torch.hann_window(_WINDOW * hop)  # [F, N]
    power = torch.fft.rfft(frames).abs().square().T  # [K, F]
    hertz = torch.linspace(0.0, sample_rate / 2, len(power))
    bounds = [*(edge for edge in _BANDS if edge < sample_rate / 2), sample_rate / 2 + 1.0]
    bands = torch.stack(
        [
            power[(low <= hertz) & (hertz < high)].sum(0)
            for low, high in zip(bounds, bounds[1:], strict=False)
        ]
    )
    levels = 0.5 * bands.clamp_min(1e-5 * bands.max().clamp_min(1e-20)).log()
    return levels[:, 10:] - levels[:, :-10]
