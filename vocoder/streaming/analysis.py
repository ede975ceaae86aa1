"""Live analysis: audio in as it comes, resampled audio or mel frames out as they become final.

audio → `MelStream` → `Stream` → audio is copy synthesis while the speaker still speaks.
"""

from typing import Any

import soxr
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.arrays import Array, float_tensor, like
from vocoder.dsp.stft import padding_amounts
from vocoder.errors import AudioError, ConfigError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.streaming.chunks import require_channels, require_open
from vocoder.streaming.plan import Plan


class ResampleStream:
    """`vocoder.audio.resample` of a signal that arrives in pieces, the same to the last bit.

    soxr filters in blocks: audio comes out in bursts, some 40 ms late from 16 to 48 kHz and to 24
    kHz, 120 ms from 8 to 22.05 kHz. Equal rates pass through at once. Raises AudioError for rates
    that are not positive.
    """

    _empty: Any  # of the kind and the shape that was pushed last

    def __init__(self, have: int, want: int, *, channels: int = 1) -> None:
        if have < 1 or want < 1:
            raise AudioError(f"cannot resample from {have} Hz to {want} Hz; rates must be positive")
        if channels < 1:
            raise ConfigError(f"channels is {channels}; a signal has at least 1")
        self.have, self.want, self.channels = have, want, channels
        self.reset()

    def push(self, audio: Array) -> Array:
        """The audio that is final with this piece, maybe none; in the caller's kind.

        Raises AudioError, ConfigError after `flush`; the stream is then as it was before.
        Shape: [C, T], or [T] for one channel, any T ≥ 0 → same, another T.
        """
        self.require_open()
        signal = float_tensor(audio, "the audio", AudioError)
        require_channels(signal, self.channels)
        self._empty = like(signal[..., :0], audio)
        return like(self._convert(signal, last=False), audio)

    def flush(self) -> Any:
        """The rest, in the kind that was pushed last: round(T * want / have) samples in all.

        Afterwards only `reset` makes the stream usable again.
        """
        self.require_open()
        rest = self._convert(torch.as_tensor(self._empty), last=True)
        self._ended = True
        return like(rest, self._empty)

    def reset(self) -> None:
        """Forget everything: the next sample is the first of another signal."""
        self._soxr = soxr.ResampleStream(self.have, self.want, self.channels, quality="HQ")
        self._empty = torch.empty(self.channels, 0) if self.channels > 1 else torch.empty(0)
        self._taken = self._made = 0
        self._ended = False

    def require_open(self) -> None:
        """Raise ConfigError after `flush`."""
        require_open(self._ended)

    def _convert(self, signal: Tensor, *, last: bool) -> Tensor:
        """Shape: [C, T] or [T] → same, another T."""
        if self.have == self.want:
            return signal
        columns = signal.cpu().reshape(self.channels, -1).T.contiguous().numpy()
        made = torch.from_numpy(self._soxr.resample_chunk(columns, last=last)).T
        self._taken += len(columns)
        if last:  # soxr rounds the length its own way, as in `resample`
            total = round(self._taken * self.want / self.have)
            made = F.pad(made, (0, total - self._made - made.shape[-1]))
        self._made += made.shape[-1]
        return made.reshape(*signal.shape[:-1], -1).to(signal.device)


class MelStream:
    """`Vocoder.mel` of audio that arrives in pieces: frames of a `MelSpec` as they become final.

    Channels are averaged and the rate is converted; at the end, zeros fill up the last frame.
    Whatever the pieces, the frames are those of the whole audio. One stream takes one call at a
    time. Raises AudioError for a sample rate that is not positive.
    """

    _leading: list[int] | None  # [C] or [], None before the first piece
    _empty: Any  # of the kind that was pushed last

    def __init__(
        self, spec: MelSpec, *, sample_rate: int, device: torch.device | str = "cpu"
    ) -> None:
        self.spec = spec
        self._device = torch.device(device)
        self._resampling = ResampleStream(sample_rate, spec.sample_rate)
        self._plan = _plan(MelSpectrogram(spec).to(self._device))
        self.reset()

    @property
    def lookahead(self) -> int:
        """Samples at the model's rate behind those of its own hop that a frame is made of.

        Frame f is final after (f + 1) * hop_length + lookahead samples. It takes longer only near
        the start, where the mirrored beginning needs one sample more, and `ResampleStream` adds
        its own delay.
        """
        spec = self.spec
        left, _ = padding_amounts(spec.n_fft, spec.hop_length, spec.padding)
        return spec.n_fft - left - spec.hop_length

    def push(self, audio: Array) -> Array:
        """The frames that become final with this piece, maybe none; in the caller's kind.

        Every piece has as many channels as the first. Raises AudioError, ConfigError after
        `flush`; the stream is then as it was before.
        Shape: [T] or [C, T], any T ≥ 0 → [M, f].
        """
        self._resampling.require_open()
        signal = float_tensor(audio, "the audio", AudioError)
        shape = list(signal.shape)
        leading = shape[:-1]
        if signal.ndim not in (1, 2) or 0 in leading or self._leading not in (None, leading):
            raise AudioError(
                f"audio has the shape [T] or [C, T], with one C in all pieces; this one has {shape}"
            )
        self._leading, self._empty = leading, like(signal[..., :0], audio)
        mono = signal if signal.ndim == 1 else signal.mean(dim=0)
        return like(self._advance(self._resampling.push(mono), last=False), audio)

    def flush(self) -> Any:
        """The rest of the frames, in the kind that was pushed last: none if no audio was.

        Afterwards only `reset` makes the stream usable again.   Shape: [M, f].
        """
        return like(self._advance(self._resampling.flush(), last=True), self._empty)

    def reset(self) -> None:
        """Forget everything: the next sample is the first of another signal."""
        self._resampling.reset()
        self._states = self._plan.begin()
        self._samples = 0
        self._leading = None
        self._empty = torch.empty(0)

    def _advance(self, signal: Tensor, *, last: bool) -> Tensor:
        """Shape: [t] → [M, f]."""
        self._samples += len(signal)
        if last:
            signal = F.pad(signal, (0, -self._samples % self.spec.hop_length))
        # A copy, as the caller may use its buffer again before these samples are in a frame.
        chunk = signal[None, None].to(self._device, copy=True) if len(signal) else None
        with torch.inference_mode():
            mel, self._states = self._plan.step(self._states, [chunk], last=last)
        if mel is None:
            return torch.empty(self.spec.n_mels, 0)
        return mel[0].clone()  # outside, so that callers may write to it


class _Analysis(nn.Module):
    """What `MelSpectrogram` computes, without the context that torch.fx cannot trace."""

    def __init__(self, transform: MelSpectrogram) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, audio: Tensor) -> Tensor:
        return self.transform.compute(audio)


def _plan(transform: MelSpectrogram) -> Plan:
    random = torch.Generator().manual_seed(0)
    examples = [
        torch.randn(items, 1, hops * transform.spec.hop_length, generator=random)
        for items, hops in ((1, 4), (2, 7))
    ]
    short, long = ({"audio": audio.to(transform.window.device)} for audio in examples)
    return Plan(_Analysis(transform), short, long)
