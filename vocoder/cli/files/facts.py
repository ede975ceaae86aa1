"""What a model's output depends on: a batch whose model has changed begins anew."""

import hashlib
import inspect
from pathlib import Path
from typing import Any

from vocoder.checkpoint import GRIFFIN_LIM, WEIGHTS_NAME, find_model, is_builtin
from vocoder.inference.model import InferenceModel
from vocoder.inference.runtimes.files import is_onnx


def facts(model: InferenceModel, name: str) -> dict[str, Any]:
    """Digest of a model that was loaded by `name`, and how it runs.

    The digest covers configuration, weights, and the file of a generator class that is not ours.
    """
    digest = hashlib.blake2b(repr(model.config).encode(), digest_size=16)
    for path in _files(model, name):
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return {
        "model": digest.hexdigest(),
        "runtime": getattr(model.network, "runtime", "torch"),
        "precision": model.precision,
        "device": model.device.type,
    }


def _files(model: InferenceModel, name: str) -> list[Path]:
    if is_onnx(name):  # weights of large models are in files beside it
        path = Path(name)
        return sorted(path.parent.glob(f"{path.name}*"))
    files = [] if is_builtin(name, GRIFFIN_LIM) else [find_model(name) / WEIGHTS_NAME]
    kind = type(model.generator)
    if kind.__module__.partition(".")[0] != "vocoder":
        files.append(Path(inspect.getfile(kind)))
    return files
