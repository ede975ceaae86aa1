"""Write the test split of a manifest at the sample rate of a model; print that rate."""

import argparse
from pathlib import Path

import vocoder
from vocoder import VocoderError, read_audio, write_audio
from vocoder.data.manifest import read_manifest
from vocoder.io.audio import resample_soxr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("model")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    try:
        new_rate = vocoder.load(arguments.model).sample_rate
        clips = read_manifest(arguments.manifest, split="test")
        if not clips:
            raise VocoderError(f"{arguments.manifest}: no clip has split test")
        for clip in clips:
            audio, rate = read_audio(clip.path)
            path = arguments.output / clip.speaker / f"{clip.path.stem}.flac"
            write_audio(path, resample_soxr(audio.mean(dim=0), rate, new_rate), new_rate)
    except VocoderError as error:
        parser.exit(2, f"error: {error}\n")
    print(new_rate)


if __name__ == "__main__":
    main()
