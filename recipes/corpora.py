"""Write the index of a corpus: its recordings, their splits, speakers and licences.

    python recipes/corpora.py LAYOUT FOLDER -o index.csv

LAYOUT is ljspeech, libritts, vctk or kathleen; FOLDER is the corpus as its archive unpacks, or the
folder that it lies in. The index is for `vocoder prepare --index`.
"""

import argparse
import csv
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vocoder import ConfigError, VocoderError
from vocoder.data.manifest import SPLITS
from vocoder.io.atomic import replacing_file

LAYOUTS = ("ljspeech", "libritts", "vctk", "kathleen")
LIBRITTS = {
    "train-clean-100": "train",
    "train-clean-360": "train",
    "train-other-500": "train",
    "dev-clean": "valid",
    "dev-other": "valid",
    "test-clean": "test",
    "test-other": "test",
}
LIBRITTS_DEFAULT = ("train-clean-100", "dev-clean", "test-clean")
VCTK_TEST = frozenset({"p360", "p361", "p362", "p363", "p364", "p374", "p376", "s5"})
VCTK_LEFT_OUT = frozenset({"p280", "p315"})

_LJSPEECH_HELD_OUT = 250
_VCTK_VALID = 2
_KATHLEEN_HELD_OUT = 0.02


class Row(NamedTuple):
    """A recording in the index."""

    path: Path
    split: str
    speaker: str
    licence: str


def index(layout: str, folder: Path, subsets: Sequence[str] = ()) -> list[Row]:
    """The recordings of the corpus in `folder`; every split has at least one.

    `subsets` names parts of LibriTTS, see `choose`. Raises ConfigError if the corpus is missing,
    incomplete or too small.
    """
    chosen = choose(layout, subsets)
    if layout == "libritts":
        rows = libritts(folder, chosen)
    else:
        rows = {"ljspeech": ljspeech, "vctk": vctk, "kathleen": kathleen}[layout](folder)
    empty = set(SPLITS) - {row.split for row in rows}
    if empty:
        raise ConfigError(
            f"{folder}: nothing for {', '.join(sorted(empty))} among {len(rows)} recordings; "
            "part of the corpus is missing"
        )
    return rows


