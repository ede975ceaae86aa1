"""When a generator is compiled: once that saves more time than it takes."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.inference.network import Eager
from vocoder.kernels.jit.compiler import is_available
from vocoder.kernels.switch import kernels_allowed

if TYPE_CHECKING:
    from vocoder.inference.compiled.network import Compiled

_log = logging.getLogger(__name__)
Examples = tuple[Mapping[str, Tensor], Mapping[str, Tensor]]
_SECONDS, _SECONDS_PER_WEIGHT = 0.6, 2e-8  # that compiling takes
_PROBE_FRAMES = 16  # of the first call, timed alone if it is much longer
_TOLERANCE = 1e-4  # of the peak
_CLEARLY_SLOWER = 1.25
_TRIALS = 2  # calls of the compiled generator: the first one also prepares its memory


class JustInTime:
    """A generator on a CPU: as PyTorch runs it, and compiled once that saves time.

    It is compiled when its calls, together with the present one, have taken twice the time that
    compiling takes, or will. `path` says how it runs; `compile` compiles it at once. A compiled
    generator that differs, or that turns out to be slower, is not used, of which the log has a
    line. `examples` makes two examples of its inputs, as of `Compiled`.
    """

    def __init__(self, generator: Generator, examples: Callable[[], Examples]) -> None:
        self._eager, self._examples = Eager(generator), examples
        self._compiled: Compiled | None = None
        self._reason = "" if is_available() else "llvmlite is missing: pip install 'vocoder[fast]'"
        self._lock = threading.Lock()
        self._spent, self._rate = 0.0, 0.0  # seconds, in all and for a frame
        self._trials = _TRIALS
        weights = sum(parameter.numel() for parameter in generator.parameters())
        self._cost = _SECONDS + _SECONDS_PER_WEIGHT * weights
        self._hop = 1 if "mel" in generator.features else generator.hop_length

    @property
    def path(self) -> str:
        """How the generator runs."""
        if self._compiled is not None:
            return self._compiled.path
        why = self._reason or "compiled for this CPU in longer use"
        return f"{self._eager.path} ({why})"

    def compile(self) -> None:
        """Compile the generator now, unless that was tried before."""
        with self._lock:
            if self._compiled is None and not self._reason:
                self._try()

    def __call__(self, **features: Tensor) -> Tensor:
        """Generate audio. Shape: features as of the generator → [B, C, T]."""
        if self._reason or not kernels_allowed() or torch.is_grad_enabled():
            return self._eager(**features)
        if self._compiled is None:
            self._count(features)
            if self._spent > 2.0 * self._cost:
                self.compile()
        network, trial = self._compiled or self._eager, self._trials
        if network is self._eager or not trial:
            return network(**features)
        begin = time.perf_counter()
        audio = network(**features)
        self._judge((time.perf_counter() - begin) / self._frames(features))
        return audio

    def _frames(self, features: Mapping[str, Tensor]) -> float:
        first = next(iter(features.values()))
        return len(first) * first.shape[-1] / self._hop

    def _count(self, features: Mapping[str, Tensor]) -> None:
        """Add the time that a call takes as PyTorch runs it."""
        if not self._rate:
            size = _PROBE_FRAMES * self._hop
            part = {name: value[:1, ..., :size] for name, value in features.items()}
            begin = time.perf_counter()
            self._eager(**part)
            self._rate = (time.perf_counter() - begin) / self._frames(part)
        self._spent += self._rate * self._frames(features)

    def _judge(self, rate: float) -> None:
        """Stop using a compiled generator that is slower than the one it replaces, if timed."""
        self._trials -= 1
        if not self._trials and rate > _CLEARLY_SLOWER * self._rate > 0.0:
            self._refuse(f"it is {rate / self._rate:.1f} times as slow compiled")

    @torch.inference_mode()
    def _try(self) -> None:
        from vocoder.inference.compiled.network import Compiled  # it needs llvmlite

        short, long = self._examples()
        try:
            compiled = Compiled(self._eager.generator, short, long)
        except ConfigError as error:
            return self._refuse(str(error))
        except Exception as error:  # a class of the user's may not be traceable: it still runs
            _log.warning("the generator cannot be compiled: %s", error)
            return self._refuse(str(error).split("\n", 1)[0])
        reference = self._eager(**long)
        difference, peak = (compiled(**long) - reference).abs().max(), reference.abs().max()
        if not bool(difference <= _TOLERANCE * peak):
            return self._refuse(f"compiled, it differs by {difference / peak:.1e} of the peak")
        self._compiled = compiled
        return None

    def _refuse(self, reason: str) -> None:
        self._compiled, self._reason = None, reason
        _log.info("the generator runs as PyTorch runs it: %s", reason)
