"""Settings of other projects: where they are found, how they are converted, which are refused."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vocoder.errors import CheckpointError, ConfigError, VocoderError
from vocoder.features.mel import MelSpec
from vocoder.importers.importer import import_checkpoint

from .cases import CASES, case_of, copy_of, edit_weights


@pytest.mark.parametrize("kind", ["StyleMelGANGenerator", "UHiFiGANGenerator"])
def test_generators_that_we_do_not_have_are_named(kind: str, tmp_path: Path) -> None:
    weights = {"noise_upsample.0.weight": torch.zeros(1), "input_conv.weight": torch.zeros(1)}
    torch.save({"model": {"generator": weights}}, tmp_path / "checkpoint.pkl")
    (tmp_path / "config.yml").write_text(f"generator_type: {kind}\n")
    with pytest.raises(CheckpointError, match=kind):
        import_checkpoint(tmp_path / "checkpoint.pkl")


@pytest.mark.parametrize("name", ["hifigan_v1", "pwg_melgan", "vocos_same"])
def test_settings_lie_beside_the_checkpoint_or_are_named(name: str, tmp_path: Path) -> None:
    path = copy_of(name, tmp_path)
    config = next(path.parent.glob("config.*"))
    config.rename(tmp_path / config.name)
    with pytest.raises(CheckpointError, match=rf"{config.stem}\S* .*--config"):
        import_checkpoint(path)
    assert import_checkpoint(path, config=tmp_path / config.name).config.mel


UNSUPPORTED = {
    "leaky_relu_slope": ("speecht5", '"leaky_relu_slope": 0.1', '"leaky_relu_slope": 0.2'),
    "sampling_rate": ("speecht5", '"sampling_rate": 16000', '"sampling_rate": 8000'),
    "model_type": ("speecht5", '"speecht5_hifigan"', '"other"'),
    "EncodecFeatures": ("vocos_same", "MelSpectrogramFeatures", "EncodecFeatures"),
    "padding": ("vocos_same", "padding: same", "padding: center"),
    "nonlinear_activation": ("pwg_hifigan", "LeakyReLU", "ReLU"),
    "use_causal_conv": ("pwg_melgan", "use_causal_conv: false", "use_causal_conv: true"),
    "window": ("pwg_melgan", "window: hann", "window: hamming"),
    "hop_length": ("hifigan_v1", '"hop_size": 256', '"hop_size": 200'),
    "win_size": ("hifigan_v1", '"win_size"', '"wim_size"'),
    "not JSON": ("hifigan_v1", "{", ""),
    "not YAML": ("pwg_melgan", "fmax", "{"),
    "not a mapping": ("vocos_same", "head:", "head: 3\nfoot:"),
    "resblock": ("hiftnet", '"resblock": "1"', '"resblock": "2"'),
}


@pytest.mark.parametrize("words", UNSUPPORTED)
def test_unsupported_settings_are_named(words: str, tmp_path: Path) -> None:
    name, before, after = UNSUPPORTED[words]
    path = copy_of(name, tmp_path)
    config = next((tmp_path / name).glob("config.*"))
    text = config.read_text()
    assert before in text
    config.write_text(text.replace(before, after, 1))
    with pytest.raises(VocoderError, match=words) as error:
        import_checkpoint(path)
    assert config.name in str(error.value)


def test_the_mel_is_that_of_the_project() -> None:
    assert import_checkpoint(case_of("hifigan_v1").checkpoint).config.mel == MelSpec.preset(
        "hifigan_22k_80"
    )
    speecht5 = import_checkpoint(case_of("speecht5").checkpoint).config.mel
    assert (speecht5.sample_rate, speecht5.log, speecht5.padding) == (16000, "log10", "center")
    vocos = import_checkpoint(case_of("vocos_center").checkpoint).config.mel
    assert dataclasses.replace(
        vocos, n_mels=100, n_fft=1024, win_length=1024, hop_length=256
    ) == MelSpec.preset("vocos_24k_100")
    pwg = import_checkpoint(case_of("pwg_hifigan").checkpoint).config.mel
    assert dataclasses.replace(
        pwg, n_mels=80, n_fft=1024, win_length=1024, hop_length=256, mean=(), scale=()
    ) == MelSpec.preset("pwg_22k_80")
    melgan = import_checkpoint(case_of("pwg_melgan").checkpoint).config.mel
    assert (melgan.f_min, melgan.top_hz) == (0.0, 11025.0), "null is the whole band"


def statistics(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    rows = np.load(folder / "stats.npy")
    return {"mean": rows[0], "scale": rows[1]}


def in_two_files(folder: Path) -> None:
    for name, values in statistics(folder).items():
        np.save(folder / f"{name}.npy", values)
    (folder / "stats.npy").unlink()


def in_the_weights(folder: Path) -> None:
    tensors = {name: torch.from_numpy(v) for name, v in statistics(folder).items()}
    edit_weights(folder / CASES["pwg_melgan"][0], lambda weights: weights | tensors)
    (folder / "stats.npy").unlink()


@pytest.mark.parametrize("store", [in_two_files, in_the_weights])
def test_statistics_are_found_wherever_they_are(
    store: Callable[[Path], None], tmp_path: Path
) -> None:
    expected = import_checkpoint(case_of("pwg_melgan").checkpoint).config.mel
    path = copy_of("pwg_melgan", tmp_path)
    store(path.parent)
    assert import_checkpoint(path).config.mel == expected


def test_wrong_or_missing_statistics_are_named(tmp_path: Path) -> None:
    path = copy_of("pwg_melgan", tmp_path)
    np.save(path.parent / "stats.npy", np.ones((2, 3)))
    with pytest.raises(ConfigError, match=r"config\.yml: mel\.mean has 3 values"):
        import_checkpoint(path)
    (path.parent / "stats.npy").write_bytes(b"nothing")
    with pytest.raises(VocoderError, match=r"stats\.npy: "):
        import_checkpoint(path)
    (path.parent / "stats.npy").unlink()
    with pytest.raises(CheckpointError, match=r"stats\.h5: no such file; put"):
        import_checkpoint(path)


@pytest.mark.parametrize(("name", "module"), [("pwg_hifigan", "h5py"), ("vocos_same", "yaml")])
def test_a_missing_package_is_named(
    name: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"{module}: pip install 'vocoder\[import\]'"):
        import_checkpoint(case_of(name).checkpoint)


@pytest.mark.parametrize(
    ("settings", "cutoff"),
    [
        ("version: 0.4.2", 0.15),
        ("version: 0.4.10", 0.142),
        ("version: 0.5.1", 0.142),
        ("", 0.142),
        ("version: 0.4.0\npqmf_params: {taps: 62, cutoff_ratio: 0.2, beta: 9.0}", 0.2),
    ],
)
def test_the_synthesis_filter_is_that_of_the_release(
    settings: str, cutoff: float, tmp_path: Path
) -> None:
    path = copy_of("pwg_multi_band_melgan", tmp_path)
    config = path.parent / "config.yml"
    config.write_text(config.read_text().replace("version: 0.4.2", settings))
    assert import_checkpoint(path).config.generator["cutoff"] == cutoff


def test_python_objects_in_yaml_are_read_as_data(tmp_path: Path) -> None:
    path = copy_of("pwg_hifigan", tmp_path)
    config = path.parent / "config.yml"
    tag = "!!python/object/apply:os.system"
    config.write_text(f"{config.read_text()}\nhook: {tag} [touch {tmp_path / 'ran'}]\n")
    assert import_checkpoint(path).config.mel
    assert not (tmp_path / "ran").exists()
