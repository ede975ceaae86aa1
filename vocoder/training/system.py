"""One trainable system: everything that a paper specifies, built from one configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vocoder.data.segments import Segments
from vocoder.discriminators.verdict import Discriminators, asked_features
from vocoder.disturbances.base import Disturbance
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec
from vocoder.generators.base import Generator
from vocoder.losses.objective import Objective
from vocoder.training.schedule import GameSchedule, WarmupExponential


@dataclass(frozen=True, kw_only=True)
class Optim:
    """Optimizers of both sides (still without parameters) and what both do with a gradient.

    `schedule` is that of both, unless `schedule_discriminators` is there. `clip_*` is the largest
    gradient norm of that side (None: no clipping). `ema` is the decay of the averaged generator
    that is validated and saved.
    """

    generator: Callable[..., torch.optim.Optimizer]
    discriminators: Callable[..., torch.optim.Optimizer]
    schedule: WarmupExponential
    schedule_discriminators: WarmupExponential | None = None
    clip_generator: float | None = None
    clip_discriminators: float | None = None
    ema: float = 0.999

    def factor(self, side: str, step: int) -> float:
        """What to multiply the base learning rate of a side with at `step` (from 0)."""
        own = self.schedule_discriminators if side == "discriminators" else None
        return (own or self.schedule).factor(step)


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """How long, how often, where.

    Before `adversarial_start` the generator learns from the reconstruction losses alone. From there
    the discriminators learn alone for `discriminator_warmup` steps, with the generator frozen; then
    the weights of "adversarial" and "feature_matching" rise linearly over `adversarial_ramp` steps.
    Against them, the generator learns only at every `generator_every`-th step. `resume` continues
    from the newest state in `output`. Without one the run begins, at step 0, from the model
    directory or built-in model `start` (see vocoder.training.start), or from nothing. `keep` states
    are kept besides the best model. The best model is the one with the best `best_metric` among
    validations.
    """

    output: str
    max_steps: int
    adversarial_start: int = 0
    discriminator_warmup: int = 0
    adversarial_ramp: int = 0
    generator_every: int = 1
    log_every: int = 50
    validate_every: int = 1000
    save_every: int = 1000
    keep: int = 2
    best_metric: Literal["log_mel", "mr_stft", "pesq", "lsd"] = "log_mel"
    validation_clips: int = 8
    validation_seconds: float = 4.0
    resume: bool = True
    start: str | None = None
    workers: int = 1
    threads: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Check the ranges."""
        periods = ("generator_every", "log_every", "validate_every", "save_every")
        least = dict.fromkeys(("max_steps", *periods, "keep"), 1)
        least |= dict.fromkeys(("adversarial_start", "discriminator_warmup", "adversarial_ramp"), 0)
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ConfigError(
                    f"trainer.{name} is {getattr(self, name)}; it must be at least {value}"
                )
        if self.best_metric not in ("log_mel", "mr_stft", "pesq", "lsd"):
            raise ConfigError(
                f"trainer.best_metric is {self.best_metric!r}; choose log_mel, mr_stft, pesq or lsd"
            )


class Features(nn.ModuleDict):
    """What the generator is conditioned on, by name: modules from audio to a tensor of frames."""

    def forward(self, audio: Tensor, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those that are `given` (from files) on the device of `audio`, the others computed.

        Shape: [B, C, T] → name: [B, …, F].
        """
        return {
            name: given[name].to(audio.device, non_blocking=True)
            if name in given
            else extract(audio)
            for name, extract in self.items()
        }


@dataclass(frozen=True, kw_only=True)
class System:
    """A system that can be trained; inconsistent parts are an error here, before the first step.

    `mel` gives the sample rate, and what results are looked at with; a vocoder takes it, too.
    """

    name: str
    seed: int
    mel: MelSpec
    features: Mapping[str, nn.Module]
    generator: Generator
    objective: Objective
    optim: Optim
    data: Callable[..., Segments]
    trainer: TrainerSettings
    discriminators: Mapping[str, nn.Module] = field(default_factory=dict)
    disturbances: Mapping[str, Disturbance] = field(default_factory=dict)
    licences: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the parts fit each other."""
        generator, mel = self.generator, self.mel
        unknown = sorted(self.features.keys() - set(generator.features))
        if unknown:
            raise ConfigError(
                f"features: {type(generator).__name__} takes {generator.features}, not {unknown}"
            )
        if "mel" in self.features and generator.hop_length != mel.hop_length:
            raise ConfigError(
                f"generator.hop_length is {generator.hop_length} but mel.hop_length is "
                f"{mel.hop_length}; make them equal"
            )
        playing = self.objective.adversarial is not None
        if playing != bool(self.discriminators):
            missing = "discriminators" if playing else "objective.adversarial"
            raise ConfigError(f"an adversarial training needs both sides; {missing} is missing")
        for name, part in {**self.discriminators, **self.disturbances}.items():
            lacking = sorted(set(asked_features(part)) - self.features.keys())
            if lacking:
                raise ConfigError(f"{name} asks for features {lacking}; add them to features")
        if self.trainer.adversarial_start and not self.objective.learns_alone:
            raise ConfigError(
                "before trainer.adversarial_start the generator has nothing to learn from: "
                "set it to 0, or add a reconstruction loss"
            )
        if self.trainer.best_metric == "lsd" and "narrowband" not in self.features:
            raise ConfigError(
                "trainer.best_metric is 'lsd', which scores generators that widen a narrowband; "
                "choose log_mel, mr_stft or pesq"
            )
        for name in ("discriminator_warmup", "adversarial_ramp", "generator_every"):
            without: int = getattr(TrainerSettings, name)
            if getattr(self.trainer, name) != without and not playing:
                raise ConfigError(
                    f"trainer.{name} needs discriminators; choose some, or set it to {without}"
                )

    def check_segment(self, segment: int) -> None:
        """ConfigError unless the generator makes `segment` samples from the features of as many."""
        hop_length = self.generator.hop_length
        if segment % hop_length:
            nearest = round(segment / hop_length) * hop_length
            raise ConfigError(
                f"data.segment is {segment}, not a multiple of the generator's hop_length "
                f"{hop_length}; take {max(nearest, hop_length)}"
            )
        if "mel" not in self.features:
            return
        made = self.generator.samples(self.mel.frames(segment))
        if made < segment:
            raise ConfigError(
                f"the generator makes {made} samples from the mel of {segment}; "
                "the padding of mel and generator differ"
            )

    def judges(self) -> Discriminators:
        """The discriminators as one module."""
        return Discriminators(self.discriminators)

    def game(self) -> GameSchedule:
        """Who learns when."""
        settings = self.trainer
        return GameSchedule(
            start=settings.adversarial_start if self.discriminators else None,
            warmup=settings.discriminator_warmup,
            ramp=settings.adversarial_ramp,
            generator_every=settings.generator_every,
        )
