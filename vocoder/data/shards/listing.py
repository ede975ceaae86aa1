"""The files of a corpus in tars: `KEY.flac`, `KEY.json`, `KEY.mel.npy`, `KEY.narrowband.flac`.

The layout is webdataset's: what stands before the first dot of a file's name is the key that the
files of one recording share.
"""

import glob
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from vocoder.data.corpus.companions import Mels, Narrowbands
from vocoder.data.manifest import SPLITS
from vocoder.errors import AudioError, ConfigError, VocoderError
from vocoder.features.mel import MelSpec
from vocoder.io.audio import READ_SUFFIXES, StrPath
from vocoder.io.mel_file import SUFFIXES
from vocoder.io.members import Member, file_system, is_url
from vocoder.io.untrusted import parse_json

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_OTHER_WORDS = {"dev": "valid", "validation": "valid", "val": "valid"}
_MOST_JSON = 2**20  # bytes


class Recording(NamedTuple):
    """The files of one key in a shard, and what its JSON says: split, speaker, licence."""

    audio: Member
    mel: Member | None
    narrowband: Member | None
    facts: dict[str, str]


class TarMels(Mels):
    """The mels of recordings in tars; `settings` applies to those that do not state their own."""

    def __init__(self, recordings: list[Recording], settings: MelSpec | None) -> None:
        self.folder, self.kind, self.settings = Path(recordings[0].audio.shard), "mel", settings
        self.orphans, self.skipped = [], {}
        self.candidates = {each.audio: [each.mel] if each.mel else [] for each in recordings}


class TarNarrowbands(Narrowbands):
    """The narrow-band copies of recordings in tars."""

    def __init__(self, recordings: list[Recording]) -> None:
        self.folder, self.kind = Path(recordings[0].audio.shard), "narrowband"
        self.orphans, self.skipped = [], {}
        self.candidates = {
            each.audio: [each.narrowband] if each.narrowband else [] for each in recordings
        }


def shards_of(source: StrPath) -> list[str]:
    """The tars that a path, a URL or a pattern of them means; none if it means no tars.

    `{000..127}` and `{a,b}` stand for each of these texts, `*` for what is there. Raises AudioError
    if nothing is there.
    """
    text = os.fspath(source)
    if not text.endswith(".tar") or (not is_url(text) and os.path.isdir(text)):
        if is_url(text):
            raise ConfigError(f"{text}: name the tars in it, such as {text}/train-{{000..127}}.tar")
        return []
    shards = [*dict.fromkeys(shard for each in _braces(text) for shard in _globbed(each))]
    if not shards:
        raise AudioError(f"{text}: no such tars")
    return shards


def recordings_of(shards: list[str]) -> list[Recording]:
    """The recordings in tars, in their order. Raises AudioError for what is no tar."""
    return [recording for shard in shards for recording in _of_shard(shard)]


def paired_in_tars(
    recordings: list[Recording], settings: MelSpec | None
) -> TarMels | TarNarrowbands | None:
    """What the recordings of tars are paired with; ConfigError if it is two kinds of files."""
    mels, copies = any(each.mel for each in recordings), any(e.narrowband for e in recordings)
    if mels and copies:
        raise ConfigError(
            f"{recordings[0].audio.shard}: has mels and narrow-band copies; a recording is paired "
            "with one"
        )
    if mels:
        return TarMels(recordings, settings)
    return TarNarrowbands(recordings) if copies else None


def members_of(shard: str) -> list[Member]:
    """The files in a tar. Raises AudioError if it cannot be read."""
    with _opened(shard) as tar:
        return [_member(shard, info) for info in tar if info.isfile()]


def key_of(name: str) -> str:
    """The key of a file: its path up to the first dot of the last part.

    >>> key_of("lj/LJ001.mel.npy")
    'lj/LJ001'
    """
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"


def _of_shard(shard: str) -> Iterator[Recording]:
    files: dict[str, dict[str, Member]] = {}
    facts: dict[str, dict[str, str]] = {}
    with _opened(shard) as tar:
        for info in tar:
            last = PurePosixPath(info.name).name
            if not info.isfile() or last.startswith("."):
                continue
            key = key_of(info.name)
            kind = _kind(last)
            if kind == "json" and info.size <= _MOST_JSON:
                content = tar.extractfile(info)
                assert content
                facts[key] = _facts(content.read(), f"{shard}:{info.name}")
            elif kind and files.setdefault(key, {}).setdefault(kind, _member(shard, info)).name != (
                info.name
            ):
                raise AudioError(
                    f"{shard}:{info.name}: is the second {kind} file of {key}; name files so that "
                    "what stands before the first dot differs"
                )
    for key, found in files.items():
        if "audio" in found:
            mel, copy = found.get("mel"), found.get("narrowband")
            yield Recording(found["audio"], mel, copy, facts.get(key, {}))


def _kind(name: str) -> str | None:
    """What a file is in its recording by the name after the key; None for other data."""
    extension = name.partition(".")[2].lower()
    what, dot, last = extension.rpartition(".")
    if extension == "json":
        return "json"
    if what in ("mel", "mels") and f".{last}" in SUFFIXES:
        return "mel"
    if f".{last}" in READ_SUFFIXES and (not dot or what == "narrowband"):
        return what or "audio"
    return None


def _facts(content: bytes, name: str) -> dict[str, str]:
    """Split, speaker and licence from the JSON of a recording."""
    try:
        values = parse_json(content, name)
    except VocoderError as error:
        raise ConfigError(str(error)) from error
    given: Mapping[str, Any] = values if isinstance(values, dict) else {}
    facts = {name: str(given[name]) for name in ("split", "speaker", "licence") if given.get(name)}
    if "split" in facts:
        facts["split"] = _OTHER_WORDS.get(facts["split"], facts["split"])
        if facts["split"] not in SPLITS:
            raise ConfigError(f"{name}: split is {facts['split']!r}; use {', '.join(SPLITS)}")
    return facts


def _member(shard: str, info: tarfile.TarInfo) -> Member:
    return Member(shard, info.name, info.offset_data, info.size)


@contextmanager
def _opened(shard: str) -> Iterator[tarfile.TarFile]:
    try:
        if not is_url(shard):
            with tarfile.open(shard, "r:") as tar:
                yield tar
            return
        system, path = file_system(shard)
        with system.open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            yield tar
    except tarfile.TarError as error:
        raise AudioError(
            f"{shard}: is cut short, compressed, or no tar ({error}); write it again, uncompressed"
        ) from error
    except OSError as error:
        raise AudioError(f"{shard}: cannot open ({error.strerror or error})") from error


def _braces(text: str) -> Iterator[str]:
    """The texts that a pattern with braces stands for."""
    match = _BRACES.search(text)
    if not match:
        yield text
        return
    between = _RANGE.fullmatch(match[1])
    if between:
        first, last = between.groups()
        width = len(first) if len(first) == len(last) or first[0] == "0" else 0
        choices = [f"{number:0{width}d}" for number in range(int(first), int(last) + 1)]
    else:
        choices = match[1].split(",")
    for choice in choices:
        yield from _braces(text[: match.start()] + choice + text[match.end() :])


def _globbed(text: str) -> list[str]:
    if is_url(text):
        if "*" not in text:
            return [text]
        system, path = file_system(text)
        return sorted(system.unstrip_protocol(each) for each in system.glob(path))
    found = sorted(glob.glob(text)) if "*" in text else [text]
    return [os.path.abspath(each) for each in found]
