"""Networks that run in onnxruntime or OpenVINO."""

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vocoder import __version__
from vocoder.checkpoint import ModelConfig
from vocoder.export.engines import Engine, new_engine, require_runtime
from vocoder.export.export import exported
from vocoder.export.file import FORMAT
from vocoder.export.parity import parity
from vocoder.generators.base import Generator
from vocoder.io.cache import cached

NAMES = {"onnx": "ONNX Runtime", "openvino": "OpenVINO"}


class RuntimeNetwork:
    """A generator as an exported model, run on the CPU by the runtime of this name.

    It uses as many threads as torch does at the time of a call, and compiles the model anew when
    their number changes. `models` returns the file for the names of the inputs. It can be copied
    and pickled; copies compile their own.
    """

    def __init__(self, runtime: str, models: Callable[[tuple[str, ...]], bytes]) -> None:
        require_runtime(runtime)
        self.runtime, self.models = runtime, models
        self._threads = 0
        self._forget()

    @property
    def path(self) -> str:
        """How the generator runs."""
        count = torch.get_num_threads()
        return f"{NAMES[self.runtime]}, {count} thread{'s' if count > 1 else ''}"

    def __call__(self, **features: Tensor) -> Tensor:
        """Generate audio. Shape: features as of the generator → [B, C, T]."""
        device = next(iter(features.values())).device
        made = self.engine(tuple(features))({name: x.cpu() for name, x in features.items()})
        return made.to(device)

    def engine(self, names: tuple[str, ...]) -> Engine:
        """The compiled model that takes these inputs."""
        threads = torch.get_num_threads()
        with self._compiling:
            if threads != self._threads:
                self._engines.clear()
                self._threads = threads
            if names not in self._engines:
                model = self.models(names)
                self._engines[names] = new_engine(self.runtime, model, threads=threads)
            return self._engines[names]

    def __getstate__(self) -> dict[str, Any]:
        return {"runtime": self.runtime, "models": self.models}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def _forget(self) -> None:
        self._compiling = threading.Lock()
        self._engines: dict[tuple[str, ...], Engine] = {}
        self._threads = 0


class CachedExport:
    """Exports of a generator, kept in the user's cache under a hash of its weights.

    An export is compared with PyTorch once, before it is cached. Without a cache that can be
    written it is made once for each object.
    """

    def __init__(self, generator: Generator, config: ModelConfig) -> None:
        self.generator, self.config = generator, config
        self._made: dict[tuple[str, ...], bytes] = {}

    def __call__(self, names: tuple[str, ...]) -> bytes:
        """Content of the ONNX file with these inputs."""
        if names not in self._made:
            name = f"{self._digest()}-{'-'.join(names)}.onnx"
            self._made[names] = cached(name, lambda: self._export("f0" in names))
        return self._made[names]

    def _export(self, f0: bool) -> bytes:
        content = exported(self.generator, self.config, f0=f0)
        parity(self.generator, self.config, content, f0=f0)
        return content

    def _digest(self) -> str:
        """Hash of what an export depends on: configuration, weights and this release."""
        facts = {"config": self.config.to_dict(), "version": __version__, "format": FORMAT}
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for name, value in sorted(self.generator.state_dict().items()):
            digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]


class FileModels:
    """The content of one ONNX file, whatever the inputs."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __call__(self, names: tuple[str, ...]) -> bytes:
        """The file."""
        return self.content
