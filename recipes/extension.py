"""Low-pass the test split of a manifest at several cutoffs, and extend it in several ways.

For each cutoff in the model's range, OUTPUT/CUTOFF has `recordings` at their own rate or the
model's if that is lower, the narrow-band copies at twice the cutoff in `narrow`, and at the model's
rate the estimates `trained` (the model), `extender` (the embedded one), `replication` (spectral
band replication) and `resampling`. A recording that itself ends at the cutoff is left out.
"""

import argparse
from pathlib import Path

from vocoder import Extender, VocoderError, load_extender, read_audio, write_audio
from vocoder.data.manifest import read_manifest
from vocoder.evaluation.replication import replicate_band
from vocoder.io.audio import resample_soxr

CUTOFFS = (1000, 2000, 4000, 8000, 12000)


def compare(recording: Path, name: str, folder: Path, models: dict[str, Extender]) -> None:
    """Write one recording and all estimates of it; the cutoff is the name of the folder."""
    cutoff, rate = int(folder.name), models["trained"].sample_rate
    audio, orig_rate = read_audio(recording)
    if orig_rate <= 2 * cutoff:
        return
    full = resample_soxr(audio.mean(dim=0), orig_rate, min(orig_rate, rate))
    narrow = folder / "narrow" / name
    write_audio(folder / "recordings" / name, full, min(orig_rate, rate))
    write_audio(narrow, resample_soxr(full, min(orig_rate, rate), 2 * cutoff), 2 * cutoff)
    for model, extender in models.items():
        extender.file(narrow, folder / model / name)
    plain = resample_soxr(read_audio(narrow)[0][0], 2 * cutoff, rate)
    write_audio(folder / "resampling" / name, plain, rate)
    replicated = replicate_band(plain, sample_rate=rate, cutoff=0.97 * cutoff)
    write_audio(folder / "replication" / name, replicated, rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("model")
    parser.add_argument("output", type=Path)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    try:
        models = {"trained": load_extender(arguments.model, device=arguments.device)}
        trained, embedded = models["trained"], load_extender(device=arguments.device)
        if trained.sample_rate == embedded.sample_rate:
            models["extender"] = embedded
        clips = read_manifest(arguments.manifest, split="test")
        if not clips:
            raise VocoderError(f"{arguments.manifest}: no clip has split test")
        low, high = trained.cutoff_range
        cutoffs = [cutoff for cutoff in CUTOFFS if low <= cutoff <= high]
        for cutoff in cutoffs or [round(high)]:
            for clip in clips:
                name = f"{clip.speaker}/{clip.path.stem}.flac"
                compare(clip.path, name, arguments.output / str(cutoff), models)
    except VocoderError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
