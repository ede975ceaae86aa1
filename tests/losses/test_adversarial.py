"""Adversarial losses: values by the papers' formulas, signs of gradients, extreme logits."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.errors import ConfigError
from vocoder.losses.adversarial import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    NonSaturating,
    OverOutputs,
    Reduction,
    Relativistic,
    RelativisticLeastSquares,
    Slicing,
    UnboundedHinge,
    Wasserstein,
)

Array = NDArray[np.float64]
ADVERSARIAL_LOSSES: dict[str, Callable[[Reduction], AdversarialLoss]] = {
    kind.__name__: lambda reduction, kind=kind: kind(reduction=reduction)  # type: ignore[misc]
    for kind in (
        LeastSquares,
        Hinge,
        UnboundedHinge,
        NonSaturating,
        Wasserstein,
        Relativistic,
        RelativisticLeastSquares,
        Slicing,
    )
}
# Where a lead is below the median, RelativisticLeastSquares raises it and lowers the median.
MONOTONE = sorted(ADVERSARIAL_LOSSES.keys() - {"RelativisticLeastSquares"})


def softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def truncated(ahead: Array, behind: Array) -> float:
    lead = (ahead - behind).flatten()
    median = np.sort(lead)[(lead.size - 1) // 2]
    late = lead[lead < median] - median
    return float(min((late**2).mean(), 0.04))


# Loss of the generator and of the discriminator for one output; reals r and fakes f.
FORMULAS: dict[str, tuple[Callable[[Array, Array], float], Callable[[Array, Array], float]]] = {
    "LeastSquares": (
        lambda r, f: ((f - 1) ** 2).mean(),
        lambda r, f: ((r - 1) ** 2).mean() + (f**2).mean(),
    ),
    "Hinge": (
        lambda r, f: np.maximum(0, 1 - f).mean(),
        lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(),
    ),
    "UnboundedHinge": (
        lambda r, f: -f.mean(),
        lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(),
    ),
    "NonSaturating": (
        lambda r, f: -np.log(1 / (1 + np.exp(-f))).mean(),
        lambda r, f: -np.log(1 / (1 + np.exp(-r))).mean() - np.log(1 / (1 + np.exp(f))).mean(),
    ),
    "Wasserstein": (lambda r, f: -f.mean(), lambda r, f: f.mean() - r.mean()),
    "Relativistic": (
        lambda r, f: -np.log(1 / (1 + np.exp(r - f))).mean(),
        lambda r, f: -np.log(1 / (1 + np.exp(f - r))).mean(),
    ),
    "RelativisticLeastSquares": (
        lambda r, f: ((f - 1) ** 2).mean() + truncated(f, r),
        lambda r, f: ((r - 1) ** 2).mean() + (f**2).mean() + truncated(r, f),
    ),
    "Slicing": (  # with a direction of twice the logits
        lambda r, f: (softplus(1 - f) ** 2).mean(),
        lambda r, f: (softplus(1 - r) ** 2).mean() + (softplus(f) ** 2).mean()
        + (softplus(1 - 2 * r) ** 2).mean() - (softplus(1 - 2 * f) ** 2).mean(),
    ),
}  # fmt: skip


def outputs(*logits: Tensor, kind: str, weight: float = 1.0) -> list[DiscriminatorOutput]:
    sliced = kind == "Slicing"
    return [DiscriminatorOutput(x, [], 2.0 * x if sliced else None, weight) for x in logits]


def logits(seed: int, scale: float = 1.0) -> list[Tensor]:
    """Logits of two discriminators for a batch of two signals."""
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(2, n, generator=generator) for n in (7, 4)]


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_numbers_are_the_papers_formulas(name: str, scale: float, reduction: Reduction) -> None:
    real, fake = logits(0, scale), logits(1, scale)
    pairs = [(r.double().numpy(), f.double().numpy()) for r, f in zip(real, fake, strict=True)]
    combine = np.sum if reduction == "sum" else np.mean
    generator, discriminator = FORMULAS[name]
    adversarial = ADVERSARIAL_LOSSES[name](reduction)
    real_outputs, fake_outputs = outputs(*real, kind=name), outputs(*fake, kind=name)
    assert adversarial.generator(fake_outputs, real_outputs).item() == pytest.approx(
        combine([generator(r, f) for r, f in pairs]), rel=1e-5
    )
    assert adversarial.discriminator(real_outputs, fake_outputs).item() == pytest.approx(
        combine([discriminator(r, f) for r, f in pairs]), rel=1e-5, abs=1e-5
    )


@pytest.mark.parametrize(
    ("adversarial", "for_generator", "for_discriminator"),
    [
        # Fakes score (3, -1) and (0.5): by hand from the papers' formulas; reals (0.5, 1) and (-1).
        (LeastSquares(), 4.0 + 0.25, (0.125 + 5.0) + (4.0 + 0.25)),
        (LeastSquares(reduction="mean"), 4.25 / 2, 9.375 / 2),
        (Hinge(), 1.0 + 0.5, (0.25 + 2.0) + (2.0 + 1.5)),
        (UnboundedHinge(), -1.0 - 0.5, (0.25 + 2.0) + (2.0 + 1.5)),
        (Wasserstein(), -1.0 - 0.5, (1.0 - 0.75) + (0.5 + 1.0)),
    ],
)
def test_numbers_by_hand(
    adversarial: AdversarialLoss, for_generator: float, for_discriminator: float
) -> None:
    fake = outputs(torch.tensor([[3.0, -1.0]]), torch.tensor([[0.5]]), kind="")
    real = outputs(torch.tensor([[0.5, 1.0]]), torch.tensor([[-1.0]]), kind="")
    assert adversarial.generator(fake, real).item() == pytest.approx(for_generator)
    assert adversarial.discriminator(real, fake).item() == pytest.approx(for_discriminator)


@pytest.mark.parametrize("adversarial", [LeastSquares(), Hinge()])
def test_losses_are_zero_at_their_targets(adversarial: LeastSquares | Hinge) -> None:
    one = outputs(torch.ones(1, 1), kind="")
    lowest = outputs(
        torch.full((1, 1), 0.0 if isinstance(adversarial, LeastSquares) else -1.0), kind=""
    )
    assert adversarial.generator(one, one).item() == 0.0
    assert adversarial.discriminator(one, lowest).item() == 0.0


@pytest.mark.parametrize("name", MONOTONE)
def test_generator_raises_fake_logits_and_discriminator_separates_real_and_fake(name: str) -> None:
    real, fake = (
        [(0.5 + 0.3 * x.tanh()).requires_grad_() for x in logits(seed)] for seed in (2, 3)
    )
    adversarial = ADVERSARIAL_LOSSES[name]("sum")
    real_outputs, fake_outputs = outputs(*real, kind=name), outputs(*fake, kind=name)
    raised = torch.autograd.grad(adversarial.generator(fake_outputs, real_outputs), fake)
    assert all((gradient < 0).all() for gradient in raised)
    separated = torch.autograd.grad(
        adversarial.discriminator(real_outputs, fake_outputs), [*real, *fake]
    )
    assert all((gradient < 0).all() for gradient in separated[:2])
    assert all((gradient > 0).all() for gradient in separated[2:])


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
@pytest.mark.parametrize("real_logit", [-1e4, 0.0, 1e4])
@pytest.mark.parametrize("fake_logit", [-1e4, 0.0, 1e4])
def test_extreme_logits_give_finite_losses_and_gradients(
    name: str, real_logit: float, fake_logit: float
) -> None:
    real, fake = (x + shift for x, shift in zip(logits(4), (real_logit, fake_logit), strict=True))
    real, fake = real[:, :4].requires_grad_(), fake[:, :4].requires_grad_()
    adversarial = ADVERSARIAL_LOSSES[name]("sum")
    real_outputs, fake_outputs = outputs(real, kind=name), outputs(fake, kind=name)
    for loss in (
        adversarial.generator(fake_outputs, real_outputs),
        adversarial.discriminator(real_outputs, fake_outputs),
    ):
        loss.backward()
        assert loss.isfinite()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in (real, fake))


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_losses_are_float32_whatever_the_logits_are(name: str) -> None:
    real, fake = ([x.bfloat16() for x in logits(seed)] for seed in (5, 6))
    adversarial = ADVERSARIAL_LOSSES[name]("sum")
    half = outputs(*real, kind=name), outputs(*fake, kind=name)
    full = ([each._replace(logits=each.logits.float()) for each in side] for side in half)
    assert torch.equal(adversarial.discriminator(*half), adversarial.discriminator(*full))
    assert adversarial.generator(half[1], half[0]).dtype == torch.float32


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_weights_multiply_the_losses_of_their_outputs(name: str, reduction: Reduction) -> None:
    adversarial, weights = ADVERSARIAL_LOSSES[name](reduction), (0.5, 3.0)
    real, fake = (
        [outputs(x, kind=name, weight=w)[0] for x, w in zip(logits(seed), weights, strict=True)]
        for seed in (7, 8)
    )
    for loss in (lambda r, f: adversarial.generator(f, r), adversarial.discriminator):
        apart = [
            w * loss([a._replace(weight=1.0)], [b._replace(weight=1.0)]).item()
            for w, a, b in zip(weights, real, fake, strict=True)
        ]
        expected = sum(apart) / (2 if reduction == "mean" else 1)
        assert loss(real, fake).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["Relativistic", "Wasserstein"])
def test_only_differences_of_logits_count(name: str) -> None:
    real, fake = logits(9), logits(10)
    adversarial = ADVERSARIAL_LOSSES[name]("sum")
    here = adversarial.discriminator(outputs(*real, kind=name), outputs(*fake, kind=name))
    real, fake = ([x + 5.0 for x in side] for side in (real, fake))
    there = adversarial.discriminator(outputs(*real, kind=name), outputs(*fake, kind=name))
    assert there.item() == pytest.approx(here.item(), rel=1e-5)


def test_relativistic_term_is_zero_for_equal_leads() -> None:
    adversarial = RelativisticLeastSquares()
    fake = torch.zeros(2, 5, requires_grad=True)
    real_outputs, fake_outputs = outputs(fake + 0.25, kind=""), outputs(fake, kind="")
    loss = adversarial.generator(fake_outputs, real_outputs)
    assert torch.equal(loss, LeastSquares().generator(fake_outputs, real_outputs))
    (gradient,) = torch.autograd.grad(loss, fake)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(("last", "extra"), [(0.4, 0.01), (0.35, 0.0225), (0.2, 0.04)])
def test_leads_below_the_median_add_the_squared_distance_up_to_the_truncation(
    last: float, extra: float
) -> None:
    lead, zero = torch.tensor([[1.0, 0.5, last]]), torch.zeros(1, 3)
    ahead, behind = outputs(lead, kind=""), outputs(zero, kind="")
    adversarial, plain = RelativisticLeastSquares(truncation=0.04), LeastSquares()
    for loss, without in (
        (adversarial.generator, plain.generator),
        (adversarial.discriminator, plain.discriminator),
    ):
        assert loss(ahead, behind).item() - without(ahead, behind).item() == pytest.approx(extra)


def test_a_truncated_term_has_no_gradient() -> None:
    lead = torch.tensor([[0.0, 0.1, 0.2, -5.0]], requires_grad=True)
    zero = outputs(torch.zeros(1, 4), kind="")
    relativistic, plain = (
        torch.autograd.grad(adversarial.generator(outputs(lead, kind=""), zero), lead)[0]
        for adversarial in (RelativisticLeastSquares(), LeastSquares())
    )
    assert torch.equal(relativistic, plain)


def test_slicing_separates_the_directions_of_real_and_fake() -> None:
    real, fake = logits(11), logits(12)
    directions = [x.clone().requires_grad_() for x in (*real, *fake)]
    separate = [
        DiscriminatorOutput(x, [], d) for x, d in zip([*real, *fake], directions, strict=True)
    ]
    gradients = torch.autograd.grad(Slicing().discriminator(separate[:2], separate[2:]), directions)
    assert all((gradient < 0).all() for gradient in gradients[:2])
    assert all((gradient > 0).all() for gradient in gradients[2:])


def test_losses_and_last_layers_must_fit() -> None:
    plain, sliced = (
        [DiscriminatorOutput(torch.zeros(1, 2), [], d)] for d in (None, torch.zeros(1, 2))
    )
    with pytest.raises(ConfigError, match="Sliced"):
        Slicing().discriminator(sliced, plain)
    for name in ADVERSARIAL_LOSSES.keys() - {"Slicing"}:
        with pytest.raises(ConfigError, match=f"{name}.*Slicing"):
            ADVERSARIAL_LOSSES[name]("sum").discriminator(sliced, sliced)


@pytest.mark.parametrize("kind", ADVERSARIAL_LOSSES)
def test_misspelt_reduction_is_named(kind: str) -> None:
    with pytest.raises(ConfigError, match="'avg'"):
        ADVERSARIAL_LOSSES[kind]("avg")  # type: ignore[arg-type]


def test_truncation_must_leave_something() -> None:
    with pytest.raises(ConfigError, match="truncation"):
        RelativisticLeastSquares(truncation=0.0)


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_different_ensembles_cannot_be_paired(name: str) -> None:
    one = outputs(torch.zeros(1, 2), kind=name)
    with pytest.raises(ValueError, match="zip"):
        ADVERSARIAL_LOSSES[name]("sum").discriminator(one, one * 2)


def test_all_adversarial_losses_are_tested() -> None:
    def subclasses(kind: type) -> set[str]:
        kinds = kind.__subclasses__()
        return {k.__name__ for k in kinds if k.__module__.endswith("adversarial")}.union(
            *map(subclasses, kinds)
        )

    assert {
        name for name in subclasses(OverOutputs) if not name.startswith("_")
    } == ADVERSARIAL_LOSSES.keys()
