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
_HUM_SECONDS = 1.0
_HUM_ABOVE = 12.0  # dB over what is beside the line
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
        return Origin("the telephone band, 300 to 3400 Hz", False, True)
    for rate in _RATES:
        if rate < sample_rate and _FULL * rate / 2 <= cutoff <= 1.005 * rate / 2:
            return Origin(f"resampled from {rate} Hz: the cutoff is just below {rate // 2} Hz",
                          False, True)
    known = next((name for low, high, name in _CODECS if low <= cutoff <= high), None)
    if known:
        return Origin(f"perhaps {known}, which cuts off there; no other trace of a codec",
                      False, False)
    return Origin("the microphone, the source or a filter", False, False)


def signal_to_noise(audio: Tensor, sample_rate: int) -> tuple[float, float] | None:
    """Level of the noise in dBFS and ratio of the loud to the quiet frames, in dB. [T].

    The quietest and the loudest tenth of the frames without digital silence; None for too few.
    """
    size = max(1, round(_FRAME * sample_rate))
    count = audio.shape[-1] // size
    power = audio[: count * size].unflatten(0, (count, size)).square().mean(1)
    power = power[power > 0.0].sort().values
    if len(power) < 20:
        return None
    tenth = len(power) // 10
    quiet, loud = (float(decibels(part.mean())) for part in (power[:tenth], power[-tenth:]))
    return quiet, loud - quiet


def hum(audio: Tensor, sample_rate: int) -> tuple[int, float, float] | None:
    """Mains hum: its frequency, level in dBFS, and dB over what is beside it; None without. [T].

    Lines at 50 or 60 Hz and two of their harmonics that stand in every second of the recording.
    """
    size = round(_HUM_SECONDS * sample_rate)
    if audio.shape[-1] < 2 * size:
        return None
    window = torch.hann_window(size)
    frames = audio.unfold(-1, size, size // 2)
    power = torch.fft.rfft(frames * window).abs().square() / window.sum().square() * 2.0
    # What stands in all frames: voices change within a second.
    steady = power.quantile(0.2, dim=0)
    best = None
    for mains in (50, 60):
        lines = [_line(steady, round(mains * k * _HUM_SECONDS)) for k in range(1, 7)]
        clear = [(level, above) for level, above in lines if above > _HUM_ABOVE]
        if len(clear) >= 3:
            level = 10.0 * math.log10(sum(10.0 ** (x / 10.0) for x, _ in clear))
            above = sum(x for _, x in clear)
            if best is None or above > best[2]:
                best = mains, level, above
    return None if best is None else (best[0], best[1], best[2] / 3.0)


def _line(power: Tensor, place: int) -> tuple[float, float]:
    """Level of a line in dB, and by how much it exceeds its surroundings."""
    level = power[place - 1 : place + 2].max()
    beside = torch.cat([power[place - 12 : place - 4], power[place + 5 : place + 13]]).median()
    return float(decibels(level)), float(decibels(level) - decibels(beside))
