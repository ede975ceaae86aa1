"""Output lengths of convolutions are exact, for every kernel that allows it."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st

from vocoder.dsp.stft import pad_reflect
from vocoder.errors import ConfigError
from vocoder.nn.conv import Conv1d, ConvTranspose1d, ReflectConv1d, same_padding

few = settings(max_examples=50, deadline=None)


@few
@given(half=st.integers(0, 8), dilation=st.integers(1, 13), samples=st.integers(1, 40))
def test_convolution_keeps_length_and_position(half: int, dilation: int, samples: int) -> None:
    conv = Conv1d(1, 1, 2 * half + 1, dilation=dilation, bias=False)
    torch.nn.init.dirac_(conv.weight)
    x = torch.randn(1, 1, samples)
    assert torch.equal(conv(x), x)


@few
@given(size=st.integers(1, 9), dilation=st.integers(1, 5), samples=st.integers(1, 40))
def test_causal_convolution_depends_on_past_and_present_inputs(
    size: int, dilation: int, samples: int
) -> None:
    conv = Conv1d(1, 1, size, dilation=dilation, bias=False, causal=True)
    torch.nn.init.ones_(conv.weight)
    impulse = torch.zeros(1, 1, samples)
    impulse[..., 0] = 1.0
    reached = conv(impulse)[0, 0].nonzero()[:, 0].tolist()
    assert reached == [tap * dilation for tap in range(size) if tap * dilation < samples]


@few
@given(stride=st.integers(1, 12), surplus=st.integers(0, 25), samples=st.integers(1, 20))
def test_causal_transposed_convolution_starts_where_its_input_does(
    stride: int, surplus: int, samples: int
) -> None:
    up = ConvTranspose1d(1, 1, stride + surplus, stride=stride, causal=True)
    torch.nn.init.ones_(up.weight)
    torch.nn.init.zeros_(up.bias)
    impulse = torch.zeros(1, 1, samples)
    impulse[..., samples // 2] = 1.0
    reached = up(impulse)
    first, end = samples // 2 * stride, samples * stride
    assert reached.shape == (1, 1, end)
    last = min(first + stride + surplus, end)
    assert reached[0, 0].nonzero()[:, 0].tolist() == list(range(first, last))


@pytest.mark.parametrize("samples", [1, 5, 30])
@pytest.mark.parametrize(("kernel", "dilation"), [(7, 1), (3, 9), (1, 1)])
def test_reflect_convolution_is_that_of_the_reflected_signal(
    samples: int, kernel: int, dilation: int
) -> None:
    conv, x = ReflectConv1d(2, 3, kernel, dilation=dilation), torch.randn(2, 2, samples)
    margin = (kernel - 1) // 2 * dilation
    expected = F.conv1d(pad_reflect(x, margin, margin), conv.weight, conv.bias, dilation=dilation)
    assert torch.equal(conv(x), expected)
    assert conv(x).shape == (2, 3, samples)


@few
@given(stride=st.integers(2, 12), surplus=st.integers(0, 25), samples=st.integers(1, 20))
def test_transposed_convolution_gives_exactly_stride_samples_each(
    stride: int, surplus: int, samples: int
) -> None:
    up = ConvTranspose1d(2, 3, stride + surplus, stride=stride)
    assert up(torch.randn(1, 2, samples)).shape == (1, 3, samples * stride)


@pytest.mark.parametrize(("size", "stride"), [(16, 8), (15, 8), (8, 8), (7, 3), (11, 5), (3, 1)])
def test_transposed_convolution_is_centered(size: int, stride: int) -> None:
    """An input sample reaches as far to the left as to the right, to one sample if that is odd."""
    up = ConvTranspose1d(1, 1, size, stride=stride)
    torch.nn.init.ones_(up.weight)
    torch.nn.init.zeros_(up.bias)
    impulse = torch.zeros(1, 1, 41)
    impulse[..., 20] = 1.0
    reached = up(impulse)[0, 0].nonzero()[:, 0]
    assert len(reached) == size
    left = 20 * stride - int(reached[0])
    right = int(reached[-1]) - (21 * stride - 1)
    assert left - right == (size - stride) % 2


def test_impossible_kernels_are_errors() -> None:
    with pytest.raises(ConfigError, match="kernel size 4 has no center; use 5"):
        same_padding(4)
    with pytest.raises(ConfigError, match="upsampling by 8 with kernel 7 leaves gaps"):
        ConvTranspose1d(1, 1, 7, stride=8)
    with pytest.raises(ConfigError, match="kernel size 2 has no center"):
        ConvTranspose1d(1, 1, 2, stride=1)
    with pytest.raises(ConfigError, match="kernel size 4 has no center"):
        ReflectConv1d(1, 1, 4)
