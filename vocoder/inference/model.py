"""What a loaded vocoder and a loaded extender have in common."""

import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from vocoder.build import build
from vocoder.checkpoint import ModelConfig, load_weights, save_model
from vocoder.errors import CheckpointError, ConfigError
from vocoder.generators.base import Generator
from vocoder.nn.weight_norm import count_weights
from vocoder.streaming.plan import Plan


class InferenceModel:
    """A generator ready for inference on one device, with the configuration that it came with.

    `config` is what its config.json says, `sample_rate` that of the audio it makes, in Hz, and
    `num_parameters` the number of its weights, weight norm folded in. Plans of streams are made
    once, when they are first needed. Raises ConfigError for a device that cannot run it.
    """

    def __init__(
        self, generator: Generator, config: ModelConfig, *, device: torch.device | str = "cpu"
    ) -> None:
        self.config = config
        self.sample_rate = config.mel.sample_rate
        self.num_parameters = count_weights(generator)
        # What `save` writes: freezing merges some weights and gives others another precision.
        self._weights = generator.state_dict()
        self.generator = generator.freeze()
        self._planning = threading.Lock()
        self._plans: dict[Hashable, Plan | ConfigError] = {}
        self.to(device)

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self._device

    def to(self, device: torch.device | str) -> Self:
        """Move the model, in place; streams that were made before keep their device.

        Raises ConfigError for a device that is not there, or that lacks the double precision which
        some models need.
        """
        where = torch.device(device)
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
        """Write a model directory, which `vocoder.load` takes and training can start from.

        Raises CheckpointError rather than replace anything but a model.
        """
        generator = build(self.config.generator, "generator")
        assert isinstance(generator, Generator)
        load_weights(generator, self._weights, self.config.name)
        save_model(Path(directory), generator, self.config)

    def _move(self, device: torch.device) -> None:
        self.generator.to(device)

    def _planned(self, key: Hashable, make: Callable[[], Plan]) -> Plan:
        """The plan of this key, made once; so is the ConfigError that says why there is none."""
        with self._planning:
            if key not in self._plans:
                try:
                    self._plans[key] = make()
                except ConfigError as error:
                    self._plans[key] = ConfigError(f"{self.config.name}: {error}")
            plan = self._plans[key]
        if isinstance(plan, ConfigError):
            raise ConfigError(str(plan)) from plan.__cause__
        return plan


def require_finite(audio: Tensor, name: str) -> None:
    """Raise CheckpointError if what a network makes of silence is not finite."""
    if not torch.isfinite(audio).all():
        raise CheckpointError(f"{name}: its weights hold NaN or infinite values")
