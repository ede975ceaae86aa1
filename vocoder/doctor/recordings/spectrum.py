"""What the spectrum of a recording tells: its origin by the cutoff, codecs, noise and hum."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_N_FFT = 2048
_GROUP = 12  # bins of a cell
_CELLS_FROM = 4000.0  # Hz; below, codecs leave nothing out
# dB of a full-scale density; cells that a codec has left out lie under the rounding of 16 bits.
_EMPTY, _FILLED, _FALL = -95.0, -85.0, 25.0
_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_FULL = 0.93  # of half a rate, where the transition band of a resampler begins at the lowest
_CODECS = (
    (15300.0, 16700.0, "MP3 or AAC of about 128 kbit/s"),
    (16700.0, 18300.0, "MP3 of about 160 kbit/s"),
    (18300.0, 20700.0, "MP3 of 192 to 320 kbit/s"),
)
_HOLES, _CERTAIN = 5e-4, 2e-3
_FLAT_BAND = (300.0, 3500.0)  # Hz
_FLAT = 0.1  # flatness of the spectrum: 0.56 in a frame of white noise
_HUM_SECONDS = 0.2  # short enough for the pauses between words
_HUM_ABOVE = 10.0  # dB over what is beside the line
_HUM_SURE = 15.0  # from which two lines are enough
_HUM_BELOW = 10.0  # dB under the recording: louder, it is a note or an engine
_FRAME = 0.02  # seconds
_LEAST = 1e-7  # power under 16-bit rounding


def decibels(power: Tensor) -> Tensor:
    """Power in dB of full scale, at least -140."""
    return 10.0 * power.clamp_min(1e-14).log10()


def holes(audio: Tensor, sample_rate: int, cutoff: float) -> float:
    """Share of cells below the cutoff that are empty right after being filled: lossy codecs' mark.

    A codec of few bits leaves bands out, frame by frame; nothing in nature falls by 25 dB to below
    the rounding of 16 bits within 20 ms and 12 bins. Shape: [T].
    """
    if audio.shape[-1] < 2 * _N_FFT:
        return 0.0
    window = torch.hann_window(_N_FFT)
    frames = audio.unfold(-1, _N_FFT, _N_FFT // 2)
    power = torch.fft.rfft(frames * window).abs().square() / window.square().sum()
    power = power[frames.square().mean(-1) > _LEAST]
    hz = sample_rate / _N_FFT
    first = round(_CELLS_FROM / hz)
    count = int((min(cutoff, 0.49 * sample_rate) / hz - first) // _GROUP)
    if count < 2 or len(power) < 8:
        return 0.0
    cells = power[:, first : first + count * _GROUP].unflatten(1, (count, _GROUP)).mean(-1)
    levels = decibels(cells)
    lower = levels[:, :-1]  # the cell below in frequency, of the same frame
    empty = (levels[:, 1:] < _EMPTY) & (lower > _FILLED) & (levels[:, 1:] < lower - _FALL)
    return float(empty.float().mean())


class Origin(NamedTuple):
    """What the cutoff of a recording tells of where it comes from."""

    words: str
    lossy: bool
    resampled: bool


def origin(cutoff: float, sample_rate: int, holed: float) -> Origin | None:
    """Where a recording comes from, by its cutoff in Hz and the share of holes; None if as it is.

    Rates are told by cutoffs just below their half, codecs by holes.
    """
    lossy = holed > _HOLES
    sure = "surely" if holed > _CERTAIN else "probably"
    evidence = f"{sure}, {100 * holed:.2f} % of its bands are left out from frame to frame"
    if lossy:
        known = next((name for low, high, name in _CODECS if low <= cutoff <= high), None)
        return Origin(f"a lossy codec ({evidence}{f': {known}' if known else ''})", True, False)
    if cutoff >= _FULL * sample_rate / 2:
        return None
    if 3000.0 <= cutoff <= 3750.0:
        return Origin("the telephone band, up to 3400 Hz", False, True)
    for rate in _RATES:
        if rate < sample_rate and _FULL * rate / 2 <= cutoff <= 1.005 * rate / 2:
            words = f"resampled from {rate} Hz, whose half is just above the cutoff"
            return Origin(words, False, True)
    return Origin("limited by the source, the microphone or a filter", False, False)


class Quiet(NamedTuple):
    """The quietest tenth of the frames of a recording, beside the loudest."""

    level: float
    """dBFS."""
    below: float
    """dB under the loudest tenth."""
    noisy: bool
    """Whether they hold noise, rather than tones: a recording without pauses."""


def quiet_frames(audio: Tensor, sample_rate: int) -> Quiet | None:
    """The quietest frames without digital silence; None if there are too few. Shape: [T]."""
    size = max(64, round(_FRAME * sample_rate))
    frames = audio[: audio.shape[-1] // size * size].reshape(-1, size)
    frames = frames - frames.mean(1, keepdim=True)
    power = frames.square().mean(1)
    frames, power = frames[power > 0.0], power[power > 0.0]
    tenth = len(power) // 10
    if tenth < 2:
        return None
    order = power.argsort()
    quiet, loud = power[order[:tenth]].mean(), power[order[-tenth:]].mean()
    spectrum = torch.fft.rfft(frames[order[:tenth]] * torch.hann_window(size)).abs().square()
    band = slice(*(round(hz * size / sample_rate) for hz in _FLAT_BAND))
    inside = spectrum[:, band].clamp_min(1e-20)
    flatness = float((inside.log().mean(1).exp() / inside.mean(1)).median())
    level = float(decibels(quiet))
    return Quiet(level, float(decibels(loud)) - level, flatness > _FLAT)


def hum(audio: Tensor, sample_rate: int) -> tuple[int, float, float] | None:
    """Mains hum: its frequency, level in dBFS, and dB over what is beside it; None without. [T].

    Three of the first six multiples of 50 or 60 Hz, or two clear ones, that stand in pauses, too.
    """
    size = round(_HUM_SECONDS * sample_rate)
    if audio.shape[-1] < 5 * size:
        return None
    window = torch.hann_window(size)
    frames = audio.unfold(-1, size, size // 2)
    frames = frames - frames.mean(-1, keepdim=True)
    power = torch.fft.rfft(frames * window).abs().square() / window.sum().square() * 2.0
    steady = power.quantile(0.15, dim=0)  # what stands in pauses, too
    most = float(decibels(audio.square().mean())) - _HUM_BELOW
    best = None
    for mains in (50, 60):
        lines = [_line(steady, round(mains * k * _HUM_SECONDS)) for k in range(1, 7)]
        clear = [(level, above) for level, above in lines if above > _HUM_ABOVE]
        level = 10.0 * math.log10(sum((10.0 ** (x / 10.0) for x, _ in clear), 1e-14))
        sure = len(clear) >= 3 or sum(above > _HUM_SURE for _, above in clear) == 2
        if sure and level < most and _exact(audio, sample_rate, mains):
            above = sum(x for _, x in clear)
            if best is None or above > best[2]:
                best = mains, level, above
    return None if best is None else (best[0], best[1], best[2] / 3.0)


def _exact(audio: Tensor, sample_rate: int, mains: int) -> bool:
    """Whether two of the first harmonics lie at the multiples of the mains to 1 Hz."""
    window = torch.hann_window(sample_rate)
    frames = audio[: len(audio) // sample_rate * sample_rate].reshape(-1, sample_rate)
    power = torch.fft.rfft((frames - frames.mean(1, keepdim=True)) * window).abs().square().amin(0)
    near = (int(power[mains * k - 6 : mains * k + 7].argmax()) - 6 for k in (1, 2, 3, 4))
    return sum(abs(off) <= 1 for off in near) >= 2


def _line(power: Tensor, place: int) -> tuple[float, float]:
    """Level of a line in dB, and by how much it exceeds its surroundings."""
    level = power[place - 1 : place + 2].max()
    beside = torch.cat([power[place - 5 : place - 2], power[place + 3 : place + 6]]).median()
    return float(decibels(level)), float(decibels(level) - decibels(beside))
