"""What a run sounded like: its first validation clips as FLAC files, at a few steps."""

import re
from collections.abc import Sequence
from pathlib import Path

from vocoder.io.audio import write_audio
from vocoder.training.reporting.validation import ValidationClip

SAMPLES_NAME, RECORDING_NAME = "samples", "recording.flac"


class Samples:
    """Writes `samples/CLIP/recording.flac` and `step-000001000.flac` into the folder of a run.

    Kept are the validations 1, 2, 4, 8, … times `every` steps, that before the first step, and
    the newest: of a run of any length a few files. Those of steps after `first`, which a resumed
    run repeats, are removed here. Raises OSError if that fails.
    """

    def __init__(self, folder: Path, *, clips: int, every: int, first: int) -> None:
        self.folder, self.clips, self.every = folder / SAMPLES_NAME, clips, every
        for path in self.folder.glob("*/step-*.flac"):
            if (step_of(path) or 0) > first:
                path.unlink()

    def write(self, step: int, clips: Sequence[ValidationClip], sample_rate: int) -> None:
        """Write the first clips, and remove what the newest step replaces.

        Samples beyond full scale are clipped. Raises VocoderError or OSError if that fails.
        """
        for index, clip in enumerate(clips[: self.clips]):
            folder = self.folder / f"{index}-{re.sub(r'[^A-Za-z0-9._-]+', '-', clip.name)}"
            write_audio(folder / RECORDING_NAME, clip.real[None], sample_rate)
            write_audio(folder / f"step-{step:09}.flac", clip.fake[None], sample_rate)
            for path in folder.glob("step-*.flac"):
                if step_of(path) not in (None, step) and not self._is_kept(step_of(path) or 0):
                    path.unlink()

    def _is_kept(self, step: int) -> bool:
        number, rest = divmod(step, self.every)
        return rest == 0 and number & (number - 1) == 0  # 0, 1, 2, 4, 8, …


def step_of(path: Path) -> int | None:
    """The step in the name of a sample; None for another file."""
    found = re.fullmatch(r"step-(\d+)\.flac", path.name)
    return int(found[1]) if found else None
