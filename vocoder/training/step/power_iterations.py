"""Spectral norm that is the same in all micro-batches of an update."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


class PowerIterations:
    """The power iterations of a network's spectral norm, made once for all parts of a batch.

    Every pass through the network makes one iteration, by which its weights change. So that a
    batch in several parts meets the weights that it would meet in one, the passes of the first part
    are recorded, and those of the other parts use the recorded vectors.
    """

    def __init__(self, network: nn.Module) -> None:
        modules = network.modules()
        self.norms = [each for each in modules if {"_u", "_v"} <= each._buffers.keys()]
        self.recorded: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}

    @contextmanager
    def of_part(self, part: int, count: int) -> Iterator[None]:
        """Within the block: passes of part 0 of `count` are recorded, those of others replay."""
        handles: list[RemovableHandle] = []
        if count == 1 or not self.norms:
            pass
        elif part == 0:
            self.recorded = {norm: [] for norm in self.norms}
            handles = [norm.register_forward_hook(self._record) for norm in self.norms]
        else:
            passes = {norm: iter(vectors) for norm, vectors in self.recorded.items()}

            def replay(norm: nn.Module, _: Any) -> None:
                for buffer, vector in zip(_vectors(norm), next(passes[norm]), strict=True):
                    buffer.copy_(vector)
                norm.eval()

            handles = [norm.register_forward_pre_hook(replay) for norm in self.norms]
            handles += [norm.register_forward_hook(_iterate_again) for norm in self.norms]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _record(self, norm: nn.Module, *_: Any) -> None:
        first, second = _vectors(norm)
        self.recorded[norm].append((first.clone(), second.clone()))


def _vectors(norm: nn.Module) -> tuple[Tensor, Tensor]:
    return norm.get_buffer("_u"), norm.get_buffer("_v")


def _iterate_again(norm: nn.Module, *_: Any) -> None:
    norm.train()
