"""How the network of an extender processes a signal that arrives in pieces."""

import logging
import math
from collections.abc import Callable

from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.inference.model import InferenceModel
from vocoder.inference.network import Eager
from vocoder.inference.precision.network import LowPrecision
from vocoder.inference.runtimes.files import OnnxExtender
from vocoder.inference.runtimes.network import RuntimeNetwork
from vocoder.inference.streams.extension import Planned, Stage
from vocoder.inference.streams.windows import Windows
from vocoder.streaming.chunks import Chunk, join
from vocoder.streaming.plan import Plan

_log = logging.getLogger(__name__)
_SECONDS, _OVERLAP_SECONDS = 4.0, 1.0  # of blocks and windows
_LONG = 60.0  # seconds of audio whose computation at once is worth a line in the log


def new_stage(model: InferenceModel, plan: Callable[[], Plan], *, live: bool) -> Stage:
    """The network of an extender at the beginning of a signal.

    Where it can, it streams exactly: sample by sample if `live`, otherwise in blocks by the runtime
    of the model. A network that cannot runs on overlapping windows. `plan` makes its plan, or
    raises ConfigError.
    """
    hop, rate = model.generator.hop_length, model.sample_rate
    size, overlap = (math.ceil(s * rate / hop) * hop for s in (_SECONDS, _OVERLAP_SECONDS))

    def run(audio: Tensor) -> Tensor:
        return model.network(narrowband=audio)

    if isinstance(model.generator, OnnxExtender):
        facts = model.generator.facts
        if not facts.streams:
            return Windows(run, size=size, overlap=overlap)
        bounds = facts.reach and (hop * facts.reach[0], hop * facts.reach[1])
        return Blocks(run, reach=bounds or None, size=size, most=round(_LONG * rate))
    try:
        reach = plan().reach
    except ConfigError:
        return Windows(run, size=size, overlap=overlap)
    # What the network of a runtime, or one in lower precision, cannot compute in blocks it computes
    # at once, as was asked for.
    at_once = reach is None and isinstance(model.network, RuntimeNetwork | LowPrecision)
    if live or isinstance(model.network, Eager) or (reach is None and not at_once):
        return Planned(plan())
    bounds = None
    if reach is not None:
        bounds = (-(-reach[0] // hop) * hop, -(-reach[1] // hop) * hop)
    return Blocks(run, reach=bounds, size=size, most=round(_LONG * rate))


class Blocks:
    """Runs `network` on blocks of `size` samples, or on all at once; both equal one call.

    Each block is computed with the samples before and after it on which it depends (`reach`). If
    these are unbounded (None), the network gets the whole signal when it ends, of which there is a
    warning from `most` samples on. The network maps audio [B, 1, T] to the same shape, T a multiple
    of its hop length; so are `size` and `reach`.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        *,
        reach: tuple[int, int] | None,
        size: int,
        most: int,
    ) -> None:
        self.network, self.reach, self.size, self.most = network, reach, size, most
        self._held: Chunk = None  # input that has arrived and is still needed
        self._done = 0  # samples of it whose output has been returned

    def step(self, chunk: Chunk, *, last: bool = False) -> Chunk:
        """Output that is final with the next samples; `last` ends the signal.

        Shape: [B, 1, t] → [B, 1, t'].
        """
        self._held = join(self._held, chunk, -1)
        if self._held is None:
            return None
        if last:
            if self.reach is None and self._held.shape[-1] > self.most:
                _log.warning("%d samples are computed at once, in memory", self._held.shape[-1])
            made: Chunk = self.network(self._held)[..., self._done :]
            self._held, self._done = None, 0
            return made
        made = None
        while self.reach and self._held.shape[-1] >= self._done + self.size + self.reach[1]:
            end = self._done + self.size
            audio = self.network(self._held[..., : end + self.reach[1]])
            made = join(made, audio[..., self._done : end], -1)
            skipped = max(end - self.reach[0], 0)
            self._held, self._done = self._held[..., skipped:], end - skipped
        return made
