"""Ways to run one model: by which runtime, in which precision, on how many threads, on what."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vocoder.build import find_class
from vocoder.checkpoint import GRIFFIN_LIM, find_model, is_builtin, load_config
from vocoder.errors import ConfigError
from vocoder.export.engines import PACKAGES, is_installed
from vocoder.export.file import read_onnx
from vocoder.generators.base import BandwidthExtender, Generator
from vocoder.generators.pitched.base import PitchedGenerator
from vocoder.inference.compiled.just_in_time import JustInTime
from vocoder.inference.extender import Extender, load_extender
from vocoder.inference.network import Eager, Network
from vocoder.inference.runtimes.files import is_onnx
from vocoder.inference.runtimes.network import RuntimeNetwork
from vocoder.inference.vocoder import Vocoder, load
from vocoder.kernels.switch import reference_only
from vocoder.nn.pitch import NoPitch

RUNTIMES = ("torch", *PACKAGES)
PRECISIONS = ("float32", "bfloat16", "int8")
_PITCH = 150.0  # in Hz
REFERENCE = "reference"
"""In place of a runtime: PyTorch operation by operation, as public code runs these networks.

Of an ONNX file it is onnxruntime.
"""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to run a model, and its input: `batch` items of `seconds`."""

    runtime: str = REFERENCE
    precision: str = "float32"
    threads: int = 1
    batch: int = 1
    seconds: float = 4.0
    device: str = "cpu"


def installed_runtimes() -> list[str]:
    """Names of the runtimes whose packages are installed; torch is the first."""
    return ["torch", *filter(is_installed, PACKAGES)]


def opened(name: str, way: Way) -> Vocoder | Extender:
    """Load a model to run in one way. Raises ConfigError, CheckpointError where that is refused.

    A network that would be compiled after some use is compiled at once.
    """
    loaded = load_extender if _extends(name) else load
    reference = way.runtime == REFERENCE
    runtime = _reference_runtime(name) if reference else way.runtime
    options: dict[str, Any] = {"device": way.device, "runtime": runtime}
    if way.precision != "float32" and not reference:
        options["precision"] = way.precision
    model: Vocoder | Extender = loaded(name, **options)
    if isinstance(model.network, JustInTime) and not reference:
        model.network.compile()
    return model


def call_of(model: Vocoder | Extender, way: Way) -> Callable[[], Tensor]:
    """The call to measure, of the network alone: from noise or its mel to audio [B, C, T]."""
    features = inputs(model, way)
    if way.runtime == REFERENCE and not isinstance(model.network, RuntimeNetwork):
        return partial(_as_written, model.generator, features)
    return partial(_run, model.network, features)


def inputs(model: Vocoder | Extender, way: Way) -> dict[str, Tensor]:
    """Noise for an extender [B, 1, T], its mel for a vocoder [B, M, F]; no item is like another.

    A source-filter model that cannot estimate the pitch gets one, too.
    """
    samples, generator = _samples(model, way), model.generator
    rng = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(way.batch, samples, generator=rng)
    if isinstance(model, Extender):
        return {"narrowband": noise[:, None].to(model.device)}
    frames = samples // generator.hop_length
    mels = [model.mel(item, sample_rate=model.sample_rate)[:, :frames] for item in noise]
    features = {"mel": torch.stack(mels).to(model.device)}
    if isinstance(generator, PitchedGenerator) and isinstance(generator.pitch, NoPitch):
        features["f0"] = torch.full_like(features["mel"][:, 0], _PITCH)
    return features


def length(model: Vocoder | Extender, way: Way) -> float:
    """Length of the audio of an item in seconds: whole hops."""
    return _samples(model, way) / model.sample_rate


def _samples(model: Vocoder | Extender, way: Way) -> int:
    hop = model.generator.hop_length
    return hop * max(1, math.ceil(round(way.seconds * model.sample_rate / hop, 6)))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch, and runtimes that are loaded in this context, use `count` CPU threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _as_written(generator: Generator, features: dict[str, Tensor]) -> Tensor:
    with reference_only():
        return _run(Eager(generator), features)


@torch.inference_mode()
def _run(network: Network, features: dict[str, Tensor]) -> Tensor:
    return network(**features)


def _reference_runtime(name: str) -> str:
    return "onnx" if is_onnx(name) else "torch"


def _extends(name: str) -> bool:
    """Whether a model is a bandwidth extender, by its configuration."""
    if is_onnx(name):
        return read_onnx(Path(name))[2].kind == "extender"
    if is_builtin(name, GRIFFIN_LIM):
        return False
    generator = load_config(find_model(name)).generator
    try:
        return issubclass(find_class(str(generator.get("_target_"))), BandwidthExtender)
    except ConfigError:  # loading the model reports the error
        return False
