"""The balance of a training: what each sub-discriminator does, and warnings where it tips over."""

import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vocoder.discriminators.output import DiscriminatorOutput, Discriminators
from vocoder.losses.objective import Objective

_WINDOW = 10  # reports that a warning is based on
_SPIKE = 5.0  # times the median of the window
_SURE = 0.99  # accuracy of discriminators that the generator no longer deceives
_RISE = 1.1  # of the adversarial loss from the first half of the window to the second
_GUESSING = 0.52  # accuracy of discriminators that tell nothing
_DOMINANT = 0.9  # share of one sub-discriminator in the discriminators' loss


@dataclass(frozen=True)
class BalanceReport:
    """What is reported at a step: losses and norms by name, and values of each sub-discriminator.

    `real` and `fake` are the shares of logits on the right side of the middle between the mean
    logits of real and fake: 0.5 is guessing. `shares` are those in the discriminators' loss.
    """

    losses: Mapping[str, float]
    real: Mapping[str, float] = field(default_factory=dict)
    fake: Mapping[str, float] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)


def warnings_for(reports: Sequence[BalanceReport]) -> dict[str, str]:
    """What is wrong at the last of several reports, each with the setting to change, by kind.

    The reports before it must fill a window of 10.
    """
    if len(reports) <= _WINDOW:
        return {}
    before, last = reports[-_WINDOW - 1 : -1], reports[-1]
    return {**_spikes(before, last), **_collapse(reports[-_WINDOW:]), **_dominance(before, last)}


def _spikes(before: Sequence[BalanceReport], last: BalanceReport) -> dict[str, str]:
    found = {}
    for name, value in last.losses.items():
        usual = [abs(each.losses[name]) for each in before if name in each.losses]
        median = statistics.median(usual) if len(usual) == len(before) else 0.0
        if median and abs(value) > _SPIKE * median:
            network = "discriminators" if name.endswith("discriminators") else "generator"
            found[f"spike of {name}"] = (
                f"{name} is {value:.4g}, {abs(value) / median:.0f} times its median of the last "
                f"{_WINDOW} reports; if that repeats, lower optim.{network}.optimizer.lr or set "
                f"optim.{network}.clip"
            )
    return found


def _collapse(window: Sequence[BalanceReport]) -> dict[str, str]:
    accuracies = [[*each.real.values(), *each.fake.values()] for each in window]
    if not all(accuracies):
        return {}
    losses = [each.losses.get("adversarial") for each in window]
    known = [loss for loss in losses if loss is not None]
    half = len(known) // 2
    rises = half and sum(known[-half:]) > _RISE * sum(known[:half]) > 0.0
    if min(map(min, accuracies)) > _SURE and rises:
        return {
            "sure discriminators": "all discriminators tell real from fake without error, and the "
            "generator's adversarial loss rises; lower optim.discriminators.optimizer.lr, or add "
            "augmentation=ada for a small corpus"
        }
    if max(statistics.mean(each) for each in accuracies) < _GUESSING:
        return {
            "guessing discriminators": "the discriminators no longer tell real from fake; lower "
            "optim.discriminators.optimizer.lr, set optim.discriminators.clip, and go on from an "
            "earlier state"
        }
    return {}


def _dominance(before: Sequence[BalanceReport], last: BalanceReport) -> dict[str, str]:
    found = {}
    for name, share in last.shares.items():
        always = min(each.shares.get(name, 0.0) for each in before)
        if len(last.shares) > 2 and min(share, always) > _DOMINANT:
            found[f"dominance of {name}"] = (
                f"{name} makes {100 * share:.0f} % of the discriminators' loss; drop it "
                f"(~discriminators.{name.split('.')[0]}) or choose another set by discriminators="
            )
    return found


class BalanceMonitor:
    """Measures the balance at the steps that are reported, and says when it tips over.

    A warning is not repeated within a window.
    """

    def __init__(self, objective: Objective, discriminators: Discriminators) -> None:
        self.objective, self.discriminators = objective, discriminators
        self.reports: deque[BalanceReport] = deque(maxlen=_WINDOW + 1)
        self.count, self.given = 0, dict[str, int]()
        self._outputs: dict[str, int] = {}
        for name, member in discriminators.items():
            member.register_forward_hook(partial(self._count_outputs, name))

    def _count_outputs(self, name: str, _: nn.Module, __: Any, outputs: Any) -> None:
        self._outputs[name] = len(outputs)

    def report(
        self, losses: Mapping[str, float], scores: Sequence[list[DiscriminatorOutput]]
    ) -> tuple[dict[str, float], list[str]]:
        """Values to log, by name, and warnings, from losses and norms and the last scores.

        `scores` are those for real and fake; none where the discriminators are not used.
        """
        values = self._of_discriminators(*scores) if scores else {}
        self.reports.append(
            BalanceReport(losses, *(values.get(kind, {}) for kind in ("real", "fake", "share")))
        )
        self.count += 1
        found = warnings_for(list(self.reports))
        new = {k: v for k, v in found.items() if self.count - self.given.get(k, -_WINDOW) > _WINDOW}
        self.given |= dict.fromkeys(new, self.count)
        flat = {f"{kind}/{n}": x for kind, each in values.items() for n, x in each.items()}
        return flat | self._of_balancer(), [*new.values()]

    @torch.no_grad()
    def _of_discriminators(
        self, real: list[DiscriminatorOutput], fake: list[DiscriminatorOutput]
    ) -> dict[str, dict[str, float]]:
        """Accuracies, shares of the loss and norms of the gradient, by kind and name."""
        assert self.objective.adversarial is not None
        rows, loss = [], self.objective.adversarial.discriminator
        for a, b in zip(real, fake, strict=True):
            middle = (a.logits.float().mean() + b.logits.float().mean()) / 2
            right = (a.logits > middle).float().mean(), (b.logits < middle).float().mean()
            rows.append(torch.stack([*right, loss([a], [b]).abs()]))
        modules = self._sub_discriminators()
        norms = torch.stack([_gradient_norm(module) for module in modules.values()])
        above, below, losses = torch.stack(rows).T.tolist()
        shares = [each / max(sum(losses), 1e-12) for each in losses]
        names = [f"{n}.{i}" for n, count in self._outputs.items() for i in range(count)]
        kinds = {"real": above, "fake": below, "share": shares}
        named = {kind: dict(zip(names, row, strict=True)) for kind, row in kinds.items()}
        return named | {"gradient": dict(zip(modules, norms.tolist(), strict=True))}

    def _sub_discriminators(self) -> dict[str, nn.Module]:
        """Modules by name: one for each output where a member has them in a list, else members."""
        found: dict[str, nn.Module] = {}
        for name, count in self._outputs.items():
            member = self.discriminators[name]
            parts = getattr(member, "discriminators", None)
            if isinstance(parts, nn.ModuleList) and len(parts) == count:
                found |= {f"{name}.{i}": part for i, part in enumerate(parts)}
            else:
                found[name] = member
        return found

    def _of_balancer(self) -> dict[str, float]:
        """Share of each balanced loss in the sum of the norms that its gradients had before."""
        balancer = self.objective.balancer
        if balancer is None:
            return {}
        norms = balancer.means / balancer.ages.clamp_min(1.0)
        shares = (norms / norms.sum().clamp_min(1e-12)).tolist()
        return {f"balancer/{name}": x for name, x in zip(balancer.terms, shares, strict=True)}


def _gradient_norm(module: nn.Module) -> Tensor:
    gradients = [each.grad for each in module.parameters() if each.grad is not None]
    return nn.utils.get_total_norm(gradients)
