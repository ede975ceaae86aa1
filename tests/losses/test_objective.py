"""Every term has a name, every name a weight, and no term is dropped silently."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.errors import ConfigError
from vocoder.losses.adversarial import LeastSquares
from vocoder.losses.balancer import Balancer
from vocoder.losses.feature_matching import FeatureMatching
from vocoder.losses.objective import Objective

WEIGHTS = {"adversarial": 1.0, "feature_matching": 2.0, "wave": 45.0, "pitch": 0.5}
FAKE = [DiscriminatorOutput(torch.tensor([[0.0]]), [torch.tensor([[1.0]])])]
REAL = [DiscriminatorOutput(torch.tensor([[1.0]]), [torch.tensor([[4.0]])])]


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
    terms = whole.adversarial_terms(FAKE, REAL)
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


def test_adversarial_weight_scales_the_adversarial_terms_only() -> None:
    terms = {name: torch.tensor(1.0, requires_grad=True) for name in WEIGHTS}
    objective().total(terms, adversarial_weight=0.25).backward()
    expected = WEIGHTS | {"adversarial": 0.25, "feature_matching": 0.5}
    assert {name: term.grad.item() for name, term in terms.items() if term.grad is not None} == (
        expected
    )


def test_adversarial_terms_may_be_left_out_together() -> None:
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


def test_objective_without_adversarial_loss_has_no_adversarial_terms() -> None:
    spectral = objective(
        weights={"wave": 2.0}, adversarial=None, feature_matching=None, auxiliary=()
    )
    assert spectral.adversarial_terms(FAKE, REAL) == {}
    assert spectral.total({"wave": torch.tensor(3.0)}).item() == 6.0
    with pytest.raises(ConfigError, match="no adversarial loss"):
        spectral.discriminator(REAL, FAKE)


def test_nothing_to_minimise_is_an_error() -> None:
    adversarial_only = objective(
        weights={"adversarial": 1.0}, reconstruction={}, feature_matching=None, auxiliary=()
    )
    with pytest.raises(ConfigError, match="terms are"):
        adversarial_only.total({})


def test_reconstruction_losses_move_devices_with_the_objective() -> None:
    buffered = nn.L1Loss()
    buffered.register_buffer("window", torch.ones(2), persistent=False)
    moved = objective(reconstruction={"wave": buffered}).to("meta")
    assert {name: buffer.device.type for name, buffer in moved.named_buffers()} == {
        "reconstruction.wave.window": "meta"
    }


class Loudness:
    """A regulariser that is due every third step."""

    every = 3

    def __call__(self, discriminators: Any, real: Tensor, fake: Tensor) -> Tensor:
        return discriminators(real)[0].logits.mean() + fake.abs().mean()


def test_regularisers_are_multiplied_by_their_interval() -> None:
    whole = objective(weights=WEIGHTS | {"loudness": 0.25}, regularisers={"loudness": Loudness()})
    real, fake = torch.zeros(1, 1, 4), torch.full((1, 1, 4), 2.0)
    due = [whole.regularise(lambda _: REAL, real, fake, step=step) for step in range(4)]
    assert [sorted(terms) for terms in due] == [["loudness"], [], [], ["loudness"]]
    assert due[3]["loudness"].item() == pytest.approx(0.25 * 3 * (1.0 + 2.0))
    terms = {name: torch.tensor(1.0) for name in WEIGHTS}
    assert whole.total(terms).item() == pytest.approx(sum(WEIGHTS.values())), "not the generator's"


def test_penalties_are_computed_on_the_generator() -> None:
    whole = objective(
        weights=WEIGHTS | {"small": 2.0},
        penalties={"small": lambda network: network.weight.square().sum()},
    )
    generator = nn.Linear(1, 1)
    nn.init.constant_(generator.weight, 3.0)
    assert whole.penalise(generator)["small"].item() == 9.0
    with pytest.raises(ConfigError, match="needs .*small"):
        whole.total({name: torch.tensor(1.0) for name in WEIGHTS})


def test_balancer_takes_the_weights_as_shares() -> None:
    fake = torch.randn(2, 1, 8, requires_grad=True)
    terms = {"wave": 1e6 * fake.square().mean(), "pitch": torch.tensor(1.0, requires_grad=True)}
    whole = objective(balancer=Balancer(["wave"]))
    whole.total(terms, fake=fake).backward()
    assert fake.grad.flatten(1).norm(dim=1).mean().item() == pytest.approx(1.0)
    assert terms["pitch"].grad.item() == 0.5


def test_regularisers_need_an_adversarial_loss() -> None:
    with pytest.raises(ConfigError, match="without adversarial"):
        Objective(
            weights={"wave": 1.0, "loudness": 1.0},
            reconstruction={"wave": nn.L1Loss()},
            regularisers={"loudness": Loudness()},
        )


def test_balancer_accepts_only_losses_of_the_audio() -> None:
    for name in ("wav", "pitch"):
        with pytest.raises(ConfigError, match=name):
            objective(balancer=Balancer(["wave", name]))
    with pytest.raises(ConfigError, match="needs the audio"):
        objective(balancer=Balancer(["wave"])).total(dict.fromkeys(WEIGHTS, torch.tensor(1.0)))
