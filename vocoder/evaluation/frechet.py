"""Fréchet distance between the recordings and what a system made of them, over an embedding."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.onnx_session import open_session
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.io.audio import resample_soxr
from vocoder.io.untrusted import first_line

Embedding = Callable[[Tensor, int], Tensor]
"""(audio [T], sample rate) → [windows, dimensions]; AudioError for what is too short."""

_WINDOW, _HOP = 50, 25  # frames of 10 ms
_SPEC = MelSpec(
    sample_rate=24000, n_fft=1024, hop_length=240, win_length=960, n_mels=32, log_floor=1e-4
)


def spectral_embedding(audio: Tensor, sample_rate: int) -> Tensor:
    """Means and deviations of log-mel bands over half a second: how a signal sounds, roughly.

    At 24 kHz, 32 bands (Slaney) up to 12 kHz of magnitudes, floored at 1e-4, natural logarithm,
    frames of 40 ms every 10 ms; of each band the mean and the standard deviation over 50 frames,
    every 25 frames.

    Shape: [T] → [windows, 64].   AudioError for less than half a second.
    """
    signal = resample_soxr(audio[None], sample_rate, _SPEC.sample_rate)
    mel = MelSpectrogram(_SPEC)(signal[None])[0]  # [M, F]
    if mel.shape[1] < _WINDOW:
        raise AudioError("under half a second, too short for the embedding")
    windows = mel.unfold(1, _WINDOW, _HOP)  # [M, windows, frames]
    return torch.cat([windows.mean(-1), windows.std(-1)]).T


class OnnxEmbedding:
    """An embedding computed by an ONNX model: audio [1, T] → [windows, D] or [1, windows, D].

    The sample rate of its input is the entry `sample_rate` of the model's metadata. Raises
    ConfigError for a file that is no such model, and without the package onnxruntime.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sample_rate = self._rate()

    def __call__(self, audio: Tensor, sample_rate: int) -> Tensor:
        """The embedding of a signal.   Shape: [T] → [windows, D]."""
        signal = resample_soxr(audio[None], sample_rate, self.sample_rate).cpu().numpy()
        try:
            (output, *_) = self._session.run(None, {self._session.get_inputs()[0].name: signal})
        except Exception as error:  # of onnxruntime, whatever the model does
            raise AudioError(f"{self.path}: fails ({first_line(error)})") from error
        values = torch.from_numpy(np.asarray(output, dtype=np.float32))
        if values.ndim == 3 and len(values) == 1:
            values = values[0]
        if values.ndim != 2:
            raise AudioError(f"{self.path}: gives {list(values.shape)}, not [windows, dimensions]")
        return values

    def __getstate__(self) -> dict[str, Any]:
        """What other processes are sent; each opens the model itself."""
        return {"path": self.path, "sample_rate": self.sample_rate}

    @cached_property
    def _session(self) -> Any:
        return open_session(self.path, "embeddings by a model")

    def _rate(self) -> int:
        if not self.path.is_file():
            raise ConfigError(f"{self.path}: no such file; an embedding is an ONNX model")
        metadata = self._session.get_modelmeta().custom_metadata_map
        rate = metadata.get("sample_rate", "")
        del self._session  # its threads would keep this process from being copied
        if not rate.isdigit() or not int(rate):
            raise ConfigError(
                f"{self.path}: does not state its sample rate; write it into the metadata_props of "
                "the model, as sample_rate"
            )
        return int(rate)


def frechet_distance(reference: Sequence[Tensor], estimate: Sequence[Tensor]) -> float:
    """Fréchet distance between Gaussians fitted to two sets of embeddings; lower is better.

    |m - m'|² + tr(S + S' - 2 (S S')^½) with means m and covariances S (Dowson and Landau 1982; for
    audio Kilgour et al. 2019). Biased upwards for few windows: compare only sets of one size.
    Raises AudioError for fewer windows than twice the dimensions, too few for a covariance.

    Shape: of each [windows, D].
    """
    sets = [torch.cat(list(each)).double().cpu().numpy() for each in (reference, estimate)]
    windows, dimensions = min(len(each) for each in sets), sets[0].shape[1]
    if windows < 2 * dimensions:
        raise AudioError(
            f"{windows} windows of audio are too few for the Fréchet distance, which needs "
            f"{2 * dimensions}"
        )
    means = [each.mean(0) for each in sets]
    covariances = [np.cov(each, rowvar=False) for each in sets]
    root = _root(covariances[0])
    shared = np.linalg.eigvalsh(root @ covariances[1] @ root)
    spread = sum(np.trace(each) for each in covariances)
    spread -= 2.0 * np.sqrt(np.clip(shared, 0.0, None)).sum()
    return float(max(0.0, np.square(means[0] - means[1]).sum() + spread))


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square root of a positive semi-definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    root: NDArray[np.float64] = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    return root
