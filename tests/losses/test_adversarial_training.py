"""Every adversarial loss, with its penalties, trains a generator on a known distribution.

Real signals are noise through a filter of three taps. So are the generator's, from the same noise;
its only parameters are these taps. The distance of the two distributions is known exactly: the
difference of their log power spectra.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.discriminators.output import ConvDiscriminator, DiscriminatorOutput
from vocoder.discriminators.slicing import Sliced
from vocoder.losses.adversarial import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    NonSaturating,
    Relativistic,
    RelativisticLeastSquares,
    Slicing,
    UnboundedHinge,
    Wasserstein,
)
from vocoder.losses.objective import Regulariser
from vocoder.losses.regularisers import R1, R2, GradientPenalty

STEPS, BATCH, SAMPLES = 200, 8, 100
TRUE = torch.tensor([1.0, -0.6, 0.4])
START = torch.tensor([0.5, 0.0, 0.0])
NEAR = 0.15  # of the distance at the start; over ten seeds, all losses end below 0.08

Penalties = list[tuple[float, Regulariser]]
ADVERSARIAL_LOSSES: dict[str, tuple[AdversarialLoss, Penalties]] = {
    "least squares": (LeastSquares(), []),
    "hinge": (Hinge(), []),
    "unbounded hinge": (UnboundedHinge(), []),
    "non-saturating": (NonSaturating(), []),
    "non-saturating, lazy R1": (NonSaturating(), [(0.1, R1(every=4))]),
    "Wasserstein, gradient penalty": (Wasserstein(), [(0.1, GradientPenalty())]),
    "relativistic, R1 and R2": (Relativistic(), [(0.1, R1()), (0.1, R2())]),
    "relativistic least squares": (RelativisticLeastSquares(), []),
    "slicing": (Slicing(), []),
}


class Discriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.discriminator = ConvDiscriminator([nn.Conv1d(1, 12, 7)], nn.Conv1d(12, 1, 1))

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        return [self.discriminator(audio)]


def shape_noise(noise: Tensor, taps: Tensor) -> Tensor:
    return F.conv1d(noise, taps.flip(0)[None, None])


def distance(taps: Tensor) -> float:
    """Root mean square, over frequency, of the difference in log power."""
    ours, real = (torch.fft.rfft(x, 64).abs().square().log() for x in (taps, TRUE))
    return (ours - real).square().mean().sqrt().item()


def train(adversarial: AdversarialLoss, penalties: Penalties, seed: int) -> Tensor:
    """The generator's taps, averaged over the last steps of a run."""
    torch.manual_seed(seed)
    discriminators: nn.Module = (
        Sliced(Discriminator()) if isinstance(adversarial, Slicing) else Discriminator()
    )
    taps = nn.Parameter(START.clone())
    generator = torch.optim.Adam([taps], lr=0.01, betas=(0.5, 0.99))
    optimizer_d = torch.optim.Adam(discriminators.parameters(), lr=0.03, betas=(0.5, 0.99))
    average = START.clone()
    for step in range(2 * STEPS):
        for optimizer, rate in ((generator, 0.01), (optimizer_d, 0.03)):
            optimizer.param_groups[0]["lr"] = rate * (1.0 - step / (2 * STEPS))
        noise = torch.randn(BATCH, 1, SAMPLES)
        real, fake = shape_noise(noise, TRUE), shape_noise(noise, taps)
        loss = adversarial.discriminator(discriminators(real), discriminators(fake.detach()))
        for weight, penalty in penalties:
            if step % penalty.every == 0:
                loss = loss + weight * penalty.every * penalty(discriminators, real, fake.detach())
        descend(optimizer_d, loss)
        if step % 2:  # the discriminator learns twice as often
            with torch.no_grad():
                outputs_real = discriminators(real)
            descend(generator, adversarial.generator(discriminators(fake), outputs_real))
            average.lerp_(taps.detach(), 0.1)
    return average


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@pytest.mark.slow
@pytest.mark.usefixtures("plain_kernels")
@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_generator_finds_the_distribution_within_200_steps(name: str) -> None:
    assert distance(train(*ADVERSARIAL_LOSSES[name], seed=0)) < NEAR * distance(START)
