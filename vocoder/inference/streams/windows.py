"""Long signals through networks that look at all they are given: in windows that overlap."""

from collections.abc import Callable

import torch
from torch import Tensor

from vocoder.streaming.chunks import Chunk, join


class Windows:
    """Runs `network` on windows of `size` samples, each beginning where `overlap` are left.

    From one window to the next the result fades over linearly. So memory does not grow with the
    signal, and the network sees no further than a window. It maps audio [B, 1, T] to the same
    shape, T a multiple of what it asks for; `size` and `overlap` are such multiples.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], *, size: int, overlap: int) -> None:
        self.network, self.size, self.overlap = network, size, overlap
        self._waiting: Chunk = None  # not yet, or not for the last time, in a window
        self._fading: Chunk = None  # what the window before made of its last `overlap` samples

    def step(self, chunk: Chunk, *, last: bool = False) -> Chunk:
        """The audio that is final with these samples; `last` ends the signal.

        Shape: [B, 1, t] → [B, 1, t'].
        """
        self._waiting = join(self._waiting, chunk, -1)
        made: Chunk = None
        while self._waiting is not None and self._waiting.shape[-1] >= self.size + self.overlap:
            kept = self.size - self.overlap
            wide = self._faded(self.network(self._waiting[..., : self.size]))
            self._waiting, self._fading = self._waiting[..., kept:], wide[..., kept:]
            made = join(made, wide[..., :kept], -1)
        if last and self._waiting is not None:
            made = join(made, self._faded(self.network(self._waiting)), -1)
            self._waiting = self._fading = None
        return made

    def _faded(self, wide: Tensor) -> Tensor:
        """`wide` with its beginning mixed into what the window before made of it."""
        if self._fading is None:
            return wide
        rising = torch.linspace(0.0, 1.0, self.overlap, device=wide.device)
        mixed = torch.lerp(self._fading, wide[..., : self.overlap], rising)
        return torch.cat([mixed, wide[..., self.overlap :]], dim=-1)
