"""Building from configurations: classes of this package only, every key checked."""

import pytest
import torch

from vocoder.build import build, find_class
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec

SPEC = {
    "_target_": "vocoder.features.mel.MelSpec",
    "sample_rate": 16000,
    "n_fft": 512,
    "hop_length": 128,
    "win_length": 512,
    "n_mels": 40,
}


def test_builds_nested_objects_lists_and_plain_values() -> None:
    node = {"parts": [{"_target_": "vocoder.features.mel.MelSpectrogram", "spec": SPEC}], "seed": 1}
    built = build(node)
    assert built["seed"] == 1
    assert built["parts"][0].spec == MelSpec(
        sample_rate=16000, n_fft=512, hop_length=128, win_length=512, n_mels=40
    )


def test_partial_takes_the_missing_arguments_later() -> None:
    make = build({"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 0.25})
    assert make([torch.zeros(1, requires_grad=True)]).defaults["lr"] == 0.25


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "torch.nn.Linear",
        "torch.serialization.load",
        "vocoderx.Evil",
        "vocoder",
        "",
    ],
)
def test_target_outside_the_package_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match="outside this package"):
        build({"_target_": target})


@pytest.mark.parametrize(
    "target",
    [
        "vocoder.checkpoint.os.system",  # a module that ours imports
        "vocoder.checkpoint.Path",  # a class that ours imports
        "vocoder.checkpoint.tempfile.TemporaryDirectory",
        "torch.optim.optimizer.torch.load",
        "vocoder.checkpoint.load_state",  # ours, but a function
        "vocoder.errors",
    ],
)
def test_imported_name_inside_the_package_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match="not a class of this package|there is no"):
        build({"_target_": target})


def test_class_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match=r"generator: there is no 'vocoder\.features\.mel\.Mell'"):
        find_class("vocoder.features.mel.Mell", "generator")


@pytest.mark.parametrize("partial", [False, True])
def test_misspelt_key_lists_the_accepted_ones(partial: bool) -> None:
    with pytest.raises(ConfigError) as error:
        build({**SPEC, "hop_lenght": 128, "_partial_": partial}, "config.mel")
    for word in ("config.mel", "hop_lenght", "hop_length", "n_mels"):
        assert word in str(error.value)


def test_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="n_mels"):
        build({name: value for name, value in SPEC.items() if name != "n_mels"})


def test_error_names_the_place_in_the_tree() -> None:
    node = {"data": {"mel": {**SPEC, "n_fft": 0}}}
    with pytest.raises(ConfigError, match=r"config\.data\.mel: mel\.n_fft is 0"):
        build(node)


def test_wrong_type_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="MelSpec cannot be built"):
        build({**SPEC, "n_fft": "many"})
