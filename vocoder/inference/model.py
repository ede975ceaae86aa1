"""Base class of loaded models, vocoders and extenders."""

import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from vocoder.build import build
from vocoder.checkpoint import ModelConfig, load_weights, save_model
from vocoder.errors import CheckpointError, ConfigError
from vocoder.features.mel import MelSpec
from vocoder.generators.base import Generator
from vocoder.generators.pitched.base import PitchedGenerator
from vocoder.inference.device import find_device
from vocoder.inference.network import Eager, Network
from vocoder.io.defaults import Float32OnCpu
from vocoder.nn.pitch import NoPitch
from vocoder.nn.weight_norm import count_weights
from vocoder.streaming.plan import Plan


class InferenceModel:
    """A generator ready for inference on one device, with its configuration.

    `network` is its generator as it runs on this machine, and `network.path` says how.
    `config` is the content of its config.json, `sample_rate` that of its output in Hz, and
    `num_parameters` the number of its weights, weight norm folded in. Plans of streams are made
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
        self._forget_plans()
        self.to(device)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but plans and locks, which every copy makes for itself."""
        return {k: v for k, v in vars(self).items() if k not in ("_planning", "_plans")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget_plans()

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
        self._device = where
        with self._planning:
            self._plans.clear()  # they hold weights
        self._move(where)
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

    def _planned(self, key: Hashable, make: Callable[[], Plan]) -> Plan:
        """The plan for `key`, made once; one that cannot be made raises ConfigError every time."""
        with self._planning:
            if key not in self._plans:
                try:
                    self._plans[key] = make()
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
