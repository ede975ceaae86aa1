"""Restore a body-conducted recording, and write it with the reference from a microphone in the air.

    python recipes/eben/pair.py BODY REFERENCE MODEL OUTPUT

All at the model's sample rate, under one name: OUTPUT/recordings (the reference), OUTPUT/body and
OUTPUT/trained (the output of the model).
"""

import argparse
from pathlib import Path

from vocoder import VocoderError, load_extender, read_audio, write_audio
from vocoder.io.audio import resample_soxr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("body", type=Path)
    parser.add_argument("reference", type=Path)
    parser.add_argument("model")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    try:
        extender = load_extender(arguments.model)
        rate, name = extender.sample_rate, f"{arguments.body.stem}.flac"
        for folder, path in (("recordings", arguments.reference), ("body", arguments.body)):
            audio, orig_rate = read_audio(path)
            audio = resample_soxr(audio.mean(dim=0), orig_rate, rate)
            write_audio(arguments.output / folder / name, audio, rate)
        # Body conduction colours the whole band: none of it is to be preserved.
        made = extender(audio, sample_rate=rate, preserve_low_band=False)
        write_audio(arguments.output / "trained" / name, made, rate)
    except VocoderError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
