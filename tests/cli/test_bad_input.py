"""Bad input ends with one line per problem that names it, exit code 2, and nothing half-written."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from vocoder.features.mel import MelSpec
from vocoder.io.mel_file import write_mel

Command = Callable[..., Any]
Make = Callable[[Path], None]
SPEC = MelSpec.preset("hifigan_22k_80")


def files_below(directory: Path) -> list[str]:
    """Every file below, hidden ones too."""
    return sorted(
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    )


def text(content: str) -> Make:
    return lambda path: path.write_text(content) and None


def array(values: NDArray[Any]) -> Make:
    return lambda path: np.save(path, values)


def recording(values: NDArray[Any]) -> Make:
    return lambda path: soundfile.write(path, values, 22050, subtype="FLOAT")


def cut(make: Make, share: float) -> Make:
    """What `make` writes, without its end."""

    def write(path: Path) -> None:
        make(path)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    return write


def mel_with(**changes: Any) -> Make:
    """A mel file whose contract differs from the model's."""
    spec = MelSpec.from_dict(SPEC.to_dict() | changes)
    return lambda path: write_mel(path, torch.full((spec.n_mels, 5), -5.0), spec)


def nothing(path: Path) -> None:
    """A file that does not exist."""


GOOD_MEL = mel_with()
NAN = np.full((80, 5), np.nan, dtype=np.float32)
BAD_MELS: dict[str, tuple[str, Make, str]] = {
    "missing": ("x.npy", nothing, "no such file"),
    "empty file": ("x.npy", text(""), "the file is empty"),
    "directory": ("x.npy", Path.mkdir, "no .npy, .npz, .pt, .pth, … file there"),
    "not a mel": ("x.npy", text("hello"), "not a mel file"),
    "other suffix": ("x.txt", text("hello"), "not a mel file; .npy, .npz, safetensors and"),
    "NaN": ("x.npy", array(NAN), "400 of 400 values that are NaN or infinite"),
    "infinity": ("x.npy", array(np.where(np.eye(80), np.inf, NAN[:1, :1] * 0 + 1)), "infinite"),
    "bands": ("x.npy", array(np.zeros((81, 5), "f4")), "n_mels is 80"),
    "no frames": ("x.npy", array(np.zeros((80, 0), "f4")), "the mel is empty"),
    "0-d": ("x.npy", array(np.float32(1.0)), "this one has []"),
    "1-d": ("x.npy", array(np.zeros(80, "f4")), "this one has [80]"),
    "4-d": ("x.npy", array(np.zeros((1, 1, 80, 5), "f4")), "this one has [1, 1, 80, 5]"),
    "several": ("x.npy", array(np.zeros((3, 80, 5), "f4")), "holds 3 mels"),
    "integers": ("x.npy", array(np.zeros((80, 5), "i4")), "holds int32 values; give floats"),
    "contract": ("x.npy", mel_with(hop_length=300), "hop_length 300 (model: 256)"),
    "contract bands": ("x.npy", mel_with(n_mels=100), "n_mels 100 (model: 80)"),
    **{
        f"cut {end}": (f"x{end}", cut(make, 0.5), "cut short")
        for end, make in {
            ".npy": GOOD_MEL,
            ".npz": lambda path: np.savez(path, mel=np.full((80, 5), -5.0, "f4")),
            ".pt": GOOD_MEL,
            ".pth": lambda path: torch.save(torch.full((80, 5), -5.0), path),
            ".safetensors": GOOD_MEL,
        }.items()
    },
}

QUIET = np.zeros(5000, dtype=np.float32)
BAD_AUDIO: dict[str, tuple[str, Make, str]] = {
    "missing": ("x.wav", nothing, "cannot open (No such file or directory)"),
    "empty file": ("x.wav", text(""), "the file is empty"),
    "not audio": ("x.wav", text("hello" * 100), "cannot read audio"),
    "other suffix": ("x.txt", text("hello"), "cannot read audio, this is text"),
    "no samples": ("x.wav", recording(QUIET[:0]), "holds no samples"),
    "NaN": ("x.wav", recording(QUIET * np.nan), "NaN or infinite"),
    "directory": ("x.wav", Path.mkdir, "no .wav, .flac, .mp3, .ogg, … file there"),
    "cut": (
        "x.flac",
        cut(lambda path: soundfile.write(path, np.sin(np.arange(30000.0)), 22050), 0.5),
        "",
    ),
}


def check_one_line(result: Any, *words: str | Path) -> None:
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    for word in words:
        assert str(word) in result.err
    assert "Traceback" not in result.out + result.err


