"""Taking back what a step has changed, if a later part of it fails."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from vocoder.training.model_optimizer import ModelOptimizer


class Undo:
    """Copies of what a training step changes before it is known whether the step succeeds.

    Those are the saved buffers of `modules` (vectors of spectral norm, running means, the strength
    of augmentations), and weights and moments of networks that are updated before the end.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.buffers = [buffer for module in modules for buffer in _saved_buffers(module)]
        self.copies: dict[Tensor, Tensor] = {}
        self.optimizers: list[tuple[torch.optim.Optimizer, bool, list[float]]] = []

    def keep(self, optimizers: Sequence[ModelOptimizer]) -> None:
        """Copy the buffers, and weights and moments of these networks."""
        kinds = [each.optimizer for each in optimizers]
        rates = [[group["lr"] for group in each.param_groups] for each in kinds]
        self.optimizers = [(a, not a.state, b) for a, b in zip(kinds, rates, strict=True)]
        kept = [*self.buffers, *(tensor for each in optimizers for tensor in each.tensors())]
        old = self.copies  # memory that is used again
        self.copies = {each: old[each] if each in old else torch.empty_like(each) for each in kept}
        _copy([*self.copies.values()], [*self.copies])

    def restore(self) -> None:
        """Put everything back as it was when it was copied last."""
        _copy([*self.copies], [*self.copies.values()])
        for optimizer, was_new, rates in self.optimizers:
            if was_new:
                optimizer.state.clear()
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate


def _saved_buffers(module: nn.Module) -> list[Tensor]:
    """The buffers of the state dict; no step changes the others."""
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    return [value for name, value in module.state_dict().items() if name not in parameters]


@torch.no_grad()
def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    if targets:
        torch._foreach_copy_(targets, sources)
