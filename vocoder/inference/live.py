"""Mels of recordings, and live streams: of mels from audio, and of audio from mels."""

import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, overload

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.checkpoint import ModelConfig
from vocoder.errors import AudioError, ConfigError, MelMismatchError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.features.mel_check import check_mel
from vocoder.features.mel_conversion import convert
from vocoder.generators.base import Generator
from vocoder.inference.batches import matching_f0
from vocoder.inference.captured import CapturedGenerator, captured_network
from vocoder.inference.gradients import warn_of_gradients
from vocoder.inference.long.blocks import Features, Synthesis, fill
from vocoder.inference.long.mel_files import write_mel_parts
from vocoder.inference.model import InferenceModel
from vocoder.inference.network import Eager
from vocoder.inference.parts import SourceFilterInParts
from vocoder.inference.precision.network import LowPrecision
from vocoder.inference.streams.analysis import MelStream
from vocoder.inference.streams.synthesis import Stream, astream
from vocoder.io.arrays import Array, float_tensor, like
from vocoder.io.audio import StrPath, probe, read_audio, read_blocks, resample_soxr
from vocoder.io.defaults import Float32OnCpu
from vocoder.streaming.plan import Plan, noise_examples

_log = logging.getLogger(__name__)
_AT_ONCE = 60  # seconds of a recording that are analysed at once; longer ones, in parts
_PART = 5  # seconds of a part


