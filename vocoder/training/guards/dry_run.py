"""Dry run of a step before the first one, so that parts that do not fit fail at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vocoder.data.segments import Batch
from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.losses.objective import Objective

_LONGER = (2, 4, 8, 16, 32, 64)


def dry_run(
    batch: Batch,
    generator: Generator,
    discriminators: nn.Module,
    *,
    features: nn.Module,
    objective: Objective,
) -> None:
    """Compute all losses of one crop without training anything.

    Raises ConfigError if the objective does not have exactly the losses that the generator computes
    itself, or if the crop is too short for a network or a loss and a longer one is not.

    Args:
        batch: A batch of the run, of which the first crop is taken.
        generator: The generator, or its average.
        discriminators: The discriminators.
        features: Features of the generator, from audio and from those that come from files.
        objective: The losses.
    """
    device = next(generator.parameters()).device

    def losses(times: int) -> None:
        real = batch.audio[:1].to(device).repeat(1, 1, times)
        given = {name: value[:1].repeat(1, 1, times) for name, value in batch.features.items()}
        inputs: dict[str, Tensor] = features(real, given)
        fake, auxiliary = generator.with_losses(real, **inputs)
        fake = fake[..., : real.shape[-1]]
        _check_auxiliary(type(generator).__name__, auxiliary, objective)
        objective.reconstruct(fake, real)
        if objective.adversarial is not None:
            outputs = [discriminators(audio, inputs) for audio in (fake, real)]
            objective.adversarial_terms(*outputs)

    with torch.no_grad(), _evaluating(generator, discriminators):
        try:
            losses(1)
        except (RuntimeError, IndexError, ValueError) as error:
            samples = batch.audio.shape[-1]
            enough = next((n * samples for n in _LONGER if _succeeds(losses, n)), None)
            if enough is None:  # so the length is not the reason
                raise
            reason = str(error).split("\n", 1)[0]
            raise ConfigError(
                f"data.segment is {samples}, too short for the networks or losses of this system "
                f"({reason}); {enough} is long enough"
            ) from error


def _check_auxiliary(generator: str, computed: Mapping[str, Tensor], objective: Objective) -> None:
    """Raise ConfigError unless the objective's other losses are those the generator computes."""
    own = {"adversarial", "feature_matching", *objective.reconstruction, *objective.penalties}
    expected = objective.weights.keys() - own
    if expected != computed.keys():
        raise ConfigError(
            f"the objective has {_listed(expected)} from the generator, but {generator} computes "
            f"{_listed(computed.keys())}: choose the objective of its system, or make "
            "objective.auxiliary and objective.weights name the latter"
        )


def _listed(names: Iterable[str]) -> str:
    return f"the losses {sorted(names)}" if names else "no losses"


def _succeeds(losses: Callable[[int], None], times: int) -> bool:
    try:
        losses(times)
    except (RuntimeError, IndexError, ValueError):
        return False
    return True


@contextmanager
def _evaluating(*networks: nn.Module) -> Iterator[None]:
    """Within the block, networks are in evaluation mode, in which no buffer of theirs changes."""
    training = [each for network in networks for each in network.modules() if each.training]
    try:
        for network in networks:
            network.eval()
        yield
    finally:
        for each in training:
            each.training = True
