"""Inference: audio to mel and mel to audio with a saved model.

vocoder = load()                                  # the embedded default, a built-in or a path
mel = vocoder.mel(audio, sample_rate=44100)       # [M, F]
audio = vocoder(mel)                              # [T] at vocoder.sample_rate
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from vocoder.build import build
from vocoder.checkpoint import GRIFFIN_LIM, ModelConfig, is_builtin
from vocoder.errors import CheckpointError, ConfigError, MelMismatchError
from vocoder.features.mel import MelSpec
from vocoder.features.mel_conversion import convert, layout
from vocoder.generators.base import BandwidthExtender
from vocoder.inference.batches import padded, paired, silenced, similar
from vocoder.inference.device import find_device
from vocoder.inference.gradients import require_differentiable, warn_of_gradients, with_gradient
from vocoder.inference.live import LiveVocoder, require_part
from vocoder.inference.long.blocks import Features, fill, require_audio, trimmed
from vocoder.inference.long.mel_files import MelSource
from vocoder.inference.model import require_vocoder
from vocoder.inference.precision.choice import use
from vocoder.inference.runtimes.choice import open_model
from vocoder.io.arrays import Array, float_tensor, like
from vocoder.io.audio import StrPath, write_blocks
from vocoder.io.defaults import Float32OnCpu


def load(
    name: str | Path = "default",
    *,
    device: str = "cpu",
    mel: MelSpec | None = None,
    runtime: str = "auto",
    precision: str = "float32",
) -> "Vocoder":
    """Load a vocoder from a model directory or by a built-in name ("default", "griffin-lim").

    A name with the suffix .onnx is a file of `vocoder export`. `runtime` is "torch", "onnx",
    "openvino" or "auto": the fastest that was measured (`vocoder tune`), else PyTorch, and of a
    file onnxruntime. `precision` of calls is "float32", "bfloat16" on CPUs and GPUs that have it,
    or "auto", the faster of both where they differ little; streams stay in float32.

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
        vocoder = Vocoder(generator, config, device=where)
        use(vocoder, runtime=runtime, precision=precision)
        return vocoder
    opened = open_model(name, "vocoder", runtime)
    generator, config = opened.generator, opened.config
    if isinstance(generator, BandwidthExtender):
        raise CheckpointError(
            f"{name}: a bandwidth extender, not a vocoder; `vocoder extend` takes it, or "
            "vocoder.load_extender in Python"
        )
    if mel not in (None, config.mel):
        raise ConfigError(f"{name} has its own mel settings; only {GRIFFIN_LIM} takes any")
    require_vocoder(generator, config.mel, str(name))
    vocoder = Vocoder(generator, config, device=where)
    use(vocoder, runtime=runtime, precision=precision, opened=opened)
    return vocoder


def griffin_lim(mel: MelSpec) -> ModelConfig:
    """Configuration of the built-in Griffin-Lim for the mel settings `mel`."""
    spec = {"_target_": "vocoder.features.mel.MelSpec", **mel.to_dict()}
    return ModelConfig(
        name=GRIFFIN_LIM,
        mel=mel,
        generator={"_target_": "vocoder.generators.griffin_lim.GriffinLim", "mel": spec},
    )


