"""Model directories and training states: exact saving and loading, atomic writes, and errors."""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.checks.test_saved_state import STATE
from tests.conftest import TINY
from vocoder.build import build
from vocoder.checkpoint import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    ModelConfig,
    find_model,
    load_model,
    load_state,
    save_model,
    save_state,
)
from vocoder.errors import CheckpointError, VocoderError
from vocoder.io.atomic import replacing_file

FullDisk = Callable[[], AbstractContextManager[None]]


def weights_of(directory: Path) -> dict[str, Tensor]:
    return load_file(directory / WEIGHTS_NAME)


def content(directory: Path) -> dict[str, bytes]:
    """Every file under a directory, hidden ones too."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def edit_config(directory: Path, **changes: Any) -> None:
    path = directory / CONFIG_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_model_is_loaded_bit_for_bit(tmp_path: Path, tiny_config: ModelConfig) -> None:
    model = build(tiny_config.generator)
    save_model(tmp_path / "model", model, tiny_config)
    loaded, config = load_model(tmp_path / "model")
    assert config == tiny_config
    assert not loaded.training
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_half_precision_is_for_storage_only(tmp_path: Path, tiny_config: ModelConfig) -> None:
    save_model(tmp_path / "model", build(tiny_config.generator), tiny_config, dtype=torch.float16)
    loaded, _ = load_model(tmp_path / "model")
    assert {value.dtype for value in weights_of(tmp_path / "model").values()} == {torch.float16}
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32}


def test_permissions_of_a_saved_model_follow_the_umask(tiny_model: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    assert tiny_model.stat().st_mode & 0o777 == 0o777 & ~umask
    for path in tiny_model.iterdir():
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_saving_again_replaces_the_model_and_leaves_no_other_files(
    tiny_model: Path, tiny_config: ModelConfig
) -> None:
    other = build(tiny_config.generator)
    torch.nn.init.ones_(other.conv_post.bias)
    save_model(tiny_model, other, tiny_config)
    assert weights_of(tiny_model)["conv_post.bias"].item() == 1.0
    assert os.listdir(tiny_model.parent) == [tiny_model.name]


def test_failing_save_leaves_the_old_model_intact(
    tiny_model: Path, tiny_config: ModelConfig, full_disk: FullDisk
) -> None:
    before = content(tiny_model.parent)
    with full_disk(), pytest.raises(VocoderError, match=f"{tiny_model}: cannot be written"):
        save_model(tiny_model, build(tiny_config.generator), tiny_config)
    assert content(tiny_model.parent) == before


def test_interrupted_save_leaves_the_old_model_intact(
    tiny_model: Path, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    before = content(tiny_model.parent)
    monkeypatch.setattr("vocoder.checkpoint.json.dumps", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_model(tiny_model, build(tiny_config.generator), tiny_config)
    assert content(tiny_model.parent) == before


@pytest.mark.parametrize("as_file", [False, True])
def test_save_replaces_nothing_but_a_model(
    tmp_path: Path, tiny_config: ModelConfig, as_file: bool
) -> None:
    target = tmp_path / "thesis"
    if as_file:
        target.write_text("years of work")
    else:
        target.mkdir()
        (target / "chapter1.tex").write_text("years of work")
    before = content(tmp_path)
    with pytest.raises(CheckpointError, match="thesis: exists and is not a model"):
        save_model(target, build(tiny_config.generator), tiny_config)
    assert content(tmp_path) == before


@pytest.mark.parametrize("size", [0, 4, 100, 5000])
def test_truncated_weights_are_an_error_that_names_the_file(tiny_model: Path, size: int) -> None:
    path = tiny_model / WEIGHTS_NAME
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=f"{path}: damaged"):
        load_model(tiny_model)


def test_weights_of_another_network_are_listed(tiny_model: Path) -> None:
    weights = weights_of(tiny_model)
    weights["conv_post.bias"] = torch.zeros(2)
    weights["extra"] = torch.zeros(1)
    del weights["conv_pre.bias"]
    save_file(weights, tiny_model / WEIGHTS_NAME)
    with pytest.raises(CheckpointError) as error:
        load_model(tiny_model)
    for words in (
        str(tiny_model / WEIGHTS_NAME),
        "missing: conv_pre.bias",
        "unknown: extra",
        "of another shape: conv_post.bias",
    ):
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 99}, "format 99"),
        ({"surprise": 1}, "surprise"),
        ({"mel": 80}, "mel is 80; it must be a mapping"),
        ({"mel": {"sample_rate": 22050}}, "missing keys"),
        ({"generator": {"_target_": "os.system", "command": "true"}}, "os.system"),
        ({"generator": {"_target_": "vocoder.checkpoint.os.system"}}, "not a class|there is no"),
        ({"generator": {"_target_": "vocoder.generators.hifigan.HiFiGAN", "hop": 1}}, "hop"),
        ({"generator": {"n_mels": 80}}, "it must be a Generator"),
        ({"generator": "hifigan"}, "generator is 'hifigan'; it must be a mapping"),
        ({"generator": {"_target_": "torch.optim.SGD", "params": []}}, "generator"),
        ({"licences": [1]}, "licences"),
    ],
)
def test_wrong_configuration_is_an_error_that_names_the_file(
    tiny_model: Path, changes: dict[str, Any], words: str
) -> None:
    edit_config(tiny_model, **changes)
    with pytest.raises(CheckpointError, match=words) as error:
        load_model(tiny_model)
    assert str(tiny_model / CONFIG_NAME) in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00\x01"])
def test_config_that_is_no_json_object_is_an_error(tiny_model: Path, text: str) -> None:
    (tiny_model / CONFIG_NAME).write_text(text)
    with pytest.raises(CheckpointError, match=str(tiny_model / CONFIG_NAME)):
        load_model(tiny_model)


@pytest.mark.parametrize("name", [CONFIG_NAME, WEIGHTS_NAME])
def test_missing_file_is_named(tiny_model: Path, name: str) -> None:
    (tiny_model / name).unlink()
    with pytest.raises(CheckpointError, match=str(tiny_model / name)):
        load_model(tiny_model)


def test_model_is_found_by_its_directory_or_a_file_in_it(tiny_model: Path) -> None:
    assert find_model(tiny_model) == find_model(tiny_model / WEIGHTS_NAME) == tiny_model


def test_unknown_model_lists_the_built_in_ones() -> None:
    with pytest.raises(CheckpointError, match=r"no_such: .*griffin-lim"):
        find_model("no_such")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.fill_(float("nan")), "NaN or infinite values in conv_post.bias"),
        (lambda w: w.fill_(float("-inf")), "NaN or infinite values in conv_post.bias"),
        (lambda w: w.long(), "of another type: conv_post.bias"),
        (lambda w: w.bool(), "of another type: conv_post.bias"),
        (lambda w: w.to(torch.float8_e4m3fn), "of another type: conv_post.bias"),
        (lambda w: w[:, None], "of another shape: conv_post.bias"),
    ],
)
def test_weights_of_other_values_and_types_are_named(
    tiny_model: Path, change: Callable[[Tensor], Tensor], words: str
) -> None:
    weights = weights_of(tiny_model)
    weights["conv_post.bias"] = change(weights["conv_post.bias"])
    save_file(weights, tiny_model / WEIGHTS_NAME)
    with pytest.raises(CheckpointError, match=words) as error:
        load_model(tiny_model)
    assert str(error.value).startswith(f"{tiny_model / WEIGHTS_NAME}: ")


def test_large_finite_weights_and_every_float_type_are_loaded(tiny_model: Path) -> None:
    for dtype, value in ((torch.float32, 3e38), (torch.float16, 6e4), (torch.bfloat16, 3e38)):
        weights = {name: weight.to(dtype) for name, weight in weights_of(tiny_model).items()}
        weights["conv_pre.bias"] = torch.full_like(weights["conv_pre.bias"], value)
        save_file(weights, tiny_model / WEIGHTS_NAME)
        loaded, _ = load_model(tiny_model)
        assert loaded.get_parameter("conv_pre.bias")[0] == weights["conv_pre.bias"][0]
    weights = {name: weight.double() for name, weight in weights_of(tiny_model).items()}
    save_file(weights, tiny_model / WEIGHTS_NAME)
    assert {each.dtype for each in load_model(tiny_model)[0].parameters()} == {torch.float32}


def test_config_that_claims_more_than_the_weights_hold_is_refused(tiny_model: Path) -> None:
    edit_config(tiny_model, generator={**TINY, "channels": 1 << 18})
    with pytest.raises(CheckpointError, match="larger than its .* saved weights") as error:
        load_model(tiny_model)
    assert str(error.value).startswith(f"{tiny_model / CONFIG_NAME}: generator")


def test_state_is_loaded_as_saved(tmp_path: Path) -> None:
    state = STATE | {"generator": {"a": torch.randn(4)}, "history": [1.0, None, "a"]}
    save_state(tmp_path / "deep" / "step-3.pt", state)
    loaded = load_state(tmp_path / "deep" / "step-3.pt")
    assert torch.equal(loaded.pop("generator")["a"], state.pop("generator")["a"])
    assert loaded == state


class Evil:
    """Pickled, this would run a command when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("evil",)


def test_state_that_runs_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"step": 1, "evil": Evil()}, "state.pt")
    with pytest.raises(CheckpointError, match="holds program code"):
        load_state(Path("state.pt"))
    assert not Path("evil").exists()


@pytest.mark.parametrize("size", [0, 10, 500])
def test_truncated_state_is_an_error_that_names_the_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"step": 1, "weights": torch.zeros(500)})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=f"{path}: "):
        load_state(path)


def test_failing_state_leaves_the_old_one_intact(tmp_path: Path, full_disk: FullDisk) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"step": 1})
    before = content(tmp_path)
    with full_disk(), pytest.raises(VocoderError, match=f"{path}: cannot be written"):
        save_state(path, {"step": 2, "weights": torch.zeros(100_000)})
    assert content(tmp_path) == before


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_failing_block_leaves_neither_file_nor_trace(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    def fail_half_way() -> None:
        with replacing_file(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        fail_half_way()
    assert content(tmp_path) == {}


def test_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "below"
    with pytest.raises(VocoderError, match=f"{target}: cannot be written"):
        save_state(target, {"step": 1})
