"""The step as public training code has it, in plain PyTorch: the reference of the benchmark.

The discriminators are updated from a pass over real and one over fake audio. Then both are scored
again, with full graphs, and feature matching goes back into both: through discriminators whose
weights get gradients that nobody uses. Weight norm is computed in every pass, activations and
convolutions are PyTorch's.
"""

import copy
from functools import partial

import torch
from torch import Tensor, nn

from vocoder.bench.train.clock import Clock
from vocoder.data.segments import Batch
from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.kernels.switch import reference_only
from vocoder.losses.feature_matching import FeatureMatching
from vocoder.losses.objective import Objective
from vocoder.training.networks import Networks
from vocoder.training.step.micro_batch import MicroBatch, micro_batches
from vocoder.training.system import NetworkOptim, System


class StraightforwardStep:
    """Copies of the networks of a training, and the straightforward step that updates them.

    `gradients` are those of the last step by network and weight, if they are `kept`.
    """

    def __init__(self, networks: Networks, system: System, clock: Clock) -> None:
        self.networks, self.clock = networks, clock
        self.sample_rate, self.seed = system.mel.sample_rate, system.seed
        self.objective: Objective = networks.objective
        self.models: dict[str, nn.Module] = {
            "generator": copy.deepcopy(networks.generator),
            "discriminators": copy.deepcopy(networks.discriminators),
        }
        self.settings: dict[str, NetworkOptim] = {
            name: getattr(system.optim, name) for name in networks.optimizers
        }
        self.optimizers = {
            name: settings.optimizer(self.models[name].named_parameters())
            for name, settings in self.settings.items()
        }
        self.rates = {name: each.defaults["lr"] for name, each in self.optimizers.items()}
        self.kept = False
        self.gradients: dict[str, dict[str, Tensor]] = {}

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Update the networks; returns the unweighted losses by name."""
        self.clock.start()
        for name, settings in self.settings.items():
            for group in self.optimizers[name].param_groups:
                group["lr"] = self.rates[name] * settings.schedule.factor(step)
        with reference_only():
            part = self._part(batch)
            self.clock.lap("features")
            fake, auxiliary = self.models["generator"].with_losses(part.audio, **part.features)  # type: ignore[operator]
            fake = part.limit(fake)
            self.clock.lap("generator forward")
            losses: dict[str, Tensor] = {}
            if "discriminators" in self.optimizers:
                losses |= self._discriminators(fake.detach(), part, step)
            losses |= self._generator(fake, part, auxiliary)
        self.clock.lap("other")
        return losses

    def _discriminators(self, fake: Tensor, part: MicroBatch, step: int) -> dict[str, Tensor]:
        score = partial(self.models["discriminators"], features=part.features)
        fake, real = self.networks.augmentation([fake, part.real], part.features)
        losses = {"discriminators": self.objective.discriminator(score(real), score(fake))}
        losses |= self.objective.regularise(score, real, fake, step=step)
        self.clock.lap("discriminators forward")
        self._update("discriminators", torch.stack([*losses.values()]).sum())
        return losses

    def _generator(
        self, fake: Tensor, part: MicroBatch, auxiliary: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        terms = self.objective.reconstruct(fake, part.real) | auxiliary
        terms |= self.objective.penalise(self.models["generator"])
        if "discriminators" in self.optimizers:
            augmented = self.networks.augmentation([fake, part.real], part.features)
            scores = [self.models["discriminators"](audio, part.features) for audio in augmented]
            terms |= self.objective.adversarial_terms(*scores)
            if type(self.objective.feature_matching) is FeatureMatching:
                terms["feature_matching"] = _matching(self.objective.feature_matching, *scores)
        total = self.objective.total(terms, fake=fake)
        self.clock.lap("generator's losses")
        self._update("generator", total)
        return terms

    def _update(self, name: str, loss: Tensor) -> None:
        optimizer = self.optimizers[name]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        clip = self.settings[name].clip
        if clip is not None:
            nn.utils.clip_grad_norm_(self.models[name].parameters(), clip)
        if self.kept:
            named = self.models[name].named_parameters()
            self.gradients[name] = {n: p.grad.clone() for n, p in named if p.grad is not None}
        self.clock.lap(f"{name} backward")
        optimizer.step()
        self.clock.lap("optimizers")

    def _part(self, batch: Batch) -> MicroBatch:
        return micro_batches(
            batch,
            1,
            features=self.networks.features,
            sample_rate=self.sample_rate,
            device=self.networks.device,
            seed=self.seed,
            keep=False,
        )[0]


def _matching(
    loss: FeatureMatching, fake: list[DiscriminatorOutput], real: list[DiscriminatorOutput]
) -> Tensor:
    """Feature matching that goes back into the maps of both signals."""
    pairs = [(a, b) for a, b in zip(fake, real, strict=True) if b.feature_maps]
    distances = [
        torch.stack(
            [(x - y).abs().mean() for x, y in zip(a.feature_maps, b.feature_maps, strict=True)]
        ).sum()
        for a, b in pairs
    ]
    return loss.reduce(distances, [a for a, _ in pairs])
