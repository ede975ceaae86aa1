"""The command line: where outputs are written, what is refused, and what each command prints."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

import vocoder
from vocoder.build import build
from vocoder.checkpoint import ALIASES, ModelConfig, save_model
from vocoder.cli.describe import builtin_table
from vocoder.data.manifest import read_manifest
from vocoder.features.mel import MelSpec
from vocoder.inference.description import describe
from vocoder.io.audio import probe, read_audio, write_audio
from vocoder.io.mel_file import read_mel, write_mel

Command = Callable[..., Any]
COMMANDS = (
    *("mel", "vocode", "resynth", "extend", "stream", "info", "import"),
    *("prepare", "systems", "train", "evaluate", "bench"),
)


def files_below(directory: Path) -> list[str]:
    """Every file below, hidden ones too."""
    return sorted(
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    )


@pytest.fixture
def speech(tmp_path: Path, clips: list[Path]) -> Path:
    """Two short real recordings, `a/one.flac` and `b/two.flac`, and a file that is none."""
    folder = tmp_path / "speech"
    shortest = sorted(clips, key=lambda clip: clip.stat().st_size)[:2]
    for name, clip in zip(("a/one.flac", "b/two.flac"), shortest, strict=True):
        (folder / name).parent.mkdir(parents=True)
        shutil.copy(clip, folder / name)
    (folder / "notes.txt").write_text("not audio")
    return folder


def test_help_lists_every_command(vocoder_command: Command) -> None:
    result = vocoder_command("--help")
    assert result.code == 0
    for words in (*COMMANDS, "Examples:", "Exit codes:", "130"):
        assert words in result.out
    assert "..." not in result.out.split("Commands:")[1], "a summary is cut off"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_examples(vocoder_command: Command, command: str) -> None:
    result = vocoder_command(command, "--help")
    assert result.code == 0
    examples = result.out.split("Examples:\n")[1].strip().splitlines()
    assert all(re.match(rf"\s*vocoder (--trust \w+ )?{command}\b", line) for line in examples)
    assert max(map(len, result.out.splitlines())) <= 82


def test_version(vocoder_command: Command) -> None:
    assert vocoder_command("--version").out.strip() == vocoder.__version__


@pytest.mark.parametrize("mel_format", ["npy", "pt", "safetensors"])
@pytest.mark.parametrize("audio_format", ["wav", "flac"])
def test_recordings_to_mels_to_audio(
    vocoder_command: Command,
    tmp_path: Path,
    speech: Path,
    tiny_model: Path,
    mel_format: str,
    audio_format: str,
) -> None:
    mels, out = tmp_path / "mels", tmp_path / "out"
    common = ("--model", tiny_model)
    made = vocoder_command("mel", speech, "-o", mels, "--format", mel_format, *common)
    vocoded = vocoder_command("vocode", mels, "-o", out, "--format", audio_format, *common)
    assert (made.code, vocoded.code) == (0, 0)
    assert files_below(mels) == [f"a/one.{mel_format}", f"b/two.{mel_format}"]
    assert files_below(out) == [f"a/one.{audio_format}", f"b/two.{audio_format}"]
    for name in ("a/one", "b/two"):
        mel, spec = read_mel(mels / f"{name}.{mel_format}")
        info = probe(out / f"{name}.{audio_format}")
        assert spec == MelSpec.preset("hifigan_22k_80")
        assert (info.sample_rate, info.channels) == (22050, 1)
        assert info.samples == mel.shape[-1] * 256


def test_resynth_keeps_the_length_and_prints_a_line_per_file(
    vocoder_command: Command, tmp_path: Path, speech: Path, tiny_model: Path
) -> None:
    out = tmp_path / "out"
    result = vocoder_command("resynth", speech, "-o", out, "--model", tiny_model)
    lines = result.out.splitlines()
    for name, line in zip(("a/one", "b/two"), lines, strict=False):
        info = probe(speech / f"{name}.flac")
        expected = round(info.samples * 22050 / info.sample_rate)
        assert probe(out / f"{name}.wav").samples == expected
        seconds = f"{info.samples / info.sample_rate:.2f}"
        assert re.fullmatch(rf"\S+/{name}\.wav  {seconds} s  [\d.]+ x real time", line)
    assert re.fullmatch(r"2 files  [\d.]+ s  [\d.]+ x real time", lines[2])
    assert (len(lines), result.err) == (3, "")


def test_patterns_are_expanded_and_keep_sub_folders(
    vocoder_command: Command, tmp_path: Path, speech: Path, tiny_model: Path
) -> None:
    for number, pattern in enumerate(("*/*.flac", "**/*.flac", "[ab]/*.fl?c")):
        out = tmp_path / str(number)
        vocoder_command("resynth", f"{speech}/{pattern}", "-o", out, "--model", tiny_model)
        assert files_below(out) == ["a/one.wav", "b/two.wav"]


def test_input_given_twice_is_done_once(
    vocoder_command: Command, tmp_path: Path, speech: Path, tiny_model: Path
) -> None:
    out = tmp_path / "out"
    twice = (speech / "a" / "one.flac", speech / "a" / ".." / "a" / "one.flac", speech)
    result = vocoder_command("resynth", *twice, "-o", out, "--model", tiny_model)
    assert result.code == 0
    assert files_below(out) == ["b/two.wav", "one.wav"]


def test_name_with_brackets_and_dots(
    vocoder_command: Command, tmp_path: Path, speech: Path, tiny_model: Path
) -> None:
    odd = tmp_path / "take[1] v1.2 50%.flac"
    shutil.copy(speech / "a" / "one.flac", odd)
    result = vocoder_command("resynth", odd, "-o", tmp_path / "out", "--model", tiny_model)
    assert files_below(tmp_path / "out") == ["take[1] v1.2 50%.wav"]
    assert "take[1] v1.2 50%.wav" in result.out


def test_one_input_may_name_its_output(
    vocoder_command: Command, tmp_path: Path, speech: Path, tiny_model: Path
) -> None:
    clip, out = speech / "a" / "one.flac", tmp_path / "deep"
    common = ("--model", tiny_model)
    assert vocoder_command("mel", clip, "-o", out / "m.pt", *common).code == 0
    assert vocoder_command("vocode", out / "m.pt", "-o", out / "v.FLAC", *common).code == 0
    assert vocoder_command("resynth", clip, "-o", out / "r.wav", *common).code == 0
    assert files_below(out) == ["m.pt", "r.wav", "v.FLAC"]


def planning_errors(speech: Path, out: Path) -> dict[str, tuple[list[Path | str], str]]:
    one, two = speech / "a" / "one.flac", speech / "b" / "two.flac"
    return {
        "two inputs, one file": ([one, two, "-o", out / "x.wav"], "one file for 2 inputs"),
        "format of no audio": ([one, "-o", out / "x.mp3"], r"x\.mp3: the format here is wav, flac"),
        "mel suffix": ([one, "-o", out / "x.npy"], r"x\.npy: the format here is wav, flac"),
        "suffix and format": ([one, "-o", out / "x.wav", "--format", "flac"], "here is flac"),
        "onto the input": ([one, "-o", speech / "a", "--format", "flac"], r"one\.flac: would be"),
        "file as directory": ([one, "-o", speech / "notes.txt"], r"notes\.txt: the format here"),
    }


@pytest.mark.parametrize("case", planning_errors(Path(), Path()))
def test_output_that_cannot_be_is_refused_before_anything_is_written(
    vocoder_command: Command, tmp_path: Path, speech: Path, tiny_model: Path, case: str
) -> None:
    arguments, words = planning_errors(speech, tmp_path / "out")[case]
    before = {name: (speech / name).read_bytes() for name in files_below(speech)}
    result = vocoder_command("resynth", *arguments, "--model", tiny_model)
    assert result.code == 2
    assert re.search(words, result.err)
    assert result.err.count("\n") == 1
    assert files_below(tmp_path / "out") == []
    assert {name: (speech / name).read_bytes() for name in files_below(speech)} == before


@pytest.mark.parametrize("names", [("a/x.flac", "b/x.flac"), ("a/x.flac", "a/x.wav")])
def test_inputs_that_would_share_an_output_are_refused(
    vocoder_command: Command, tmp_path: Path, tiny_model: Path, names: tuple[str, str]
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, torch.zeros(4000).numpy(), 22050)
    inputs = [tmp_path / name for name in names]
    result = vocoder_command("resynth", *inputs, "-o", tmp_path / "out", "--model", tiny_model)
    assert result.code == 2
    for path in inputs:
        assert str(path) in result.err
    assert not (tmp_path / "out").exists()


def test_mel_of_a_preset_and_griffin_lim_follows_it(
    vocoder_command: Command, tmp_path: Path, speech: Path
) -> None:
    clip, mels, out = speech / "a" / "one.flac", tmp_path / "mels", tmp_path / "out"
    vocoder_command("mel", clip, "-o", mels, "--preset", "vocos_24k_100")
    assert read_mel(mels / "one.npy").spec == MelSpec.preset("vocos_24k_100")
    result = vocoder_command("vocode", mels, "-o", out, "--model", "griffin-lim")
    assert result.code == 0
    assert probe(out / "one.wav").sample_rate == 24000


def test_preset_gives_the_settings_of_mels_from_elsewhere(
    vocoder_command: Command, tmp_path: Path, tiny_model: Path
) -> None:
    natural = MelSpec.preset("hifigan_22k_80")
    common = natural.to_dict() | {"log": "log10"}
    (tmp_path / "log10.json").write_text(json.dumps(common))
    mel = torch.randn(80, 20) - 5.0
    torch.save(mel, tmp_path / "ln.pt")
    torch.save(mel / torch.log(torch.tensor(10.0)), tmp_path / "log10.pt")
    shared = ("--model", tiny_model, "-o", tmp_path / "out")
    vocoder_command("vocode", tmp_path / "ln.pt", *shared)
    vocoder_command("vocode", tmp_path / "log10.pt", *shared, "--preset", tmp_path / "log10.json")
    ln, _ = read_audio(tmp_path / "out" / "ln.wav")
    log10, _ = read_audio(tmp_path / "out" / "log10.wav")
    torch.testing.assert_close(log10, ln, atol=2 / 32768, rtol=0)


def test_warning_names_the_file(vocoder_command: Command, tmp_path: Path, tiny_model: Path) -> None:
    torch.save(torch.full((80, 9), 50.0), tmp_path / "100% loud.pt")
    stated = ("--model", tiny_model, "--normalisation", "ln")
    result = vocoder_command("vocode", tmp_path / "100% loud.pt", "-o", tmp_path / "out", *stated)
    assert result.code == 0
    assert result.err.startswith(f"warning: {tmp_path}/100% loud.pt: the mel is probably")
    assert result.err.count("\n") == 1


def test_ctrl_c_leaves_nothing_half_written(
    vocoder_command: Command,
    tmp_path: Path,
    speech: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)
    out = tmp_path / "out"
    result = vocoder_command("resynth", speech, "-o", out, "--model", tiny_model)
    assert result.code == 130
    assert "Traceback" not in result.err
    assert files_below(out) == []


@pytest.mark.parametrize(("count", "asked", "expected"), [(1, 3, [3]), (2, 7, [1, 3])])
def test_threads_are_shared_by_the_files(
    vocoder_command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tiny_model: Path,
    count: int,
    asked: int,
    expected: list[int],
) -> None:
    for n in range(count):
        mel = torch.zeros(80, 4 + n)
        write_mel(tmp_path / "mels" / f"{n}.npy", mel, MelSpec.preset("hifigan_22k_80"))
    monkeypatch.setattr("vocoder.inference.threads._WORTHWHILE", 0.0)
    monkeypatch.setattr("vocoder.cli.files.workers._has_one_thread", lambda: False)
    chosen: list[int] = []
    monkeypatch.setattr("torch.set_num_threads", chosen.append)
    arguments = ("-o", tmp_path / "out", "--model", tiny_model, "--threads", asked)
    assert vocoder_command("vocode", tmp_path / "mels", *arguments).code == 0
    assert sorted(set(chosen)) == expected


def test_info_shows_the_config(vocoder_command: Command, tiny_model: Path) -> None:
    config = json.loads((tiny_model / "config.json").read_text())
    facts = json.loads(vocoder_command("info", tiny_model, "--json").out)
    assert facts["alias"] is None
    for key in ("name", "mel", "generator", "licences", "training", "scores"):
        assert facts[key] == config[key]
    assert facts["parameters"] == vocoder.load(tiny_model).num_parameters
    assert facts["bytes"] == (tiny_model / "model.safetensors").stat().st_size
    table = vocoder_command("info", tiny_model).out
    for words in ("mel.hop_length  256", "licences.code   Apache-2.0", "scores.test.pesq_wb  1.0"):
        assert re.search(words.replace("  ", r"\s+"), table)


@pytest.fixture
def small_extender(tmp_path: Path) -> Path:
    """The directory of a bandwidth extender with random weights."""
    generator = {
        "_target_": "vocoder.generators.bandwidth_extension.band_filler.BandFiller",
        **{"channels": 8, "hidden": 8, "blocks": 1, "cutoff_range": [3400.0, 12000.0]},
    }
    mel = MelSpec.preset("hifigan_48k_128")
    config = ModelConfig(name="small", mel=mel, generator=generator)
    save_model(tmp_path / "small", build(generator), config)
    return tmp_path / "small"


def test_info_describes_an_extender(vocoder_command: Command, small_extender: Path) -> None:
    facts = json.loads(vocoder_command("info", small_extender, "--json").out)
    extender = vocoder.load_extender(small_extender)
    assert (facts["task"], facts["sample_rate"]) == ("bandwidth extension", 48000)
    assert facts["parameters"] == extender.num_parameters
    assert facts["cutoff_range_hz"] == list(extender.cutoff_range)
    assert "mel" not in facts
    assert facts["streaming"]["lookahead"] == extender.plan().lookahead
    table = vocoder_command("info", small_extender).out
    for words in (r"task\s+bandwidth extension", r"lookahead\s+\d+ samples", r"3400\.0, 12000\.0"):
        assert re.search(words, table)


def test_info_lists_an_extender_with_the_vocoders(small_extender: Path) -> None:
    lines = builtin_table([describe(str(small_extender)), describe("griffin-lim")])
    cells = list(zip(*(column.cells for column in lines.columns), strict=True))
    assert cells[0][:6] == ("small", "–", "bandwidth extension", "48000 Hz", "–", "–")
    assert cells[1][:6] == ("griffin-lim", "–", "vocoding", "22050 Hz", "80", "256")


def test_info_refuses_a_damaged_extender(vocoder_command: Command, small_extender: Path) -> None:
    weights = load_file(small_extender / "model.safetensors")
    broken = {name: torch.full_like(weight, torch.nan) for name, weight in weights.items()}
    save_file(broken, small_extender / "model.safetensors")
    result = vocoder_command("info", small_extender)
    assert result.code == 2
    found = f"error: {small_extender}/model.safetensors: NaN or infinite values in backbone."
    assert result.err.startswith(found)
    assert result.err.count("\n") == 1


def test_info_lists_the_built_in_models_with_their_aliases(vocoder_command: Command) -> None:
    models = json.loads(vocoder_command("info", "--json").out)
    aliases = {model["name"]: model["alias"] for model in models}
    assert aliases["griffin-lim"] is None
    assert {alias: name for name, alias in aliases.items() if alias} == ALIASES
    table = vocoder_command("info").out
    assert all(name in table for name in (*aliases, *ALIASES, "hifigan_22k_80"))


def test_info_takes_an_alias(vocoder_command: Command) -> None:
    facts = json.loads(vocoder_command("info", "default", "--json").out)
    assert (facts["name"], facts["alias"]) == (ALIASES["default"], "default")


def test_prepare_writes_what_is_usable_and_names_the_rest(
    vocoder_command: Command, tmp_path: Path, speech: Path
) -> None:
    (speech / "broken.wav").write_text("not audio")
    manifest = tmp_path / "new" / "manifest.csv"
    result = vocoder_command("prepare", speech, "-o", manifest)
    assert result.code == 0
    clips = read_manifest(manifest)
    assert [clip.path.name for clip in clips] == ["one.flac", "two.flac"]
    assert "unreadable" in result.out
    assert "2 clips" in result.out


def test_prepare_keeps_the_chosen_rows_of_an_index(
    vocoder_command: Command, tmp_path: Path, speech: Path
) -> None:
    index = speech / "index.csv"
    index.write_text("path,speaker\na/one.flac,ann\nb/two.flac,bob\n")
    common = ("prepare", speech, "-o", tmp_path / "m.csv", "--index", index)
    assert vocoder_command(*common, "--only", "speaker=bob").code == 0
    assert [clip.speaker for clip in read_manifest(tmp_path / "m.csv")] == ["bob"]
    assert vocoder_command(*common, "--only", "speaker=bob", "--only", "speaker=ann").code == 0
    assert len(read_manifest(tmp_path / "m.csv")) == 2


def test_evaluate_prints_and_saves(
    vocoder_command: Command, tmp_path: Path, speech: Path, tiny_model: Path
) -> None:
    out, scores = tmp_path / "out", tmp_path / "scores"
    vocoder_command("resynth", speech, "-o", out, "--model", tiny_model)
    result = vocoder_command("evaluate", speech, speech, out, "-o", scores, "--markdown")
    assert result.code == 0
    assert result.out.startswith("| system |")
    assert files_below(scores) == ["index.html", "scores.csv", "scores.json"]
    (out / "a" / "one.wav").unlink()
    result = vocoder_command("evaluate", speech, out, "-o", tmp_path / "one.json")
    assert result.code == 2
    assert result.err == f"error: out: a/one: no counterpart in {out}\n"
    assert (tmp_path / "one.json").exists()


def test_train_passes_everything_on_untouched(
    vocoder_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[str] = []

    def run(arguments: list[str]) -> int:
        received.extend(arguments)
        return 3

    monkeypatch.setitem(sys.modules, "vocoder.training.run", SimpleNamespace(main=run))
    arguments = ["system=demo", "-m", "+a.b=[1,2]", "--cfg", "job", "~c", "d=-1", "-cd", "x"]
    assert vocoder_command("train", *arguments).code == 3
    assert received == arguments


@pytest.mark.parametrize("package", ["hydra", "omegaconf"])
def test_missing_extra_is_one_line_that_names_it(
    vocoder_command: Command, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "vocoder.training.run", raising=False)
    result = vocoder_command("train", "system=demo")
    assert result.code == 2
    assert result.err == f"error: training needs {package}: pip install 'vocoder[train]'\n"


def test_wrong_usage_is_exit_code_2(vocoder_command: Command, tmp_path: Path) -> None:
    for arguments in (
        ["vocode"],
        ["vocode", "a.npy"],
        ["vocode", "a.npy", "-o", tmp_path, "--format", "mp3"],
        ["vocode", "a.npy", "-o", tmp_path, "--modle", "x"],
        ["vocode", "a.npy", "-o", tmp_path, "--threads", "0"],
        ["vocde"],
    ):
        result = vocoder_command(*arguments)
        assert result.code == 2
        assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("arguments", "old", "new"),
    [
        (("extend", "a.wav", "-o", "b.wav", "--to", "44100"), "--to", "--output-rate"),
        (("extend", "a.wav", "-o", "b.wav", "--to=44100"), "--to", "--output-rate"),
        (("extend", "--edge", "4000", "a.wav", "-o", "b.wav"), "--edge", "--cutoff"),
        (("extend", "a.wav", "-o", "b.wav", "--keep"), "--keep", "--preserve-low-band"),
        (("extend", "a.wav", "-o", "b.wav", "--no-keep"), "--no-keep", "--no-preserve-low-band"),
        (("evaluate", "a", "b", "--edge=4000"), "--edge", "--cutoff"),
        (("--trust", "json", "extend", "a.wav", "--to", "1"), "--to", "--output-rate"),
    ],
)
def test_a_renamed_option_is_one_line_with_its_new_name(
    vocoder_command: Command, arguments: tuple[str, ...], old: str, new: str
) -> None:
    result = vocoder_command(*arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"error: {old}: since 0.2 this is {new}\n"


@pytest.mark.parametrize(
    "arguments",
    [("resynth", "a.wav", "-o", "b.wav", "--to", "1"), ("evaluate", "a", "b", "--keep")],
)
def test_only_commands_that_had_an_option_name_its_successor(
    vocoder_command: Command, arguments: tuple[str, ...]
) -> None:
    result = vocoder_command(*arguments)
    assert result.code == 2
    assert "No such option" in result.err
    assert "since 0.2" not in result.err


def test_a_file_may_have_the_name_of_a_renamed_option(
    vocoder_command: Command, tmp_path: Path, small_extender: Path
) -> None:
    common = ("-o", tmp_path / "out", "--model", small_extender)
    result = vocoder_command("extend", *common, "--", "--to")
    assert result.code == 2
    assert result.err.startswith("error: --to: cannot open")


def test_files_of_one_name_are_named_and_the_rest_is_done(
    vocoder_command: Command, tmp_path: Path, speech: Path, tiny_model: Path
) -> None:
    recording, _ = read_audio(speech / "a" / "one.flac")
    write_audio(speech / "a" / "one.wav", recording, 22050)
    out = tmp_path / "out"
    result = vocoder_command("mel", speech, "-o", out, "--model", tiny_model)
    assert result.code == 2
    assert files_below(out) == ["b/two.npy"]
    (line,) = result.err.splitlines()
    assert str(speech / "a" / "one.flac") in line
    assert str(speech / "a" / "one.wav") in line
    assert "rename one of them" in line


@pytest.mark.parametrize("pattern", ["", "**/*", "**/*.wav"])
def test_every_name_of_a_file_has_an_output_and_dead_links_are_named(
    vocoder_command: Command, tmp_path: Path, speech: Path, tiny_model: Path, pattern: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    recording, rate = read_audio(speech / "a" / "one.flac", frames=5000)
    write_audio(folder / "target.wav", recording, rate)
    (folder / "alias.wav").symlink_to("target.wav")
    (tmp_path / "far").mkdir()
    write_audio(tmp_path / "far" / "other.wav", recording, rate)
    (folder / "sub").symlink_to("../far")
    (folder / "up").symlink_to("..")
    (folder / "lost.wav").symlink_to("nowhere.wav")
    out = tmp_path / "out"
    result = vocoder_command("mel", folder / pattern, "-o", out, "--model", tiny_model)
    assert result.code == 2
    made = files_below(out)
    assert {"alias.npy", "sub/other.npy", "target.npy"} <= set(made)
    assert not any(name.count("up/") > 1 for name in made)
    assert [line for line in result.err.splitlines() if "in/lost.wav" in line]
    assert "leads nowhere" in result.err


def test_odd_names_are_one_printable_line(
    vocoder_command: Command, tmp_path: Path, speech: Path, tiny_model: Path
) -> None:
    recording, rate = read_audio(speech / "a" / "one.flac", frames=5000)
    good, bad = tmp_path / "two\nlines\udce9.wav", tmp_path / "no\naudio\udce9.wav"
    write_audio(good, recording, rate)
    bad.write_text("text")
    result = vocoder_command("mel", good, bad, "-o", tmp_path / "out", "--model", tiny_model)
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert "no\\naudio\\xe9.wav: cannot read audio" in result.err
    assert "two\\nlines\\xe9.npy" in result.out


def test_clipping_is_a_warning_that_names_the_file(
    vocoder_command: Command, tmp_path: Path, tiny_model: Path
) -> None:
    path = tmp_path / "loud.wav"
    soundfile.write(path, 2.7 * torch.sin(0.3 * torch.arange(48000)).numpy(), 48000, "FLOAT")
    result = vocoder_command("extend", path, "-o", tmp_path / "out.wav")
    assert result.code == 0
    clipping = [line for line in result.err.splitlines() if "clipped" in line]
    assert len(clipping) == 1
    assert clipping[0].startswith(f"warning: {path}: {tmp_path / 'out.wav'}: ")
