"""Models of the tests of long mels and of batches, with blocks of a few frames."""

from functools import cache

import pytest
import torch
from torch import Tensor

from tests.inference.models import load
from vocoder.inference.long.blocks import Synthesis
from vocoder.inference.vocoder import Vocoder

BLOCK = 20  # frames


def set_block(monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    original = Synthesis.__init__

    def init(self: Synthesis, *args: object, **settings: object) -> None:
        original(self, *args, **settings)  # type: ignore[arg-type]
        self.block, self.at_once = frames, 2 * frames

    monkeypatch.setattr(Synthesis, "__init__", init)


@cache
def model(name: str) -> Vocoder:
    loaded = load(name)
    assert isinstance(loaded, Vocoder)
    return loaded


@cache
def mel_of(name: str, frames: int = 110) -> Tensor:
    """The mel of noise of changing level."""
    v = model(name)
    noise = torch.Generator().manual_seed(3)
    audio = 0.1 * torch.randn(frames * v.spec.hop_length, generator=noise)
    audio *= torch.linspace(0.1, 1.0, len(audio))
    return v.mel(audio, sample_rate=v.sample_rate)[:, :frames]


def assert_same(made: Tensor, expected: Tensor) -> None:
    assert made.shape == expected.shape
    assert float((made - expected).abs().max()) <= 1e-5 * float(expected.abs().max())


def accelerated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let networks on the CPU compute batches as on a GPU; returns the size of each batch."""
    original, sizes, ragged = Synthesis.__init__, [], Synthesis.ragged

    def init(self: Synthesis, *args: object, **settings: object) -> None:
        original(self, *args, **{**settings, "accelerated": True})  # type: ignore[arg-type]

    def count(self: Synthesis, features: dict[str, Tensor], lengths: list[int]) -> Tensor:
        sizes.append(len(lengths))
        return ragged(self, features, lengths)

    monkeypatch.setattr(Synthesis, "__init__", init)
    monkeypatch.setattr(Synthesis, "ragged", count)
    return sizes
