"""Several processes train as one does: the same gradients, crops, scores and states."""

import copy
import multiprocessing
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from vocoder.errors import ConfigError
from vocoder.training.parallel.ranks import Ranks, batch_in_words
from vocoder.training.run import build_system, config_folder
from vocoder.training.states import collect_networks
from vocoder.training.trainer import Trainer

from .conftest import settings
from .test_signals import free_port
from .test_trainer import flat

Cases = Mapping[str, dict[str, Any]]
STEPS = 3


def learned(ranks: Ranks, values: dict[str, Any]) -> dict[str, Any]:
    """The state after three steps, and the scores of a validation."""
    run = Trainer(build_system(values), values, console=Console(quiet=True), ranks=ranks)
    run.resume()
    for step in range(run.step, run.step + STEPS):
        run.step = step
        run.train_step(run.segments[step])
    run.step += 1
    run.ema.gather()
    state = collect_networks(run.modules, run.optimizers)
    scores, clips = run.validator.run(run.ema.model, run.features, ranks)
    run.save()
    return {**state, "scores": scores, "names": [clip.name for clip in clips]}


def process(rank: int, size: int, port: int, folder: Path, cases: Cases) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    ranks = Ranks("cpu")
    results = {}
    for name, values in cases.items():
        values["trainer"]["output"] = str(folder / f"{size}" / name)
        results[name] = learned(ranks, values)
    torch.save(results, folder / f"{size}-{rank}.pt")
    ranks.close()


def train(size: int, folder: Path, cases: Cases) -> list[dict[str, Any]]:
    """States of the cases, from each of `size` processes."""
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # imports for seconds, here only once
    fork, port = multiprocessing.get_context("fork"), free_port()
    arguments = [(rank, size, port, folder, copy.deepcopy(cases)) for rank in range(size)]
    processes = [fork.Process(target=process, args=each) for each in arguments]
    for each in processes:
        each.start()
    for each in processes:
        each.join(timeout=500)
    assert [each.exitcode for each in processes] == [0] * size
    return [torch.load(folder / f"{size}-{rank}.pt") for rank in range(size)]


def with_sgd(values: dict[str, Any], lr: float = 1e-3) -> dict[str, Any]:
    """Steps in proportion to the gradient: Adam's first ones enlarge the rounding of a zero."""
    for name in ("generator", "discriminators"):
        target = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": lr, "momentum": 0.9}
        values["optim"][name]["optimizer"] = target
    values["data"]["batch_size"] = 3  # two crops here, one there
    values["trainer"]["validation_clips"] = 2
    return values


def differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, float]:
    """The largest difference between weights and buffers, by name."""
    modules = ("generator", "ema", "discriminators", "augmentation", "objective")
    first, second = (flat({name: each[name] for name in modules}) for each in (one, other))
    assert first.keys() == second.keys()
    return {
        name: float((value.double() - second[name].double()).abs().max())
        for name, value in first.items()
        if isinstance(value, torch.Tensor) and value.numel()
    }


def check(cases: Cases, folder: Path) -> None:
    ((one,), (first, second)) = train(1, folder, cases), train(2, folder, cases)
    wrong = {}
    for name in cases:
        assert first[name]["names"] == second[name]["names"] == one[name]["names"]
        assert first[name]["scores"] == second[name]["scores"]
        assert first[name]["scores"] == pytest.approx(one[name]["scores"], abs=1e-4)
        assert not max(differences(first[name], second[name]).values())
        far = max(differences(one[name], first[name]).values())
        if far > 1e-6:
            wrong[name] = far
    assert not wrong


def of_discriminators(name: str, manifest: Path) -> dict[str, Any]:
    overrides = ["objective=hifigan", "trainer.adversarial_start=0", f"discriminators={name}"]
    if name.endswith("_sliced"):
        overrides[0] = "objective=bigvsan"
    values = settings("demo", manifest, Path("unused"), *overrides)
    return with_sgd(values)


