"""Checkpoints and settings from anywhere: one line that names the file, whatever is in them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vocoder.errors import CheckpointError, ConfigError, VocoderError
from vocoder.importers.importer import import_checkpoint

from .cases import copy_of, edit_weights


def refused(path: Path, named: Path) -> str:
    with pytest.raises(VocoderError) as error:
        import_checkpoint(path)
    assert isinstance(error.value, CheckpointError | ConfigError)
    text = str(error.value)
    assert str(named) in text
    assert len(text.splitlines()) == 1
    assert len(text) < 1000
    return text


WEIGHTS: dict[str, dict[Any, Any]] = {
    "an integer as a name": {0: torch.zeros(1)},
    "a name of two lines": {"a\nb": torch.zeros(1)},
    "without data": {"conv_pre.bias": torch.empty(16, device="meta")},
    "sparse": {"conv_pre.bias": torch.zeros(16).to_sparse()},
    "complex": {"conv_pre.bias": torch.zeros(16, dtype=torch.complex64)},
    "a scalar": {"conv_pre.bias": torch.tensor(1.0)},
    "text in an array": {"conv_pre.bias": np.array(["a"])},
    "two of one name": {"_orig_mod.conv_pre.bias": torch.zeros(16)},
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_of_another_kind_are_refused(kind: str, tmp_path: Path) -> None:
    path = copy_of("hifigan_v1", tmp_path)
    edit_weights(path, lambda weights: weights | WEIGHTS[kind])
    refused(path, path)


def test_weights_within_themselves_are_refused(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    content["generator"] = content
    torch.save(content, tmp_path / "g_1")
    refused(tmp_path / "g_1", tmp_path / "g_1")


CHANGES: list[tuple[str, str, Any]] = [
    ("hifigan_v1", "resblock_kernel_sizes", "3"),
    ("hifigan_v1", "resblock_kernel_sizes", 10**9),
    ("hifigan_v1", "resblock_kernel_sizes", []),
    ("hifigan_v1", "resblock_dilation_sizes", [[10**9] * 3] * 3),
    ("hifigan_v1", "upsample_initial_channel", 2**40),
    ("hifigan_v1", "upsample_initial_channel", 32768),
    ("hifigan_v1", "upsample_initial_channel", -16),
    ("hifigan_v1", "upsample_rates", [True, None]),
    ("hifigan_v1", "num_mels", float("nan")),
    ("hifigan_v1", "n_fft", 10**12),
    ("hifigan_v1", "sampling_rate", "22050"),
    ("hifigan_v1", "hop_size", [[[[0]]]]),
    ("bigvgan_v1", "resblock_kernel_sizes", None),
    ("hiftnet", "gen_istft_n_fft", 10**9),
    ("ap_bwe", "ConvNeXt_layers", 10**9),
    ("ap_bwe", "ConvNeXt_channels", "512"),
    ("ap_bwe", "hr_sampling_rate", [48000]),
    ("ap_bwe", "lr_sampling_rate", float("inf")),
    ("speecht5", "model_type", ["speecht5_hifigan"]),
    ("hifi_sr", "supported_sampling_rates", [{}]),
    ("hifi_sr", "fmax_for_loss", {"a": 1}),
    ("mini_nsf_hifigan", "mini_nsf", "yes"),
]


@pytest.mark.parametrize(("name", "key", "value"), CHANGES)
def test_settings_of_another_kind_or_size_are_refused(
    name: str, key: str, value: Any, tmp_path: Path
) -> None:
    path = copy_of(name, tmp_path)
    config = tmp_path / name / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps(values | {key: value}))
    refused(path, config)


YAML = {
    "a list of lists of aliases": "\n".join(
        ["a0: &a0 [1, 1]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))]
    ),
    "a list within itself": "a: &a [*a]",
    "deep": "a: " + "[" * 5000,
    "deep by aliases": "\n".join(
        ["a0: &a0 [1]", *(f"a{n}: &a{n} [[[[*a{n - 1}]]]]" for n in range(1, 30))]
    ),
    "long": "a: 1 \n" * 100_000,
    "no date": "a: 2020-99-99",
    "no text": "\x00",
    "a number of 5000 digits": f"num_mels: {'9' * 5000}",
    "no layers": "generator_params: {stacks: -1}\ngenerator_type: MelGANGenerator",
    "a thousand million layers": "generator_params: {stacks: 1000000000, bias: true}\n"
    "generator_type: MelGANGenerator\nnum_mels: 80\nhop_size: 256",
}


@pytest.mark.parametrize("kind", YAML)
def test_yaml_that_is_no_configuration_is_refused(kind: str, tmp_path: Path) -> None:
    path = copy_of("pwg_melgan", tmp_path)
    config = path.parent / "config.yml"
    config.write_text(YAML[kind])
    refused(path, config)


@pytest.mark.parametrize(
    "values", [np.ones(7), np.ones((2, 3, 4)), np.ones((2, 0)), np.full((2, 80), "a"), np.ones(())]
)
def test_statistics_of_another_kind_are_refused(
    values: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    path = copy_of("pwg_melgan", tmp_path)
    stats = path.parent / "stats.npy"
    np.save(stats, values)
    refused(path, stats)
    stats.unlink()
    for name in ("mean", "scale"):
        np.save(stats.with_name(f"{name}.npy"), values)
    refused(path, tmp_path)


def test_the_mel_of_speechbrain_needs_a_rate(tmp_path: Path) -> None:
    folder = copy_of("speechbrain", tmp_path)
    settings = folder / "hyperparams.yaml"
    settings.write_text(settings.read_text().replace("sample_rate: 22050\n", ""))
    assert "add the line 'sample_rate: 22050'" in refused(folder, settings)
