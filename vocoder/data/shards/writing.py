"""Writing of a corpus into tars of the webdataset layout."""

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from vocoder.data.manifest import Clip
from vocoder.data.shards.listing import members_of
from vocoder.errors import AudioError, ConfigError, VocoderError
from vocoder.io.atomic import replacing_file
from vocoder.io.members import Member, file_system, is_url

_BLOCK = 512  # bytes, to whose multiples a tar fills its files up
_Entry = tuple[str, Path | Member | bytes]  # name in the tar, and the content


def write_shards(
    clips: Sequence[Clip],
    folder: str,
    *,
    most: int = 2**30,
    progress: Callable[[int, int], None] | None = None,
) -> list[Clip]:
    """Pack the files of clips into tars of at most about `most` bytes; returns the packed clips.

    Files are copied as they are, in an order that mixes speakers, into `SPLIT-000000.tar`, … of
    `folder`, a path or a URL, with split, speaker and licence as JSON. A local tar that is complete
    is not written again. Raises AudioError for a file that cannot be read, ConfigError for tars of
    another corpus in `folder`, VocoderError if it cannot be written.

    Args:
        clips: The clips of a manifest.
        folder: Where the tars are written.
        most: Size of a tar in bytes at which the next one is begun.
        progress: Called with (clips done, clips in all).
    """
    keys = _keys(clips)
    plan = [*_shards(clips, keys, most)]
    _require_own(folder, {name for name, _ in plan})
    packed: dict[str, Clip] = {}
    for name, content in plan:
        shard = (
            f"{folder.rstrip('/')}/{name}"
            if is_url(folder)
            else os.path.abspath(os.path.join(folder, name))
        )
        entries = [entry for clip in content for entry in _entries(clip, keys[str(clip.path)])]
        members = _existing(shard, entries) or _write(shard, entries)
        by_name = {member.name: member for member in members}
        for clip in content:
            packed[str(clip.path)] = _moved(clip, keys[str(clip.path)], by_name)
            if progress:
                progress(len(packed), len(clips))
    return [packed[str(clip.path)] for clip in clips]


def _keys(clips: Sequence[Clip]) -> dict[str, str]:
    """A key for each clip by its path: the common part left out, dots replaced, each once."""
    names = {str(clip.path): _name(clip.path) for clip in clips}
    parents = [str(PurePosixPath(name).parent) for name in names.values()]
    root = os.path.commonpath(parents) if parents else ""
    taken: set[str] = set()
    keys = {}
    for path, name in names.items():
        relative = PurePosixPath(os.path.relpath(name, root))
        key = str(relative.with_suffix(""))
        key = str(PurePosixPath(key).with_name(PurePosixPath(key).name.replace(".", "_")))
        if key in taken:
            key = f"{key}_{relative.suffix[1:]}"
        while key in taken:
            key += "_"
        taken.add(key)
        keys[path] = key
    return keys


def _name(path: Path | Member) -> str:
    return f"/{path.name}" if isinstance(path, Member) else path.as_posix()


def _shards(
    clips: Sequence[Clip], keys: dict[str, str], most: int
) -> Iterator[tuple[str, list[Clip]]]:
    """Names of the tars, and what goes into each."""
    splits: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        splits[clip.split].append(clip)
    for split, listed in splits.items():
        # Programs that read shards from front to back see all speakers at any time.
        listed.sort(key=lambda clip: hashlib.blake2b(keys[str(clip.path)].encode()).digest())
        number, size, content = 0, 0, list[Clip]()
        for clip in listed:
            files = (clip.path, clip.mel, clip.narrowband)
            own = sum(_size(file) for file in files if file) + 6 * _BLOCK
            if content and size + own > most:
                yield f"{split}-{number:06d}.tar", content
                number, size, content = number + 1, 0, []
            content.append(clip)
            size += own
        yield f"{split}-{number:06d}.tar", content


