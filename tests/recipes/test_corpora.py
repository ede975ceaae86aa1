import csv
import shutil
from collections import Counter
from pathlib import Path

import corpora as recipe
import pytest

from vocoder.data.audit import audit
from vocoder.errors import ConfigError
from vocoder.io.audio import probe

TOP = {
    "ljspeech": "LJSpeech-1.1",
    "libritts": "LibriTTS",
    "vctk": "VCTK-Corpus-0.92",
    "kathleen": "dataset-voice-kathleen",
}


def names_by_split(rows: list[recipe.Row]) -> dict[str, set[str]]:
    """Names of the files of each split."""
    return {
        split: {row.path.stem for row in rows if row.split == split}
        for split in ("train", "valid", "test")
    }


def empty_files(folder: Path, names: list[str]) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize("layout", recipe.LAYOUTS)
def test_index_is_what_prepare_takes(layout: str, corpora: Path, tmp_path: Path) -> None:
    rows = recipe.index(layout, corpora)
    recipe.write_index(tmp_path / "index.csv", rows)
    clips = audit(corpora, index=tmp_path / "index.csv").clips
    assert {(clip.path, clip.split, clip.speaker, clip.licence) for clip in clips} == set(rows)


@pytest.mark.parametrize("layout", recipe.LAYOUTS)
def test_folder_is_the_corpus_or_holds_it(layout: str, corpora: Path) -> None:
    assert recipe.index(layout, corpora / TOP[layout]) == recipe.index(layout, corpora)


@pytest.mark.parametrize("layout", recipe.LAYOUTS)
def test_a_wrong_folder_is_one_clear_line(
    layout: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "index.csv"
    monkeypatch.setattr("sys.argv", ["corpora.py", layout, str(tmp_path), "-o", str(output)])
    with pytest.raises(SystemExit) as stop:
        recipe.main()
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), output.exists()) == ("", 1, False)
    assert err.startswith(f"error: {tmp_path}: neither it nor a {TOP[layout][:4]}")


@pytest.mark.parametrize(
    ("layout", "names", "empty"),
    [
        ("ljspeech", ["metadata.csv", "wavs/a.wav"], "test, train, valid"),
        ("libritts", ["train-clean-100/1/2/a.wav", "dev-clean/1/2/a.wav", "test-clean/1"], "test"),
        ("vctk", [f"wav48_silence_trimmed/p225/p225_00{n}_mic1.flac" for n in range(4)], "test"),
        ("kathleen", ["data/a_1.wav", "data/a_2.wav", "data/b_3.wav"], "test, valid"),
    ],
)
def test_an_empty_split_is_an_error(
    layout: str, names: list[str], empty: str, tmp_path: Path
) -> None:
    empty_files(tmp_path, names)
    with pytest.raises(ConfigError, match=f"nothing for {empty} among .*part of the corpus is mis"):
        recipe.index(layout, tmp_path)


def test_ljspeech_holds_out_the_last_500_lines(tmp_path: Path) -> None:
    names = [f"LJ{number:05}" for number in range(1000)]
    empty_files(tmp_path / "LJSpeech-1.1/wavs", [f"{name}.wav" for name in names])
    lines = "".join(f'{name}|"text|text\n' for name in names)
    (tmp_path / "LJSpeech-1.1/metadata.csv").write_text(lines, encoding="utf-8")
    found = names_by_split(recipe.index("ljspeech", tmp_path))
    assert found == {
        "train": set(names[:500]),
        "valid": set(names[500:750]),
        "test": set(names[750:]),
    }


def test_ljspeech_names_a_missing_recording(corpora: Path, tmp_path: Path) -> None:
    shutil.copytree(corpora / "LJSpeech-1.1", tmp_path / "LJSpeech-1.1")
    (tmp_path / "LJSpeech-1.1/wavs/LJ001-0003.wav").unlink()
    with pytest.raises(ConfigError, match=r"LJ001-0003\.wav: listed in metadata\.csv but missing"):
        recipe.index("ljspeech", tmp_path)


def test_libritts_splits_are_its_subsets(corpora: Path) -> None:
    rows = recipe.index("libritts", corpora)
    parts = {(row.path.parts[-4], row.split) for row in rows}
    assert parts == {("train-clean-100", "train"), ("dev-clean", "valid"), ("test-clean", "test")}
    assert {row.speaker for row in rows} == {"19", "26", "84", "61"}


@pytest.mark.parametrize(
    ("layout", "subsets", "reason"),
    [
        ("libritts", ["train-clean-360"], "nothing for valid; add dev-clean or dev-other"),
        ("libritts", ["dev-clean", "test-clean"], "nothing for train; add train-clean-100 or"),
        ("libritts", ["train-clean-99"], "--subset train-clean-99: choose from train-clean-100"),
        ("vctk", ["dev-clean"], "--subset dev-clean: vctk has no subsets, only libritts"),
        ("jsut", [], "no layout 'jsut'; choose from ljspeech, libritts, vctk, kathleen"),
    ],
)
def test_what_cannot_be_chosen(layout: str, subsets: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        recipe.choose(layout, subsets)


def test_vctk_split_is_by_speaker_and_first_microphone(tmp_path: Path) -> None:
    train = [f"p{number}" for number in (225, 226, 227)]
    speakers = [*train, *recipe.VCTK_TEST, *recipe.VCTK_LEFT_OUT]
    empty_files(
        tmp_path / "wav48_silence_trimmed",
        [
            f"{speaker}/{speaker}_{number:03}_{microphone}.flac"
            for speaker in speakers
            for number in range(1, 11)
            for microphone in ("mic1", "mic2")
        ],
    )
    rows = recipe.index("vctk", tmp_path)
    assert all(row.path.stem.endswith("_mic1") for row in rows)
    assert Counter((row.speaker, row.split) for row in rows) == (
        {(speaker, "train"): 8 for speaker in train}
        | {(speaker, "valid"): 2 for speaker in train}
        | {(speaker, "test"): 10 for speaker in recipe.VCTK_TEST}
    )
    assert names_by_split(rows)["valid"] == {f"{s}_{n}_mic1" for s in train for n in ("009", "010")}


def test_kathleen_keeps_the_takes_of_a_sentence_together(tmp_path: Path) -> None:
    names = [
        f"arctic_a{sentence:04}_{1592748500 + 10 * sentence + take}"
        for sentence in range(1, 501)
        for take in range(1 + sentence % 3)
    ]
    empty_files(tmp_path / "data", [f"{name}.wav" for name in names])
    found = names_by_split(recipe.index("kathleen", tmp_path))
    assert set().union(*found.values()) == set(names)
    sentences = {split: {name[:12] for name in found[split]} for split in found}
    assert {split: len(those) for split, those in sentences.items()} == {
        "train": 480,
        "valid": 10,
        "test": 10,
    }
    assert not sentences["train"] & (sentences["valid"] | sentences["test"])


def test_index_of_a_small_corpus_has_a_line_per_recording(corpora: Path, tmp_path: Path) -> None:
    recipe.write_index(tmp_path / "index.csv", recipe.index("vctk", corpora))
    with (tmp_path / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [list(row) for row in rows] == [["path", "split", "speaker", "licence"]] * len(rows)
    assert all(probe(row["path"]).samples for row in rows)
