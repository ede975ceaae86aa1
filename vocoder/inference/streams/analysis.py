"""Live analysis: audio arrives in pieces and is returned resampled, or as mel frames.

audio → `MelStream` → `Stream` → audio is live copy synthesis.
"""

from typing import overload

import soxr
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.stft import padding_amounts
from vocoder.errors import AudioError, ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.inference.streams.base import LiveStream, require_channels
from vocoder.io.arrays import Array
from vocoder.io.defaults import Float32OnCpu
from vocoder.streaming.plan import Plan, noise_examples


class ResampleStream(LiveStream[Array]):
    """A live stream that converts the sample rate with soxr, bit-identical to `resample_soxr`.

    T samples give round(T * new_rate / orig_rate) samples in all. soxr filters in blocks: audio
    comes in bursts, some 40 ms late from 16 to 48 kHz and to 24 kHz, 120 ms from 8 to 22.05 kHz.
    Equal rates pass without delay. Raises AudioError for rates that are not positive.

    Shape of a piece: [C, T], or [T] for one channel, any T ≥ 0 → same, another T.
    """

    _content, _error = "the audio", AudioError

    @overload
    def __init__(
        self: "ResampleStream[Tensor]", orig_rate: int, new_rate: int, *, channels: int = 1
    ) -> None: ...
    @overload
    def __init__(
        self, orig_rate: int, new_rate: int, *, channels: int = 1, arrays: type[Array]
    ) -> None: ...
    def __init__(
        self, orig_rate: int, new_rate: int, *, channels: int = 1, arrays: type = Tensor
    ) -> None:
        if orig_rate < 1 or new_rate < 1:
            raise AudioError(
                f"cannot resample from {orig_rate} Hz to {new_rate} Hz; rates must be positive"
            )
        if channels < 1:
            raise ConfigError(f"channels is {channels}; a signal has at least 1")
        self.orig_rate, self.new_rate, self.channels = orig_rate, new_rate, channels
        super().__init__(arrays)

    def _restart(self) -> None:
        self._soxr = soxr.ResampleStream(self.orig_rate, self.new_rate, self.channels, quality="HQ")
        self._taken = self._made = 0

    def _reshaped(self, empty: Array) -> Array:
        return empty.reshape(self.channels, 0) if self.channels > 1 else empty

    def _check(self, values: Tensor) -> Tensor:
        require_channels(values, self.channels)
        return values

    def _advance(self, values: Tensor, *, last: bool) -> Tensor:
        if self.orig_rate == self.new_rate:
            return values
        columns = values.cpu().reshape(self.channels, -1).T.contiguous().numpy()
        made = torch.from_numpy(self._soxr.resample_chunk(columns, last=last)).T
        self._taken += len(columns)
        if last:  # soxr rounds the length its own way, as in `resample_soxr`
            total = round(self._taken * self.new_rate / self.orig_rate)
            made = F.pad(made, (0, total - self._made - made.shape[-1]))
        self._made += made.shape[-1]
        return made.reshape(*values.shape[:-1], -1).to(values.device)


class MelStream(LiveStream[Array]):
    """A live stream from audio at any rate to log-mel frames with the settings of a `MelSpec`.

    Channels are averaged and the rate is converted; at the end, zeros fill up the last frame. The
    frames equal those of `Vocoder.mel` of the whole audio, however it is cut. Every piece has as
    many channels as the first. Raises AudioError for a sample rate that is not positive.

    Shape of a piece: [T] or [C, T], any T ≥ 0 → [M, f].
    """

    _content, _error = "the audio", AudioError

    @overload
    def __init__(
        self: "MelStream[Tensor]",
        spec: MelSpec,
        *,
        sample_rate: int,
        device: torch.device | str = "cpu",
    ) -> None: ...
    @overload
    def __init__(
        self,
        spec: MelSpec,
        *,
        sample_rate: int,
        device: torch.device | str = "cpu",
        arrays: type[Array],
    ) -> None: ...
    def __init__(
        self,
        spec: MelSpec,
        *,
        sample_rate: int,
        device: torch.device | str = "cpu",
        arrays: type = Tensor,
    ) -> None:
        self.spec = spec
        self._device = torch.device(device)
        self._resampling = ResampleStream(sample_rate, spec.sample_rate)
        with Float32OnCpu():
            transform = MelSpectrogram(spec)
        analysis = _Analysis(transform.to(self._device))
        examples = noise_examples(spec.hop_length, device=self._device)
        self._plan = Plan(analysis, *({"audio": audio} for audio in examples))
        super().__init__(arrays)

    @property
    def lookahead(self) -> int:
        """Samples at the model's rate after its own hop on which a frame depends.

        Frame f is final after (f + 1) * hop_length + lookahead samples. It takes longer only near
        the start, where the reflected beginning needs one sample more, and `ResampleStream` adds
        its own delay.
        """
        spec = self.spec
        left, _ = padding_amounts(spec.n_fft, spec.hop_length, spec.padding)
        return spec.n_fft - left - spec.hop_length

    def _restart(self) -> None:
        self._resampling.reset()
        self._states = self._plan.begin()
        self._samples = 0
        self._leading: list[int] | None = None  # [C] or [], None before the first piece

    def _check(self, values: Tensor) -> Tensor:
        shape = list(values.shape)
        leading = shape[:-1]
        if values.ndim not in (1, 2) or 0 in leading or self._leading not in (None, leading):
            raise AudioError(
                f"audio has the shape [T] or [C, T], with one C in all pieces; this one has {shape}"
            )
        self._leading = leading
        return values if values.ndim == 1 else values.mean(dim=0)

    def _advance(self, values: Tensor, *, last: bool) -> Tensor:
        signal = self._resampling.push(values)
        if last:
            signal = torch.cat([signal, self._resampling.flush()])
        self._samples += len(signal)
        if last:
            signal = F.pad(signal, (0, -self._samples % self.spec.hop_length))
        # A copy, as the caller may use its buffer again before these samples are in a frame.
        chunk = signal[None, None].to(self._device, copy=True) if len(signal) else None
        with torch.inference_mode():
            mel, self._states = self._plan.step(self._states, [chunk], last=last)
        if mel is None:
            return torch.empty(self.spec.n_mels, 0, device="cpu", dtype=torch.float32)
        return mel[0].clone()  # outside inference mode, so that callers may write to it


class _Analysis(nn.Module):
    """A `MelSpectrogram` without the context manager that torch.fx cannot trace."""

    def __init__(self, transform: MelSpectrogram) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, audio: Tensor) -> Tensor:
        return self.transform.compute(audio)