def _size(file: Path | Member) -> int:
    if isinstance(file, Member):
        return file.size
    try:
        return file.stat().st_size
    except OSError as error:
        raise AudioError(f"{file}: cannot open ({error.strerror}); prepare again") from error


def _entries(clip: Clip, key: str) -> list[_Entry]:
    """The files of a clip in a tar."""
    facts = {"split": clip.split, "speaker": clip.speaker, "licence": clip.licence}
    facts |= {"sample_rate": str(clip.sample_rate), "seconds": str(clip.seconds)}
    entries: list[_Entry] = [(f"{key}{clip.path.suffix.lower()}", clip.path)]
    if clip.mel:
        entries.append((f"{key}.mel{clip.mel.suffix.lower()}", clip.mel))
    if clip.narrowband:
        entries.append((f"{key}.narrowband{clip.narrowband.suffix.lower()}", clip.narrowband))
    return [*entries, (f"{key}.json", json.dumps(facts, ensure_ascii=False).encode())]


def _existing(shard: str, entries: list[_Entry]) -> list[Member]:
    """The members of a local tar that holds exactly these files already; otherwise none."""
    if is_url(shard) or not os.path.exists(shard):
        return []
    try:
        members = members_of(shard)
    except AudioError:
        return []
    sizes = [len(data) if isinstance(data, bytes) else _size(data) for _, data in entries]
    wanted = [(name, size) for (name, _), size in zip(entries, sizes, strict=True)]
    return members if [(each.name, each.size) for each in members] == wanted else []


def _write(shard: str, entries: list[_Entry]) -> list[Member]:
    members = []
    with _target(shard) as path, tarfile.open(path, "w") as tar:
        for name, data in entries:
            info = tarfile.TarInfo(name)  # no owner and no time: the same files, the same tar
            with ExitStack() as stack:
                if isinstance(data, bytes):
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
                else:
                    info.size = _size(data)
                    tar.addfile(info, stack.enter_context(_readable(data)))
            begin = tar.offset - -(-info.size // _BLOCK) * _BLOCK
            members.append(Member(shard, name, begin, info.size))
    return members


@contextmanager
def _readable(file: Path | Member) -> Iterator[io.IOBase]:
    try:
        with file.open("rb") as content:
            yield content
    except OSError as error:
        raise AudioError(f"{file}: cannot be packed ({error.strerror or error})") from error


@contextmanager
def _target(shard: str) -> Iterator[Path]:
    """A file to write, which becomes the shard when the block ends."""
    if not is_url(shard):
        with replacing_file(Path(shard)) as path:
            yield path
        return
    system, target = file_system(shard)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.tar"
        yield path
        try:
            system.makedirs(target.rpartition("/")[0], exist_ok=True)
            system.put_file(str(path), target)
        except Exception as error:  # each storage has its own
            reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
            raise VocoderError(f"{shard}: cannot be written ({reason})") from error


def _require_own(folder: str, names: set[str]) -> None:
    """Raise ConfigError if a local folder has tars that would be taken for part of this corpus."""
    if is_url(folder) or not os.path.isdir(folder):
        return
    others = sorted({path.name for path in Path(folder).glob("*.tar")} - names)
    if others:
        raise ConfigError(
            f"{os.path.join(folder, others[0])}: belongs to another corpus; delete it, or name "
            "another folder for --shards"
        )


def _moved(clip: Clip, key: str, members: dict[str, Member]) -> Clip:
    """The clip with its files in the tar."""
    own = {name: members[name] for name, _ in _entries(clip, key)}
    audio = own[f"{key}{clip.path.suffix.lower()}"]
    mel = own[f"{key}.mel{clip.mel.suffix.lower()}"] if clip.mel else None
    copy = clip.narrowband
    narrowband = own[f"{key}.narrowband{copy.suffix.lower()}"] if copy else None
    return replace(clip, path=audio, mel=mel, narrowband=narrowband)
