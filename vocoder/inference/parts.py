"""A source-filter vocoder on several cores: parts of the time axis in threads of their own.

Its operations are many and small: threads that share each of them wait for one another most of the
time. Here each thread computes a part of the frames, with those around it on which the part
depends, so that the result is that of one call.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, TypeGuard

import torch
from torch import Tensor

from vocoder.generators.base import Generator
from vocoder.generators.pitched.fused import fused_consistency
from vocoder.generators.pitched.source_filter import SourceFilter
from vocoder.kernels import spectrogram as kernels
from vocoder.kernels.jit.compiler import cpu
from vocoder.kernels.switch import kernels_allowed

_FEWEST = 64  # frames of a part: below, those around it are most of the work
_busy = threading.Lock()  # the number of threads of an operation is one for the whole process
_Span = tuple[int, int]


class SourceFilterInParts:
    """A source-filter generator on a CPU with compiled kernels, its frames divided among threads.

    Torch's number of threads is the number of parts; while it runs, operations have one thread
    each. A second call at the same time is not divided. The result is that of `Eager`.
    """

    def __init__(self, generator: SourceFilter) -> None:
        self.generator = generator

    @staticmethod
    def fits(generator: Generator) -> TypeGuard[SourceFilter]:
        """Whether it is a source-filter generator, and there are kernels for it here."""
        return isinstance(generator, SourceFilter) and kernels.fits(
            generator.mel.n_fft, generator.hop_length
        )

    @property
    def path(self) -> str:
        """How the generator runs."""
        count = torch.get_num_threads()
        threads = "1 thread" if count == 1 else f"parts of the frames in {count} threads"
        return f"PyTorch with kernels for this CPU ({cpu().name}), {threads}"

    def __call__(self, **features: Tensor | None) -> Tensor:
        """Generate audio. Shape: mel [B, M, F], f0 [B, F] → [B, 1, F * hop_length]."""
        mel, f0 = features["mel"], features.get("f0")
        assert mel is not None
        threads, frames = torch.get_num_threads(), mel.shape[-1]
        if frames < _FEWEST or torch.is_grad_enabled() or not kernels_allowed():
            audio: Tensor = self.generator(**features)
            return audio
        if not _busy.acquire(blocking=False):  # another call has the cores
            return self._joined(mel, f0, [(0, frames)])
        try:
            parts = max(min(threads, frames // _FEWEST), 1)
            cuts = [round(frames * part / parts) for part in range(parts + 1)]
            torch.set_num_threads(1)
            return self._joined(mel, f0, list(pairwise(cuts)))
        finally:
            torch.set_num_threads(threads)
            _busy.release()

    def _joined(self, mel: Tensor, f0: Tensor | None, spans: Sequence[_Span]) -> Tensor:
        network, hop, frames = self.generator, self.generator.hop_length, mel.shape[-1]
        target = network.mel.expand(mel)

        def voice(span: _Span) -> tuple[Tensor, Tensor]:
            wide, own = _around(span, frames, network.pitch.reach)
            pitch, voiced = network.voice(mel[..., wide], None if f0 is None else f0[:, wide])
            return pitch[:, own], voiced[:, own]

        pitch, voiced = (torch.cat(x, 1) for x in zip(*_each(voice, spans), strict=True))
        excitation = network.excitation(pitch)

        def spectrum(span: _Span) -> Tensor:
            wide, own = _around(span, frames, network.reach)
            signals = (x[:, wide.start * hop : wide.stop * hop] for x in excitation)
            made = network.spectrum(mel[..., wide], pitch[:, wide], voiced[:, wide], *signals)
            return made[..., own].mT

        spectra = torch.cat(_each(spectrum, spans), 1).mT  # [B, K, F]

        def audio(span: _Span) -> Tensor:
            wide, own = _around(span, frames, network.consistency.reach)
            cut = {"before": own.start, "after": wide.stop - wide.start - own.stop}
            parts = (spectra[..., wide], target[..., wide])
            return fused_consistency(network.consistency, *parts, **cut)

        return torch.cat(_each(audio, spans), 1)[:, None]


def _around(span: _Span, frames: int, reach: int) -> tuple[slice, slice]:
    """The frames of a span with `reach` more on either side, and the span among them."""
    wide = slice(max(span[0] - reach, 0), min(span[1] + reach, frames))
    return wide, slice(span[0] - wide.start, span[1] - wide.start)


def _each(compute: Callable[[_Span], Any], spans: Sequence[_Span]) -> list[Any]:
    """Results for all spans, each in a thread; the first in this one."""
    in_inference = torch.is_inference_mode_enabled()

    def run(span: _Span) -> Any:
        with torch.inference_mode(in_inference), torch.no_grad():
            return compute(span)

    rest = [_pool().submit(run, span) for span in spans[1:]]
    return [run(spans[0]), *(future.result() for future in rest)]


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads whose operations have one thread each."""
    return ThreadPoolExecutor(
        thread_name_prefix="vocoder-part", initializer=torch.set_num_threads, initargs=(1,)
    )


if hasattr(os, "register_at_fork"):  # threads do not survive it
    os.register_at_fork(after_in_child=_pool.cache_clear)
