"""Twin deconvolution maps constants to constants, and its low-pass attenuates images."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.generators.twin import EvenOverlap, TwinDeconvolution
from vocoder.nn.conv import ConvTranspose1d
from vocoder.nn.weight_norm import fold_weight_norm, weight_norm

SIZES = [(16, 8), (4, 2), (10, 4), (4, 3), (5, 5), (7, 1), (3, 3), (11, 2)]
FRAMES, MARGIN = 64, 12


def deconvolution(kernel_size: int, stride: int) -> ConvTranspose1d:
    torch.manual_seed(0)
    return weight_norm(ConvTranspose1d(6, 4, kernel_size, stride=stride)).double()


def ripple(y: Tensor, stride: int) -> float:
    """Peak-to-peak value relative to the maximum, away from the ends."""
    inner = y[..., MARGIN * stride : -MARGIN * stride]
    return ((inner.amax(-1) - inner.amin(-1)).max() / inner.abs().max()).item()


@pytest.mark.parametrize(("kernel_size", "stride"), SIZES)
def test_constant_in_constant_out(kernel_size: int, stride: int) -> None:
    """For every vector of channels, at any kernel and stride, with and without the low-pass."""
    constant = torch.randn(3, 6, 1, dtype=torch.float64).expand(-1, -1, FRAMES)
    deconv = deconvolution(kernel_size, stride)
    plain = deconv(constant)
    twin = TwinDeconvolution(deconv, anti_aliased=True).double()
    assert ripple(plain, stride) > 0.1 or stride == 1
    assert ripple(deconv(constant), stride) < 1e-12  # the twin is taken from the weight itself
    assert ripple(twin(constant), stride) < 1e-6  # the taps are float32
    assert twin(constant).shape == (3, 4, FRAMES * stride)


@pytest.mark.parametrize(("kernel_size", "stride"), SIZES)
def test_the_twin_is_a_deconvolution_that_gives_the_artefact_alone(
    kernel_size: int, stride: int
) -> None:
    weight = torch.randn(6, 4, kernel_size, dtype=torch.float64)
    even = EvenOverlap(kernel_size, stride=stride).double()
    twin = weight - even(weight)
    for phase in range(stride):
        taps = twin[..., phase::stride]
        assert torch.allclose(taps, taps[..., :1].expand_as(taps))
    ones = torch.ones(1, 6, FRAMES, dtype=torch.float64)
    first, artefact = (F.conv_transpose1d(ones, w, stride=stride) for w in (weight, twin))
    period = slice(MARGIN * stride, (MARGIN + 1) * stride)
    expected = first[..., period] - first[..., period].mean(-1, keepdim=True)
    assert torch.allclose(artefact[..., period], expected)


@pytest.mark.parametrize(("kernel_size", "stride"), SIZES)
def test_an_even_weight_stays_as_it_is(kernel_size: int, stride: int) -> None:
    even = EvenOverlap(kernel_size, stride=stride).double()
    once = even(torch.randn(6, 4, kernel_size, dtype=torch.float64))
    assert torch.allclose(even(once), once)


def images(y: Tensor, cycles: int, stride: int) -> float:
    """Power in dB of the copies of a tone of `cycles` per `FRAMES`, against the tone's."""
    power = torch.fft.rfft(y[..., MARGIN * stride : (MARGIN + FRAMES) * stride]).abs().square()
    power = power.sum((0, 1))
    rates = range(FRAMES, power.shape[0] + FRAMES, FRAMES)
    copies = {rate + side for rate in rates for side in (-cycles, cycles)}
    image = sum(power[copy].item() for copy in copies if copy < power.shape[0])
    return 10 * math.log10(image / power[cycles].item())


@pytest.mark.parametrize(("kernel_size", "stride"), [(16, 8), (4, 2), (10, 5)])
@pytest.mark.parametrize(("cycles", "limit"), [(3, -60.0), (16, -30.0)])
def test_images_are_rejected(kernel_size: int, stride: int, cycles: int, limit: float) -> None:
    """A tone at a tenth and at half of the Nyquist frequency, before any training."""
    frames = torch.arange(FRAMES + 2 * MARGIN, dtype=torch.float64)
    phases = 2 * math.pi * torch.rand(8, 6, 1, dtype=torch.float64)
    tone = torch.cos(2 * math.pi * cycles / FRAMES * frames + phases)
    deconv = deconvolution(kernel_size, stride)
    with torch.no_grad():
        plain = deconv(tone)
        rejected = TwinDeconvolution(deconv, anti_aliased=True).double()(tone)
    assert images(plain, cycles, stride) > -10.0
    assert images(rejected, cycles, stride) < limit


def test_folding_leaves_a_plain_deconvolution() -> None:
    twin = TwinDeconvolution(deconvolution(16, 8), anti_aliased=True).double()
    x = torch.randn(2, 6, 9, dtype=torch.float64)
    before = twin(x)
    assert fold_weight_norm(twin) == ["deconv.weight"]
    assert sorted(twin.state_dict()) == ["deconv.bias", "deconv.weight"]
    assert torch.allclose(twin(x), before, rtol=0, atol=1e-12)
