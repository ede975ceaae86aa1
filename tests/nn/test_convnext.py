"""The ConvNeXt backbone: shapes, receptive field, causality, normalisation, initial weights."""

import pytest
import torch
from torch import nn

from vocoder.nn.convnext import ConvNeXtBackbone, ConvNeXtBlock


@pytest.mark.parametrize("frames", [1, 2, 7, 31])
def test_shape(frames: int) -> None:
    backbone = ConvNeXtBackbone(in_channels=5, channels=8, hidden=12, blocks=2)
    assert backbone(torch.randn(3, 5, frames)).shape == (3, 8, frames)


def test_zero_gamma_is_the_identity() -> None:
    block = ConvNeXtBlock(6, hidden=9, scale=0.0)
    x = torch.randn(2, 6, 11)
    assert torch.equal(block(x), x)


def test_receptive_field_is_three_frames_per_convolution() -> None:
    torch.manual_seed(0)
    blocks = 3
    backbone = ConvNeXtBackbone(in_channels=4, channels=8, hidden=16, blocks=blocks).double()
    x = torch.randn(1, 4, 41, dtype=torch.float64)
    changed = x.clone()
    changed[..., 20] += 1.0
    differs = (backbone(x) != backbone(changed)).any(dim=1)[0].nonzero()[:, 0]
    reach = 3 * (blocks + 1)
    assert (int(differs[0]), int(differs[-1])) == (20 - reach, 20 + reach)


def test_causal_backbone_does_not_depend_on_later_frames() -> None:
    backbone = ConvNeXtBackbone(in_channels=4, channels=8, hidden=16, blocks=2, causal=True)
    x = torch.randn(1, 4, 30)
    later = x.clone()
    later[..., 20:] += 1.0
    assert torch.equal(backbone(x)[..., :20], backbone(later)[..., :20])


def test_output_is_normalised_over_channels() -> None:
    y = ConvNeXtBackbone(in_channels=4, channels=32, hidden=16, blocks=2)(torch.randn(2, 4, 9))
    assert y.mean(dim=1).abs().max() < 1e-5
    assert (y.square().mean(dim=1) - 1).abs().max() < 1e-3


def test_initial_weights() -> None:
    torch.manual_seed(0)
    backbone = ConvNeXtBackbone(in_channels=40, channels=64, hidden=128, blocks=4)
    for module in backbone.modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert not module.bias.any()
    assert all(torch.equal(block.gamma, torch.full((64,), 0.25)) for block in backbone.convnext)
