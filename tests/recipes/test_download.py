import hashlib
import io
import re
import shutil
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from archives import ARCHIVES, Archive
from download import download, git_tree

from vocoder.errors import VocoderError

BLOCK = 2**16  # what is written at a time
CONTENT = {"corpus/a.wav": bytes(range(256)) * 4000, "corpus/sub/b.txt": b"text"}


class Server(ThreadingHTTPServer):
    """Serves `body` at any address, with ranges if `resumes`; the n-th answer ends at `cuts[n]`."""

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = body
        self.resumes = True
        self.cuts: list[int] = []
        self.requests: list[int] = []  # first byte asked for

    def archive(self, name: str = "corpus.tar", **facts: Any) -> Archive:
        return Archive(
            url=f"http://127.0.0.1:{self.server_port}/{name}",
            **{
                "folder": "corpus",
                "size": len(self.body),
                "unpacked": len(self.body),
                "sha256": hashlib.sha256(self.body).hexdigest(),
            }
            | facts,
        )


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:  # noqa: N802
        server, body = self.server, self.server.body
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))
        assert asked
        first = int(asked[1])
        server.requests.append(first)
        start = first if server.resumes else 0
        if start >= len(body):
            self.send_response(416)
            self.end_headers()
            return
        self.send_response(206 if server.resumes else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = server.cuts.pop(0) if server.cuts else len(body)
        self.wfile.write(body[start:end])

    def log_message(self, format: str, *arguments: object) -> None:
        """Do not print requests."""


def packed(content: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def zipped(content: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file.getvalue()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(packed(CONTENT)) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, hidden files and all."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_downloads_the_content_and_nothing_else(server: Server, tmp_path: Path) -> None:
    download([server.archive()], tmp_path / "new")
    assert files(tmp_path / "new") == CONTENT
    download([server.archive()], tmp_path / "new")
    assert server.requests == [0]


def test_resumes_within_a_run(server: Server, tmp_path: Path) -> None:
    server.cuts = [4 * BLOCK, 9 * BLOCK]
    download([server.archive()], tmp_path)
    assert server.requests == [0, 4 * BLOCK, 9 * BLOCK]
    assert files(tmp_path) == CONTENT


def test_resumes_in_the_next_run(server: Server, tmp_path: Path) -> None:
    server.cuts = [4 * BLOCK, 4 * BLOCK]  # the second attempt receives nothing
    with pytest.raises(VocoderError, match="run the same command again to continue"):
        download([server.archive()], tmp_path)
    assert files(tmp_path) == {"corpus.tar.part": server.body[: 4 * BLOCK]}
    download([server.archive()], tmp_path)
    assert server.requests == [0, 4 * BLOCK, 4 * BLOCK]
    assert files(tmp_path) == CONTENT


def test_a_server_that_cannot_resume_starts_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.part").write_bytes(b"x" * 1000)
    server.resumes = False
    download([server.archive()], tmp_path)
    assert files(tmp_path) == CONTENT


def test_a_part_that_is_complete_is_used(server: Server, tmp_path: Path) -> None:
    (tmp_path / "corpus.tar.part").write_bytes(server.body)
    download([server.archive()], tmp_path)
    assert server.requests == [len(server.body)]
    assert files(tmp_path) == CONTENT


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(VocoderError, match=r"corpus\.tar: .* not the published SHA-256"):
        download([server.archive(sha256="0" * 64)], tmp_path)
    assert files(tmp_path) == {}
    assert not (tmp_path / "corpus").exists()


def test_a_missing_page_is_named(tmp_path: Path) -> None:
    with Server(b"") as empty:
        threading.Thread(target=empty.serve_forever, args=(0.01,), daemon=True).start()
        with pytest.raises(VocoderError, match=r"corpus\.tar: 416"):
            download([empty.archive()], tmp_path)
        empty.shutdown()


def test_too_little_space_is_an_error_before_the_first_byte(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    archive = server.archive(size=2 * 10**9, unpacked=3 * 10**9)
    with pytest.raises(VocoderError, match=r"5\.00 GB are needed .* free 4\.00 GB more"):
        download([archive], tmp_path)
    assert server.requests == []
    (tmp_path / "corpus").mkdir()
    download([archive], tmp_path)


def test_space_for_several_counts_one_archive_at_a_time(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    (tmp_path / "b.tar.part").write_bytes(bytes(10**6))
    a = server.archive("a.tar", folder="a", size=10**9, unpacked=10**9)
    b = server.archive("b.tar", folder="b", size=2 * 10**9, unpacked=10**9 + 10**6)
    with pytest.raises(VocoderError, match=r"4\.00 GB are needed"):
        download([a, b], tmp_path)


def test_a_git_tree_can_replace_a_checksum(server: Server, tmp_path: Path) -> None:
    for name, data in CONTENT.items():
        path = tmp_path / "made" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    tree = git_tree(tmp_path / "made/corpus")
    download([server.archive(sha256=None, tree=tree)], tmp_path / "good")
    assert files(tmp_path / "good") == CONTENT
    with pytest.raises(VocoderError, match=r"its content is not corpus as published"):
        download([server.archive(sha256=None, tree="0" * 40)], tmp_path / "bad")
    assert files(tmp_path / "bad") == {}
    assert not (tmp_path / "bad/corpus").exists()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_tree_is_that_of_git(tmp_path: Path) -> None:
    content = {"b.txt": b"1", "b/c.txt": b"2", "b-d": b"", "b/e/f.wav": bytes(1000)}
    for name, data in content.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    expected = git_tree(tmp_path)
    for command in (["init", "-q"], ["add", "-A"], ["write-tree"]):
        done = subprocess.run(
            ["git", "-c", "core.autocrlf=false", *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.strip() == expected


def test_a_zip_without_top_folder_gets_one(tmp_path: Path, server: Server) -> None:
    server.body = zipped({"a.txt": b"1", "sub/b.txt": b"2"})
    download([server.archive("corpus.zip", folder="corpus", into="corpus")], tmp_path)
    assert files(tmp_path) == {"corpus/a.txt": b"1", "corpus/sub/b.txt": b"2"}


def test_parts_of_a_corpus_share_a_folder(tmp_path: Path, server: Server) -> None:
    for part in ("one", "two"):
        server.body = packed({"corpus/LICENCE": b"free", f"corpus/{part}/a.wav": part.encode()})
        download([server.archive(f"{part}.tar", folder=f"corpus/{part}")], tmp_path)
    assert files(tmp_path) == {
        "corpus/LICENCE": b"free",
        "corpus/one/a.wav": b"one",
        "corpus/two/a.wav": b"two",
    }


@pytest.mark.parametrize("pack", [packed, zipped])
@pytest.mark.parametrize("name", ["../outside.txt", "corpus/../../outside.txt"])
def test_nothing_is_written_elsewhere(pack: Any, name: str, server: Server, tmp_path: Path) -> None:
    server.body = pack({"corpus/a.wav": b"1", name: b"evil"})
    with pytest.raises(VocoderError, match="outside"):
        download([server.archive()], tmp_path / "target")
    assert files(tmp_path) == {}


def test_a_damaged_archive_is_named(server: Server, tmp_path: Path) -> None:
    server.body = b"\x1f\x8b" + bytes(1000)
    with pytest.raises(VocoderError, match=r"corpus\.tar: cannot be unpacked"):
        download([server.archive()], tmp_path)
    assert files(tmp_path) == {}


@pytest.mark.parametrize("layout", ARCHIVES)
def test_every_archive_can_be_checked(layout: str) -> None:
    for archive in ARCHIVES[layout]:
        assert re.fullmatch(r"[0-9a-f]{64}", archive.sha256 or "") or re.fullmatch(
            r"[0-9a-f]{40}", archive.tree or ""
        )
        assert archive.size < archive.unpacked < 3 * archive.size
        assert Path(archive.folder).parts[0] in (archive.into, archive.folder.split("/")[0])
