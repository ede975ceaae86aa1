"""The stage script, with programs that only record how they were called."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

RECIPES = Path(__file__).parents[2] / "recipes"
CORPORA = ("ljspeech", "libritts", "vctk", "kathleen")
STUB = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >> "$LOG"
case "$*" in
    *held_out.py*) echo "$RATE" ;;
    *extension.py*) for cutoff in 4000 8000; do mkdir -p "$4/$cutoff"/{trained,resampling}; done ;;
    resynth*) mkdir -p "$4" ;;
esac
"""


class Run(NamedTuple):
    """Result of a recipe: exit code, stderr, the programs that it called."""

    code: int
    error: str
    calls: list[str]


Recipe = Callable[..., Run]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Run `recipes/NAME/run.sh ARGUMENTS…` in a copy of the repository that has only stubs."""
    for script in (RECIPES / "stages.sh", *RECIPES.glob("*/run.sh")):
        copy = tmp_path / "recipes" / script.relative_to(RECIPES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(script, copy)
    for name in ("vocoder", "python"):
        program = tmp_path / ".venv/bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(STUB)
        program.chmod(0o755)
    (tmp_path / "clips").mkdir()

    def run(name: str, *arguments: str, rate: int = 22050) -> Run:
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        done = subprocess.run(
            [f"recipes/{name}/run.sh", *arguments],
            cwd=tmp_path,
            env=os.environ | {"LOG": str(log), "RATE": str(rate)},
            capture_output=True,
            text=True,
            check=False,
        )
        calls = (
            log.read_text().replace(f"{tmp_path}/recipes/", "").splitlines() if log.exists() else []
        )
        return Run(done.returncode, done.stderr, calls)

    return run


def test_extension_is_scored_at_every_cutoff(recipe: Recipe) -> None:
    code, error, calls = recipe("demo_bwe", "clips", "trainer.device=cuda")
    work = "exp/demo_bwe"
    held_out = f"{work}/held-out"
    assert (code, error) == (0, "")
    assert calls[1:] == [
        f"vocoder train system=band_filler_48k data.manifest={work}/manifest.csv "
        f"trainer.output={work}/train trainer.device=cuda",
        f"python extension.py {work}/manifest.csv {work}/train/best {held_out} --device cuda",
        *(
            f"vocoder evaluate {held_out}/{cutoff}/recordings {held_out}/{cutoff}/trained "
            f"{held_out}/{cutoff}/resampling -o {work}/scores/{cutoff} --cutoff {cutoff}"
            for cutoff in (4000, 8000)
        ),
    ]


def test_a_corpus_can_train_vocoders_and_extenders(recipe: Recipe) -> None:
    _, _, calls = recipe("vctk_bwe", "--stop-stage", "3")
    assert calls[0] == "python download.py vctk corpora"
    assert calls[-1].startswith("vocoder train system=ap_bwe_8k_48k")
    assert "exp/vctk_bwe/train" in calls[-1]


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_goes_through_all_stages(name: str, recipe: Recipe) -> None:
    code, error, calls = recipe(name, "system=demo", "trainer.max_steps=4")
    work = f"exp/{name}"
    held_out = f"{work}/held-out"
    resynth = f"vocoder resynth {held_out}/recordings -o {held_out}"
    assert (code, error) == (0, "")
    assert calls == [
        f"python download.py {name} corpora",
        f"python corpora.py {name} corpora -o {work}/index.csv",
        f"vocoder prepare corpora -o {work}/manifest.csv --index {work}/index.csv",
        f"vocoder train system=demo data.manifest={work}/manifest.csv "
        f"trainer.output={work}/train trainer.max_steps=4",
        f"python held_out.py {work}/manifest.csv {work}/train/best {held_out}/recordings",
        f"{resynth}/trained --device cpu --model {work}/train/best",
        f"{resynth}/griffin-lim --device cpu --model griffin-lim "
        f"--preset {work}/train/best/config.json",
        f"{resynth}/default --device cpu",
        f"vocoder evaluate {held_out}/recordings {held_out}/trained {held_out}/default "
        f"{held_out}/griffin-lim -o {work}/scores",
    ]


def test_any_folder_with_its_own_index(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").touch()
    _, _, calls = recipe("demo", "clips", "--only", "set=speech", "--stop-stage", "3")
    assert calls == [
        "vocoder prepare clips -o exp/demo/manifest.csv --index ./manifest.csv --only set=speech",
        "vocoder train system=demo data.manifest=exp/demo/manifest.csv "
        "trainer.output=exp/demo/train",
    ]


@pytest.mark.parametrize("choice", [("--system", "x"), ("system=x",)])
def test_system_by_option_or_override(choice: tuple[str, ...], recipe: Recipe) -> None:
    _, _, calls = recipe("vctk", *choice, "--stage", "3", "--stop-stage", "3")
    assert [call.split()[:3] for call in calls] == [["vocoder", "train", "system=x"]]


def test_what_is_unpacked_is_not_downloaded(recipe: Recipe) -> None:
    _, _, calls = recipe("libritts", "--corpus", "clips", "--subset", "a", "--stop-stage", "2")
    assert calls == [
        "python corpora.py libritts clips -o exp/libritts/index.csv --subset a",
        "vocoder prepare clips -o exp/libritts/manifest.csv --index exp/libritts/index.csv",
    ]


def test_download_folder_can_be_set(recipe: Recipe) -> None:
    _, _, calls = recipe("libritts", "--download", "big", "--subset", "a", "--stop-stage", "1")
    assert calls == ["python download.py libritts big --subset a"]


def test_device_of_training_is_that_of_vocoding(recipe: Recipe) -> None:
    _, _, calls = recipe("vctk", "--stage", "4", "--model", "m", "trainer.device=cuda")
    assert sum("--device cuda" in call for call in calls) == 3
    assert "--device cuda --model m" in calls[1]


def test_the_embedded_model_is_not_compared_at_another_rate(recipe: Recipe) -> None:
    _, _, calls = recipe("vctk", "--stage", "4", rate=48000)
    assert len(calls) == 4
    assert not any("held-out/default" in call for call in calls)


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("demo", [], "CORPUS '' is not a folder"),
        ("vctk", ["nowhere"], "CORPUS 'nowhere' is not a folder"),
        ("vctk", ["--stage"], "--stage needs a value"),
        ("vctk", ["--stage", "6"], "--stage is 1 to 5, not '6'"),
        ("vctk", ["--stop-stage", "a"], "--stop-stage is 1 to 5, not 'a'"),
        ("vctk", ["--steps", "6"], "unknown option --steps"),
    ],
)
def test_bad_usage_is_one_line(
    name: str, arguments: list[str], reason: str, recipe: Recipe
) -> None:
    code, error, calls = recipe(name, *arguments)
    assert (code, calls) == (2, [])
    assert error == f"error: {reason}; see recipes/{name}/run.sh --help\n"


@pytest.mark.parametrize("name", ["demo", *CORPORA])
def test_help_is_of_that_recipe(name: str) -> None:
    done = subprocess.run(
        [RECIPES / name / "run.sh", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"Usage: recipes/{name}/run.sh")
    assert "  5 evaluate" in done.stdout
