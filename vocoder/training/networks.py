"""The networks of a training on their device, with what surrounds them."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from vocoder.augmentation.chain import Augmentations
from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.training.ema import averaged
from vocoder.training.model_optimizer import ModelOptimizer, without_updates
from vocoder.training.parallel.batch_norm import normalise_over_processes
from vocoder.training.step.checkpointing import checkpoint_activations
from vocoder.training.step.micro_batch import Generated, MicroBatch
from vocoder.training.step.precision import keep_islands, lower_precision
from vocoder.training.system import Features, System


class Networks:
    """Generator, its average, discriminators, and all else of a system that has a state.

    `modules` are those whose state is saved, by their key in a training state.
    """

    def __init__(self, system: System, device: torch.device) -> None:
        settings, optim, self.device = system.trainer, system.optim, device
        self.precision = settings.precision
        self.features = Features(system.features).to(device)
        self.objective = system.objective.to(device)
        self.generator = system.generator.to(device)
        self.discriminators = system.build_discriminators().to(device)
        normalise_over_processes(self.discriminators)
        self.augmentation = Augmentations(system.augmentation).to(device)
        sharded = settings.parallel == "fsdp"
        self.ema = averaged(self.generator, decay=optim.ema, sharded=sharded)
        if self.precision == "bf16":
            networks = self.generator, self.discriminators
            keep_islands(*networks, average=self.ema.model, device=device)
        if settings.checkpoint_activations:
            checkpoint_activations(self.generator)
        own = ModelOptimizer(self.generator, optim.generator, sharded=sharded)
        self.optimizers = {"generator": own}
        if system.discriminators:
            own = ModelOptimizer(self.discriminators, optim.discriminators)
            self.optimizers["discriminators"] = own
        self.modules: dict[str, nn.Module] = {
            "generator": self.generator,
            "ema": self.ema.model,
            "discriminators": self.discriminators,
            "augmentation": self.augmentation,
            "objective": self.objective,
        }

    def generate(self, part: MicroBatch, *, graph: bool) -> Generated:
        """Fake audio [B, C, T] of a part, and the losses that the generator computes itself.

        With `graph`, gradients can be taken, and buffers of the generator change.
        """
        if part.generated is not None:
            return part.generated
        part.random.restore()
        updates = nullcontext() if graph else without_updates(self.generator)
        with updates, lower_precision(self.precision, self.device):
            fake, auxiliary = self.generator.with_losses(part.audio, **part.features)
        generated = part.limit(fake.to(part.audio)), auxiliary
        if part.keep:
            part.generated = generated
        return generated

    def discriminate(
        self, signals: Sequence[Tensor], part: MicroBatch
    ) -> list[list[DiscriminatorOutput]]:
        """Outputs of all discriminators for each of several signals [B, C, T] of a part."""
        with lower_precision(self.precision, self.device):
            outputs: list[list[DiscriminatorOutput]] = self.discriminators(signals, part.features)
        return outputs
