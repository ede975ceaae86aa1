"""Search of folders: links, circles of links, and what cannot be read."""

import os
from pathlib import Path

import pytest

from vocoder.io.folder import Found, find_files


def found(folder: Path, *suffixes: str) -> tuple[list[str], dict[str, str]]:
    files, skipped = find_files(folder, suffixes or (".wav",))
    return (
        [file.relative_to(folder).as_posix() for file in files],
        {path.relative_to(folder).as_posix(): reason for path, reason in skipped.items()},
    )


def test_files_are_found_at_any_depth_in_any_case_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.WAV", "a/c.wav", "a/b/c/d.flac", "x.txt", ".h.wav", ".hidden/e.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert found(tmp_path, ".wav", ".flac") == (["a/b/c/d.flac", "a/c.wav", "b.WAV"], {})
    assert find_files(tmp_path / "none", [".wav"]).skipped.keys() == {tmp_path / "none"}
    assert find_files(tmp_path / "a" / "b", [".wav"]) == Found([], {})


def test_links_are_followed_and_dead_ones_named(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "far.wav").touch()
    (inside / "a.wav").touch()
    (inside / "b.wav").symlink_to("a.wav")
    (inside / "sub").symlink_to(outside)
    (inside / "again").symlink_to(outside)
    (inside / "lost.wav").symlink_to("nowhere.wav")
    (inside / "corpus-1.1").symlink_to("nowhere")
    (inside / "notes.txt").symlink_to("nowhere")
    files, skipped = found(inside)
    assert files == ["a.wav", "again/far.wav", "b.wav", "sub/far.wav"]
    assert skipped.keys() == {"corpus-1.1", "lost.wav"}
    assert "leads nowhere" in skipped["lost.wav"]


def test_circles_of_links_end(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(12)]
    for folder in folders:
        folder.mkdir()
        (folder / "a.wav").touch()
        (folder / "up").symlink_to("..")
        for other in folders:
            (folder / f"to {other.name}").symlink_to(other)
    (tmp_path / "itself").symlink_to("itself")
    files, skipped = found(tmp_path)
    assert {f"{folder.name}/a.wav" for folder in folders} <= set(files)
    assert len(files) < 12**3
    assert skipped.keys() == {"itself"}


def test_folder_that_cannot_be_read_and_a_pipe_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.wav").touch()
    os.mkfifo(tmp_path / "pipe.wav")
    scan = os.scandir

    def refuse(path: Path) -> object:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert found(tmp_path) == (
        ["a.wav"],
        {
            "closed": "cannot be searched (Permission denied)",
            "pipe.wav": "is no regular file",
        },
    )
