"""A batch in several parts trains like the whole batch."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from vocoder.data.segments import Batch
from vocoder.errors import ConfigError
from vocoder.training.step.power_iterations import PowerIterations

from .conftest import settings, trainer


def test_parts_of_a_batch_are_its_crops_in_order() -> None:
    audio = torch.arange(5.0)[:, None, None].expand(5, 1, 8)
    batch = Batch(audio, list("abcde"), {"mel": audio.clone()}, torch.arange(5.0))
    parts = batch.parts(2)
    assert [part.names for part in parts] == [["a", "b", "c"], ["d", "e"]]
    for part in parts:
        assert torch.equal(part.audio[:, 0, 0], part.cutoffs)
        assert torch.equal(part.features["mel"], part.audio)
    assert [part.names for part in batch.parts(7)] == [[name] for name in "abcde"]


def test_more_parts_than_crops_are_refused(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.accumulate is 3.*batch_size, 2"):
        trainer(settings("demo", manifest, tmp_path, "trainer.accumulate=3"))


def states(system: str, parts: int, manifest: Path, folder: Path) -> list[Tensor]:
    """Weights and vectors of spectral norm after two steps with four crops.

    Plain gradient descent: Adam's first step is a gradient's sign, also where it is nearly 0.
    """
    overrides = f"trainer.accumulate={parts}", "trainer.adversarial_start=0"
    values = settings(system, manifest, folder, *overrides)
    values["data"]["batch_size"] = 4
    for network in ("generator", "discriminators"):
        descent = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 1e-3}
        values["optim"][network]["optimizer"] = descent
    run = trainer(values)
    before = [weight.clone() for weight in run.generator.parameters()]
    for step in range(2):
        run.step = step
        run.train_step(run.segments[step])
    assert any(a.ne(b).any() for a, b in zip(before, run.generator.parameters(), strict=True))
    return [x for m in (run.generator, run.discriminators) for x in m.state_dict().values()]


@pytest.mark.parametrize(
    "system",
    [
        "hifigan_v1",  # with spectral norm
        pytest.param("bigvgan_base_24k_100", marks=pytest.mark.slow),
        pytest.param("melgan", marks=pytest.mark.slow),
        pytest.param("vocos_22k", marks=pytest.mark.slow),
    ],
)
def test_two_parts_train_like_one_batch(system: str, manifest: Path, tmp_path: Path) -> None:
    whole, parts = (states(system, n, manifest, tmp_path / str(n)) for n in (1, 2))
    for a, b in zip(whole, parts, strict=True):
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-6)


def test_later_parts_use_the_power_iterations_of_the_first() -> None:
    norm = torch.nn.utils.parametrizations.spectral_norm
    plain, replaying = (norm(torch.nn.Linear(50, 40)) for _ in range(2))
    replaying.load_state_dict(plain.state_dict())
    iterations = PowerIterations(replaying)
    expected = [plain.weight.detach() for _ in range(2)]
    for part in range(3):
        with iterations.of_part(part, 3):
            made = [replaying.weight.detach() for _ in range(2)]
        assert all(map(torch.equal, made, expected))
    assert not torch.equal(*expected)
    assert torch.equal(plain.weight, replaying.weight)  # they go on from the same vectors
