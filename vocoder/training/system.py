"""A trainable system: everything that a paper specifies, built from one configuration."""

from collections.abc import Callable, Mapping, Sequence
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
from vocoder.training.guards.non_finite import GuardSettings
from vocoder.training.schedule import AdversarialSchedule, WarmupExponential


@dataclass(frozen=True, kw_only=True)
class NetworkOptim:
    """Optimization of one network: optimizer, learning rate schedule and gradient clipping."""

    optimizer: Callable[..., torch.optim.Optimizer]
    """Makes the optimizer from named parameters."""
    schedule: WarmupExponential
    """Factor of the learning rate by step."""
    clip: float | None
    """Largest norm of the gradient, over all weights; None for no limit."""


@dataclass(frozen=True, kw_only=True)
class Optim:
    """Optimization of the generator and of the discriminators."""

    generator: NetworkOptim
    discriminators: NetworkOptim
    ema: float
    """Decay of the moving average of the generator's weights, which is validated and saved."""


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """Settings of a run: its length, reports, saved states and device.

    configs/trainer has the values.
    """

    output: str
    """Folder of the run."""
    max_steps: int
    """Steps after which the run ends."""
    adversarial_start: int
    """Step from which discriminators are used; before, there are only reconstruction losses."""
    discriminator_warmup: int
    """Steps from then on in which only the discriminators are trained."""
    adversarial_ramp: int
    """Steps after that over which the weights of "adversarial" and "feature_matching" rise."""
    generator_every: int
    """Steps between updates of the generator once the discriminators are used."""
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
    sample_clips: int
    """Those of them that are kept in `samples/` as audio; 0 for none."""
    resume: bool
    """Continue from the newest state in `output`."""
    init_from: str | None
    """Model directory or built-in model that a new run starts from; None for random weights."""
    workers: int
    """Processes that read the data; 0 for none."""
    threads: int | None
    """Threads of torch on the CPU; None for OMP_NUM_THREADS or, without it, all available CPUs."""
    parallel: Literal["ddp", "fsdp"]
    """Several processes: "ddp" keeps the generator whole in each, "fsdp" divides it over them."""
    device: str
    """Device of the networks: "auto" for the best available, or "cpu", "cuda", "cuda:1", "mps"."""
    loggers: Sequence[str]
    """Where reports go, besides `curve.jsonl`: "tensorboard", "mlflow", "wandb"."""
    accumulate: int
    """Parts in which a batch is computed, one after the other, so that it takes less memory."""
    precision: Literal[32, "bf16"]
    """Of products in the networks: float32, or bfloat16 with float32 for what needs it."""
    checkpoint_activations: bool
    """Keep only the inputs of the generator's blocks for the backward pass, to save memory."""
    guard: GuardSettings
    """What is done about steps whose losses or gradients are not finite."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        periods = ("generator_every", "log_every", "validate_every", "save_every")
        counts = ("max_steps", *periods, "keep", "validation_clips", "accumulate")
        least = dict.fromkeys(counts, 1)
        least |= dict.fromkeys(("adversarial_start", "discriminator_warmup", "adversarial_ramp"), 0)
        least |= {"workers": 0, "sample_clips": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ConfigError(
                    f"trainer.{name} is {getattr(self, name)}; it must be at least {value}"
                )
        if self.precision not in (32, "bf16"):
            raise ConfigError(f"trainer.precision is {self.precision!r}; choose 32 or bf16")
        if self.parallel not in ("ddp", "fsdp"):
            raise ConfigError(f"trainer.parallel is {self.parallel!r}; choose ddp or fsdp")
        if self.best_metric not in ("log_mel", "mr_stft", "pesq", "lsd"):
            raise ConfigError(
                f"trainer.best_metric is {self.best_metric!r}; choose log_mel, mr_stft, pesq or lsd"
            )


class Features(nn.ModuleDict):
    """Features that condition the generator, by name: modules from audio to a tensor of frames."""

    def forward(self, audio: Tensor, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features by name: `given` ones (from files) on the device of `audio`, others computed.

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
    """A system that can be trained: features, networks, losses, optimizers, data and settings.

    Raises ConfigError for parts that do not fit each other, before the first step.
    """

    name: str
    """Name of the system, which its models get."""
    seed: int
    """Seed of the weights, the crops and the randomness inside networks."""
    mel: MelSpec
    """Sample rate, mel of validation and of spectrogram pictures, and a vocoder's input."""
    features: Mapping[str, nn.Module]
    """Features of the generator, by the names of its arguments."""
    generator: Generator
    """The network that is trained."""
    objective: Objective
    """Losses and their weights."""
    optim: Optim
    """Optimizers, schedules and the moving average."""
    data: Callable[..., Segments]
    """Makes the training crops for a sample rate, a seed, a rank and the features in files."""
    trainer: TrainerSettings
    """Settings of the run."""
    discriminators: Mapping[str, nn.Module] = field(default_factory=dict)
    """Discriminators by name; none without an adversarial loss."""
    augmentation: Mapping[str, Augmentation] = field(default_factory=dict)
    """Augmentations of real and fake audio before the discriminators, by name."""
    licences: Mapping[str, Any] = field(default_factory=dict)
    """Licences of code, weights and data, saved with models."""

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
                "adversarial training needs discriminators and objective.adversarial; "
                f"{missing} is missing"
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
        if self.trainer.parallel == "fsdp" and self.objective.penalties:
            raise ConfigError(
                "trainer.parallel=fsdp has no process with all weights, which "
                f"objective.penalties ({', '.join(self.objective.penalties)}) need; set it to ddp"
            )
        if self.trainer.best_metric == "lsd" and "narrowband" not in self.features:
            raise ConfigError(
                "trainer.best_metric is 'lsd', which is for bandwidth extenders; "
                "choose log_mel, mr_stft or pesq"
            )
        neutral = {"discriminator_warmup": 0, "adversarial_ramp": 0, "generator_every": 1}
        for name, value in neutral.items():
            if getattr(self.trainer, name) != value and not adversarial:
                raise ConfigError(
                    f"trainer.{name} needs discriminators; choose some, or set it to {value}"
                )

    def _check_cutoff_range(self) -> None:
        """Raise ConfigError if the cutoffs of an extender are not those of its training data."""
        feature, generator = self.features.get("narrowband"), self.generator
        if not isinstance(generator, BandwidthExtender) or self.trainer.init_from is not None:
            return  # a fine-tuned model was trained with other cutoffs before
        trained = getattr(feature, "cutoff_range", None)
        if trained is not None and generator.cutoff_range != trained:
            raise ConfigError(
                f"generator.cutoff_range is {list(generator.cutoff_range)}, but the feature "
                f"narrowband ends between {trained[0]:g} and {trained[1]:g} Hz; "
                "leave it out of the command"
            )

    def segments(self, *, rank: int, processes: int) -> Segments:
        """The training crops of a process; ConfigError if they do not fit the other settings."""
        segments = self.data(
            sample_rate=self.mel.sample_rate,
            seed=self.seed,
            rank=rank,
            world_size=processes,
            mel=self.mel if "mel" in self.features else None,
            narrowband="narrowband" in self.features,
        )
        self.check_segment(segments.segment)
        if self.trainer.accumulate > segments.batch_size:
            raise ConfigError(
                f"trainer.accumulate is {self.trainer.accumulate}, more than the crops of a batch; "
                f"set it to at most data.batch_size, {segments.batch_size}"
            )
        return segments

    def check_segment(self, segment: int) -> None:
        """Raise ConfigError unless the generator makes `segment` samples from as many.

        That needs a multiple of its hop length and, for a vocoder, enough frames of the mel.
        """
        hop_length = self.generator.hop_length
        if segment % hop_length:
            nearest = round(segment / hop_length) * hop_length
            raise ConfigError(
                f"data.segment is {segment}, not a multiple of the generator's hop_length "
                f"{hop_length}; take {max(nearest, hop_length)}"
            )
        if "mel" not in self.features:
            return
        samples = self.generator.samples(self.mel.frames(segment))
        if samples < segment:
            raise ConfigError(
                f"the generator makes {samples} samples from the mel of {segment}; "
                "the padding of mel and generator differ"
            )

    @property
    def shortest_clip(self) -> int:
        """Samples that a clip must have to be validated: a hop of the generator and of the mel."""
        hop_length = self.generator.hop_length
        if self.mel.frames(hop_length):
            return hop_length
        return -(-self.mel.hop_length // hop_length) * hop_length

    def build_discriminators(self) -> Discriminators:
        """All discriminators as one module."""
        return Discriminators(self.discriminators)

    def adversarial_schedule(self) -> AdversarialSchedule:
        """Schedule of the updates of generator and discriminators, from the trainer's settings."""
        settings = self.trainer
        return AdversarialSchedule(
            start=settings.adversarial_start if self.discriminators else None,
            warmup=settings.discriminator_warmup,
            ramp=settings.adversarial_ramp,
            generator_every=settings.generator_every,
        )
