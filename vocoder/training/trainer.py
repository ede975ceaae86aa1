"""The training loop for any generator with any discriminators, on any task."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from vocoder.data.loader import loader
from vocoder.data.segments import Batch
from vocoder.data.unreadable import SkippedClips
from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.errors import ConfigError
from vocoder.nn.weight_norm import weights_computed_once
from vocoder.training.guards.dry_run import dry_run
from vocoder.training.guards.lock import locked, require_folder, tidy
from vocoder.training.guards.non_finite import NonFiniteGuard, spread
from vocoder.training.guards.undo import Undo
from vocoder.training.model_optimizer import frozen
from vocoder.training.networks import Networks
from vocoder.training.parallel.ranks import Ranks, batch_in_words
from vocoder.training.reporting.balance import BalanceMonitor
from vocoder.training.reporting.loggers.base import open_loggers
from vocoder.training.reporting.monitor import Monitor
from vocoder.training.reporting.samples import Samples
from vocoder.training.reporting.validation import build_validator
from vocoder.training.runs.record import record_session
from vocoder.training.saving import Progress, RunFiles
from vocoder.training.schedule import Phase
from vocoder.training.signals import signals_passed_to
from vocoder.training.step.micro_batch import MicroBatch, micro_batches, scores_of, without_graph
from vocoder.training.step.power_iterations import PowerIterations
from vocoder.training.system import System

log = logging.getLogger(__name__)


class Trainer(Networks):
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
        self.output = Path(settings.output)
        log.info("training on %s", self.ranks.device)
        super().__init__(system, self.ranks.device)
        self.schedule = system.adversarial_schedule()
        self.segments = system.segments(rank=self.ranks.rank, processes=self.ranks.size)
        batch, size, parts = self.segments.batch_size, self.ranks.size, settings.accumulate
        division = batch_in_words(batch, processes=size, parts=parts)
        log.info(division)
        self.skipped = SkippedClips(
            len(self.segments.clips),
            share=self.segments.unreadable_share,
            logs=self.ranks.first,
        )
        self.validator = build_validator(system, self.segments)
        modules, optimizers, ranks = self.modules, self.optimizers, self.ranks
        self.files = RunFiles(system, config, modules=modules, optimizers=optimizers, ranks=ranks)
        self.power_iterations = PowerIterations(self.discriminators)
        self.guard = NonFiniteGuard(settings.guard)
        self.balance = BalanceMonitor(self.objective, self.discriminators)
        self.last_scores: list[list[DiscriminatorOutput]] = []
        self.undo = Undo(module for name, module in self.modules.items() if name != "ema")
        self.step, self.stop_signal = 0, 0
        self.best: dict[str, float] = {}
        self.scores: dict[str, float] = {}

    # ------------------------------------------------------------------------------ one step

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """Update the networks that learn at this step; returns the unweighted losses by name.

        If a loss or gradient is not finite, nothing changes.
        """
        phase = self.schedule.at(self.step)
        parts = self._parts(batch, keep=phase.generator)
        learning = [self.optimizers[name] for name in phase.networks]
        losses: dict[str, Tensor] = {}
        self.undo.keep(learning[:-1])
        if phase.discriminators:
            losses |= self.accumulate("discriminators", parts, self.discriminator_losses)
            self.last_scores = scores_of(parts)
            self.augmentation.adapt(self.last_scores[0])
            if phase.generator:  # it learns from updated discriminators
                learning[0].step(self.step)
        if phase.generator:
            losses |= self.accumulate("generator", parts, partial(self.generator_losses, phase))
        if not self.guard.accepts(self.step, self._norms(phase), losses, batch.names):
            self.undo.restore()
            return losses
        learning[-1].step(self.step)
        if phase.generator:
            self.ema.follow(self.generator, self.step)
        return losses

    def discriminator_losses(self, part: MicroBatch) -> tuple[dict[str, Tensor], Tensor]:
        """The losses of the discriminators, and their sum."""
        fake, _ = self.generate(part, graph=part.keep)
        fake, real = self.augmentation([fake.detach(), part.real], part.features)
        outputs = self.discriminate([real, fake], part)
        part.scores = [without_graph(each) for each in outputs]
        losses = {"discriminators": self.objective.discriminator(*outputs)}
        full = partial(self.discriminators, features=part.features)  # precision, for second order
        losses |= self.objective.regularise(full, real, fake, step=self.step)
        return losses, torch.stack([*losses.values()]).sum()

    def generator_losses(self, phase: Phase, part: MicroBatch) -> tuple[dict[str, Tensor], Tensor]:
        """The losses of the generator without weights, and their weighted sum."""
        fake, auxiliary = self.generate(part, graph=True)
        terms = self.objective.reconstruct(fake, part.real) | auxiliary
        terms |= self.objective.penalise(self.generator)
        if phase.discriminators:
            with frozen(self.discriminators):  # so the real outputs have no graph
                augmented = self.augmentation([fake, part.real], part.features)
                outputs = [self.discriminate([audio], part)[0] for audio in augmented]
                terms |= self.objective.adversarial_terms(*outputs)
        weight = phase.adversarial_weight
        return terms, self.objective.total(terms, adversarial_weight=weight, fake=fake)

    def accumulate(
        self,
        name: str,
        parts: Sequence[MicroBatch],
        losses_of: Callable[[MicroBatch], tuple[dict[str, Tensor], Tensor]],
    ) -> dict[str, Tensor]:
        """Compute the gradient of a network over all parts; returns the mean losses by name."""
        optimizer = self.optimizers[name]
        optimizer.zero_grad()
        means: dict[str, Tensor] = {}
        for index, part in enumerate(parts):
            once = weights_computed_once(self.discriminators)
            with once, self.power_iterations.of_part(index, len(parts)):
                losses, total = losses_of(part)
            loss = self.segments.weight * part.weight * spread(total, losses)
            optimizer.add_gradient(loss, last=part is parts[-1])
            for key, value in losses.items():
                means[key] = means.get(key, 0.0) + part.weight * value.detach()
        optimizer.clip_gradient()
        return means

    def _norms(self, phase: Phase) -> dict[str, Tensor]:
        return {name: self.optimizers[name].norm for name in phase.networks}

    def _parts(self, batch: Batch, *, keep: bool) -> list[MicroBatch]:
        """The batch in `trainer.accumulate` parts, with the randomness of this step and rank."""
        return micro_batches(
            batch,
            self.settings.accumulate,
            features=self.features,
            sample_rate=self.segments.sample_rate,
            device=self.device,
            seed=self._step_seed(),
            keep=keep,
        )

    def _step_seed(self) -> int:
        """Seed of the randomness inside networks, which depends on (seed, step, rank) alone."""
        return (self.system.seed * 1_000_003 + self.step) * 4099 + self.ranks.rank

    # ------------------------------------------------------------------------------ the run

    def run(self, received: Sequence[int] = ()) -> int:
        """Train to `max_steps`; returns the exit code (128 + signal when one ended the run).

        `received` are signals that arrived before, and end the run at once.
        """
        with signals_passed_to(self._stop_after_step), ExitStack() as stack:
            self.stop_signal = max(received, default=self.stop_signal)
            if self.ranks.first:
                stack.enter_context(locked(self.output))
                tidy(self.output)
            self.resume()
            if self.ranks.first:
                record_session(
                    self.output,
                    self.config,
                    step=self.step,
                    device=self.device,
                    processes=self.ranks.size,
                )
            stop = self._train()
            if self.files.saved != self.step:
                self.save()
        if stop and self.ranks.first:
            log.warning("stopped by signal %d at step %d, saved", stop, self.step)
        return 128 + stop if stop else 0

    def _train(self) -> int:
        """Train the remaining steps; returns the signal that ended them, or 0."""
        first, last = self.step, self.settings.max_steps
        stop = self.ranks.exchange_maximum(lambda: self.stop_signal)()
        if first >= last or stop:
            return stop
        networks = self.ema.model, self.discriminators
        dry_run(self.segments[first], *networks, features=self.features, objective=self.objective)
        with ExitStack() as stack:
            monitor, workers = None, self.settings.workers
            if self.ranks.first:
                monitor = stack.enter_context(self._monitor(first, last))
            if first == 0 and self.settings.init_from is not None:
                self.validate(monitor)
            batches = loader(self.segments, start=first, steps=last - first, workers=workers)
            stack.enter_context(closing(batches))
            for batch in monitor.timed(batches) if monitor else batches:
                # A signal reaches ranks at different moments; they must end at the same step.
                agreed = self.ranks.exchange_maximum(lambda: self.stop_signal)
                losses = self.train_step(batch)
                self.step += 1
                self.skipped.note(batch.skipped)
                if self.ranks.size == 1 or self._due(self.settings.log_every):
                    self.skipped.count(self.ranks.gather)
                if self.guard.wants_rollback:
                    self.files.roll_back(self.step - self.guard.skipped)
                self._report(monitor, losses)
                stop = agreed()
                if stop:
                    return stop
        return 0

    def _monitor(self, first: int, last: int) -> Monitor:
        """Reports of the steps from `first` on."""
        output, settings = self.output, self.settings
        loggers = open_loggers(settings.loggers, output, first=first, config=self.config)
        clips, every = settings.sample_clips, settings.validate_every
        samples = Samples(output, clips=clips, every=every, first=first)
        return Monitor(output, loggers, samples, first=first, last=last, console=self.console)

    def _stop_after_step(self, signal: int) -> None:
        self.stop_signal = signal

    def _due(self, every: int) -> bool:
        """Whether what happens every so many steps, and after the last one, is due."""
        return self.step % every == 0 or self.step == self.settings.max_steps

    def _report(self, monitor: Monitor | None, losses: Mapping[str, Tensor]) -> None:
        """Log, validate and save as the settings require after this step; rank 0 writes."""
        settings, step = self.settings, self.step
        if monitor:
            require_folder(self.output)
            monitor.advance(step)
        if self._due(settings.log_every):
            values = self.ranks.mean(losses, weight=self.segments.weight)
            norms = {f"gradient_{name}": norm for name, norm in self.guard.norms.items()}
            rate = self.optimizers["generator"].learning_rate
            more = norms | self.skipped.as_values() | {"learning_rate": rate}
            if monitor:
                details = self.balance.report(values | norms, self.last_scores)
                monitor.losses(step, values | more, *details)
        if self._due(settings.validate_every):
            self.validate(monitor)
        # A state within a row of skipped steps would only be in the way of those before it.
        if step % settings.save_every == 0 and not self.guard.skipped:
            self.save()

    def validate(self, monitor: Monitor | None) -> None:
        """Score the averaged generator and, if it is the best so far, save it as `best/`."""
        self.ema.gather()
        self.scores, clips = self.validator.run(self.ema.model, self.features, self.ranks)
        if monitor:
            monitor.validation(self.step, self.scores, clips, self.validator.mel)
        name = self.settings.best_metric
        sign = -1.0 if name == "pesq" else 1.0
        if name not in self.scores:
            raise ConfigError(f"trainer.best_metric={name}: no validation clip could be scored")
        if not self.best or sign * self.scores[name] < sign * self.best[name]:
            self.best = {**self.scores, "step": float(self.step)}
            if monitor:
                self.files.save_model("best", self._progress())

    def save(self) -> None:
        """Write the training state and the model directory `last/`."""
        self.ema.gather()
        self.files.save(self._progress())

    def resume(self) -> None:
        """Continue from the newest readable state; without one, start from `trainer.init_from`."""
        self.step, self.best, self.scores = self.files.resume()

    def _progress(self) -> Progress:
        return Progress(self.step, self.best, self.scores)
