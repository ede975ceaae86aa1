"""Building from configurations: classes of this package only, every key checked."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch

from vocoder import augmentation, degradations, discriminators, features, generators, losses, nn
from vocoder.build import build, find_class, trust
from vocoder.checks.arguments import hint_of, signature_of
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec
from vocoder.generators.base import Generator

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


HIFIGAN: dict[str, Any] = {
    "_target_": "vocoder.generators.hifigan.HiFiGAN",
    "hop_length": 64,
    "upsample_rates": [8, 8],
    "upsample_kernel_sizes": [16, 16],
    "channels": 8,
    "resblock": "2",
    "resblock_kernel_sizes": [3],
    "resblock_dilations": [[1, 3]],
}
NETWORK = {
    "_target_": "vocoder.training.system.NetworkOptim",
    "optimizer": {"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 0.25},
    "schedule": {"_target_": "vocoder.training.schedule.WarmupExponential", "decay": 0.9},
    "clip": None,
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"upsample_rates": [8, "8"]}, r"generator\.upsample_rates\[1\] is '8'; it must be an int"),
        ({"upsample_rates": 64}, r"upsample_rates is 64; it must be a list"),
        ({"upsample_rates": "88"}, r"upsample_rates is '88'; it must be a list"),
        ({"upsample_rates": {"0": 8}}, r"upsample_rates is \{'0': 8\}; it must be a list"),
        ({"resblock_dilations": [[1, None]]}, r"resblock_dilations\[0\]\[1\] is None"),
        ({"channels": True}, "channels is True; it must be an int"),
        ({"channels": 8.5}, "channels is 8.5; it must be an int"),
        ({"channels": float("nan")}, "channels is nan; it must be an int"),
        ({"causal": 1}, "causal is 1; it must be true or false"),
        ({"resblock": "3"}, "resblock is '3'; it must be '1' or '2'"),
        ({"resblock": 2}, "resblock is 2; it must be '1' or '2'"),
        ({"channels": HIFIGAN}, "generator.channels is a HiFiGAN; it must be an int"),
        ({"channels": -8}, "generator: HiFiGAN cannot be built: .*negative"),
        ({"upsample_rates": [0, 64]}, "generator: "),
        ({"_partial_": "no"}, "_partial_ is 'no'; it must be true or false"),
        ({"_target_": 3}, "_target_ is 3; it must be a string"),
        ({"_target_": "vocoder..HiFiGAN"}, "not the path of a class"),
        ({"_target_": "vocoder.a\0b.HiFiGAN"}, "not the path of a class"),
        ({"a\nb": 1}, r"has no argument \['a\\nb'\]"),
    ],
)
def test_argument_of_another_type_is_named_with_its_place(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        build({**HIFIGAN, **changes}, "generator")
    assert len(str(error.value).splitlines()) == 1


def test_equal_values_of_other_types_are_accepted() -> None:
    exact = build(HIFIGAN)
    loose = build({**HIFIGAN, "hop_length": 64.0, "upsample_rates": (8.0, 8)})
    assert loose.hop_length == 64
    assert type(loose.hop_length) is int
    assert str(loose) == str(exact)
    assert build({**SPEC, "f_min": 20}).f_min == 20  # an int is a number
    assert build({**SPEC, "f_max": None}).f_max is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, True, "1", None])
def test_float_is_a_finite_number(value: object) -> None:
    with pytest.raises(ConfigError, match="f_min is .*; it must be a finite number"):
        build({**SPEC, "f_min": value})


@pytest.mark.parametrize(
    "node",
    [
        SPEC,
        {"_target_": "vocoder.errors.ConfigError"},
        {"_target_": "vocoder.training.system.TrainerSettings"},
        {**HIFIGAN, "_partial_": True},
        {"n_mels": 80},
        [HIFIGAN],
        "hifigan",
        None,
    ],
)
def test_another_kind_of_object_than_belongs_there_is_refused(node: object) -> None:
    assert isinstance(build(HIFIGAN, kind=Generator), Generator)
    with pytest.raises(ConfigError, match="generator is .*; it must be a Generator"):
        build(node, "generator", kind=Generator)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": {"_target_": "torch.optim.AdamW"}}, "optimizer is an AdamW; it must be"),
        ({"optimizer": {**HIFIGAN, "_partial_": True}}, "optimizer is a function that makes"),
        ({"schedule": SPEC}, "schedule is a MelSpec; it must be a WarmupExponential"),
        ({"clip": "none"}, "clip is 'none'; it must be a finite number or null"),
    ],
)
def test_kinds_follow_the_annotations(changes: dict[str, Any], words: str) -> None:
    assert build(NETWORK).optimizer.func is torch.optim.AdamW
    with pytest.raises(ConfigError, match=words):
        build({**NETWORK, **changes})


def test_annotations_of_trusted_classes_are_checked_where_they_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vocoder.build._allowed", ["vocoder."])
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_annotated.py").write_text(
        "class Own:\n"
        "    def __init__(self, size: int, other: 'NotThere', plain, path: 'str' = None):\n"
        "        self.values = size, other, plain, path\n"
    )
    trust("own_annotated")
    node = {"_target_": "own_annotated.Own", "size": 2, "other": [1], "plain": "a", "path": None}
    assert build(node).values == (2, [1], "a", None)


def test_deeply_nested_configuration_is_refused() -> None:
    node: Any = 1
    for _ in range(5000):
        node = {"a": node}
    with pytest.raises(ConfigError, match="more than 40 lists and mappings in each other"):
        build(node)


def test_every_constructor_of_a_part_has_annotations_that_can_be_read() -> None:
    for package in (augmentation, degradations, discriminators, features, generators, losses, nn):
        for name in package.__all__:
            found = getattr(package, name)
            if not inspect.isclass(found) or issubclass(found, tuple):
                continue
            parameters = signature_of(found).parameters.values()
            assert all(hint_of(each) is not Any for each in parameters), found
