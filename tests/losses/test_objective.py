"""Every term has a name, every name a weight, and nothing is dropped in silence."""

from typing import Any

import pytest
import torch
from torch import nn

from vocoder.discriminators.verdict import Verdict
from vocoder.errors import ConfigError
from vocoder.losses.adversarial import LeastSquares
from vocoder.losses.feature_matching import FeatureMatching
from vocoder.losses.objective import Objective

WEIGHTS = {"adversarial": 1.0, "feature_matching": 2.0, "wave": 45.0, "pitch": 0.5}
FAKE = [Verdict(torch.tensor([[0.0]]), [torch.tensor([[1.0]])])]
REAL = [Verdict(torch.tensor([[1.0]]), [torch.tensor([[4.0]])])]


def objective(**changes: Any) -> Objective:
    arguments: dict[str, Any] = {
        "weights": WEIGHTS,
        "reconstruction": {"wave": nn.L1Loss()},
        "adversarial": LeastSquares(),
        "feature_matching": FeatureMatching(),
        "auxiliary": ("pitch",),
    }
    return Objective(**(arguments | changes))


def test_total_is_the_weighted_sum_of_all_terms() -> None:
    whole = objective()
    terms = whole.adversary(FAKE, REAL)
    terms |= whole.reconstruct(torch.zeros(1, 1, 8), torch.full((1, 1, 8), 0.1))
    terms["pitch"] = torch.tensor(4.0)
    assert {name: round(term.item(), 6) for name, term in terms.items()} == {
        "adversarial": 1.0,
        "feature_matching": 3.0,
        "wave": 0.1,
        "pitch": 4.0,
    }
    assert whole.total(terms).item() == pytest.approx(1.0 + 2 * 3.0 + 45 * 0.1 + 0.5 * 4.0)
    assert whole.discriminator(REAL, FAKE).item() == 0.0


def test_gradient_of_each_term_is_its_weight() -> None:
    terms = {name: torch.tensor(1.0, requires_grad=True) for name in WEIGHTS}
    objective().total(terms).backward()
    assert {name: term.grad.item() for name, term in terms.items() if term.grad is not None} == (
        WEIGHTS
    )


def test_ramp_scales_the_adversary_alone() -> None:
    terms = {name: torch.tensor(1.0, requires_grad=True) for name in WEIGHTS}
    objective().total(terms, adversary=0.25).backward()
    expected = WEIGHTS | {"adversarial": 0.25, "feature_matching": 0.5}
    assert {name: term.grad.item() for name, term in terms.items() if term.grad is not None} == (
        expected
    )


def test_adversary_may_be_left_out_as_a_whole() -> None:
    terms = {"wave": torch.tensor(2.0), "pitch": torch.tensor(1.0)}
    assert objective().total(terms).item() == pytest.approx(90.5)


@pytest.mark.parametrize(
    "names",
    [
        ("wave",),
        ("pitch",),
        ("adversarial", "wave", "pitch"),
        ("feature_matching", "wave", "pitch"),
        ("adversarial", "feature_matching"),
        ("wave", "pitch", "pich"),
        (),
    ],
)
def test_any_other_set_of_terms_is_an_error(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="terms are"):
        objective().total({name: torch.tensor(1.0) for name in names})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"weights": {**WEIGHTS, "waev": 1.0}}, "waev"),
        ({"weights": {"waev" if k == "wave" else k: v for k, v in WEIGHTS.items()}}, "waev.*wave"),
        ({"weights": {"wave": 45.0}}, "pitch"),
        ({"adversarial": None}, "feature_matching is given without adversarial"),
        ({"auxiliary": ("wave",)}, "same name"),
        ({"auxiliary": ("adversarial",)}, "same name"),
        ({"reconstruction": {"feature_matching": nn.L1Loss()}}, "same name"),
    ],
)
def test_names_are_checked_at_construction(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        objective(**changes)


def test_without_a_game_there_is_no_adversary() -> None:
    spectral = objective(
        weights={"wave": 2.0}, adversarial=None, feature_matching=None, auxiliary=()
    )
    assert spectral.adversary(FAKE, REAL) == {}
    assert spectral.total({"wave": torch.tensor(3.0)}).item() == 6.0
    with pytest.raises(ConfigError, match="no adversarial loss"):
        spectral.discriminator(REAL, FAKE)


def test_nothing_to_minimise_is_an_error() -> None:
    game_only = objective(
        weights={"adversarial": 1.0}, reconstruction={}, feature_matching=None, auxiliary=()
    )
    with pytest.raises(ConfigError, match="terms are"):
        game_only.total({})


def test_reconstruction_losses_move_with_the_objective() -> None:
    buffered = nn.L1Loss()
    buffered.register_buffer("window", torch.ones(2), persistent=False)
    moved = objective(reconstruction={"wave": buffered}).to("meta")
    assert {name: buffer.device.type for name, buffer in moved.named_buffers()} == {
        "reconstruction.wave.window": "meta"
    }
