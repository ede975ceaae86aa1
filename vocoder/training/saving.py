"""What a run saves: training states to resume from, and model directories."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from torch import nn

from vocoder.checkpoint import ModelConfig, load_state, save_model
from vocoder.discriminators.output import Discriminators
from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.training.initialization import initialize_from
from vocoder.training.model_optimizer import ModelOptimizer
from vocoder.training.parallel.ranks import Ranks
from vocoder.training.states import TrainingStates, collect_networks, log_changes, restore_networks
from vocoder.training.system import System

log = logging.getLogger(__name__)


class Progress(NamedTuple):
    """How far a run is: steps done, and the validation scores of the best and the newest model."""

    step: int
    best: dict[str, float]
    scores: dict[str, float]


class RunFiles:
    """Training states (`states/`) and model directories (`last/`, `best/`) of a run.

    `modules` are those whose state is saved, by their key in a training state; "ema" among them is
    the generator that is saved as a model. `saved` is the step of the newest state.
    """

    def __init__(
        self,
        system: System,
        config: dict[str, Any],
        *,
        modules: Mapping[str, nn.Module],
        optimizers: Mapping[str, ModelOptimizer],
        ranks: Ranks,
    ) -> None:
        self.system, self.config = system, config
        self.modules, self.optimizers, self.ranks = modules, optimizers, ranks
        self.output = Path(system.trainer.output)
        self.states = TrainingStates(self.output / "states", keep=system.trainer.keep)
        self.saved = 0

    def save(self, progress: Progress) -> None:
        """Write the training state and the model directory `last/`; all ranks call this."""
        state = {
            "step": progress.step,
            "config": self.config,
            **collect_networks(self.modules, self.optimizers),
            "best": progress.best,
            "scores": progress.scores,
        }
        if self.ranks.first:
            self.states.save(state)
            self.save_model("last", progress)
        self.saved = progress.step

    def save_model(self, name: str, progress: Progress) -> None:
        """Write the averaged generator to the model directory `name`."""
        config = ModelConfig(
            name=self.system.name,
            mel=self.system.mel,
            generator=self.config["generator"],
            licences=dict(self.system.licences),
            training={"steps": progress.step, "config": self.config},
            scores={"validation": progress.scores},
        )
        save_model(self.output / name, self.modules["ema"], config)

    def resume(self) -> Progress:
        """Continue from the newest readable state; without one, start from `trainer.init_from`."""
        settings = self.system.trainer
        if not settings.resume and self.ranks.first:
            self.states.require_none()
        found = self._newest()
        if found is None:
            if settings.init_from is not None:
                initialize_from(
                    settings.init_from,
                    system=self.system,
                    ema=cast(Generator, self.modules["ema"]),
                    discriminators=cast(Discriminators, self.modules["discriminators"]),
                    optimizers=self.optimizers,
                )
            return Progress(0, {}, {})
        path, state = found
        restore_networks(self.modules, self.optimizers, state=state, path=path)
        self.saved = state["step"]
        log.info("resumed from %s", path)
        log_changes(state["config"], self.config)
        return Progress(state["step"], state["best"], state["scores"])

    def _newest(self, before: int | None = None) -> tuple[Path, dict[str, Any]] | None:
        """The newest readable state, which is chosen by rank 0 and read by all."""
        found = self.states.newest(before=before) if self.ranks.first else None
        path = self.ranks.of_first(found[0] if found else None)
        if path is None or found:
            return found
        if not path.exists():
            raise ConfigError(
                f"{path}: process 0 has this state, but process {self.ranks.rank} does not see it; "
                "put trainer.output on a file system that all machines share"
            )
        return path, load_state(path)

    def roll_back(self, step: int) -> None:
        """Take the networks of the newest state of before `step`; the run stays at its step.

        Without such a state nothing changes, which is logged.
        """
        found = self._newest(before=step)
        if found is None:
            log.warning("no training state of before step %d to roll back to", step)
            return
        path, state = found
        restore_networks(self.modules, self.optimizers, state=state, path=path)
        log.warning("rolled back to the networks of %s; the steps go on with other crops", path)
