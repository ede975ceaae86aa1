"""Arrange the example clips in the layout of a corpus, as a small corpus for tests.

    python recipes/small_corpus.py vctk exp/small

The files that a recipe does not use are there as well: a second microphone, speakers that are left
out, repeated sentences, text.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from vocoder import VocoderError, read_audio, write_audio

CLIPS = Path(__file__).parents[1] / "egs" / "clips"
TEXT = "The text of a recording."

# Speaker and chapter, or speaker, of the clips one by one.
LIBRITTS = (
    ["train-clean-100/19/198"] * 4
    + ["train-clean-100/26/495"] * 4
    + ["dev-clean/84/121123"] * 2
    + ["test-clean/61/70968"] * 2
)
VCTK = ["p225"] * 4 + ["p226"] * 4 + ["p280"] + ["p315"] + ["s5"] * 2
KATHLEEN_SENTENCES = [1, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10]


def ljspeech(clips: Iterable[Path], folder: Path) -> None:
    """Write `LJSpeech-1.1/metadata.csv` and `wavs/LJ001-0001.wav`."""
    corpus = folder / "LJSpeech-1.1"
    names = []
    for number, clip in enumerate(clips, start=1):
        names.append(f"LJ001-{number:04}")
        _copy(clip, corpus / "wavs" / f"{names[-1]}.wav")
    lines = [f"{name}|{TEXT}|{TEXT}\n" for name in names]
    (corpus / "metadata.csv").write_text("".join(lines), encoding="utf-8")


def libritts(clips: Iterable[Path], folder: Path) -> None:
    """Write `LibriTTS/dev-clean/84/121123/84_121123_000000_000000.wav` and two texts for each."""
    for number, (clip, place) in enumerate(zip(clips, LIBRITTS, strict=True)):
        _, speaker, chapter = place.split("/")
        path = folder / "LibriTTS" / place / f"{speaker}_{chapter}_{number:06}_000000.wav"
        _copy(clip, path)
        for kind in ("original", "normalized"):
            path.with_suffix(f".{kind}.txt").write_text(TEXT, encoding="utf-8")


def vctk(clips: Iterable[Path], folder: Path) -> None:
    """Write `VCTK-Corpus-0.92/wav48_silence_trimmed/p225/p225_001_mic1.flac` and `txt/p225/….txt`.

    The second microphone has the clip backwards, so that a recipe that uses it has more clips.
    """
    corpus = folder / "VCTK-Corpus-0.92"
    for number, (clip, speaker) in enumerate(zip(clips, VCTK, strict=True), start=1):
        name = f"{speaker}_{number:03}"
        for microphone in ("mic1", "mic2"):
            path = corpus / "wav48_silence_trimmed" / speaker / f"{name}_{microphone}.flac"
            _copy(clip, path, backwards=microphone == "mic2")
        text = corpus / "txt" / speaker / f"{name}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(TEXT, encoding="utf-8")


def kathleen(clips: Iterable[Path], folder: Path) -> None:
    """Write `dataset-voice-kathleen/data/arctic_a0001_1592748574.wav`, in stereo, and its text."""
    data = folder / "dataset-voice-kathleen" / "data"
    for time, (clip, sentence) in enumerate(zip(clips, KATHLEEN_SENTENCES, strict=True)):
        path = data / f"arctic_a{sentence:04}_{1592748500 + time}.wav"
        _copy(clip, path, channels=2)
        path.with_suffix(".txt").write_text(TEXT, encoding="utf-8")


LAYOUTS = {"ljspeech": ljspeech, "libritts": libritts, "vctk": vctk, "kathleen": kathleen}


def _copy(clip: Path, target: Path, *, backwards: bool = False, channels: int = 1) -> None:
    audio, sample_rate = read_audio(clip)
    audio = audio.flip(-1) if backwards else audio
    write_audio(target, audio.expand(channels, -1), sample_rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("layout", choices=LAYOUTS)
    parser.add_argument("folder", type=Path, help="where to write the corpus")
    arguments = parser.parse_args()
    try:
        LAYOUTS[arguments.layout](sorted(CLIPS.rglob("*.flac")), arguments.folder)
    except VocoderError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
