"""The training loop for any generator with any discriminators, on any task."""

import logging
import math
from collections.abc import Mapping
from contextlib import ExitStack, closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from vocoder.augmentation.chain import Augmentations
from vocoder.checkpoint import ModelConfig, save_model
from vocoder.data.loader import loader
from vocoder.data.segments import Batch
from vocoder.dsp.lowpass import band_limit
from vocoder.errors import ConfigError
from vocoder.training.ema import EMA
from vocoder.training.guards.dry_run import dry_run
from vocoder.training.guards.lock import locked, require_folder, tidy
from vocoder.training.initialization import initialize_from
from vocoder.training.model_optimizer import ModelOptimizer, frozen, without_updates
from vocoder.training.ranks import Ranks
from vocoder.training.reporting.monitor import Monitor
from vocoder.training.reporting.validation import build_validator
from vocoder.training.signals import signals_passed_to
from vocoder.training.states import TrainingStates, collect_networks, log_changes, restore_networks
from vocoder.training.system import Features, System

log = logging.getLogger(__name__)
_MAX_SKIPPED = 20  # updates in a row without a finite gradient before the run is given up


class Trainer:
    """Trains a `System`; `config` is the plain dictionary it was built from.

    It writes to `system.trainer.output`: `states/` (to resume from), `last/` and `best/` (model
    directories with the averaged generator), `curve.jsonl` and `tensorboard/`. `ranks` are the
    processes of the run, by default those of the environment.
    """

    def __init__(
        self,
        system: System,
        config: dict[str, Any],
        *,
        console: Console,
        ranks: Ranks | None = None,
    ) -> None:
        settings = system.trainer
        self.system, self.config, self.console, self.settings = system, config, console, settings
        self.ranks = ranks or Ranks(settings.device)
        self.device = self.ranks.device
        self.output = Path(settings.output)
        if self.ranks.first:
            log.info("training on %s", self.device)
        optim = system.optim
        self.features = Features(system.features).to(self.device)
        self.objective = system.objective.to(self.device)
        self.generator = system.generator.to(self.device)
        self.discriminators = system.build_discriminators().to(self.device)
        self.augmentation = Augmentations(system.augmentation).to(self.device)
        self.ema = EMA(self.generator, decay=optim.ema)
        self.optimizers = {"generator": ModelOptimizer(self.generator, optim.generator)}
        if system.discriminators:
            self.optimizers["discriminators"] = ModelOptimizer(
                self.discriminators, optim.discriminators
            )
        self.schedule = system.adversarial_schedule()
        self.segments = system.data(
            sample_rate=system.mel.sample_rate,
            seed=system.seed,
            rank=self.ranks.rank,
            world_size=self.ranks.size,
            mel=system.mel if "mel" in system.features else None,
            narrowband="narrowband" in system.features,
        )
        system.check_segment(self.segments.segment)
        self.validator = build_validator(system, self.segments)
        self.states = TrainingStates(self.output / "states", keep=settings.keep)
        self.step, self.saved, self.skipped, self.stop_signal = 0, 0, 0, 0
        self.best: dict[str, float] = {}
        self.scores: dict[str, float] = {}

    # ------------------------------------------------------------------------------ one step

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """Update every network that learns at this step; returns the unweighted losses by name."""
        torch.manual_seed(self._step_seed())
        phase = self.schedule.at(self.step)
        real = batch.audio.to(self.device, non_blocking=True)
        features = self.features(real, batch.features)
        with nullcontext() if phase.generator else without_updates(self.generator):
            fake, auxiliary = self.generator.with_losses(real, **features)
        fake, real = self._limit_to_cutoffs(batch, fake[..., : real.shape[-1]], real)
        losses: dict[str, Tensor] = {}
        if phase.discriminators:
            losses = self.train_discriminators(fake.detach(), real, features, batch)
        if not phase.generator:
            return losses
        terms = self.objective.reconstruct(fake, real) | auxiliary
        terms |= self.objective.penalise(self.generator)
        if phase.discriminators:
            terms |= self._adversarial_terms(fake, real, features)
        total = self.objective.total(terms, adversarial_weight=phase.adversarial_weight, fake=fake)
        self.update("generator", total, batch)
        self.ema.follow(self.generator, self.step)
        return losses | terms

    def _adversarial_terms(
        self, fake: Tensor, real: Tensor, features: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """The generator's adversarial and feature-matching losses, without weights."""
        with frozen(self.discriminators):  # so the real outputs have no graph
            augmented = self.augmentation([fake, real], features)
            outputs = [self.discriminators(audio, features) for audio in augmented]
            return self.objective.adversarial_terms(*outputs)

    def train_discriminators(
        self, fake: Tensor, real: Tensor, features: dict[str, Tensor], batch: Batch
    ) -> dict[str, Tensor]:
        """Update the discriminators once; returns their losses by name."""
        discriminate = partial(self.discriminators, features=features)
        fake, real = self.augmentation([fake, real], features)
        outputs = discriminate(real)
        losses = {"discriminators": self.objective.discriminator(outputs, discriminate(fake))}
        losses |= self.objective.regularise(discriminate, real, fake, step=self.step)
        self.update("discriminators", torch.stack([*losses.values()]).sum(), batch)
        self.augmentation.adapt(outputs)
        self.ranks.average(list(self.augmentation.state_dict().values()))
        return losses

    def update(self, name: str, loss: Tensor, batch: Batch) -> None:
        """Make one optimizer step of a network, unless its gradient is not finite.

        Raises ConfigError for the 20th such gradient in a row.
        """
        optimizer = self.optimizers[name]
        norm = optimizer.backward(loss, self.ranks)
        if math.isfinite(norm):
            optimizer.step(self.step)
            self.skipped = 0
            return
        self.skipped += 1
        log.warning("step %d: %s gradient is %s, not used: %s", self.step, name, norm, batch.names)
        if self.skipped >= _MAX_SKIPPED:
            raise ConfigError(
                f"{_MAX_SKIPPED} updates in a row had no finite gradient (last clips: "
                f"{', '.join(batch.names)}); lower optim.*.optimizer.lr or set optim.*.clip"
            )

    def _limit_to_cutoffs(self, batch: Batch, *signals: Tensor) -> list[Tensor]:
        """Signals [B, C, T] without the band above the cutoffs of the recordings."""
        if batch.cutoffs is None:
            return list(signals)
        rate = self.segments.sample_rate
        return [band_limit(signal, batch.cutoffs, sample_rate=rate) for signal in signals]

    def _step_seed(self) -> int:
        """Seed of the randomness inside networks, which depends on (seed, step, rank) alone."""
        return (self.system.seed * 1_000_003 + self.step) * 4099 + self.ranks.rank

    # ------------------------------------------------------------------------------ the run

    def run(self) -> int:
        """Train to `max_steps`; returns the exit code (128 + signal when one ended the run)."""
        with signals_passed_to(self._stop_after_step), ExitStack() as stack:
            if self.ranks.first:
                stack.enter_context(locked(self.output))
                tidy(self.output)
            self.resume()
            stop = self._train()
            if self.ranks.first and self.saved != self.step:
                self.save()
        if stop:
            log.warning("stopped by signal %d at step %d, saved", stop, self.step)
            return 128 + stop
        return 0

    def _train(self) -> int:
        """Train the remaining steps; returns the signal that ended them, or 0."""
        first, last = self.step, self.settings.max_steps
        if first >= last:
            return 0
        networks = self.ema.model, self.discriminators
        dry_run(self.segments[first], *networks, features=self.features, objective=self.objective)
        with ExitStack() as stack:
            monitor, workers = None, self.settings.workers
            if self.ranks.first:
                monitor = Monitor(self.output, first=first, last=last, console=self.console)
                stack.enter_context(monitor)
            batches = loader(self.segments, start=first, steps=last - first, workers=workers)
            stack.enter_context(closing(batches))
            for batch in monitor.timed(batches) if monitor else batches:
                # A signal reaches ranks at different moments; they must end at the same step.
                agreed = self.ranks.exchange_maximum(lambda: self.stop_signal)
                losses = self.train_step(batch)
                self.step += 1
                if monitor:
                    self._report(monitor, losses)
                stop = agreed()
                if stop:
                    return stop
        return 0

    def _stop_after_step(self, signal: int) -> None:
        self.stop_signal = signal

    def _report(self, monitor: Monitor, losses: Mapping[str, Tensor]) -> None:
        """Log, validate and save as the settings require after this step."""
        require_folder(self.output)
        settings, step = self.settings, self.step
        last = step == settings.max_steps
        monitor.advance(step)
        if step % settings.log_every == 0 or last:
            values = {name: value.item() for name, value in losses.items()}
            updated = self.schedule.at(step - 1)._asdict()
            norms = {
                f"gradient_{name}": optimizer.norm
                for name, optimizer in self.optimizers.items()
                if updated[name]
            }
            rate = self.optimizers["generator"].learning_rate
            monitor.losses(step, values | norms | {"learning_rate": rate})
        if step % settings.validate_every == 0 or last:
            self.validate(monitor)
        if step % settings.save_every == 0:
            self.save()

    def validate(self, monitor: Monitor) -> None:
        """Score the averaged generator and, if it is the best so far, save it as `best/`."""
        self.scores, clips = self.validator.run(self.ema.model, self.features)
        monitor.validation(self.step, self.scores, clips, self.validator.mel)
        name = self.settings.best_metric
        sign = -1.0 if name == "pesq" else 1.0
        if name not in self.scores:
            raise ConfigError(f"trainer.best_metric={name}: no validation clip could be scored")
        if not self.best or sign * self.scores[name] < sign * self.best[name]:
            self.best = {**self.scores, "step": float(self.step)}
            self._save_model("best")

    def save(self) -> None:
        """Write the training state and the model directory `last/`."""
        state = {
            "step": self.step,
            "config": self.config,
            **collect_networks(self._modules(), self.optimizers),
            "best": self.best,
            "scores": self.scores,
        }
        self.states.save(state)
        self._save_model("last")
        self.saved = self.step

    def _modules(self) -> dict[str, nn.Module]:
        """Every module whose state is saved, by its key in a training state."""
        return {
            "generator": self.generator,
            "ema": self.ema.model,
            "discriminators": self.discriminators,
            "augmentation": self.augmentation,
            "objective": self.objective,
        }

    def _save_model(self, name: str) -> None:
        config = ModelConfig(
            name=self.system.name,
            mel=self.system.mel,
            generator=self.config["generator"],
            licences=dict(self.system.licences),
            training={"steps": self.step, "config": self.config},
            scores={"validation": self.scores},
        )
        save_model(self.output / name, self.ema.model, config)

    def resume(self) -> None:
        """Continue from the newest readable state; without one, start from `trainer.init_from`."""
        if not self.settings.resume:
            self.states.require_none()
        found = self.states.newest()
        if found is None:
            if self.settings.init_from is not None:
                initialize_from(
                    self.settings.init_from,
                    system=self.system,
                    ema=self.ema.model,
                    discriminators=self.discriminators,
                    optimizers=self.optimizers,
                )
            return
        path, state = found
        restore_networks(self._modules(), self.optimizers, state=state, path=path)
        self.step, self.best, self.scores = state["step"], state["best"], state["scores"]
        self.saved = self.step
        log.info("resumed from %s", path)
        log_changes(state["config"], self.config)
