"""The example discriminator of CONTRIBUTING satisfies the laws of all discriminators."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vocoder.discriminators.output import Discriminators

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def example() -> type[nn.Module]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)
    found: type[nn.Module] = names["Envelope"]
    return found


@pytest.mark.parametrize("audio_channels", [1, 2])
@pytest.mark.parametrize("samples", [1, 7, 1237])
def test_example_is_a_discriminator(
    example: type[nn.Module], audio_channels: int, samples: int
) -> None:
    discriminator = Discriminators({"envelope": example(channels=4, audio_channels=audio_channels)})
    audio = torch.zeros(2, audio_channels, samples, requires_grad=True)
    (output,) = discriminator(audio + 0.01, {})
    assert output.logits.shape[0] == 2
    assert len(output.feature_maps) == 3
    output.logits.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in discriminator.parameters())
    assert audio.grad is not None and torch.isfinite(audio.grad).all()