@pytest.mark.parametrize("case", BAD_MELS)
def test_bad_mel(vocoder_command: Command, tmp_path: Path, tiny_model: Path, case: str) -> None:
    name, make, words = BAD_MELS[case]
    make(tmp_path / name)
    out = tmp_path / "out"
    result = vocoder_command("vocode", tmp_path / name, "-o", out, "--model", tiny_model)
    check_one_line(result, tmp_path / name, words)
    assert files_below(out) == []


@pytest.mark.parametrize("command", ["mel", "resynth"])
@pytest.mark.parametrize("case", BAD_AUDIO)
def test_bad_audio(
    vocoder_command: Command, tmp_path: Path, tiny_model: Path, case: str, command: str
) -> None:
    name, make, words = BAD_AUDIO[case]
    make(tmp_path / name)
    out = tmp_path / "out"
    result = vocoder_command(command, tmp_path / name, "-o", out, "--model", tiny_model)
    check_one_line(result, tmp_path / name, words)
    assert files_below(out) == []


@pytest.mark.parametrize("command", ["mel", "resynth"])
@pytest.mark.parametrize(
    "values",
    [QUIET, QUIET[:1], QUIET[:1000], np.sign(np.sin(np.arange(5000.0))) * 1.5],
    ids=["silent", "one sample", "shorter than n_fft", "clipped"],
)
def test_poor_audio_is_processed(
    vocoder_command: Command,
    tmp_path: Path,
    tiny_model: Path,
    values: NDArray[Any],
    command: str,
) -> None:
    recording(values)(tmp_path / "x.wav")
    out = tmp_path / "out"
    result = vocoder_command(command, tmp_path / "x.wav", "-o", out, "--model", tiny_model)
    assert (result.code, result.err) == (0, "")
    assert len(files_below(out)) == 1


def test_mel_whose_contract_differs_is_converted_where_exact(
    vocoder_command: Command, tmp_path: Path, tiny_model: Path
) -> None:
    for log in ("ln", "log10", "db"):
        spec = MelSpec.from_dict(SPEC.to_dict() | {"log": log})
        write_mel(tmp_path / f"{log}.npy", spec.compress(torch.full((80, 9), 0.02)), spec)
    out = tmp_path / "out"
    result = vocoder_command("vocode", f"{tmp_path}/*.npy", "-o", out, "--model", tiny_model)
    assert (result.code, result.err) == (0, "")
    ln, *others = (soundfile.read(out / f"{log}.wav")[0] for log in ("ln", "log10", "db"))
    for other in others:
        assert np.abs(ln - other).max() <= 2 / 32768


def test_batch_continues_and_lists_at_the_end_what_failed(
    vocoder_command: Command, tmp_path: Path, tiny_model: Path
) -> None:
    mels = tmp_path / "mels"
    mels.mkdir()
    GOOD_MEL(mels / "a.npy")
    (mels / "b.npy").write_text("not a mel")
    array(NAN)(mels / "c.npy")
    GOOD_MEL(mels / "d.npy")
    arguments = [mels, tmp_path / "none.npy", f"{tmp_path}/none/*.npy"]
    out = tmp_path / "out"
    result = vocoder_command("vocode", *arguments, "-o", out, "--model", tiny_model)
    assert result.code == 2
    assert files_below(out) == [".vocoder-vocode", "a.wav", "d.wav"]
    assert "2 files" in result.out
    named = [f"{tmp_path}/none/*.npy", mels / "b.npy", mels / "c.npy", tmp_path / "none.npy"]
    errors = result.err.splitlines()
    assert len(errors) == 4
    for line, name in zip(errors, named, strict=True):
        assert line.startswith(f"error: {name}: ")


def broken_models() -> dict[str, tuple[Callable[[Path], Any], str]]:
    def config(**changes: Any) -> Callable[[Path], Any]:
        def edit(model: Path) -> None:
            path = model / "config.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | changes))

        return edit

    def weights(model: Path) -> Path:
        return model / "model.safetensors"

    return {
        "missing": (shutil.rmtree, "no such model directory"),
        "no config": (lambda model: (model / "config.json").unlink(), "config.json: no such file"),
        "no weights": (lambda model: weights(model).unlink(), "directory is incomplete"),
        "cut weights": (
            lambda model: weights(model).write_bytes(weights(model).read_bytes()[:999]),
            "model.safetensors: damaged or cut short",
        ),
        "external config": (
            lambda model: (model / "config.json").write_text('{"resblock": "1"}'),
            "config.json: format None",
        ),
        "external class": (config(generator={"_target_": "os.system"}), "'os.system' lies outside"),
        "misspelt key": (
            config(generator={"_target_": "vocoder.generators.hifigan.HiFiGAN", "chanels": 8}),
            "chanels",
        ),
    }


