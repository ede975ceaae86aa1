"""Generators that are ONNX files."""

from pathlib import Path
from typing import Self

import torch
import torch.fx
from torch import Tensor

from vocoder.checkpoint import ModelConfig
from vocoder.errors import CheckpointError, ConfigError
from vocoder.export.file import SUFFIX, ExportFacts, read_onnx
from vocoder.generators.base import BandwidthExtender, Generator
from vocoder.inference.runtimes.network import FileModels, RuntimeNetwork


class _FromFile(Generator):
    """What generators in ONNX files have in common: a network of another runtime."""

    facts: ExportFacts
    network: RuntimeNetwork

    def _take(self, name: str, facts: ExportFacts, network: RuntimeNetwork) -> None:
        self.name, self.facts, self.network = name, facts, network
        self.features = tuple(facts.features)

    def samples(self, frames: int) -> int:
        """Exact number of audio samples for `frames` frames."""
        return frames * self.hop_length - self.facts.fewer_samples

    def freeze(self) -> Self:
        """Nothing to do: weights are constants of the file."""
        return self

    def _run(self, features: dict[str, Tensor]) -> Tensor:
        if isinstance(next(iter(features.values())), torch.fx.Proxy):
            raise ConfigError("an ONNX file has no graph to stream; use the model directory")
        missing = [name for name in self.features if features.get(name) is None]
        if missing:
            raise ConfigError(f"{self.name} was exported with the input {', '.join(missing)}")
        if any(x.requires_grad for x in features.values()) and torch.is_grad_enabled():
            raise ConfigError(f"{self.name} passes no gradients; load the model directory")
        return self.network(**{name: features[name] for name in self.features})


class OnnxVocoder(_FromFile):
    """A vocoder in an ONNX file.   Shape: mel [B, M, F], f0 [B, F] if it takes it → [B, 1, T]."""

    def __init__(self, name: str, facts: ExportFacts, network: RuntimeNetwork) -> None:
        super().__init__(hop_length=facts.hop_length)
        self._take(name, facts, network)

    def forward(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        """Generate audio from log-mel spectrograms."""
        given = {"mel": mel} if f0 is None else {"mel": mel, "f0": f0}
        return self._run(given)


class OnnxExtender(_FromFile, BandwidthExtender):
    """A bandwidth extender in an ONNX file.   Shape: [B, 1, T] → same."""

    features = BandwidthExtender.features

    def __init__(self, name: str, facts: ExportFacts, network: RuntimeNetwork) -> None:
        BandwidthExtender.__init__(
            self,
            hop_length=facts.hop_length,
            cutoff_range=facts.cutoff_range or (),
            resampling=facts.resampling,
        )
        self._take(name, facts, network)

    def forward(self, narrowband: Tensor) -> Tensor:
        """Extend the band of recordings."""
        return self._run({"narrowband": narrowband})


def is_onnx(name: str | Path) -> bool:
    """Whether a name is that of an ONNX file."""
    return Path(name).suffix.lower() == SUFFIX


def onnx_kind(name: str | Path) -> str:
    """Kind of the model in an ONNX file: "vocoder" or "extender". Raises CheckpointError."""
    return read_onnx(Path(name))[2].kind


def load_onnx(
    path: Path, kind: str, runtime: str = "auto"
) -> tuple["OnnxVocoder | OnnxExtender", ModelConfig, RuntimeNetwork]:
    """Generator, configuration and network of an ONNX file that holds a model of this kind.

    "auto" is onnxruntime. Raises CheckpointError, ConfigError.
    """
    if runtime == "torch":
        raise ConfigError(f"{path}: runs in onnx or openvino; PyTorch needs the model directory")
    content, config, facts = read_onnx(path)
    if facts.kind != kind:
        others = {"extender": "vocoder.load_extender", "vocoder": "vocoder.load"}
        raise CheckpointError(
            f"{path}: it is of the kind {facts.kind}; {others[facts.kind]} opens it"
        )
    network = RuntimeNetwork("onnx" if runtime == "auto" else runtime, FileModels(content))
    made = OnnxExtender if kind == "extender" else OnnxVocoder
    generator: OnnxVocoder | OnnxExtender = made(str(path), facts, network)
    try:
        network.engine(generator.features)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return generator, config, network
