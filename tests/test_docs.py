"""The manual: every block of code in it runs, its tables are those of the program, links lead on.

A block is what stands between fences at the beginning of a line. `python` and `bash` blocks of a
page run in order, in one folder with copies of `egs`; Python blocks share their names. Of
`vocoder train`, only the configuration is composed. A comment directly above a block says more:

    <!-- before: COMMAND -->   runs first, in bash; not shown to the reader
    <!-- exit: N -->           the exit code, if it is not 0
    <!-- output -->            above a `text` block: what the block before it prints, `…` being any
                               text
    <!-- slow: REASON -->      runs in the slow test alone, and then in full; else its options are
                               checked
    <!-- options only: REASON --> its options are checked, it does not run
    <!-- not run: REASON -->   does not run: needs a network, or files of other projects

A block with a `title` is a file of that name, which later blocks use.
"""

import contextlib
import functools
import importlib.util
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import vocoder.build
from tests.docs_shell import ROOT, Shell
from vocoder.io import upgrade

PAGES = [
    ROOT / "README.md",
    ROOT / "egs" / "README.md",
    *sorted((ROOT / "docs" / "pages").rglob("*.md")),
]
RUN = ("python", "bash")
SHOWN = ("text", "yaml", "json", "toml")  # languages of blocks that are read, not run
_FENCE = re.compile(
    r"^```(\S*)(?: title=\"([^\"]+)\")?[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL
)
_COMMENTS = re.compile(r"(?:^<!--(?:(?!-->).)*-->\n)+\Z", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- ([a-z ]+?)(?:: (.*?))? -->", re.DOTALL)
_COMMAND = re.compile(r"^(\$ )?(vocoder|python3?|pip|make|torchrun|recipes/\S+\.sh) ", re.MULTILINE)
KINDS = {"before", "exit", "output", "slow", "options only", "not run"}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix() if page.is_relative_to(ROOT) else page.name


@dataclass(frozen=True)
class Block:
    """One block of a page, and what the comments above it say."""

    page: Path
    line: int
    language: str
    title: str
    code: str
    said: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, from top to bottom."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        above = _COMMENTS.search(text[: match.start()])
        said = {k: v for k, v in _COMMENT.findall(above[0] if above else "") if k in KINDS}
        line = text.count("\n", 0, match.start()) + 1
        yield Block(page, line, match[1], match[2] or "", match[3], said)


class Reader:
    """Somebody who goes through one page and runs what is there."""

    def __init__(self, shell: Shell, folder: Path, *, patient: bool) -> None:
        self.shell, self.folder, self.patient = shell, folder, patient
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.output = ""

    def read(self, page: Path) -> None:
        for block in blocks(page):
            if "not run" in block.said:
                continue
            if "output" in block.said:
                self.compare(block)
            slow = "slow" in block.said
            if "options only" in block.said or (slow and not self.patient):
                self.run(block, "parse")
            else:
                self.run(block, "full" if slow else "compose")

    def run(self, block: Block, mode: str) -> None:
        if "before" in block.said and mode != "parse":
            self.bash(block.said["before"], block, mode)
        if block.title:
            file = self.folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.code, encoding="utf-8")
        elif block.language == "bash":
            self.output = self.bash(block.code, block, mode, int(block.said.get("exit", "0")))
        elif block.language == "python":
            # Empty lines in front, so that a traceback names the line of the page.
            code = compile("\n" * block.line + block.code, str(block.page), "exec")
            if mode != "parse":  # or it only has to compile
                with contextlib.redirect_stdout(io.StringIO()) as output:
                    exec(code, self.names)
                self.output = output.getvalue()

    def bash(self, script: str, block: Block, mode: str, code: int = 0) -> str:
        timeout = 1200.0 if mode == "full" else 60.0
        result = self.shell.run(script, self.folder, mode=mode, timeout=timeout)
        assert result.code == code, f"{block.place}: exit code {result.code}\n{result.output}"
        return result.output

    def compare(self, block: Block) -> None:
        """Check that the block before printed what this one shows."""
        shown, printed = (
            "\n".join(line.rstrip() for line in text.strip().splitlines())
            for text in (block.code, self.output)
        )
        pattern = re.escape(shown).replace("…", ".*?")
        assert re.fullmatch(pattern, printed, re.DOTALL), f"{block.place}: it prints\n{printed}"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with Shell(tmp_path_factory.mktemp("shell")) as running:
        yield running


# Pages share the built-in models and their plans, which a block does not change.
LOADED = {name: functools.cache(getattr(vocoder, name)) for name in ("load", "load_extender")}


