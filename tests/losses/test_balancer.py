"""A weight is a share of the gradient, independent of the scale of the loss."""

import pytest
import torch
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.losses.balancer import Balancer

WEIGHTS = {"loud": 3.0, "soft": 1.0}


def losses(fake: Tensor, scale: float = 1.0) -> dict[str, Tensor]:
    return {"loud": scale * 1e4 * fake.square().mean(), "soft": 1e-3 * (fake - 1.0).abs().mean()}


def gradient(balancer: Balancer, fake: Tensor, scale: float = 1.0) -> Tensor:
    (result,) = torch.autograd.grad(balancer(losses(fake, scale), WEIGHTS, fake), fake)
    return result


def audio() -> Tensor:
    return torch.randn(4, 1, 50, generator=torch.Generator().manual_seed(0)).requires_grad_()


def test_each_gradient_has_its_share_of_the_norm() -> None:
    fake = audio()
    expected = torch.zeros_like(fake)
    for name, loss in losses(fake).items():
        (own,) = torch.autograd.grad(loss, fake)
        expected += WEIGHTS[name] / 4.0 * 2.0 * own / own.flatten(1).norm(dim=1).mean()
    balanced = gradient(Balancer(["loud", "soft"], total_norm=2.0), fake)
    torch.testing.assert_close(balanced, expected)


def test_scale_of_a_loss_does_not_matter() -> None:
    fake = audio()
    balancers = [Balancer(["loud", "soft"], decay=0.9) for _ in range(2)]
    for _ in range(3):
        once, scaled = (gradient(b, fake, s) for b, s in zip(balancers, (1.0, 1e3), strict=True))
        torch.testing.assert_close(once, scaled)


def test_norms_are_averaged_over_steps() -> None:
    """A loss whose gradient grows tenfold weighs more at first, but not after averaging."""
    balancer, fake = Balancer(["loud", "soft"], decay=0.5), audio()
    for _ in range(20):
        before = gradient(balancer, fake)
    first = gradient(balancer, fake, 10.0)
    assert first.norm() > 1.5 * before.norm()
    for _ in range(20):
        after = gradient(balancer, fake, 10.0)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-5)


def test_other_terms_keep_their_weights() -> None:
    """Auxiliary losses of the generator do not depend on its output."""
    fake, own = audio(), torch.tensor(2.0, requires_grad=True)
    terms = losses(fake) | {"pitch": own.square()}
    Balancer(["loud", "soft"])(terms, WEIGHTS | {"pitch": 0.5}, fake).backward()
    assert own.grad == pytest.approx(0.5 * 2.0 * 2.0)


def test_state_is_saved() -> None:
    first, second, fake = Balancer(["loud", "soft"]), Balancer(["loud", "soft"]), audio()
    gradient(first, 3.0 * fake)
    second.load_state_dict(first.state_dict())
    assert torch.equal(gradient(first, fake), gradient(second, fake))


def test_impossible_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="name at least one term"):
        Balancer([])
