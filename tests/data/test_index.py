"""Indexes of a corpus: what a row is found by, and what is said of rows without a file."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vocoder.data.audit import Audit, audit
from vocoder.errors import AudioError, ConfigError, VocoderError

RATE = 8000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as LJSpeech: its recordings lie in wavs."""
    folder = tmp_path_factory.mktemp("LJSpeech-1.1")
    (folder / "wavs").mkdir()
    for number in range(1, 5):
        noise = 0.1 * np.random.default_rng(number).standard_normal(4000)
        soundfile.write(folder / f"wavs/LJ001-000{number}.wav", noise, RATE)
    return folder


def audited(corpus: Path, lines: list[str], **changes: object) -> Audit:
    index = corpus / "index.csv"
    index.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return audit(corpus, index=index, **changes)  # type: ignore[arg-type]


def note(found: Audit) -> str:
    (problem,) = (problem for problem in found.problems if problem.kind == "no file")
    return problem.explanation


GOOD = ["path", "wavs/LJ001-0001.wav", "wavs/LJ001-0002.wav", "wavs/LJ001-0003.wav"]


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ("LJ001-0004", "LJ001-0004.wav; add the suffix"),
        ("wavs/LJ001-0004", "LJ001-0004.wav; add the suffix"),
        ("wavs/LJ001-0004.flac", "LJ001-0004.wav; the suffix differs"),
        ("WAVS/LJ001-0004.wav", "LJ001-0004.wav, upper and lower case differ"),
        ("lj001-0004.WAV", "LJ001-0004.wav; upper and lower case differ"),
        ("LJ001-0004.wav", "LJ001-0004.wav; paths are relative to the folder of the index"),
        ("/data/set/LJ001-0004.wav", "paths are relative to the folder of the index"),
        (r"C:\set\wavs\LJ001-0004.wav", "paths are relative to the folder of the index"),
        ("wavs/LJ009.wav", "no file of that name"),
        ("wavs", "no file of that name"),
        ("", "no file of that name"),
    ],
)
def test_a_row_without_file_is_counted_and_named_with_the_likely_cause(
    row: str, cause: str, corpus: Path
) -> None:
    found = audited(corpus, [f"{line}," for line in GOOD[:3]] + [f"{row},", "wavs/no.wav,"])
    assert len(found.clips) == 2
    assert note(found).startswith(f"2 of 4 rows match no file, such as '{row}' in line 4: ")
    assert cause in note(found)


def test_rows_that_all_match_no_file_are_an_error_with_the_cause(corpus: Path) -> None:
    with pytest.raises(AudioError, match=r"index\.csv: 2 of 2 rows match no file.*add the suffix"):
        audited(corpus, ["path", "LJ001-0001", "LJ001-0002"])


def test_backslashes_are_tried_as_separators_and_counted(corpus: Path) -> None:
    rows = [line.replace("/", "\\") for line in GOOD[1:]]
    found = audited(corpus, [*GOOD[:2], *rows[1:]])
    assert len(found.clips) == 3
    expected = r"2 of 3 rows have backslashes, read as /, such as 'wavs\LJ001-0002.wav' in line 3"
    assert note(found) == expected


def test_rows_of_another_folder_are_counted(corpus: Path) -> None:
    index = corpus / "index.csv"
    (corpus / "other").mkdir(exist_ok=True)
    soundfile.write(corpus / "other/a.wav", np.zeros(100), RATE)
    index.write_text("\n".join([*GOOD, "other/a.wav"]))
    found = audit(corpus / "wavs", index=index)
    assert len(found.clips) == 3
    assert note(found) == f"1 of 4 rows lie outside {corpus}/wavs, such as 'other/a.wav' in line 5"


