"""Pairing of the audio files of two folders, by name."""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from vocoder.errors import AudioError
from vocoder.io.audio import READ_SUFFIXES
from vocoder.io.folder import find_files


class ScoredPair(NamedTuple):
    """A reference and an estimate of it; `name` is the relative path of both, without suffix."""

    name: str
    reference: Path
    estimate: Path


def find_pairs(reference: Path, estimate: Path) -> tuple[list[ScoredPair], dict[str, str]]:
    """Pair the audio files of two folders: the pairs by name, and the rest as name → reason.

    The rest are files without counterpart, names that several files of a folder have, and links
    that lead nowhere. Two files are a pair whatever their names. Raises AudioError if no files
    pair.
    """
    if reference.is_file() and estimate.is_file():
        return [ScoredPair(reference.stem, reference, estimate)], {}
    references, left_over = _audio_files(reference)
    estimates, more = _audio_files(estimate)
    left_over |= more
    common = sorted(references.keys() & estimates.keys())
    if not common and not left_over:
        raise AudioError(_no_pair(reference, references, estimate, estimates))
    for name in sorted(references.keys() ^ estimates.keys()):
        other = estimate if name in references else reference
        left_over.setdefault(name, f"no counterpart in {other}")
    pairs = [ScoredPair(name, references[name], estimates[name]) for name in common]
    return [pair for pair in pairs if pair.name not in left_over], dict(sorted(left_over.items()))


def recordings(reference: Path) -> list[tuple[str, Path]]:
    """Names and paths of the audio files of a folder, or of one file; AudioError if none."""
    if reference.is_file():
        return [(reference.stem, reference)]
    files, reasons = _audio_files(reference)
    return sorted((name, path) for name, path in files.items() if name not in reasons)


def _audio_files(directory: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Audio files under a directory by relative path without suffix, and names → why not."""
    if not directory.is_dir():
        other = "is a file, its counterpart a folder; name" if directory.is_file() else "not there;"
        raise AudioError(f"{directory}: {other} two folders or two files")
    found = find_files(directory, READ_SUFFIXES)
    named = defaultdict(list)
    for path in found.files:
        named[path.relative_to(directory).with_suffix("").as_posix()].append(path)
    if not named:
        raise AudioError(
            f"{directory}: no audio files there to pair up by relative path without suffix; "
            "name a folder of wav or flac files"
        )
    reasons = {
        name: f"{' and '.join(map(str, paths))} have the same name; keep one of them"
        for name, paths in named.items()
        if len(paths) > 1
    }
    for path, reason in found.skipped.items():
        reasons[path.relative_to(directory).as_posix()] = f"{path} {reason}"
    return {name: paths[0] for name, paths in named.items()}, reasons


def _no_pair(
    reference: Path, references: dict[str, Path], estimate: Path, estimates: dict[str, Path]
) -> str:
    """Why no files pair, with a name of each folder."""
    stems = {path.stem: path for path in references.values()}
    alike = next((path for path in estimates.values() if path.stem in stems), None)
    there, here = next(iter(estimates)), next(iter(references))
    hint = f"such as {there} and {here}"
    if alike:
        hint = (
            f"{alike} and {stems[alike.stem]} have one name in different folders: name the folders "
            "below which the paths are the same"
        )
    return (
        f"no audio file in {estimate} has a counterpart in {reference}; "
        f"they pair up by relative path without suffix: {hint}"
    )
