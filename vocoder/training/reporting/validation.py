"""Validation while training: scores of the copy synthesis of a few fixed recordings."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vocoder.data.segments import Segments
from vocoder.data.validation import validation_clips
from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.metrics.catalogue import METRICS
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.generators.base import Generator
from vocoder.losses.spectral import LogMelL1, MultiResolutionSTFT
from vocoder.training.parallel.ranks import Ranks
from vocoder.training.system import System

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ValidationClip:
    """A validation recording and the generator's output for it. Shape: [T] each."""

    name: str
    real: Tensor
    fake: Tensor


class Validator:
    """Scores a generator on fixed clips: "log_mel", "mr_stft" (lower is better), "pesq" (higher).

    A clip is its name, audio [1, T], and features from files (as in `Batch`, without batch axis).
    Log-mel error is over the model's own mel. PESQ is left out where the package cannot score any
    clip. Bandwidth extenders are scored by "lsd" (lower is better), too.
    """

    def __init__(
        self, clips: Sequence[tuple[str, Tensor, Mapping[str, Tensor]]], *, mel: MelSpec
    ) -> None:
        self.clips = list(clips)
        self.sample_rate = mel.sample_rate
        self.log_mel, self.mr_stft = LogMelL1(mel), MultiResolutionSTFT()
        self.mel = MelSpectrogram(mel)

    @torch.inference_mode()
    def run(
        self, generator: Generator, features: nn.Module, ranks: Ranks | None = None
    ) -> tuple[dict[str, float], list[ValidationClip]]:
        """Mean scores of a generator by name, and the audio they were computed from, in order.

        The clips are divided over `ranks`, all of which must call this and get the same result.
        """
        first, step = (ranks.rank, ranks.size) if ranks else (0, 1)
        own = [self._run_clip(i, generator, features) for i in range(len(self.clips))[first::step]]
        shares = ranks.gather(own) if ranks else [own]
        done = [shares[i % step][i // step] for i in range(len(self.clips))]
        clips, scores = [clip for clip, _ in done], [score for _, score in done]
        names = {name for score in scores for name in score}
        means = {}
        for name in sorted(names):
            values = [score[name] for score in scores if name in score]
            means[name] = sum(values) / len(values)
        return means, clips

    def _run_clip(
        self, index: int, generator: Generator, features: nn.Module
    ) -> tuple[ValidationClip, dict[str, float]]:
        """One clip with the generator's output, and its scores."""
        name, audio, stored = self.clips[index]
        samples = audio.shape[-1] // generator.hop_length * generator.hop_length
        real = audio[None, :, :samples].to(next(generator.parameters()).device)
        inputs = self._inputs(features, real, stored, seed=index)
        fake = generator(**inputs)[..., : real.shape[-1]]
        real, fake = real[..., : fake.shape[-1]].cpu(), fake.cpu()
        scores = self._score(real, fake, name, extended="narrowband" in inputs)
        # Clones: views of inference mode cannot be sent to another process.
        return ValidationClip(name, real[0, 0].clone(), fake[0, 0].clone()), scores

    @staticmethod
    def _inputs(
        features: nn.Module, real: Tensor, stored: Mapping[str, Tensor], *, seed: int
    ) -> dict[str, Tensor]:
        """Inputs of the generator: features from files or computed, their randomness from `seed`.

        A seed for each clip makes the validations of a run comparable. Features that degrade the
        mels of the training do not degrade these: they are in evaluation mode here.
        """
        # A narrowband from a file ends where `real` was cut; a mel has fewer frames anyway.
        cut = {name: value[None, ..., : real.shape[-1]] for name, value in stored.items()}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            training = features.training
            inputs: dict[str, Tensor] = features.eval()(real, cut)
            features.train(training)
        return inputs

    def _score(self, real: Tensor, fake: Tensor, name: str, *, extended: bool) -> dict[str, float]:
        scores = {
            "log_mel": self.log_mel(fake, real).item(),
            "mr_stft": self.mr_stft(fake, real).item(),
        }
        if extended:
            scores["lsd"] = METRICS["lsd"].score(real[0, 0], fake[0, 0], self.sample_rate)
        try:
            scores["pesq"] = METRICS["pesq_wb"].score(real[0, 0], fake[0, 0], self.sample_rate)
        except AudioError as error:
            log.info("validation clip %s: no PESQ (%s)", name, error)
        return scores


def build_validator(system: System, segments: Segments) -> Validator:
    """The validator of a run, whose clips are read from the manifest of the training crops.

    Raises ConfigError or AudioError, before the first step, for settings and clips that cannot be
    scored.
    """
    settings, rate, least = system.trainer, system.mel.sample_rate, system.shortest_clip
    if settings.validation_seconds * rate < least:
        raise ConfigError(
            f"trainer.validation_seconds is {settings.validation_seconds:g}; this system needs "
            f"{least / rate:.3f} at least"
        )
    clips = validation_clips(
        segments.manifest,
        sample_rate=rate,
        limit=settings.validation_clips,
        max_seconds=settings.validation_seconds,
        least=least,
        mel=segments.mel,
        narrowband=segments.narrowband,
    )
    _check_pesq([audio[0] for _, audio, _ in clips], rate, needed=settings.best_metric == "pesq")
    return Validator(clips, mel=system.mel)


def _check_pesq(recordings: Sequence[Tensor], sample_rate: int, *, needed: bool) -> None:
    """Raise ConfigError if PESQ's package is missing or, where scores are needed, it gives none."""
    score = METRICS["pesq_wb"].score
    if not needed:
        with suppress(AudioError):
            score(torch.zeros(1), torch.zeros(1), sample_rate)
        return
    for recording in recordings:
        try:
            score(recording, recording, sample_rate)
        except AudioError as error:
            reason = error
        else:
            return
    raise ConfigError(
        f"trainer.best_metric is pesq, which can score none of {len(recordings)} validation clips "
        f"({reason}); choose log_mel or mr_stft"
    )