def test_two_processes_train_as_one_with_the_same_global_batch(
    manifest: Path, tmp_path: Path
) -> None:
    spectral = of_discriminators("mpd_msd", manifest)
    spectral["discriminators"] = {"msd": spectral["discriminators"]["msd"]}
    regularisers, objective = "vocoder.losses.regularisers", spectral["objective"]
    objective["regularisers"] = {"r1": {"_target_": f"{regularisers}.R1", "every": 2}}
    objective["weights"] |= {"r1": 0.1}
    terms = ["adversarial", "feature_matching", "mel"]
    objective["balancer"] = {"_target_": "vocoder.losses.balancer.Balancer", "terms": terms}
    check({"spectral": spectral}, tmp_path)


@pytest.mark.slow
def test_every_kind_of_discriminator_trains_in_two_processes_as_in_one(
    manifest: Path, tmp_path: Path
) -> None:
    names = sorted(path.stem for path in (config_folder() / "discriminators").glob("*.yaml"))
    names.remove("none")
    names.remove("random_window")  # every process draws its own windows
    assert len(names) > 20
    check({name: of_discriminators(name, manifest) for name in names}, tmp_path)


@pytest.mark.slow
def test_a_divided_generator_trains_as_a_whole_one(manifest: Path, tmp_path: Path) -> None:
    """FSDP equals DDP and one process, also where it goes on from the state of the other."""
    names = ("hifigan_v1", "bigvgan_base_22k_80", "vocos_22k")
    whole: dict[str, dict[str, Any]] = {}
    for name in names:
        values = settings(name, manifest, Path("unused"), "objective=hifigan")
        whole[name] = with_sgd(values)
        whole[name]["trainer"]["adversarial_start"] = 0
        whole[name]["optim"]["generator"]["optimizer"] = {
            "_target_": "torch.optim.AdamW",
            "_partial_": True,
            "lr": 1e-4,
        }
    divided = copy.deepcopy(whole)
    for values in divided.values():
        values["trainer"]["parallel"] = "fsdp"
    for order in ((whole, whole), (divided, divided), (whole, divided), (divided, whole)):
        folder = tmp_path / "-".join(str(each is divided) for each in order)
        folder.mkdir()
        for cases in order:
            first, second = train(2, folder, cases)
        assert not max(max(differences(first[n], second[n]).values()) for n in names)
        if order == (whole, whole):
            expected = first
            continue
        for name in names:
            assert max(differences(expected[name], first[name]).values()) < 1e-6
            assert first[name]["scores"] == pytest.approx(expected[name]["scores"], abs=1e-4)


def test_a_divided_generator_needs_several_processes(manifest: Path, tmp_path: Path) -> None:
    values = settings("demo", manifest, tmp_path)
    values["trainer"]["parallel"] = "fsdp"
    with pytest.raises(ConfigError, match=r"parallel=fsdp divides.*torchrun"):
        Trainer(build_system(values), values, console=Console(quiet=True))
    penalty = {"_target_": "vocoder.losses.regularisers.OrthogonalPenalty"}
    values["objective"]["penalties"] = {"apart": penalty}
    values["objective"]["weights"]["apart"] = 1e-4
    with pytest.raises(ConfigError, match=r"objective\.penalties \(apart\) need; set it to ddp"):
        build_system(values)


def test_the_division_of_the_batch_in_words() -> None:
    assert batch_in_words(16, processes=1, parts=1) == "batch 16"
    assert batch_in_words(16, processes=2, parts=1) == "global batch 16: 8 on each of 2 processes"
    assert batch_in_words(7, processes=2, parts=3) == (
        "global batch 7: 3 or 4 on each of 2 processes, in 3 parts one after the other"
    )
    with pytest.raises(ConfigError, match=r"accumulate=4; set at least 8"):
        batch_in_words(7, processes=2, parts=4)
