"""Penalties on discriminators whose slope is known, and laws for all discriminators."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vocoder.discriminators.output import ConvDiscriminator, DiscriminatorOutput
from vocoder.discriminators.period import MultiPeriod
from vocoder.discriminators.scale import MultiScale
from vocoder.discriminators.slicing import Sliced
from vocoder.discriminators.spectral.resolution import MultiResolution
from vocoder.errors import ConfigError
from vocoder.losses.objective import Discriminator
from vocoder.losses.regularisers import R1, R2, GradientPenalty, OrthogonalPenalty, squared_slope

KINDS: dict[str, Callable[..., Any]] = {"gp": GradientPenalty, "r1": R1, "r2": R2}
DISCRIMINATORS: dict[str, Callable[[], nn.Module]] = {
    "period": lambda: MultiPeriod(periods=(2, 5), channels=2, audio_channels=2),
    "scale": lambda: MultiScale(scales=2, channels=16, audio_channels=2),
    "resolution": lambda: MultiResolution(
        resolutions=((128, 15, 60),), channels=4, audio_channels=2
    ),
    "sliced": lambda: Sliced(MultiPeriod(periods=(3,), channels=2, audio_channels=2)),
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def linear(weight: Tensor, *output_weights: float) -> Discriminator:
    """One logit per output, whose gradient is `weight` everywhere."""
    return lambda audio: [
        DiscriminatorOutput((audio * weight).sum((1, 2))[:, None], [], None, w)
        for w in output_weights
    ]


def quadratic(audio: Tensor) -> list[DiscriminatorOutput]:
    """One logit, whose gradient is the signal itself."""
    return [DiscriminatorOutput(0.5 * audio.square().sum((1, 2))[:, None], [])]


def test_penalties_of_a_linear_discriminator_by_hand() -> None:
    weight = torch.tensor([[3.0, 4.0], [0.0, 12.0]])  # of norm 13
    real, fake = torch.randn(2, 5, 2, 2)
    assert R1()(linear(weight, 1.0), real, fake).item() == pytest.approx(169.0)
    assert R2()(linear(weight, 1.0), real, fake).item() == pytest.approx(169.0)
    assert GradientPenalty()(linear(weight, 1.0), real, fake).item() == pytest.approx(144.0)
    assert GradientPenalty()(linear(weight / 13, 1.0), real, fake).item() == pytest.approx(0.0)


def test_score_is_the_weighted_sum_over_outputs() -> None:
    discriminators = linear(torch.tensor([[1.0]]), 1.0, 0.5, 2.0)
    assert squared_slope(discriminators, torch.randn(3, 1, 1)).tolist() == pytest.approx(
        [3.5**2] * 3
    )


def test_each_penalty_is_taken_at_the_right_signals() -> None:
    real, fake = torch.randn(2, 6, 1, 50)
    power = {"r1": real, "r2": fake}
    for name, signal in power.items():
        expected = signal.square().sum((1, 2)).mean().item()
        assert KINDS[name]()(quadratic, real, fake).item() == pytest.approx(expected, rel=1e-5)
    signals = []

    def discriminators(audio: Tensor) -> list[DiscriminatorOutput]:
        signals.append(audio.detach())
        return quadratic(audio)

    GradientPenalty()(discriminators, real, real + 1.0)
    places = signals[0] - real
    assert (places.amax((1, 2)) - places.amin((1, 2))).max() < 1e-5  # one place per signal
    assert places.min() > 0 and places.max() < 1 and places[:, 0, 0].unique().numel() == 6


def test_gradient_of_r1_is_the_analytic_one() -> None:
    weight = torch.randn(1, 9, requires_grad=True)
    R1()(linear(weight, 1.0), torch.randn(4, 1, 9), torch.zeros(4, 1, 9)).backward()
    torch.testing.assert_close(weight.grad, 2.0 * weight.detach())


@pytest.mark.parametrize("stride", [1, 4])
def test_slope_does_not_depend_on_the_length(stride: int) -> None:
    convs = [nn.Conv1d(1, 8, 9, stride), nn.Conv1d(8, 8, 5)]
    discriminators = ConvDiscriminator(convs, nn.Conv1d(8, 1, 3))
    short, long = (
        squared_slope(lambda audio: [discriminators(audio)], torch.randn(16, 1, samples))
        .mean()
        .item()
        for samples in (1000, 8000)
    )
    assert long == pytest.approx(short, rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DISCRIMINATORS)
@pytest.mark.parametrize("level", [0.0, 0.1, 1.0])
def test_every_discriminator_can_be_penalised(name: str, kind: str, level: float) -> None:
    discriminators = DISCRIMINATORS[name]()
    real, fake = (level * torch.randn(2, 2, 2, 700)).unbind()
    fake.requires_grad_()
    penalty = KINDS[kind]()(discriminators, real, fake)
    penalty.backward()
    assert penalty.shape == () and penalty.isfinite()
    gradients = [p.grad for p in discriminators.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    if level:  # in silence, spectra are flat
        assert penalty > 0 and sum(bool(gradient.any()) for gradient in gradients) >= 6
    assert real.grad is None and fake.grad is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_along_the_gradient_reduces_the_penalty(kind: str) -> None:
    discriminators = DISCRIMINATORS["period"]()
    real, fake = torch.randn(2, 2, 2, 300)

    def penalty() -> Tensor:
        torch.manual_seed(1)
        value: Tensor = KINDS[kind]()(discriminators, real, fake)
        return value

    before = penalty()
    before.backward()
    parameters = [p for p in discriminators.parameters() if p.grad is not None]
    norm = torch.stack([p.grad.norm() for p in parameters if p.grad is not None]).norm()
    with torch.no_grad():
        for parameter in parameters:
            parameter.sub_(1e-3 * parameter.grad / norm)
    assert penalty().item() < before.item()


@pytest.mark.parametrize("kind", KINDS)
def test_penalties_stay_in_float32_under_autocast(kind: str) -> None:
    discriminators, (real, fake) = DISCRIMINATORS["period"](), torch.randn(2, 1, 2, 300)
    torch.manual_seed(2)
    exact = KINDS[kind]()(discriminators, real, fake)
    torch.manual_seed(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(KINDS[kind]()(discriminators, real, fake), exact)


def test_flat_critics_have_finite_gradients() -> None:
    weight = torch.zeros(1, 4, requires_grad=True)
    GradientPenalty()(linear(weight, 1.0), *torch.randn(2, 3, 1, 4)).backward()
    assert weight.grad is not None and weight.grad.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_interval_must_be_positive(kind: str) -> None:
    assert KINDS[kind](every=16).every == 16 and KINDS[kind]().every == 1
    with pytest.raises(ConfigError, match="every"):
        KINDS[kind](every=0)


def layer(make: Callable[..., nn.Module], weight: Tensor, **arguments: Any) -> nn.Module:
    made = make(**arguments, bias=False)
    made.weight = nn.Parameter(weight)
    return made


def test_overlap_of_filters_by_hand() -> None:
    rows = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 2.0]])
    expected = 2 * (1.0**2 + 4.0**2 + 2.0**2)
    linear_layer = layer(nn.Linear, rows, in_features=2, out_features=3)
    conv = layer(nn.Conv1d, rows[:, None], in_channels=1, out_channels=3, kernel_size=2)
    transposed = layer(nn.ConvTranspose1d, rows[None], in_channels=1, out_channels=3, kernel_size=2)
    for network in (linear_layer, conv, transposed):
        assert OrthogonalPenalty()(network).item() == pytest.approx(expected)
    both = nn.Sequential(linear_layer, nn.ReLU(), nn.Sequential(conv))
    assert OrthogonalPenalty()(both).item() == pytest.approx(2 * expected)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("make", [nn.Conv2d, nn.ConvTranspose2d])
def test_filters_with_the_same_input_are_compared(make: type, groups: int) -> None:
    conv = make(4, 8, (3, 2), groups=groups)
    kernel, per_group = conv.weight.detach(), 8 // groups
    filters = [
        kernel[i]
        if make is nn.Conv2d
        else kernel[i // per_group * (4 // groups) :][: 4 // groups, i % per_group]
        for i in range(8)
    ]
    expected = sum(
        (filters[i] * filters[j]).sum().item() ** 2
        for i in range(8)
        for j in range(8)
        if i != j and i // per_group == j // per_group
    )
    assert OrthogonalPenalty()(conv).item() == pytest.approx(expected, rel=1e-4)


def test_orthogonal_filters_of_any_length_have_no_penalty() -> None:
    rows = torch.linalg.qr(torch.randn(6, 6)).Q[:4] * torch.tensor([[0.1], [1.0], [2.0], [9.0]])
    network = layer(nn.Linear, rows, in_features=6, out_features=4)
    assert OrthogonalPenalty()(network).item() == pytest.approx(0.0, abs=1e-9)


def test_effective_weights_of_normalised_layers_are_penalised() -> None:
    discriminators = MultiPeriod(periods=(2,), channels=2)
    penalty = OrthogonalPenalty()(discriminators)
    penalty.backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(OrthogonalPenalty()(discriminators), penalty)
    assert penalty > 0
    assert all(p.grad is not None for n, p in discriminators.named_parameters() if "original" in n)


def test_network_without_filters_is_named() -> None:
    with pytest.raises(ConfigError, match="Tanh"):
        OrthogonalPenalty()(nn.Tanh())
