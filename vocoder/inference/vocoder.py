"""Inference: audio to mel and mel to audio with a saved model.

vocoder = load()                                  # the embedded default, a built-in or a path
mel = vocoder.mel(audio, sample_rate=44100)       # [M, F]
audio = vocoder(mel)                              # [T] at vocoder.sample_rate
"""

import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.build import build
from vocoder.checkpoint import GRIFFIN_LIM, ModelConfig, find_model, is_builtin, load_model
from vocoder.errors import AudioError, CheckpointError, ConfigError, MelMismatchError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.features.mel_check import check_mel
from vocoder.features.mel_conversion import convert, layout
from vocoder.generators.base import BandwidthExtender, Generator
from vocoder.inference.batches import matching_f0, silenced
from vocoder.inference.device import find_device
from vocoder.inference.gradients import require_differentiable, warn_of_gradients, with_gradient
from vocoder.inference.model import InferenceModel, require_vocoder
from vocoder.inference.network import Eager, Network
from vocoder.inference.streams.analysis import MelStream
from vocoder.inference.streams.synthesis import Stream, astream
from vocoder.io.arrays import Array, float_tensor, like
from vocoder.io.audio import resample_soxr
from vocoder.io.defaults import Float32OnCpu
from vocoder.streaming.plan import Plan, noise_examples

_log = logging.getLogger(__name__)


def load(
    name: str | Path = "default", *, device: str = "cpu", mel: MelSpec | None = None
) -> "Vocoder":
    """Load a vocoder from a model directory or by a built-in name ("default", "griffin-lim").

    "griffin-lim" has no weights and works for any `mel` (preset hifigan_22k_80 by default); every
    other model has its own mel settings. Raises CheckpointError if there is no such model or it is
    damaged, ConfigError if `device` is not available or `mel` is not the model's.

    >>> import torch
    >>> v = load("griffin-lim")
    >>> mel = v.mel(torch.zeros(22050), sample_rate=22050)
    >>> mel.shape, v(mel).shape
    (torch.Size([80, 87]), torch.Size([22272]))
    """
    where = find_device(device)
    if is_builtin(name, GRIFFIN_LIM):
        config = griffin_lim(mel or MelSpec.preset("hifigan_22k_80"))
        with Float32OnCpu():
            generator = build(config.generator, GRIFFIN_LIM)
        return Vocoder(generator, config, device=where)
    generator, config = load_model(find_model(name))
    if isinstance(generator, BandwidthExtender):
        raise CheckpointError(
            f"{name}: a bandwidth extender, not a vocoder; `vocoder extend` takes it, or "
            "vocoder.load_extender in Python"
        )
    if mel not in (None, config.mel):
        raise ConfigError(f"{name} has its own mel settings; only {GRIFFIN_LIM} takes any")
    require_vocoder(generator, config.mel, str(name))
    return Vocoder(generator, config, device=where)


def griffin_lim(mel: MelSpec) -> ModelConfig:
    """Configuration of the built-in Griffin-Lim for the mel settings `mel`."""
    spec = {"_target_": "vocoder.features.mel.MelSpec", **mel.to_dict()}
    return ModelConfig(
        name=GRIFFIN_LIM,
        mel=mel,
        generator={"_target_": "vocoder.generators.griffin_lim.GriffinLim", "mel": spec},
    )


