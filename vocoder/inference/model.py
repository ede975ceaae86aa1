"""Base class of loaded models, vocoders and extenders."""

import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor

from vocoder.build import build
from vocoder.checkpoint import ModelConfig, load_weights, save_model
from vocoder.errors import CheckpointError, ConfigError
from vocoder.features.mel import MelSpec
from vocoder.generators.base import Generator
from vocoder.generators.pitched.base import PitchedGenerator
from vocoder.inference.captured import CapturedGenerator, captured_plan
from vocoder.inference.compiled.just_in_time import JustInTime
from vocoder.inference.device import find_device
from vocoder.inference.memory import keep_freed_memory
from vocoder.inference.network import Eager, Network
from vocoder.inference.parts import SourceFilterInParts
from vocoder.inference.precision.hardware import require
from vocoder.inference.precision.network import LowName, LowPrecision
from vocoder.io.defaults import Float32OnCpu
from vocoder.nn.pitch import NoPitch
from vocoder.nn.weight_norm import count_weights
from vocoder.streaming.plan import Plan

# All but those of another runtime.
_OURS = (Eager, CapturedGenerator, JustInTime, LowPrecision, SourceFilterInParts)


class InferenceModel:
    """A generator ready for inference on one device, with its configuration.

    `network` is its generator as it runs on this machine, and `network.path` says how.
    `config` is the content of its config.json, `sample_rate` that of its output in Hz, and
    `num_parameters` the number of its weights, weight norm folded in. `precision` is that of calls:
    "float32", "bfloat16" or "int8"; streams and gradients are in float32. Plans of streams are made
    once, when they are first needed. A model can be copied, pickled and sent to other processes.
    Raises ConfigError for a device that cannot run it.
    """

    def __init__(
        self, generator: Generator, config: ModelConfig, *, device: torch.device | str = "cpu"
    ) -> None:
        self.config = config
        self.sample_rate = config.mel.sample_rate
        self.num_parameters = count_weights(generator)
        # For `save`: freezing merges some weights and gives others another precision.
        self._weights = generator.state_dict()
        self.generator = generator.freeze()
        self.network: Network = Eager(self.generator)
        self.precision: Literal["float32", LowName] = "float32"
        self._forget_plans()
        keep_freed_memory()
        self.to(device)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but plans and locks, which every copy makes for itself."""
        state = {k: v for k, v in vars(self).items() if k not in ("_planning", "_plans")}
        if isinstance(self.network, _OURS):
            state["network"] = Eager(self.generator)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget_plans()
        self._choose_network()

    def _forget_plans(self) -> None:
        self._planning = threading.Lock()
        self._plans: dict[Hashable, Plan | ConfigError] = {}

    @property
    def device(self) -> torch.device:
        """Device on which the model computes."""
        return self._device

    def to(self, device: torch.device | str) -> Self:
        """Move the model to a device, in place; streams that were made before keep theirs.

        Raises ConfigError for a device that is not available, or that lacks the double precision
        which some models need.
        """
        where = find_device(device) if isinstance(device, str) else device
        if self.generator.double_precision and where.type == "mps":
            raise ConfigError(
                f"{self.config.name} computes in double precision, which mps devices lack; "
                "use the device cpu"
            )
        if self.precision != "float32":
            require(self.precision, where)
        self._device = where
        with self._planning:
            self._plans.clear()  # they hold weights
        self._move(where)
        return self

    def compute_in(self, precision: Literal["float32", LowName]) -> Self:
        """Let calls compute in a precision, in place, by PyTorch; streams stay in float32.

        Raises ConfigError for a device without it, and for a network that needs float32.
        """
        before, self.precision = self.precision, precision
        try:
            self._choose_network()
        except ConfigError:
            self.precision = before
            raise
        return self

    def save(self, directory: str | Path) -> None:
        """Write a model directory, for `vocoder.load` and for training to start from.

        An existing model is replaced. Raises CheckpointError if anything else is there.
        """
        with Float32OnCpu():
            generator = build(self.config.generator, "generator")
        assert isinstance(generator, Generator)
        load_weights(generator, self._weights, self.config.name)
        save_model(Path(directory), generator, self.config)

    def _move(self, device: torch.device) -> None:
        self.generator.to(device)
        self._choose_network()

    def _choose_network(self) -> None:
        """Run the generator in the way that suits its device, unless another runtime runs it."""
        if not isinstance(self.network, _OURS):
            return
        if self.precision != "float32":
            self.network = LowPrecision(self.generator, self._device, self.precision)
        elif self._device.type == "cpu" and SourceFilterInParts.fits(self.generator):
            self.network = SourceFilterInParts(self.generator)
        elif self._device.type == "cpu":
            self.network = JustInTime(self.generator, self.examples)
        else:
            self.network = Eager(self.generator)

    def examples(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Two examples of the generator's inputs, of different length and batch size."""
        raise NotImplementedError

    def _planned(self, key: Hashable, make: Callable[[], Plan]) -> Plan:
        """The plan for `key`, made once; one that cannot be made raises ConfigError every time."""
        with self._planning:
            if key not in self._plans:
                try:
                    self._plans[key] = captured_plan(make(), self._device)
                except ConfigError as error:
                    self._plans[key] = ConfigError(f"{self.config.name}: {error}")
            plan = self._plans[key]
        if isinstance(plan, ConfigError):
            raise ConfigError(str(plan))
        return plan


def require_finite(audio: Tensor, name: str) -> None:
    """Raise CheckpointError if the output of the model `name` for silence is not finite."""
    if not torch.isfinite(audio).all():
        raise CheckpointError(f"{name}: its weights hold NaN or infinite values")


def require_vocoder(generator: Generator, spec: MelSpec, name: str) -> None:
    """Raise CheckpointError unless the generator maps the model's mel to finite audio."""
    if generator.hop_length != spec.hop_length or "mel" not in generator.features:
        raise CheckpointError(
            f"{name}: config.json is inconsistent: hop_length {spec.hop_length} in its mel, "
            f"{generator.hop_length} in its generator, which takes {', '.join(generator.features)}"
        )
    silence = torch.tensor(spec.silence, device="cpu", dtype=torch.float32)
    features = {"mel": silence[None, :, None].expand(-1, -1, 4)}
    if isinstance(generator, PitchedGenerator) and isinstance(generator.pitch, NoPitch):
        features["f0"] = torch.zeros(1, 4, device="cpu", dtype=torch.float32)
    try:
        with torch.inference_mode():
            audio = generator(**features)
    except RuntimeError as error:
        reason = str(error).split("\n", 1)[0]
        raise CheckpointError(f"{name}: its generator does not take its mel ({reason})") from error
    require_finite(audio, name)