def choose(layout: str, subsets: Sequence[str]) -> tuple[str, ...]:
    """The parts of a corpus to use: those in `subsets`, or the default ones.

    Raises ConfigError for an unknown layout or part, or if a split would be empty.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"no layout {layout!r}; choose from {', '.join(LAYOUTS)}")
    if layout != "libritts":
        if subsets:
            raise ConfigError(f"--subset {subsets[0]}: {layout} has no subsets, only libritts")
        return ()
    chosen = tuple(dict.fromkeys(subsets)) or LIBRITTS_DEFAULT
    for subset in chosen:
        if subset not in LIBRITTS:
            raise ConfigError(f"--subset {subset}: choose from {', '.join(LIBRITTS)}")
    for split in SPLITS:
        parts = [name for name, its_split in LIBRITTS.items() if its_split == split]
        if not set(parts) & set(chosen):
            raise ConfigError(
                f"--subset {', '.join(chosen)}: nothing for {split}; add {' or '.join(parts)}"
            )
    return chosen


def ljspeech(folder: Path) -> list[Row]:
    """LJSpeech 1.1: `metadata.csv` (name|text|normalised text) and `wavs/NAME.wav`.

    It has no official split. As in ESPnet's recipe, 250 of the last 500 lines are valid and the
    last 250 are test; of a corpus in this layout with under 750 lines, a third each.
    """
    corpus = _locate(folder, "LJSpeech*", "metadata.csv", "wavs")
    lines = (corpus / "metadata.csv").read_text(encoding="utf-8").splitlines()
    names = [line.split("|", 1)[0] for line in lines if line]
    held_out = min(_LJSPEECH_HELD_OUT, len(names) // 3)
    splits = ["train"] * (len(names) - 2 * held_out) + ["valid"] * held_out + ["test"] * held_out
    rows = [
        Row(corpus / "wavs" / f"{name}.wav", split, "lj", "public domain")
        for name, split in zip(names, splits, strict=True)
    ]
    missing = [row.path for row in rows if not row.path.is_file()]
    if missing:
        raise ConfigError(
            f"{missing[0]}: listed in metadata.csv but missing, as are {len(missing) - 1} others; "
            "unpack the corpus again"
        )
    return rows


def libritts(folder: Path, subsets: Sequence[str]) -> list[Row]:
    """LibriTTS: `SUBSET/SPEAKER/CHAPTER/SPEAKER_CHAPTER_….wav`, its subsets being the splits."""
    corpus = _locate(folder, "LibriTTS*", *subsets)
    return [
        Row(path, LIBRITTS[subset], path.parts[-3], "CC-BY-4.0")
        for subset in subsets
        for path in sorted((corpus / subset).glob("*/*/*.wav"))
    ]


def vctk(folder: Path) -> list[Row]:
    """VCTK 0.92: `wav48_silence_trimmed/SPEAKER/SPEAKER_NNN_mic1.flac`, the first microphone only.

    The split by speakers of NU-Wave and AP-BWE: p280 and p315 (incomplete) are left out, the last
    8 speakers are test. Ours: the last 2 sentences of every other speaker are valid, at most a
    third of what there is.
    """
    audio = _locate(folder, "VCTK*", "wav48_silence_trimmed") / "wav48_silence_trimmed"
    speakers: dict[str, list[Path]] = {}
    for path in sorted(audio.glob("*/*_mic1.flac")):
        speakers.setdefault(path.parent.name, []).append(path)
    rows = []
    for speaker, paths in speakers.items():
        valid = 0 if speaker in VCTK_TEST else min(_VCTK_VALID, len(paths) // 3)
        rest = "test" if speaker in VCTK_TEST else "train"
        splits = [rest] * (len(paths) - valid) + ["valid"] * valid
        if speaker not in VCTK_LEFT_OUT:
            rows += [
                Row(path, split, speaker, "CC-BY-4.0")
                for path, split in zip(paths, splits, strict=True)
            ]
    return rows


def kathleen(folder: Path) -> list[Row]:
    """Kathleen: `data/SENTENCE_TIME.wav`, some sentences more than once.

    It has no official split: those 2 % of the sentences with the lowest hashes of their names are
    valid, those with the highest are test, with all their takes; at least one sentence each.
    """
    corpus = _locate(folder, "dataset-voice-kathleen*", "data")
    takes = sorted((corpus / "data").glob("*_*.wav"))
    sentences = sorted({_sentence(path) for path in takes}, key=_hash)
    held_out = min(max(1, round(_KATHLEEN_HELD_OUT * len(sentences))), len(sentences) // 3)
    valid, test = set(sentences[:held_out]), set(sentences[len(sentences) - held_out :])
    return [
        Row(
            path,
            "valid" if _sentence(path) in valid else "test" if _sentence(path) in test else "train",
            "kathleen",
            "CC0-1.0",
        )
        for path in takes
    ]


def write_index(path: Path, rows: Sequence[Row]) -> None:
    """Write the index for `vocoder prepare --index`, atomically."""
    with (
        replacing_file(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(Row._fields)
        table.writerows(rows)


def _locate(folder: Path, pattern: str, *landmarks: str) -> Path:
    """The folder itself or one in it that matches `pattern`, if it has all the landmarks."""
    absolute = Path(os.path.abspath(folder))
    for corpus in (absolute, *sorted(absolute.glob(pattern))):
        if all((corpus / landmark).exists() for landmark in landmarks):
            return corpus
    raise ConfigError(
        f"{folder}: neither it nor a {pattern} in it holds {', '.join(landmarks)}; "
        "name the folder that the corpus was unpacked to"
    )


def _sentence(path: Path) -> str:
    return path.stem.rpartition("_")[0]


def _hash(name: str) -> bytes:
    return hashlib.blake2b(name.encode()).digest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("layout", help=", ".join(LAYOUTS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--subset", action="append", default=[], help="a part of LibriTTS; repeat")
    arguments = parser.parse_args()
    try:
        rows = index(arguments.layout, arguments.folder, arguments.subset)
        write_index(arguments.output, rows)
    except VocoderError as error:
        parser.exit(2, f"error: {error}\n")
    counts = ", ".join(f"{sum(row.split == split for row in rows)} {split}" for split in SPLITS)
    print(f"{arguments.output}  {counts}")


if __name__ == "__main__":
    main()