class Vocoder(LiveVocoder):
    """A vocoder: a generator of audio from mels, with its mel contract, on one device.

    Every method takes tensors or NumPy arrays of floats and returns the same kind. Up to 10 seconds
    of audio are computed in one call (40 on a GPU, 60 by the embedded model on a CPU), more in
    blocks, with the same result to rounding, so that working memory does not grow with the length.
    """

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
        each has the audio that it has alone, and zeros after it. Raises MelMismatchError, or
        ConfigError for an f0 that the model does not take.
        Shape: [M, F], or [F, M] if only that fits, → [T]; a batch [B, M, F] → [B, T]. f0: [F], or
        [B, F].
        """
        warn_of_gradients(mel, "the mel", "Vocoder.differentiable passes them")
        given = spec or self.spec
        frames = layout(float_tensor(mel, "the mel", MelMismatchError), given)
        batch = frames if frames.ndim == 3 else frames[None]
        convert(batch[..., :0], given, self.spec)  # raises before anything is computed
        pitch = None if f0 is None else self._pitch(float_tensor(f0, "f0", ConfigError), batch)
        synthesis, whole = self._synthesis(f0=f0 is not None), batch.shape[-1]
        if lengths is None:
            self._warn_if_unlikely(frames, given)
            size = synthesis.block if synthesis.is_long(whole) else whole
            blocks = synthesis.blocks(self._pieces(batch, pitch, given, size))
            samples = self.generator.samples(whole)
            audio = fill((block.to(batch.device) for block in blocks), samples)
        else:
            batch = silenced(batch, lengths, given.silence)
            self._warn_if_unlikely(frames, given, lengths)
            (features,) = self._pieces(batch, pitch, given, whole)
            audio = synthesis.ragged(features, lengths)
        return like(audio if frames.ndim == 3 else audio[0], mel)

    def batch(
        self,
        mels: Sequence[Array],
        *,
        f0: Sequence[Array] | None = None,
        spec: MelSpec | None = None,
    ) -> list[Array]:
        """Generate audio from mels of any lengths: what a call makes of each of them.

        On a GPU, those of similar lengths are computed together. Raises as a call does.
        Shape: [M, F] each → [T] each; f0: [F] each.
        """
        pairs = list(paired(mels, f0))
        given, made = spec or self.spec, list(mels)
        tensors = [layout(float_tensor(m, "the mel", MelMismatchError), given) for m in mels]
        lengths = [mel.shape[-1] for mel in tensors]
        for group in similar(lengths, self._synthesis().most_frames):
            if len(group) == 1:
                (item,) = group
                made[item] = self(mels[item], f0=pairs[item][1], spec=spec)
                continue
            ends = [lengths[item] for item in group]
            pitches = [
                float_tensor(pairs[i][1], "f0", ConfigError) for i in group if f0 is not None
            ]
            audio = self(
                padded([tensors[item] for item in group]),
                f0=padded(pitches) if pitches else None,
                lengths=ends,
                spec=spec,
            )
            for item, end, row in zip(group, ends, audio, strict=True):
                made[item] = like(row[: self.generator.samples(end)].clone(), mels[item])
        return made

    def blocks(
        self,
        mel: Array | Iterable[Array],
        *,
        f0: Array | Iterable[Array] | None = None,
        spec: MelSpec | None = None,
    ) -> Iterator[Array]:
        """Generate the audio of a long mel block by block, in constant memory.

        The mel is one array, or an iterable of its parts [M, f], such as a generator that reads
        them; f0 likewise. The blocks, joined, equal one call. Raises as a call does, while it runs;
        a network that needs the whole mel computes it at once and, if it is long, logs a warning.
        Shape: [M, F] → [t] each.
        """
        given, synthesis = spec or self.spec, self._synthesis(f0=f0 is not None)
        kinds: list[Array] = []

        def pieces() -> Iterator[Features]:
            whole = isinstance(mel, Tensor | np.ndarray)
            mels, contours = (mel, f0) if not whole else ([mel], None if f0 is None else [f0])
            for part, contour in paired(mels, contours):
                kinds[:] = kinds or [part[..., :0]]
                frames = float_tensor(part, "the mel", MelMismatchError)
                frames = layout(frames, given) if whole else frames
                require_part(frames, given)
                pitch = None if contour is None else float_tensor(contour, "f0", ConfigError)
                if pitch is not None:
                    pitch = self._pitch(pitch, frames[None])
                yield from self._pieces(frames[None], pitch, given, synthesis.block)

        for block in synthesis.blocks(pieces()):
            yield like(block[0], kinds[0])

    def file(
        self, source: StrPath | MelSource, target: StrPath, *, spec: MelSpec | None = None
    ) -> int:
        """Vocode a mel file into an audio file, in constant memory; returns the samples written.

        `spec` has the settings of the mel if the file does not state them; without both, they are
        this model's. npy and safetensors files are read in parts, others whole. Raises
        MelMismatchError, VocoderError; then nothing is written.
        """
        mel = source if isinstance(source, MelSource) else MelSource(source)
        given = mel.spec or spec or self.spec
        sample, frames = mel.sample(given), mel.frames(given)
        try:
            convert(sample, given, self.spec)
        except MelMismatchError as error:
            raise MelMismatchError(f"{mel.path}: {error}") from error
        self._warn_if_unlikely(sample, given)
        parts = mel.parts(given, [*range(0, frames, self._synthesis().block), frames])
        blocks = self.blocks(parts, spec=given)
        return write_blocks(target, (block[None] for block in blocks), self.sample_rate)

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
        batch = frames if frames.ndim == 3 else frames[None]
        pitch = None if f0 is None else self._pitch(with_gradient(f0, "f0", ConfigError), batch)
        (features,) = self._pieces(batch, pitch, given, batch.shape[-1])
        require_audio(self.generator, batch.shape[-1])
        audio: Tensor = self.generator(**features)[:, 0]
        return like(audio if frames.ndim == 3 else audio[0], mel)

    def resynth(self, audio: Array, *, sample_rate: int) -> Array:
        """Copy synthesis, audio to mel to audio, of the input's length at the model's rate.

        Shape: [T] or [C, T] → [T · self.sample_rate / sample_rate].
        """
        mels, samples = self._mels(audio, sample_rate)
        return like(fill(self._copied(mels, samples), samples)[0], audio)

    def resynth_file(self, source: StrPath, target: StrPath) -> int:
        """Copy synthesis of one audio file into another, in constant memory, as `resynth` does.

        Returns the samples written. Raises AudioError; then nothing is written.
        """
        return write_blocks(target, self._copied(*self._file_mels(source)), self.sample_rate)

    def _copied(self, mels: Iterator[Tensor], samples: int) -> Iterator[Tensor]:
        """Audio of so many samples from the parts of a mel. Shape: [M, f] each → [1, t] each."""
        synthesis = self._synthesis()
        pieces = (
            piece
            for mel in mels
            for piece in self._pieces(mel[None], None, self.spec, synthesis.block)
        )
        return trimmed(synthesis.blocks(pieces), samples)
