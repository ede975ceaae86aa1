"""Sounds and pictures as text that a page can hold."""

import base64
import io
from collections.abc import Iterable

import soundfile
import torch
from torch import Tensor

from vocoder.errors import AudioError
from vocoder.io.pcm import pcm16

_FULL_SCALE = 1.0 + 0.5 / 32768  # 16 bits hold 1.0 but for half a step


def audio_data(audio: Tensor, sample_rate: int) -> str:
    """Encode audio as 16-bit FLAC in base64, for `pageData` and `Player` of a page.

    Nothing is clipped: raises AudioError for a peak above full scale (see `common_gain`), for NaN
    and infinite samples, and for what FLAC cannot hold. Shape: [C, T], T ≥ 1.
    """
    if audio.ndim != 2 or audio.numel() == 0:
        raise AudioError(f"a page cannot play shape {list(audio.shape)}; pass [C, T]")
    peak = float(audio.detach().abs().max())
    if not peak <= _FULL_SCALE:
        raise AudioError(f"a page cannot play a peak of {peak:.3g}; scale it by common_gain first")
    encoded = io.BytesIO()
    try:
        soundfile.write(encoded, pcm16(audio).numpy().T, sample_rate, format="FLAC")
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"FLAC cannot hold {len(audio)} channels at {sample_rate} Hz ({error.error_string})"
        ) from error
    return base64.b64encode(encoded.getbuffer()).decode("ascii")


def common_gain(sounds: Iterable[Tensor]) -> float:
    """Factor, at most 1, by which all of `sounds` fit full scale and still compare in level.

    A page that applies a factor below 1 says so.
    """
    peak = max((float(audio.detach().abs().max()) for audio in sounds), default=0.0)
    return 1.0 if peak <= _FULL_SCALE else 1.0 / peak


def picture_data(png: bytes) -> str:
    """Encode a PNG file as the `src` of an image."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def envelope(audio: Tensor, points: int) -> list[int]:
    """Lowest and highest sample, in thousandths, of `points` equal parts of a signal: its waveform.

    All channels count. Short signals have one part per sample. `drawWaveform` of a page draws it.

    Shape: [C, T] → [low, high, low, high, …].

    >>> envelope(torch.tensor([[0.0, 0.5, -1.0, 0.25]]), 2)
    [0, 500, -1000, 250]
    """
    low, high = audio.detach().cpu().amin(0), audio.detach().cpu().amax(0)
    points = min(points, len(low))
    edges = torch.arange(points + 1) * len(low) // points
    pairs = [
        (low[begin:end].min(), high[begin:end].max())
        for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    return [round(1000.0 * float(value)) for pair in pairs for value in pair]
