"""Atomic writes: complete files with default permissions, and an unchanged umask."""

import os
import re
import stat
from pathlib import Path

import pytest

from vocoder.errors import VocoderError
from vocoder.io.atomic import replacing_directory, replacing_file


@pytest.fixture
def umask_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if the umask is changed, which affects the files of all threads."""

    def refuse(mask: int) -> int:
        raise AssertionError("os.umask was called")

    monkeypatch.setattr(os, "umask", refuse)


@pytest.mark.usefixtures("umask_stays")
def test_permissions_are_those_of_new_files(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    (tmp_path / "folder").mkdir()
    with replacing_file(tmp_path / "file") as temporary:
        temporary.write_text("whole")
    with replacing_directory(tmp_path / "model") as folder:
        (folder / "weights").write_text("")
        (folder / "weights").chmod(0o600)

    def mode(name: str) -> int:
        return stat.S_IMODE((tmp_path / name).stat().st_mode)

    assert mode("file") == mode("model/weights") == mode("plain")
    assert mode("model") == mode("folder")
    assert (tmp_path / "file").read_text() == "whole"


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")

    def fail() -> None:
        with replacing_file(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(VocoderError, match="cannot be written"):
        fail()
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["n" * 251 + ".npy", "ü" * 125 + ".wav", "短" * 84 + ".w"])
def test_names_up_to_the_limit_of_the_system_are_written(name: str, tmp_path: Path) -> None:
    with replacing_file(tmp_path / name) as temporary:
        temporary.write_text("whole")
        assert re.fullmatch(r"\..*\.[0-9a-f]{16}", temporary.name)
        assert len(os.fsencode(temporary.name)) <= 255
    with replacing_directory(tmp_path / name[::-1]) as folder:
        (folder / "weights").touch()
    assert {path.name for path in tmp_path.iterdir()} == {name, name[::-1]}
