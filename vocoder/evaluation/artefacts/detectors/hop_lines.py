"""Tones at multiples of the frame rate: patterns that repeat with every frame."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Analysis, Pair, hertz
from vocoder.evaluation.artefacts.artefact import Artefact

# Usual hops; a pattern of 128 or 256 samples repeats after 512, too, 240 after 480, 160 after 320.
_USUAL = (512, 480, 320, 300, 441)
_COHERENT = 0.15  # share of the energy at a multiple of the frame rate
_PERIODS = 25.0  # times the share of sounds that know nothing of the hop: one over their periods
_LINES = 3  # multiples at once, which no note has
_SECONDS = 2.0
_SHORTEST_PERIOD = 100  # samples, of unknown hops: digital microphones have lines of 1 kHz
_LEVELLING = 0.02  # seconds over which the loudness is evened out, so that pauses count as speech


def find_hop_lines(pair: Pair) -> list[Artefact]:
    """Three or more tones at multiples of the frame rate that are locked to the frames.

    The signal, differenced and brought to even loudness over 20 ms, is cut into frames of
    `hop_length` samples (without it: 512, 480, 320, 300 and 441). In pieces of 2 s, the coherence
    of a multiple of the frame rate is |mean of the frames' spectra|² / mean of their |spectra|². It
    is one over the number of frames for sounds without such a pattern, and must be 25 times that
    and 0.15, and twice that of the reference. Without `hop_length`, patterns that repeat within 100
    samples are left to the other detectors.

    One artefact for each run of pieces. The level in dB is that of the strongest tone relative to
    the rest at its frequency.
    """
    for hop in [pair.hop_length] if pair.hop_length else _USUAL:
        found = _patterns(pair, hop)
        if found:
            return found
    return []


def _patterns(pair: Pair, hop: int) -> list[Artefact]:
    """Artefacts of one hop, neighbouring seconds merged."""
    rate = pair.estimate.sample_rate
    coherence = _coherence(pair.estimate, hop)
    frames = min(len(pair.estimate.audio), _SECONDS * rate) / hop
    hit = coherence > max(_COHERENT, _PERIODS / frames)
    if not bool((hit.sum(1) >= _LINES).any()):
        return []
    if pair.reference is not None:
        hit &= _coherence(pair.reference, hop) < coherence / 2
    found: list[Artefact] = []
    for second in (hit.sum(1) >= _LINES).nonzero()[:, 0].tolist():
        numbers = hit[second].nonzero()[:, 0] + 1
        best = int(numbers[coherence[second, numbers - 1].argmax()])
        share = min(float(coherence[second, best - 1]), 0.9999)
        level = 10.0 * math.log10(share / (1.0 - share))
        period = hop // math.gcd(hop, *numbers.tolist())
        if pair.hop_length is None and period < _SHORTEST_PERIOD:
            continue
        begin, end = second * _SECONDS, min((second + 1) * _SECONDS, pair.estimate.seconds)
        if found and found[-1].end >= begin - 1e-6:  # goes on
            begin = found.pop().begin
        found.append(
            Artefact(
                detector="hop_lines",
                begin=begin,
                end=end,
                low_hz=float(numbers.min()) * rate / hop,
                high_hz=float(numbers.max()) * rate / hop,
                level=level,
                unit="dB",
                words=f"{len(numbers)} tones at multiples of the frame rate, {rate / period:.2f} "
                f"Hz ({period} samples), the strongest at {hertz(best * rate / hop)}, from "
                f"{begin:.2f} to {end:.2f} s",
            )
        )
    return found


def _coherence(signal: Analysis, hop: int) -> Tensor:
    """Coherence of each multiple of the frame rate in each piece. Shape: [S, hop // 2 - 1]."""
    rate = signal.sample_rate
    steps = F.pad(signal.audio.diff(), (1, 0))
    width = round(_LEVELLING * rate / 2)
    sums = F.pad(steps.double().square().cumsum(0), (width + 1, width), mode="constant")
    sums[-width:] = sums[-width - 1]
    energy = ((sums[2 * width + 1 :] - sums[: -2 * width - 1]) / (2 * width + 1)).float()
    even = steps / energy.sqrt().clamp_min(1e-6)
    count = max(1, round(_SECONDS * rate / hop))
    frames = even[: len(even) // hop * hop].view(-1, hop)
    spectra = torch.fft.rfft(frames)[:, 1 : hop // 2]
    seconds = max(1, round(len(frames) / count))
    parts = [
        spectra[n * count : (n + 1) * count if n + 1 < seconds else None] for n in range(seconds)
    ]
    return torch.stack(
        [p.mean(0).abs().square() / p.abs().square().mean(0).clamp_min(1e-9) for p in parts]
    )
