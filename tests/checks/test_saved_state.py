"""Training states and start.pt of another structure: one line that names file and entry."""

from pathlib import Path
from typing import Any

import pytest
import torch

from vocoder.checkpoint import START_NAME, load_start, load_state, save_state
from vocoder.errors import CheckpointError

MOMENTS = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"params": [0]}]}
STATE: dict[str, Any] = {
    "step": 3,
    "config": {"name": "demo"},
    "generator": {},
    "ema": {},
    "discriminators": {},
    "optimizers": {},
    "best": {},
    "scores": {},
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"step": "3"}, "step is '3'; it must be an int"),
        ({"config": ["demo"]}, r"config is \['demo'\]; it must be a mapping"),
        ({"generator": [torch.zeros(2)]}, "generator is .* it must be a mapping"),
        ({"ema": {"a": 1.0}}, r"ema\.a is 1\.0; it must be a Tensor"),
        ({"discriminators": {3: torch.zeros(1)}}, "discriminators has the key 3"),
        ({"optimizers": {"generator": {"state": {}}}}, "lacks optimizers.generator.param_groups"),
        ({"optimizers": {"generator": MOMENTS | {"state": [1]}}}, "optimizers.generator.state is"),
        ({"optimizers": {"generator": MOMENTS | {"param_groups": [{}]}}}, "lacks optimizers"),
        ({"objective": None}, "objective is None; it must be a mapping"),
        ({"best": 1.0}, "best is 1.0; it must be a mapping"),
    ],
)
def test_state_of_another_structure_is_named_with_file_and_key(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = tmp_path / "step-3.pt"
    save_state(path, STATE | {"optimizers": {"generator": MOMENTS}})
    assert load_state(path)["step"] == 3
    save_state(path, STATE | changes)
    with pytest.raises(CheckpointError, match=words) as error:
        load_state(path)
    assert str(error.value).startswith(f"{path}: not a training state")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("state", [[1], torch.zeros(2), None, {"step": 3}])
def test_something_else_than_a_state_is_an_error(tmp_path: Path, state: Any) -> None:
    save_state(tmp_path / "a.pt", state)
    with pytest.raises(CheckpointError, match=r"a\.pt: not a training state"):
        load_state(tmp_path / "a.pt")


START = {"discriminators": {"mpd": {"a": torch.zeros(1)}}, "optimizers": {"generator": {}}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"discriminators": [1]}, "discriminators is "),
        ({"discriminators": {"mpd": torch.zeros(1)}}, r"discriminators\.mpd is a Tensor"),
        ({"discriminators": {"mpd": {"a": "b"}}}, r"discriminators\.mpd\.a is 'b'"),
        ({"optimizers": {"generator": {"a": [1]}}}, r"optimizers\.generator\.a is "),
        ({"optimizers": {"generator": {"a": {"step": "1"}}}}, r"generator\.a\.step is '1'"),
    ],
)
def test_start_of_another_structure_is_named_with_file_and_key(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    torch.save(START, tmp_path / START_NAME)
    assert load_start(tmp_path) is not None
    torch.save(START | changes, tmp_path / START_NAME)
    with pytest.raises(CheckpointError, match=words) as error:
        load_start(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / START_NAME}: not a fine-tuning state")


def test_missing_start_is_none_and_a_damaged_one_an_error(tmp_path: Path) -> None:
    assert load_start(tmp_path) is None
    (tmp_path / START_NAME).write_bytes(b"PK\3\4 and no more")
    with pytest.raises(CheckpointError, match=str(tmp_path / START_NAME)):
        load_start(tmp_path)
