"""How many threads the operations of a model should have."""

import math

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vocoder.features.mel import MelSpec
from vocoder.generators.base import BandwidthExtender, Generator
from vocoder.inference.compiled.just_in_time import JustInTime
from vocoder.inference.model import InferenceModel
from vocoder.inference.network import Eager

_EXAMPLE_SECONDS = 0.1
_WORTHWHILE = 60e3  # values that an operation returns; see `operation_threads`


def operation_threads(
    model: InferenceModel, available: int, *, seconds: float | None = None
) -> int:
    """Threads for the operations of a model: those that are available, or 1 if these are small.

    Threads that compute an operation together wait for the slowest of them at its end. That pays
    where PyTorch runs a network whose operations return 60,000 values or more on average: HiFi-GAN,
    BigVGAN, Vocos and most others. It does not for thousands of small ones, as of source-filter
    networks and of Griffin-Lim. `seconds` is how much audio a stream computes at once; half a
    second for bandwidth extenders, which always stream, one second for calls of vocoders.
    """
    if seconds is None and isinstance(model.generator, BandwidthExtender):
        seconds = 0.5
    torch_runs_it = seconds is not None or isinstance(model.network, Eager | JustInTime)
    if available == 1 or model.device.type != "cpu" or not torch_runs_it:
        return available
    return available if values_per_operation(model, seconds or 1.0) >= _WORTHWHILE else 1


def values_per_operation(model: InferenceModel, seconds: float = 1.0) -> float:
    """Values that an average operation of a model returns, on so much audio."""
    generator, spec = model.generator, model.config.mel
    frames = math.ceil(_EXAMPLE_SECONDS * model.sample_rate / generator.hop_length)
    features = {name: _example(name, spec, frames, generator) for name in generator.features}
    operations = _Counter()  # type: ignore[no-untyped-call]
    with torch.inference_mode(), operations:
        audio = generator(**features)
    share = audio.shape[-1] / model.sample_rate / seconds
    return float(operations.values / operations.count / share)


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context that counts operations, and the values that they return.

    Those that only look at a tensor in another way, or return none, are no work.
    """

    count: int = 0
    values: int = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        made = result[0] if isinstance(result, tuple | list) and result else result
        if isinstance(made, Tensor) and not func.is_view:
            self.count += 1
            self.values += made.numel()
        return result


def _example(name: str, spec: MelSpec, frames: int, generator: Generator) -> Tensor:
    """A feature of so many silent frames."""
    if name == "mel":
        return torch.tensor(spec.silence)[None, :, None].expand(1, -1, frames)
    if name == "f0":
        return torch.full((1, frames), 150.0)
    return torch.zeros(1, 1, frames * generator.hop_length)
