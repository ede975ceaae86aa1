"""Names of models: folders of the working directory hide no built-in model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vocoder
from vocoder.checkpoint import ALIASES, CONFIG_NAME, GRIFFIN_LIM, builtin_models, find_model
from vocoder.errors import CheckpointError


@pytest.mark.parametrize("name", [*ALIASES, *builtin_models(), GRIFFIN_LIM])
def test_folder_of_the_same_name_hides_no_built_in_model(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "notes.txt").write_text("not a model")
    monkeypatch.chdir(tmp_path)
    extends = ALIASES.get(name, name) == ALIASES["extender"]
    model = vocoder.load_extender(name) if extends else vocoder.load(name)
    assert model.config.name == ALIASES.get(name, name)


def test_model_directory_precedes_the_built_in_model_of_its_name(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_model.rename(tmp_path / "default")
    monkeypatch.chdir(tmp_path)
    assert vocoder.load("default").config.name == "tiny"


@pytest.mark.parametrize("name", ["./default", "models/default", Path("default")])
def test_name_with_a_separator_is_a_path(
    name: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "default").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="no such|config.json"):
        vocoder.load(name)


GARBAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.mkdir(),
    "no_json": lambda path: (path.mkdir(), (path / CONFIG_NAME).write_bytes(b"\xff\x00{")),
    "deep": lambda path: (path.mkdir(), (path / CONFIG_NAME).write_text("[" * 100_000)),
    "list": lambda path: (path.mkdir(), (path / CONFIG_NAME).write_text("[1]")),
    "folder": lambda path: (path / CONFIG_NAME).mkdir(parents=True),
    "file": lambda path: path.write_bytes(b"PK"),
    "long": lambda path: None,
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_directory_of_anything_is_one_line(
    kind: str, tmp_path: Path, vocoder_command: Callable[..., Any]
) -> None:
    name = str(tmp_path / (kind if kind != "long" else "x" * 5000))
    GARBAGE[kind](Path(name))
    result = vocoder_command("info", name)
    assert result.code == 2
    assert result.err.startswith(f"error: {name}") or kind == "file"
    assert len(result.err.splitlines()) == 1
    for load in (vocoder.load, vocoder.load_extender):
        with pytest.raises(CheckpointError):
            load(name)


def test_aliases_are_built_in_models() -> None:
    assert {ALIASES[name] for name in ALIASES} == builtin_models().keys()
    for alias, name in ALIASES.items():
        assert find_model(alias) == builtin_models()[name]