@pytest.mark.parametrize("command", ["mel", "vocode", "resynth", "info"])
@pytest.mark.parametrize("case", broken_models())
def test_bad_model(
    vocoder_command: Command, tmp_path: Path, tiny_model: Path, case: str, command: str
) -> None:
    damage, words = broken_models()[case]
    damage(tiny_model)
    GOOD_MEL(tmp_path / "x.npy")
    recording(QUIET)(tmp_path / "x.wav")
    source = tmp_path / ("x.npy" if command == "vocode" else "x.wav")
    out = tmp_path / "out"
    if command == "info":
        result = vocoder_command("info", tiny_model)
    else:
        result = vocoder_command(command, source, "-o", out, "--model", tiny_model)
    check_one_line(result, tiny_model, words)
    assert not out.exists()


@pytest.mark.parametrize("command", ["mel", "vocode", "resynth"])
def test_full_disk(
    vocoder_command: Command, tmp_path: Path, tiny_model: Path, full_disk: Any, command: str
) -> None:
    write_mel(tmp_path / "x.npy", torch.full((80, 100), -5.0), SPEC)
    recording(np.sin(np.arange(25600.0)))(tmp_path / "x.wav")
    source = tmp_path / ("x.npy" if command == "vocode" else "x.wav")
    with full_disk():
        result = vocoder_command(command, source, "-o", tmp_path / "out", "--model", tiny_model)
    check_one_line(result, tmp_path / "out" / "x.", "File too large")
    assert files_below(tmp_path / "out") == []


@pytest.mark.parametrize("command", ["mel", "vocode", "resynth"])
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_directory(
    vocoder_command: Command, tmp_path: Path, tiny_model: Path, command: str
) -> None:
    GOOD_MEL(tmp_path / "x.npy")
    recording(QUIET)(tmp_path / "x.wav")
    (tmp_path / "out").mkdir(mode=0o555)
    source = tmp_path / ("x.npy" if command == "vocode" else "x.wav")
    result = vocoder_command(command, source, "-o", tmp_path / "out", "--model", tiny_model)
    check_one_line(result, tmp_path / "out", "Permission denied")


@pytest.mark.parametrize("command", ["mel", "vocode", "resynth", "prepare"])
def test_output_below_a_file(
    vocoder_command: Command, tmp_path: Path, tiny_model: Path, command: str
) -> None:
    (tmp_path / "taken").write_text("")
    GOOD_MEL(tmp_path / "x.npy")
    recording(np.sin(np.arange(25600.0)))(tmp_path / "x.wav")
    source = tmp_path / ("x.npy" if command == "vocode" else "x.wav")
    out = tmp_path / "taken" / "out"
    if command == "prepare":
        result = vocoder_command("prepare", tmp_path, "-o", out / "manifest.csv")
    else:
        result = vocoder_command(command, source, "-o", out, "--model", tiny_model)
    check_one_line(result, out, "Not a directory")


@pytest.mark.parametrize(
    "arguments",
    [
        ["resynth", "x.wav", "-o", "out", "--model", "no_such"],
        ["resynth", "x.wav", "-o", "out", "--model", "griffin-lim", "--preset", "no_such"],
        ["mel", "x.wav", "-o", "out", "--preset", "no_such"],
        ["prepare", "no_such", "-o", "m.csv"],
        ["prepare", ".", "-o", "m.csv", "--index", "no_such"],
        ["prepare", ".", "-o", "m.csv", "--index", "x.csv", "--only", "no_such=1"],
        ["prepare", ".", "-o", "m.csv", "--index", "x.csv", "--only", "no_such"],
        ["evaluate", "no_such", "."],
        ["evaluate", ".", "no_such"],
        ["info", "no_such"],
        ["train", "system=no_such"],
        ["train", "system=demo", "no_such=1"],
    ],
    ids=" ".join,
)
def test_misspelt_name_is_named(
    vocoder_command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    recording(np.sin(np.arange(25600.0)))(Path("x.wav"))
    Path("x.csv").write_text("path\nx.wav\n")
    check_one_line(vocoder_command(*arguments), "no_such")
    assert files_below(tmp_path) == ["x.csv", "x.wav"]


@pytest.mark.parametrize("command", ["vocode", "resynth"])
def test_missing_device(
    vocoder_command: Command, tmp_path: Path, tiny_model: Path, command: str
) -> None:
    GOOD_MEL(tmp_path / "x.npy")
    common = (tmp_path / "x.npy", "-o", tmp_path / "out", "--model", tiny_model)
    check_one_line(vocoder_command(command, *common, "--device", "cuda:99"), "cuda:99")
    assert not (tmp_path / "out").exists()
