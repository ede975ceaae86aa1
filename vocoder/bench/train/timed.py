"""The trainer with a clock, on recordings of the user or on noise."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from vocoder.bench.train.clock import Clock
from vocoder.data.audit import audit
from vocoder.data.manifest import write_manifest
from vocoder.data.segments import Batch
from vocoder.io.audio import write_audio
from vocoder.training.run import build_system, compose
from vocoder.training.schedule import Phase
from vocoder.training.step.micro_batch import Generated, MicroBatch
from vocoder.training.system import System
from vocoder.training.trainer import Trainer

_SECONDS = 4  # of a recording of noise
_BOTH = ("adversarial_start=0", "discriminator_warmup=0", "adversarial_ramp=0", "generator_every=1")


class TimedTrainer(Trainer):
    """A trainer whose steps are timed, phase by phase."""

    def __init__(self, system: System, config: dict[str, Any]) -> None:
        super().__init__(system, config, console=Console(stderr=True, quiet=True))
        self.clock = Clock(self.device)
        for optimizer in self.optimizers.values():
            optimizer.step = self._timed(optimizer.step)  # type: ignore[method-assign, assignment]

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """Make a step and time it."""
        self.clock.start()
        losses = super().train_step(batch)
        self.clock.lap("other")
        self.step += 1
        return losses

    def _parts(self, batch: Batch, *, keep: bool) -> list[MicroBatch]:
        parts = super()._parts(batch, keep=keep)
        self.clock.lap("features")
        return parts

    def generate(self, part: MicroBatch, *, graph: bool) -> Generated:
        """Time the generator."""
        self.clock.lap("other")
        generated = super().generate(part, graph=graph)
        self.clock.lap("generator forward")
        return generated

    def discriminator_losses(self, part: MicroBatch) -> tuple[dict[str, Tensor], Tensor]:
        """Time the passes through the discriminators for their update."""
        losses = super().discriminator_losses(part)
        self.clock.lap("discriminators forward")
        return losses

    def generator_losses(self, phase: Phase, part: MicroBatch) -> tuple[dict[str, Tensor], Tensor]:
        """Time the losses of the generator."""
        losses = super().generator_losses(phase, part)
        self.clock.lap("generator's losses")
        return losses

    def accumulate(
        self,
        name: str,
        parts: Sequence[MicroBatch],
        losses_of: Callable[[MicroBatch], tuple[dict[str, Tensor], Tensor]],
    ) -> dict[str, Tensor]:
        """Time the backward pass and the norm of the gradient."""
        losses = super().accumulate(name, parts, losses_of)
        self.clock.lap(f"{name} backward")
        return losses

    def _timed(self, step: Callable[[int], None]) -> Callable[[int], None]:
        def timed(number: int) -> None:
            self.clock.lap("other")
            step(number)
            self.clock.lap("optimizers")

        return timed


@contextmanager
def opened(overrides: Sequence[str]) -> Iterator[tuple[TimedTrainer, System]]:
    """A trainer with these settings whose every step updates all networks.

    Without `data.manifest` it reads recordings of noise, which are made here.
    """
    with TemporaryDirectory(prefix="vocoder-bench-") as folder:
        settings = [*overrides, *(f"trainer.{each}" for each in _BOTH)]
        if not any(each.startswith("data.manifest=") for each in overrides):
            settings.append(f"data.manifest={_noise(Path(folder), overrides)}")
        values = compose(settings)
        values["trainer"]["output"] = str(Path(folder) / "run")
        system = build_system(values)
        trainer = TimedTrainer(system, values)
        try:
            yield trainer, system
        finally:
            trainer.ranks.close()


def _noise(folder: Path, overrides: Sequence[str]) -> Path:
    """A manifest of recordings of noise at the rate of the system."""
    values = compose([*overrides, "data.manifest=none"])
    rate = values["mel"]["sample_rate"]
    generator = torch.Generator().manual_seed(0)
    seconds = max(_SECONDS, 2 * values["data"]["segment"] // rate)
    for number in range(3):  # one for each split
        noise = 0.1 * torch.randn(1, seconds * rate, generator=generator)
        write_audio(folder / "noise" / f"{number}.wav", noise, rate)
    manifest = folder / "noise.csv"
    write_manifest(manifest, audit(folder / "noise").clips)
    return manifest
