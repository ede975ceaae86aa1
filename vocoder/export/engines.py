"""Runtimes that run an ONNX model on the CPU: onnxruntime and OpenVINO."""

import importlib.util
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor

from vocoder.errors import ConfigError

PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}
"""Names of runtimes, which are those of their extras, and the package that each needs."""


class Engine(Protocol):
    """An ONNX model, compiled for this machine by one runtime."""

    def __call__(self, features: dict[str, Tensor]) -> Tensor:
        """Run the model on tensors on the CPU."""
        ...


def is_installed(runtime: str) -> bool:
    """Whether the packages of a runtime are installed."""
    return all(importlib.util.find_spec(name) for name in ("onnx", PACKAGES[runtime]))


def require_runtime(runtime: str) -> None:
    """Raise ConfigError, which names the extra, if the packages of a runtime are missing."""
    for package in ("onnx", PACKAGES[runtime]):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"runtime {runtime} needs {package}: pip install 'vocoder[{runtime}]'"
            )


def new_engine(runtime: str, model: bytes, *, threads: int) -> Engine:
    """Compile a model. Raises ConfigError if packages are missing or the runtime refuses it."""
    require_runtime(runtime)
    kinds: dict[str, Callable[[bytes, int], Engine]] = {"onnx": OnnxRuntime, "openvino": OpenVino}
    try:
        return kinds[runtime](model, threads)
    except Exception as error:  # each runtime has its own classes of errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ConfigError(f"{PACKAGES[runtime]} refuses the model ({reason})") from error


class OnnxRuntime:
    """A model in onnxruntime, on its CPU provider."""

    def __init__(self, model: bytes, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Waiting threads sleep: beside other busy processes, spinning costs more than it gains.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, features: dict[str, Tensor]) -> Tensor:
        """Run the model on tensors on the CPU."""
        given = {name: value.contiguous().numpy() for name, value in features.items()}
        return torch.from_numpy(self._session.run(None, given)[0])


class OpenVino:
    """A model in OpenVINO on the CPU, in float32 also where the CPU has faster formats."""

    def __init__(self, model: bytes, threads: int) -> None:
        import openvino

        core = _openvino_core()
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        network = core.read_model(model=model, weights=b"")
        outputs = (output for op in network.get_ops() for output in op.outputs())
        if any(output.get_element_type() == openvino.Type.f64 for output in outputs):
            raise ValueError("it computes partly in double precision, which it would round away")
        self._request = core.compile_model(network, "CPU", settings).create_infer_request()
        self._lock = threading.Lock()  # a request is for one call at a time

    def __call__(self, features: dict[str, Tensor]) -> Tensor:
        """Run the model on tensors on the CPU."""
        given = {name: value.contiguous().numpy() for name, value in features.items()}
        with self._lock:
            made = self._request.infer(given, share_inputs=True)
            return torch.from_numpy(made.to_tuple()[0].copy())


@cache
def _openvino_core() -> Any:
    """OpenVINO's core, which is never deleted.

    On CPUs with AMX its plugin gives the thread that loads it a stack for signals, and frees that
    stack with itself; the next signal that Python handles would end the process.
    """
    import openvino

    return openvino.Core()
