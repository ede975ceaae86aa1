"""Layers with packed weights equal the plain ones."""

import pytest
import torch
import torch.nn.functional as F

from vocoder.streaming.chunks import steps_first
from vocoder.streaming.packed import packed_conv, packed_linear

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this build of torch has no oneDNN"
)


@pytest.mark.parametrize("rows", [1, 5, 300])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(rows: int, bias: bool) -> None:
    torch.manual_seed(0)
    weight, shift = torch.randn(24, 16), torch.randn(24) if bias else None
    layer = packed_linear(weight, shift)
    assert layer is not None
    for x in (torch.randn(2, rows, 16), torch.randn(2, 16, rows).mT):
        torch.testing.assert_close(layer(x), F.linear(x, weight, shift))
    assert packed_linear(weight.double(), None) is None


@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (1, 3, 4), (2, 1, 2)])
@pytest.mark.parametrize("beside", [False, True])
def test_conv(stride: int, dilation: int, groups: int, beside: bool) -> None:
    """The memory layout of the input is that of the output; long inputs use `otherwise`."""
    torch.manual_seed(0)
    weight, bias = torch.randn(8, 8 // groups, 5), torch.randn(8)
    long: list[int] = []

    def otherwise(x: torch.Tensor) -> torch.Tensor:
        long.append(x.shape[-1])
        return F.conv1d(x, weight, bias, stride, 0, dilation, groups)

    layer = packed_conv(
        weight, bias, stride=stride, dilation=dilation, groups=groups, otherwise=otherwise
    )
    for steps in (20, 33, 400):
        x = torch.randn(3, steps, 8).mT if beside else torch.randn(3, 8, steps)
        y = layer(x)
        torch.testing.assert_close(y, F.conv1d(x, weight, bias, stride, 0, dilation, groups))
        assert steps == 400 or steps_first(y) == beside
    assert long == [400]
