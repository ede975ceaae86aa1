"""One trainable system: everything that a paper specifies, built from one configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vocoder.augmentation.base import Augmentation
from vocoder.data.segments import Segments
from vocoder.discriminators.output import Discriminators, requested_features
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec
from vocoder.generators.base import BandwidthExtender, Generator
from vocoder.losses.objective import Objective
from vocoder.training.schedule import AdversarialSchedule, WarmupExponential


@dataclass(frozen=True, kw_only=True)
class NetworkOptim:
    """How one network learns: its optimizer, the schedule of its learning rate, and clipping."""

    optimizer: Callable[..., torch.optim.Optimizer]
    """Makes the optimizer from named parameters."""
    schedule: WarmupExponential
    """Factor of the learning rate by step."""
    clip: float | None
    """Largest norm of the gradient, over all weights; None for no limit."""


@dataclass(frozen=True, kw_only=True)
class Optim:
    """How the generator and the discriminators learn."""

    generator: NetworkOptim
    discriminators: NetworkOptim
    ema: float
    """Decay of the moving average of the generator's weights, which is validated and saved."""


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """How long a run is, what it reports and saves, and where; configs/trainer has the values."""

    output: str
    """Folder of the run."""
    max_steps: int
    """Steps after which the run ends."""
    adversarial_start: int
    """Step from which the discriminators take part; before, reconstruction losses alone count."""
    discriminator_warmup: int
    """Steps from then on in which the discriminators learn alone and the generator is frozen."""
    adversarial_ramp: int
    """Steps after that over which the weights of "adversarial" and "feature_matching" rise."""
    generator_every: int
    """The generator learns at every so many steps once the discriminators take part."""
    log_every: int
    """Steps between reports of the losses."""
    validate_every: int
    """Steps between validations."""
    save_every: int
    """Steps between training states."""
    keep: int
    """Training states that are kept, besides the best model."""
    best_metric: Literal["log_mel", "mr_stft", "pesq", "lsd"]
    """Score of the validation by which the best model is chosen."""
    validation_clips: int
    """Recordings of the validation split that are scored."""
    validation_seconds: float
    """Length to which they are cut."""
    resume: bool
    """Continue from the newest state in `output`."""
    init_from: str | None
    """Model directory or built-in model that a new run begins with; None for random weights."""
    workers: int
    """Processes that read the data; 0 for none."""
    threads: int | None
    """Threads of torch on the CPU; None for torch's own choice."""
    device: str
    """Where to compute: "auto" for the best device there is, or "cpu", "cuda", "cuda:1", "mps"."""

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
    augmentation: Mapping[str, Augmentation] = field(default_factory=dict)
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
        self._check_cutoff_range()
        adversarial = self.objective.adversarial is not None
        if adversarial != bool(self.discriminators):
            missing = "discriminators" if adversarial else "objective.adversarial"
            raise ConfigError(
                f"an adversarial training needs both optimizers; {missing} is missing"
            )
        for name, part in {**self.discriminators, **self.augmentation}.items():
            lacking = sorted(set(requested_features(part)) - self.features.keys())
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
        needs = {"discriminator_warmup": 0, "adversarial_ramp": 0, "generator_every": 1}
        for name, without in needs.items():
            if getattr(self.trainer, name) != without and not adversarial:
                raise ConfigError(
                    f"trainer.{name} needs discriminators; choose some, or set it to {without}"
                )

    def _check_cutoff_range(self) -> None:
        """What a bandwidth extender claims to have learned must be what its feature teaches."""
        feature, generator = self.features.get("narrowband"), self.generator
        if not isinstance(generator, BandwidthExtender) or self.trainer.init_from is not None:
            return  # one that is trained further has learned from other recordings before
        taught = getattr(feature, "cutoff_range", None)
        if taught is not None and generator.cutoff_range != taught:
            raise ConfigError(
                f"generator.cutoff_range is {list(generator.cutoff_range)}, but the feature narrowband "
                f"ends between {taught[0]:g} and {taught[1]:g} Hz; leave it out of the command"
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

    def build_discriminators(self) -> Discriminators:
        """The discriminators as one module."""
        return Discriminators(self.discriminators)

    def adversarial_schedule(self) -> AdversarialSchedule:
        """Who learns when."""
        settings = self.trainer
        return AdversarialSchedule(
            start=settings.adversarial_start if self.discriminators else None,
            warmup=settings.discriminator_warmup,
            ramp=settings.adversarial_ramp,
            generator_every=settings.generator_every,
        )