class LiveVocoder(InferenceModel):
    """Base class of `Vocoder`: mels of recordings, live streams, and what its calls consist of.

    `spec` has the settings of its mels.
    """

    def __init__(
        self, generator: Generator, config: ModelConfig, *, device: torch.device | str = "cpu"
    ) -> None:
        self.spec = config.mel
        self._checked = False  # whether a mel on an accelerator has been checked
        with Float32OnCpu():
            self._transform = MelSpectrogram(self.spec)
        super().__init__(generator, config, device=device)

    def mel(self, audio: Array, *, sample_rate: int) -> Array:
        """Compute the log-mel of audio at any rate, with this model's settings.

        Channels are averaged, the rate is converted, and zeros fill up the last frame, so that
        vocoding the mel gives at least the samples of the input. Raises AudioError.
        Shape: [T] or [C, T] → [M, F].
        """
        mels, samples = self._mels(audio, sample_rate)
        return like(fill(mels, self._frames(samples)), audio)

    def mel_file(self, source: StrPath, target: StrPath) -> int:
        """Make a mel file of an audio file, in constant memory; returns the frames written.

        The mel of a .pt file is collected in memory. Raises AudioError, VocoderError; then nothing
        is written.
        """
        mels, samples = self._file_mels(source)
        frames = self._frames(samples)
        write_mel_parts(target, mels, self.spec, frames)
        return frames

    @overload
    def stream(self, *, f0: bool = False, spec: MelSpec | None = None) -> Stream[Tensor]: ...
    @overload
    def stream(
        self, *, f0: bool = False, spec: MelSpec | None = None, arrays: type[Array]
    ) -> Stream[Array]: ...
    def stream(
        self, *, f0: bool = False, spec: MelSpec | None = None, arrays: type = Tensor
    ) -> Stream[Any]:
        """Open a live stream: `push` mels as they arrive, then `flush`; together they equal a call.

        With `f0` every mel is pushed with its F0, which replaces a source-filter model's estimate.
        `spec` has the settings of the mels, if they are not this model's. Audio has the array kind
        of the mel that was pushed; `arrays` (`torch.Tensor` or `numpy.ndarray`) is that kind for
        type checkers, and for `flush` where nothing was pushed. Raises ConfigError, naming the
        module, for a network that needs the whole mel at once; MelMismatchError.
        """
        given = spec or self.spec
        convert(torch.tensor(given.silence)[:, None], given, self.spec)  # raises before any push

        def prepare(mel: Tensor) -> Tensor:
            require_part(mel, given)
            return convert(mel, given, self.spec)

        return Stream(self.plan(f0=f0), prepare, device=self.device, arrays=arrays)

    @overload
    def mel_stream(self, *, sample_rate: int) -> MelStream[Tensor]: ...
    @overload
    def mel_stream(self, *, sample_rate: int, arrays: type[Array]) -> MelStream[Array]: ...
    def mel_stream(self, *, sample_rate: int, arrays: type = Tensor) -> MelStream[Any]:
        """Open a live stream from audio at any rate to this model's mel: `push`, then `flush`.

        Its frames are those of `mel`, and can be pushed into `stream`. Raises AudioError.
        """
        return MelStream(self.spec, sample_rate=sample_rate, device=self.device, arrays=arrays)

    def astream(
        self, mels: AsyncIterable[Array] | Iterable[Array], *, spec: MelSpec | None = None
    ) -> AsyncIterator[Array]:
        """Generate audio from mels that arrive one by one, as an asynchronous iterator.

        `async for audio in vocoder.astream(mels)`; the network runs in another thread. Raises as
        `stream` and `Stream.push` do.
        """
        stream: Stream[Any] = self.stream(spec=spec)
        return astream(stream, mels)

    def plan(self, *, f0: bool = False) -> Plan:
        """Plan of this model's streams, with its look-ahead and latency; made once.

        Raises ConfigError as `stream` does.
        """
        return self._planned(f0, lambda: self._new_plan(f0))

    def _move(self, device: torch.device) -> None:
        super()._move(device)
        self._transform.to(device)

    def _choose_network(self) -> None:
        super()._choose_network()
        network = self.network
        if not isinstance(network, Eager | LowPrecision) or self.device.type != "cuda":
            return
        captured = captured_network(network.generator, self.device, lambda f0: self.plan(f0=f0))
        if isinstance(network, LowPrecision) and isinstance(captured, CapturedGenerator):
            captured.path = f"{network.path}, recurring lengths as CUDA graphs"
        self.network = captured

    def examples(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Mels of noise, of different length and batch size. Shape: [B, M, F] each."""
        short, long = noise_examples(self.spec.hop_length, device=self.device)
        with torch.inference_mode():
            return {"mel": self._transform(short)}, {"mel": self._transform(long)}

    def _new_plan(self, f0: bool) -> Plan:
        takes_f0 = "f0" in self.generator.features
        if f0 and not takes_f0:
            raise ConfigError("it takes no f0; a source-filter model does")
        examples = self.examples()
        for example in examples if f0 else ():
            example["f0"] = torch.full_like(example["mel"][:, 0], 150.0)
        try:
            return Plan(self.generator, *examples)
        except ConfigError as error:
            hint = "; a stream with F0 (f0=True) needs no estimate"
            raise ConfigError(f"{error}{hint if takes_f0 and not f0 else ''}") from error

    def _mels(self, audio: Array, sample_rate: int) -> tuple[Iterator[Tensor], int]:
        """Mel of a recording, in parts if it is long, and its samples at the model's rate.

        Shape: [T] or [C, T] → [M, f] each.
        """
        warn_of_gradients(audio, "the audio", "MelSpectrogram(vocoder.spec) passes them")
        signal = float_tensor(audio, "the audio", AudioError)
        shape = list(signal.shape)
        if signal.numel() == 0:
            raise AudioError(f"the audio is empty (shape {shape})")
        if signal.ndim not in (1, 2) or (signal.ndim == 2 and shape[0] > shape[1]):
            raise AudioError(f"audio has the shape [T] or [C, T]; this one has {shape}")
        if sample_rate > 0 and shape[-1] > _AT_ONCE * sample_rate:
            parts: tuple[Tensor, ...] = torch.split(signal, _PART * sample_rate, dim=-1)
            return self._analysed(parts, sample_rate), self._samples(shape[-1], sample_rate)
        mono = signal if signal.ndim == 1 else signal.mean(dim=0)
        mono = resample_soxr(mono, sample_rate, self.sample_rate)
        if len(mono) == 0:
            raise AudioError(f"the audio has no sample left at {self.sample_rate} Hz")
        # Zeros fill up the last frame.
        whole = F.pad(mono.to(self.device), (0, -len(mono) % self.spec.hop_length))
        with torch.inference_mode():
            mel: Tensor = self._transform(whole[None, None])[0]
        return iter([mel.clone()]), len(mono)  # outside inference mode, so that it can be written

    def _file_mels(self, path: StrPath) -> tuple[Iterator[Tensor], int]:
        """The same of an audio file, which is read in parts if it is long."""
        info = probe(path)
        rate = info.sample_rate
        if info.samples <= _AT_ONCE * rate:
            return self._mels(*read_audio(path))
        parts = read_blocks(path, frames=_PART * rate)
        return self._analysed(parts, rate), self._samples(info.samples, rate)

    def _analysed(self, parts: Iterable[Tensor], sample_rate: int) -> Iterator[Tensor]:
        """Mel of a recording in parts. Shape: [T] or [C, T] each → [M, f] each."""
        stream = self.mel_stream(sample_rate=sample_rate)
        for part in parts:
            mel = stream.push(part)
            if mel.shape[1]:
                yield mel
        yield stream.flush()

    def _samples(self, samples: int, sample_rate: int) -> int:
        return round(samples * self.sample_rate / sample_rate)

    def _frames(self, samples: int) -> int:
        """Frames of so many samples, of which zeros fill up the last hop."""
        return self.spec.frames(samples + -samples % self.spec.hop_length)

    def is_long(self, frames: int) -> bool:
        """Whether a mel of so many frames is computed block by block, if the network can be."""
        return self._synthesis().is_long(frames)

    def _synthesis(self, *, f0: bool = False) -> Synthesis:
        """How inputs of any length are computed."""
        return Synthesis(
            lambda features: self.network(**features)[:, 0],
            lambda: self.plan(f0=f0),
            self.generator,
            frame_rate=self.sample_rate / self.spec.hop_length,
            accelerated=self.device.type != "cpu",
            in_parts=isinstance(self.network, SourceFilterInParts),
        )

    def _pieces(
        self, mel: Tensor, f0: Tensor | None, given: MelSpec, size: int
    ) -> Iterator[Features]:
        """The model's features in pieces of `size` frames, on its device.

        Shape: mel [B, M, F] with the settings `given`, f0 [B, F].
        """
        for cut in range(0, mel.shape[-1], size):
            part = mel[..., cut : cut + size]
            features = {"mel": convert(part, given, self.spec).to(self.device)}
            if f0 is not None:
                features["f0"] = f0[..., cut : cut + size].to(self.device)
            yield features

    def _pitch(self, f0: Tensor, mel: Tensor) -> Tensor:
        """An F0 contour that fits a batch of mels; raises ConfigError. Shape: [F] → [B, F]."""
        if "f0" not in self.generator.features:
            raise ConfigError(f"{self.config.name} takes no f0; a source-filter model does")
        return matching_f0(f0, mel)

    def _warn_if_unlikely(
        self, mel: Tensor, spec: MelSpec, lengths: Sequence[int] | None = None
    ) -> None:
        """Log a warning if the mel, or the batch, does not look like one of `spec`.

        On an accelerator only the first mel is checked: reading the result waits for the device.
        """
        if mel.device.type != "cpu":
            if self._checked:
                return
            self._checked = True
        items = list(mel) if mel.ndim == 3 else [mel]
        ends = lengths or [mel.shape[-1]] * len(items)
        inside = [item[:, :end] for item, end in zip(items, ends, strict=True)]
        found = check_mel((torch.cat(inside, dim=1) if inside[1:] else inside[0]).cpu(), spec)
        if found:
            _log.warning("the mel %s", found.explanation)


def require_part(mel: Tensor, spec: MelSpec) -> None:
    """Raise MelMismatchError unless a part of a mel has the shape [M, f] of `spec`."""
    if mel.ndim != 2 or mel.shape[0] != spec.n_mels:
        raise MelMismatchError(
            f"a stream takes mels [{spec.n_mels}, f]; this one has {list(mel.shape)}"
        )
