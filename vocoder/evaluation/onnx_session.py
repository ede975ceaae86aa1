"""Sessions of onnxruntime for networks that score or embed audio."""

from pathlib import Path
from typing import Any

from vocoder.errors import ConfigError
from vocoder.io.untrusted import first_line


def open_session(path: Path, what: str) -> Any:
    """A session on one core of the CPU; several files are scored at a time.

    Raises ConfigError without onnxruntime, with `what` needs it, and for a file that is no model.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(f"{what} need onnxruntime: pip install 'vocoder[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of onnxruntime, whatever is wrong with the file
        raise ConfigError(f"{path}: no ONNX model ({first_line(error)})") from error
