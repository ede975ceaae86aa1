"""Which runtime and which precision a loaded model uses."""

import logging
import statistics
import time

import torch
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.inference.compiled.just_in_time import JustInTime
from vocoder.inference.model import InferenceModel
from vocoder.inference.network import Network
from vocoder.inference.precision.network import LowPrecision
from vocoder.inference.runtimes.choice import Opened, use_runtime
from vocoder.inference.runtimes.network import RuntimeNetwork

PRECISIONS = ("float32", "bfloat16", "int8", "auto")
_MOST = 0.02  # of the peak: the difference from float32 that "auto" accepts
_WORTH = 1.1  # speed relative to float32 from which on "auto" is bfloat16
_PAIRS = 5  # of timed calls, in turn
_REPEATS = 6  # of the example that is timed: 42 frames
_log = logging.getLogger(__name__)


def use(
    model: InferenceModel, *, runtime: str, precision: str, opened: Opened | None = None
) -> None:
    """Let a loaded model use a runtime, as of `use_runtime`, and compute in a precision.

    "bfloat16" and "int8" run in PyTorch. "auto" is bfloat16 where that is faster, which is measured
    at once, and differs from float32 by at most 2 % of the peak; otherwise float32. Raises
    ConfigError for an unknown precision, and for one that is not to be had here or for this model.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision is {precision!r}; choose {', '.join(PRECISIONS)}")
    needs_torch = precision in ("bfloat16", "int8") and runtime == "auto"
    use_runtime(model, "torch" if needs_torch else runtime, opened)
    if precision == "float32":
        return
    if isinstance(model.network, RuntimeNetwork):
        if precision == "auto":
            return
        raise ConfigError(f"precision {precision} runs in torch, not in {model.network.runtime}")
    try:
        if precision == "auto" and not _pays(model):
            return
        model.compute_in("int8" if precision == "int8" else "bfloat16")
    except ConfigError as error:
        if precision != "auto":
            raise ConfigError(f"{model.config.name}: {error}") from error
        _log.info("%s runs in float32: %s", model.config.name, error)
        return
    _log.info("%s runs in %s", model.config.name, model.network.path)


@torch.inference_mode()
def _pays(model: InferenceModel) -> bool:
    """Whether bfloat16 is faster here and differs little; raises ConfigError if it is refused."""
    low = LowPrecision(model.generator, model.device, "bfloat16")
    network = model.network
    if isinstance(network, JustInTime):
        network.compile()
    features = {k: torch.cat([x] * _REPEATS, dim=-1) for k, x in model.examples()[1].items()}
    made, expected = low(**features), network(**features)
    error = float((made - expected).abs().max() / expected.abs().max())
    pairs = [(_seconds(network, features), _seconds(low, features)) for _ in range(_PAIRS)]
    speed = statistics.median(base / other for base, other in pairs)
    if error <= _MOST and speed >= _WORTH:
        return True
    _log.info(
        "%s runs in float32: bfloat16 is %.2f times as fast and differs by %.1e of the peak",
        *(model.config.name, speed, error),
    )
    return False


def _seconds(network: Network, features: dict[str, Tensor]) -> float:
    start = time.perf_counter()
    network(**features)[..., :1].cpu()  # waits until the device has computed it
    return time.perf_counter() - start