class Vocoder(InferenceModel):
    """A vocoder: a generator of audio from mels, with its mel contract, on one device.

    Every method takes tensors or NumPy arrays of floats and returns the same kind. A call computes
    its whole input at once, so memory grows with its length.
    """

    def __init__(
        self, generator: Generator, config: ModelConfig, *, device: torch.device | str = "cpu"
    ) -> None:
        self.spec = config.mel
        with Float32OnCpu():
            self._transform = MelSpectrogram(self.spec)
        self._checked = False  # whether a mel on an accelerator has been checked
        super().__init__(generator, config, device=device)

    def mel(self, audio: Array, *, sample_rate: int) -> Array:
        """Compute the log-mel of audio at any rate, with this model's settings.

        Channels are averaged, the rate is converted, and zeros fill up the last frame, so that
        vocoding the mel gives at least the samples of the input. Raises AudioError.
        Shape: [T] or [C, T] → [M, F].
        """
        return like(self._mel(self._mono(audio, sample_rate)), audio)

    def __call__(
        self,
        mel: Array,
        *,
        f0: Array | None = None,
        lengths: Sequence[int] | None = None,
        spec: MelSpec | None = None,
    ) -> Array:
        """Generate audio from one mel or from a batch.

        `spec` has the settings of the mel, if they are not this model's: it is converted where
        that is exact. `f0` in Hz, 0 where unvoiced, replaces the pitch estimate of a source-filter
        model; other models take none. `lengths` are the frames of each item of a padded batch:
        frames after them are treated as silence, and are zero in the audio. Raises
        MelMismatchError, or ConfigError for an f0 that the model does not take.
        Shape: [M, F], or [F, M] if only that fits, → [T]; a batch [B, M, F] → [B, T]. f0: [F], or
        [B, F].
        """
        warn_of_gradients(mel, "the mel", "Vocoder.differentiable passes them")
        given = spec or self.spec
        frames = layout(float_tensor(mel, "the mel", MelMismatchError), given)
        batch = convert(frames, given, self.spec).to(self.device)
        batch = batch[None] if frames.ndim == 2 else batch
        if lengths is not None:
            batch = silenced(batch, lengths, self.spec.silence)
        self._warn_if_unlikely(frames, given, lengths)
        pitch = None if f0 is None else float_tensor(f0, "f0", ConfigError)
        audio = self._generate(batch, pitch)
        for item, length in enumerate([] if lengths is None else lengths):
            audio[item, self.generator.samples(length) :] = 0.0
        return like(audio[0] if frames.ndim == 2 else audio, mel)

    def differentiable(
        self, mel: Tensor, *, f0: Tensor | None = None, spec: MelSpec | None = None
    ) -> Tensor:
        """Generate audio as a call does, of the same shape, with gradients to its inputs.

        The weights stay frozen, and an F0 that is estimated from the mel passes no gradient; nor
        does one that is given to HiFTNet. Raises as a call does, and ConfigError for griffin-lim.
        """
        require_differentiable(self.generator)
        given = spec or self.spec
        frames = layout(with_gradient(mel, "the mel", MelMismatchError), given)
        batch = convert(frames, given, self.spec).to(self.device)
        pitch = None if f0 is None else with_gradient(f0, "f0", ConfigError)
        batch = batch[None] if frames.ndim == 2 else batch
        audio = self._forward(batch, pitch, Eager(self.generator))
        return like(audio[0] if frames.ndim == 2 else audio, mel)

    def resynth(self, audio: Array, *, sample_rate: int) -> Array:
        """Copy synthesis, audio to mel to audio, of the input's length at the model's rate.

        Shape: [T] or [C, T] → [T · self.sample_rate / sample_rate].
        """
        signal = self._mono(audio, sample_rate)
        return like(self._generate(self._mel(signal)[None])[0, : len(signal)], audio)

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
            if mel.ndim != 2 or mel.shape[0] != given.n_mels:
                raise MelMismatchError(
                    f"a stream takes mels [{given.n_mels}, f]; this one has {list(mel.shape)}"
                )
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

    def _new_plan(self, f0: bool) -> Plan:
        takes_f0 = "f0" in self.generator.features
        if f0 and not takes_f0:
            raise ConfigError("it takes no f0; a source-filter model does")
        examples = []
        for audio in noise_examples(self.spec.hop_length, device=self.device):
            with torch.inference_mode():
                example = {"mel": self._transform(audio)}
            if f0:
                example["f0"] = torch.full_like(example["mel"][:, 0], 150.0)
            examples.append(example)
        try:
            return Plan(self.generator, *examples)
        except ConfigError as error:
            hint = "; a stream with F0 (f0=True) needs no estimate"
            raise ConfigError(f"{error}{hint if takes_f0 and not f0 else ''}") from error

    def _mono(self, audio: Array, sample_rate: int) -> Tensor:
        """Mean of the channels at the model's rate. Shape: [T] or [C, T] → [T']."""
        warn_of_gradients(audio, "the audio", "MelSpectrogram(vocoder.spec) passes them")
        signal = float_tensor(audio, "the audio", AudioError)
        shape = list(signal.shape)
        if signal.numel() == 0:
            raise AudioError(f"the audio is empty (shape {shape})")
        if signal.ndim not in (1, 2) or (signal.ndim == 2 and shape[0] > shape[1]):
            raise AudioError(f"audio has the shape [T] or [C, T]; this one has {shape}")
        if signal.ndim == 2:
            signal = signal.mean(dim=0)
        signal = resample_soxr(signal, sample_rate, self.sample_rate)
        if len(signal) == 0:
            raise AudioError(f"the audio has no sample left at {self.sample_rate} Hz")
        return signal.to(self.device)

    def _mel(self, signal: Tensor) -> Tensor:
        """Mel of a signal, whose last frame is filled up with zeros. Shape: [T] → [M, F]."""
        padded = F.pad(signal, (0, -len(signal) % self.spec.hop_length))
        with torch.inference_mode():
            mel: Tensor = self._transform(padded[None, None])[0]
        return mel.clone()  # outside inference mode, so that callers may write to it

    def _generate(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        """Audio of a batch in the model's settings. Shape: [B, M, F], [B, F] → [B, T]."""
        with torch.inference_mode():
            audio = self._forward(mel, f0, self.network)
        return audio.clone()  # outside inference mode, so that callers may write to it

    def _forward(self, mel: Tensor, f0: Tensor | None, network: Network) -> Tensor:
        """Audio as of `_generate`, with gradients where `network` passes them."""
        features = {"mel": mel}
        if f0 is not None:
            if "f0" not in self.generator.features:
                raise ConfigError(f"{self.config.name} takes no f0; a source-filter model does")
            features["f0"] = matching_f0(f0, mel)
        if self.generator.samples(mel.shape[-1]) < 1:
            raise MelMismatchError(
                f"the mel has {mel.shape[-1]} frame, too few for a sample of audio"
            )
        return network(**features)[:, 0]

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
        found = check_mel(torch.cat(inside, dim=1).cpu(), spec)
        if found:
            _log.warning("the mel %s", found.explanation)
