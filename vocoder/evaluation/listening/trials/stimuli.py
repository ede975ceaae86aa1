"""Sounds of one utterance in a listening test: aligned, of one rate and length, with anchors."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.evaluation.alignment import AlignedPair, load_pair
from vocoder.evaluation.listening.page_media import begin_of
from vocoder.io.audio import read_audio, resample_soxr

REFERENCE = "reference"
FADE_SECONDS = 0.005
_TRANSITION = 8 / 7  # BS.1534-3 asks for 25 dB at 4 kHz of the anchor that passes 3.5 kHz
_STOPBAND_DB = 80.0
_CUT = 0.95  # of a recording: what is heard of it, or a note says so


class Stimuli(NamedTuple):
    """All versions of an utterance: the reference, then the systems, then the anchors.

    Shape of each sound: [C, T].
    """

    utterance: str
    sample_rate: int
    sounds: dict[str, Tensor]
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Duration, alike for all."""
        return self.sounds[REFERENCE].shape[-1] / self.sample_rate


def load_stimuli(
    utterance: str,
    reference: Path,
    systems: Mapping[str, Path],
    *,
    anchors: Sequence[float] = (),
    longest: float = math.inf,
) -> Stimuli:
    """Read a recording and what systems made of it, as a listening test plays them.

    The delay of each system is removed (`load_pair`), and all are cut to what they have in common,
    at most `longest` seconds. They have the highest rate of the systems, but no higher one than the
    recording. Both ends are faded over 5 ms. Raises AudioError for files that cannot be compared.

    Args:
        utterance: Its name.
        reference: The recording.
        systems: Files by system.
        anchors: Frequencies in Hz that low-passed copies of the recording reach up to.
        longest: Most seconds to play.
    """
    pairs = {name: load_pair(reference, path) for name, path in systems.items()}
    rate = max(pair.sample_rate for pair in pairs.values())
    whole, orig_rate = read_audio(reference)
    whole = resample_soxr(whole, orig_rate, rate)
    begins = {name: _begin(pair, rate) for name, pair in pairs.items()}
    sounds = {
        name: resample_soxr(pair.estimate, pair.sample_rate, rate) for name, pair in pairs.items()
    }
    begin = max(begins.values())
    ends = {name: begins[name] + sound.shape[-1] for name, sound in sounds.items()}
    end = min(*ends.values(), whole.shape[-1], begin + _samples(longest, rate))
    cut = {REFERENCE: whole[:, begin:end]} | {
        name: sound[:, begin - begins[name] : end - begins[name]] for name, sound in sounds.items()
    }
    cut |= {anchor_name(hertz): lowpass(cut[REFERENCE], rate, hertz) for hertz in anchors}
    notes = _notes(utterance, min(ends, key=ends.__getitem__), whole.shape[-1], end - begin, rate)
    kept = tuple(notes) if end - begin < _samples(longest, rate) else ()
    return Stimuli(utterance, rate, {n: faded(s, rate) for n, s in cut.items()}, kept)


def anchor_name(hertz: float) -> str:
    """The name of an anchor in tables: "anchor 3.5 kHz"."""
    return f"anchor {hertz / 1000:g} kHz"


def lowpass(audio: Tensor, sample_rate: int, hertz: float) -> Tensor:
    """The part of a sound up to a frequency: flat below it, -80 dB from 8/7 of it on, no delay.

    That is steeper than the anchors of BS.1534-3 have to be. Raises ConfigError if the sample rate
    is too low for it to remove anything, or without scipy. Shape: [C, T] → same.
    """
    try:
        from scipy.signal import fftconvolve, firwin, kaiserord
    except ImportError as error:
        raise ConfigError("anchors need scipy; pip install 'vocoder[eval]'") from error
    nyquist = sample_rate / 2
    if hertz * _TRANSITION >= nyquist:
        raise ConfigError(
            f"at {sample_rate} Hz, sounds have hardly anything above an anchor of {hertz:g} Hz; "
            f"choose a lower one by --anchors, as {sample_rate / 8:g}"
        )
    taps, beta = kaiserord(_STOPBAND_DB, (_TRANSITION - 1.0) * hertz / nyquist)
    middle = 0.5 * (1.0 + _TRANSITION) * hertz
    window = firwin(taps | 1, middle, window=("kaiser", beta), fs=sample_rate)
    filtered = fftconvolve(audio.double().numpy(), window[None], mode="full", axes=-1)
    first = (len(window) - 1) // 2
    return torch.from_numpy(filtered[:, first : first + audio.shape[-1]]).to(audio.dtype)


def faded(audio: Tensor, sample_rate: int) -> Tensor:
    """The sound with its first and last 5 ms faded: no click where it begins or repeats.

    Shape: [C, T] → same.
    """
    samples = min(round(FADE_SECONDS * sample_rate), audio.shape[-1] // 2)
    ramp = 0.5 - 0.5 * torch.cos(math.pi * torch.arange(samples) / samples)
    gains = torch.ones(audio.shape[-1])
    gains[:samples] = ramp
    gains[len(gains) - samples :] = ramp.flip(0)
    return audio * gains


def _samples(seconds: float, rate: int) -> int:
    return round(min(seconds, 1e6) * rate)


def _begin(pair: AlignedPair, rate: int) -> int:
    """Where a pair begins in the recording, in samples at `rate`."""
    return round(begin_of(pair.alignment) * rate / pair.sample_rate)


def _notes(utterance: str, shortest: str, whole: int, heard: int, rate: int) -> list[str]:
    if heard >= _CUT * whole:
        return []
    return [
        f"{utterance}: {heard / rate:.2f} of {whole / rate:.2f} s are heard, since {shortest} "
        "has no more in common with the recording"
    ]