@pytest.mark.parametrize("folder", ["", "wavs"], ids=["root", "wavs"])
def test_metadata_of_ljspeech_is_read(folder: str, corpus: Path) -> None:
    """Quotes in it mean nothing: a CSV reader would take two lines for one."""
    index = corpus / "metadata.csv"
    lines = [
        'LJ001-0001|"Printing, in the only sense|"Printing, in the only sense',
        "LJ001-0002|differs from most, if not all|differs from most, if not all",
        'LJ001-0003|the arts" and crafts|the arts" and crafts',
        "LJ001-0077|gone|gone",
    ]
    index.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = audit(corpus / folder, index=index)
    assert [clip.path.stem for clip in found.clips] == [f"LJ001-000{n}" for n in (1, 2, 3)]
    assert note(found).startswith("1 of 4 rows match no file, such as 'LJ001-0077' in line 4: no")
    with pytest.raises(ConfigError, match=r"metadata\.csv: has no header.*speaker"):
        audit(corpus / folder, index=index, only={"speaker": {"a"}})


def test_a_list_of_paths_and_texts_is_read(corpus: Path) -> None:
    found = audited(corpus, [f"{path}|0|some text" for path in GOOD[1:]])
    assert (len(found.clips), found.problems) == (3, [])


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["path;speaker", "a.wav;b"], r"found \['path;speaker'\]; it is separated by ';'"),
        (["path\tspeaker"], r"found \['path\\tspeaker'\]; it is separated by '\\t'"),
        (["path|speaker", "a.wav|b"], r"separated by '\|', write it with commas"),
        (["wavs/LJ001-0001.wav,a", "x,y"], "its first line looks like data"),
        (["id,text", "x,y"], r"missing columns \['path'\].*found \['id', 'text'\]$"),
        (["path,a", "b.wav"], ":2: has more or fewer fields than the header"),
        (["path", "wavs/\0.wav"], ":2: has a NUL byte"),
        (["path", '"' + 200_000 * "x"], r":1: .*field larger than field limit"),
    ],
)
def test_a_table_that_cannot_be_read_says_what_was_found_and_where(
    lines: list[str], reason: str, corpus: Path
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        audited(corpus, lines)
    assert str(caught.value).startswith(f"{corpus / 'index.csv'}:")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_bytes_that_are_no_text_are_named_with_their_line(corpus: Path) -> None:
    index = corpus / "latin.csv"
    for sign in ",|":
        rows = "".join(f"wavs/a{n}.wav{sign}x\n" for n in range(3000))
        text = f"path,x\n{rows}caf\xe9{sign}x\n" if sign == "," else f"{rows}caf\xe9{sign}x\n"
        index.write_bytes(text.encode("latin-1"))
        with pytest.raises(ConfigError, match=f":{3000 + text.count('path,') + 1}: is not text"):
            audit(corpus, index=index)


def test_a_selection_of_nothing_is_named(corpus: Path) -> None:
    lines = ["path,speaker", *(f"{path},anna" for path in GOOD[1:])]
    with pytest.raises(ConfigError, match=r"none of 3 rows has speaker=ben\|cleo"):
        audited(corpus, lines, only={"speaker": {"cleo", "ben"}})


def test_a_folder_without_audio_says_what_is_there(tmp_path: Path) -> None:
    for name in ("a.m4a", "b.m4a", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(
        AudioError, match=r"among 0 audio files; it has 2 \.m4a files; convert .* wav"
    ):
        audit(tmp_path)


def test_any_bytes_are_an_index_or_an_error_that_names_it(corpus: Path) -> None:
    """A short form of the fuzzing in tests/fuzz."""
    rng = np.random.default_rng(0)
    good = ("\n".join([*GOOD, '"wavs/LJ001-0004.wav"']) + "\n").encode()
    index, refused = corpus / "fuzz.csv", list[str]()
    for _ in range(150):
        content = bytearray(good)
        for place in rng.integers(0, len(content), 4):
            content[place] = rng.choice(list(b'\0\n\r",|;\\/\xff') + [rng.integers(256)])
        index.write_bytes(content)
        try:
            audit(corpus, index=index)
        except VocoderError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 150
    assert all(str(corpus) in message for message in refused)
    with index.open("w", newline="") as file:
        csv.writer(file).writerow(["path"])
    with pytest.raises(AudioError, match="among 0 audio files"):
        audit(corpus, index=index)
