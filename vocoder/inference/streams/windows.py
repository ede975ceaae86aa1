"""Overlapping windows of a long signal, for networks that cannot stream exactly."""

from collections.abc import Callable

import torch
from torch import Tensor

from vocoder.streaming.chunks import Chunk, join


class Windows:
    """Runs `network` on windows of `size` samples, with linear cross-fades of `overlap` samples.

    Each window begins `overlap` samples before the end of the one before. So memory does not grow
    with the signal, and no output depends on more than its windows. The network maps audio
    [B, 1, T] to the same shape, T a multiple of its hop length; so are `size` and `overlap`.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], *, size: int, overlap: int) -> None:
        self.network, self.size, self.overlap = network, size, overlap
        self._waiting: Chunk = None  # input of the next window that has arrived
        self._fading: Chunk = None  # output of the window before for its last `overlap` samples

    def step(self, chunk: Chunk, *, last: bool = False) -> Chunk:
        """Output that is final with the next samples; `last` ends the signal.

        Shape: [B, 1, t] → [B, 1, t'].
        """
        self._waiting = join(self._waiting, chunk, -1)
        made: Chunk = None
        while self._waiting is not None and self._waiting.shape[-1] >= self.size + self.overlap:
            step = self.size - self.overlap
            window = self._faded(self.network(self._waiting[..., : self.size]))
            self._waiting, self._fading = self._waiting[..., step:], window[..., step:]
            made = join(made, window[..., :step], -1)
        if last and self._waiting is not None:
            made = join(made, self._faded(self.network(self._waiting)), -1)
            self._waiting = self._fading = None
        return made

    def _faded(self, window: Tensor) -> Tensor:
        """Output of a window, faded in over that of the window before."""
        if self._fading is None:
            return window
        rising = torch.linspace(0.0, 1.0, self.overlap, device=window.device, dtype=window.dtype)
        mixed = torch.lerp(self._fading, window[..., : self.overlap], rising)
        return torch.cat([mixed, window[..., self.overlap :]], dim=-1)
