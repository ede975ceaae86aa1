"""How a loaded model runs its generator."""

from typing import Protocol

from torch import Tensor

from vocoder.generators.base import Generator


class Network(Protocol):
    """A generator, run in one way or another: features in, audio out."""

    @property
    def path(self) -> str:
        """One line in words: how the generator runs."""
        ...

    def __call__(self, **features: Tensor) -> Tensor:
        """Generate audio. Shape: features as of the generator → [B, C, T]."""
        ...


class Eager:
    """A generator as PyTorch runs it, operation by operation: the reference of every other way."""

    path = "PyTorch, as written"

    def __init__(self, generator: Generator) -> None:
        self.generator = generator

    def __call__(self, **features: Tensor) -> Tensor:
        """Generate audio. Shape: features as of the generator → [B, C, T]."""
        audio: Tensor = self.generator(**features)
        return audio
