"""Residual blocks: identity for zero weights, receptive field, activations, causality."""

import pytest
import torch
from torch import nn

from vocoder.errors import ConfigError
from vocoder.nn.activation import leaky_relu
from vocoder.nn.residual import MRF, DilatedBlock, DilatedPairBlock
from vocoder.nn.weight_norm import fold_weight_norm

BLOCKS = [DilatedPairBlock, DilatedBlock]


@pytest.mark.parametrize("block_class", BLOCKS)
def test_zero_weights_are_the_identity(block_class: type) -> None:
    block = block_class(4, kernel_size=7, dilations=(1, 3, 5), activation=leaky_relu)
    fold_weight_norm(block)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, 4, 9)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("block_class", BLOCKS)
def test_receptive_field_is_the_sum_of_dilated_kernels(block_class: type) -> None:
    """With positive weights, one input sample changes exactly the samples within the reach."""
    block = block_class(1, kernel_size=5, dilations=(1, 2, 6), activation=leaky_relu)
    fold_weight_norm(block)
    for name, parameter in block.named_parameters():
        nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 0.1)
    x = torch.zeros(1, 1, 101)
    x[..., 50] = 1.0
    reached = block(x)[0, 0].nonzero()[:, 0]
    plain = 2 * 3 if block_class is DilatedPairBlock else 0
    reach = 2 * (1 + 2 + 6) + plain
    assert (int(reached[0]), int(reached[-1])) == (50 - reach, 50 + reach)


@pytest.mark.parametrize("block_class", BLOCKS)
def test_each_convolution_has_its_own_activation(block_class: type) -> None:
    made: list[int] = []

    def counted(channels: int) -> nn.Module:
        made.append(channels)
        return nn.PReLU(channels)

    block = block_class(6, kernel_size=3, dilations=(1, 3), activation=counted)
    convs = [module for module in block.modules() if isinstance(module, nn.Conv1d)]
    assert made == [6] * len(convs)
    block(torch.randn(1, 6, 8)).sum().backward()
    slopes = [module.weight for module in block.modules() if isinstance(module, nn.PReLU)]
    assert len(slopes) == len(convs)
    assert all(slope.grad.abs().sum() > 0 for slope in slopes)


def test_causal_blocks_do_not_depend_on_later_inputs() -> None:
    for block_class in BLOCKS:
        block = block_class(2, kernel_size=3, dilations=(1, 3), activation=leaky_relu, causal=True)
        x = torch.randn(1, 2, 30)
        later = x.clone()
        later[..., 11:] += 1.0
        same = (block(x) == block(later)).all(dim=1)[0]
        assert same[:11].all()
        assert not same[11]


def test_mrf_is_the_mean_of_its_blocks() -> None:
    mrf = MRF(3, resblock="1", kernel_sizes=[3, 5], dilations=[[1, 3], [2]], activation=leaky_relu)
    x = torch.randn(2, 3, 14)
    first, second = mrf
    torch.testing.assert_close(mrf(x), (first(x) + second(x)) / 2)
    with pytest.raises(ConfigError, match="one list of dilations per kernel size"):
        MRF(3, resblock="1", kernel_sizes=[3], dilations=[], activation=leaky_relu)
