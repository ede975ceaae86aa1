"""Names by which other programs' files pair with recordings."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from vocoder.data.corpus.companions import Companions
from vocoder.data.corpus.names import recording_names
from vocoder.errors import AudioError


def companions(tmp_path: Path, recordings: list[str], files: list[str]) -> Companions:
    """Matching of recordings with mel files, both given by their relative paths."""
    for name in files:
        path = tmp_path / "mels" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    wavs = [tmp_path / "wavs" / name for name in recordings]
    suffixes = (".npy", ".pt", ".safetensors")
    return Companions(tmp_path / "mels", tmp_path / "wavs", wavs, suffixes=suffixes, kind="mel")


@pytest.mark.parametrize(
    "name",
    [
        "LJSpeech-mel-u01.npy",
        "u01.wav.pt",
        "mel-u01.npy",
        "u01_mel.npy",
        "u01-feats.npy",
        "u01.mel.npy",
        "u01-feats-norm.npy",
        "Mel_u01.wav.npy",
        "deep/er/u01.wav.npy",
    ],
)
@pytest.mark.parametrize("stem", ["u01", "LJ001-0001", "p225_001.mic1"])
def test_names_in_common_styles_pair(name: str, stem: str, tmp_path: Path) -> None:
    name = name.replace("u01", stem)
    found = companions(tmp_path, [f"a/{stem}.wav", "a/u02.wav"], [name, "u02.npy"])
    assert found.find(tmp_path / f"wavs/a/{stem}.wav") == tmp_path / "mels" / name
    assert found.find(tmp_path / "wavs/a/u02.wav") == tmp_path / "mels/u02.npy"
    assert found.orphans == []


def test_an_extended_name_pairs_by_path_where_several_recordings_have_it(tmp_path: Path) -> None:
    recordings, files = ["a/1.wav", "b/1.wav"], ["a/mel-1.npy", "b/mel-1.npy"]
    found = companions(tmp_path, recordings, files)
    for recording, file in zip(recordings, files, strict=True):
        assert found.find(tmp_path / "wavs" / recording) == tmp_path / "mels" / file


def test_the_plain_name_goes_first(tmp_path: Path) -> None:
    found = companions(tmp_path, ["u01.wav", "mel-u01.wav"], ["u01.npy", "mel-u01.npy"])
    assert found.find(tmp_path / "wavs/u01.wav").name == "u01.npy"
    assert found.find(tmp_path / "wavs/mel-u01.wav").name == "mel-u01.npy"


@pytest.mark.parametrize(
    ("recordings", "files"),
    [
        (["u01.wav"], ["mel-u01.npy", "u01_mel.npy"]),  # two files for one recording
        (["set.wav", "u01.wav"], ["set-mel-u01.npy"]),  # one file for two recordings
        (["a/u01.wav", "b/u01.wav"], ["mel-u01.npy"]),
        (["u01.wav"], ["mel-b-u01.npy"]),  # of another recording, b-u01
        (["u01.wav"], ["u011_mel.npy"]),
        (["u01.wav"], ["u01_hat.npy"]),  # not known to be a mel of u01
    ],
)
def test_names_that_are_not_certain_do_not_pair(
    recordings: list[str], files: list[str], tmp_path: Path
) -> None:
    found = companions(tmp_path, recordings, files)
    for recording in recordings:
        with pytest.raises(AudioError):
            found.find(tmp_path / "wavs" / recording)


def test_a_recording_without_file_shows_what_was_looked_for_and_what_is_there(
    tmp_path: Path,
) -> None:
    found = companions(tmp_path, ["u01.wav"], ["a.npy", "gen_u01_x.npy"])
    with pytest.raises(AudioError, match=r"such as u01\.\* or mel-u01\.\*.*is gen_u01_x\.npy"):
        found.find(tmp_path / "wavs/u01.wav")
    assert [file.name for file in found.orphans] == ["a.npy", "gen_u01_x.npy"]


def test_a_long_name_of_words_is_quick() -> None:
    assert len(set(recording_names("mel-" * 60))) < 4000


def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    from vocoder.data.audit import audit

    for number in range(3):
        noise = 0.1 * np.random.default_rng(number).standard_normal(4000)
        soundfile.write(tmp_path / f"{number}.wav", noise, 8000)
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nothing.wav")
    found = audit(tmp_path)
    assert len(found.clips) == 3
    (problem,) = (problem for problem in found.problems if problem.kind == "skipped")
    assert f"1 entries are skipped, such as {tmp_path}/gone.wav: it" in problem.explanation