@pytest.fixture
def folder(tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What is in a checkout, as the current folder; nothing that a block does to Python stays."""
    shell.furnish(tmp_path)
    for name, load in LOADED.items():
        monkeypatch.setattr(vocoder, name, load)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(vocoder.build, "_allowed", list(vocoder.build._allowed))
    before = set(sys.modules)
    yield tmp_path
    for name in sys.modules.keys() - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


WITH_BLOCKS = [page for page in PAGES if any(block.language in RUN for block in blocks(page))]


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_blocks_of_a_page_run(page: Path, shell: Shell, folder: Path) -> None:
    Reader(shell, folder, patient=False).read(page)


SLOW = [page for page in PAGES if any("slow" in block.said for block in blocks(page))]


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW, ids=name_of)
def test_blocks_of_a_page_run_in_full(page: Path, shell: Shell, folder: Path) -> None:
    Reader(shell, folder, patient=True).read(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_run_or_declared(page: Path) -> None:
    found = list(blocks(page))
    fences = re.findall(r"^[ \t>]*(?:```|~~~)", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(found), "fences stand at the beginning of a line"
    for block in found:
        assert block.language in RUN + SHOWN, f"{block.place}: no language, or an unknown one"
        if block.language in SHOWN:
            assert not _COMMAND.search(block.code), f"{block.place}: commands go into bash blocks"
        for kind in ("slow", "options only", "not run"):
            assert block.said.get(kind, "a reason"), f"{block.place}: {kind}, but no reason"


def test_what_does_not_run_is_listed() -> None:
    """`pytest -s` shows the list."""
    listed = [b for page in PAGES for b in blocks(page) if "not run" in b.said]
    for block in listed:
        print(f"{block.place}  {block.said['not run']}")
    assert all(block.language in RUN for block in listed)
    runs = sum(b.language in RUN for page in PAGES for b in blocks(page))
    assert len(listed) < runs / 10


BROKEN = {
    "python": "```python\nimport vocoder\nvocoder.lod()\n```\n",
    "shell": "```bash\ntrue\nvocoder vocode no_such.npy -o out/\ntrue\n```\n",
    "option": "<!-- slow: never -->\n```bash\nvocoder vocode a.npy --no-such-option\n```\n",
    "setting": "```bash\nvocoder train system=demo data.manifest=m.csv trainer.steps=1\n```\n",
    "recipe": "```bash\nrecipes/demo/run.sh egs/clips trainer.steps=1\n```\n",
    "recipe option": "```bash\nrecipes/demo/run.sh egs/clips --no-such-option\n```\n",
    "target": "```bash\nmake no-such-target\n```\n",
    "extra": '```bash\npip install ".[no-such-extra]"\n```\n',
    "output": "```python\nprint(1)\n```\n\n<!-- output -->\n```text\n2\n```\n",
    "exit": "<!-- exit: 2 -->\n```bash\ntrue\n```\n",
    "before": "<!-- before: false -->\n```python\n```\n",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_block_fails(kind: str, shell: Shell, folder: Path) -> None:
    page = folder / "page.md"
    page.write_text(f"# A page\n\nSome text.\n\n{BROKEN[kind]}", encoding="utf-8")
    with pytest.raises((AssertionError, AttributeError), match="page.md|lod"):
        Reader(shell, folder, patient=False).read(page)


def _links(page: Path) -> list[str]:
    text = re.sub(r"`[^`]*`", "", _FENCE.sub("", page.read_text(encoding="utf-8")))
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files(page: Path) -> None:
    for link in _links(page):
        if "://" not in link and not link.startswith("#"):
            target = page.parent / link.partition("#")[0]
            assert target.exists(), f"{name_of(page)}: {link}"


_PATH = re.compile(r"`((?:configs|docs|egs|recipes|tests|vocoder)/[\w./-]*)`")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_exist(page: Path) -> None:
    for path in _PATH.findall(page.read_text(encoding="utf-8")):
        assert "NAME" in path or (ROOT / path).exists(), f"{name_of(page)}: {path}"


def test_renamed_settings_are_listed() -> None:
    page = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    rows = [re.findall(r"`([^`]+)`", line) for line in page.splitlines() if line.startswith("|")]
    listed = {old: row[1:] for row in rows if row for old in row[:1]}
    renamed = upgrade.SETTINGS | upgrade.OPTIONS | upgrade.FLAGS | upgrade.MODULES
    for old, new in renamed.items():
        for name in new.split(" and "):
            assert name in listed.get(old, ()), f"CHANGELOG.md: {old} → {new}"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="needs the extra docs")
def test_site_builds_and_needs_no_network(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    done = subprocess.run(
        [*command, "-f", str(ROOT / "docs" / "mkdocs.yml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for page in tmp_path.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(
            r'<(?:link|script|img|audio|source)[^>]+(?:href|src)="(https?://[^"]+)', text
        )
        assert not fetched, f"{page.name} fetches {fetched}"
    shutil.rmtree(tmp_path)
