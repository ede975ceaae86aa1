"""Clips that cannot be read in the middle of a run: others in their place, and their count."""

import logging
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from vocoder.data.manifest import Clip
from vocoder.errors import AudioError, ConfigError, MelMismatchError

log = logging.getLogger(__name__)

OnError = Literal["stop", "skip"]
UNREADABLE = (AudioError, MelMismatchError, OSError)
"""Errors of a file, not of the settings."""
ATTEMPTS = 10
"""Clips that are tried for a crop before the run is given up: then it is not the clips."""


class SkippedClip(NamedTuple):
    """A clip that could not be read, and why."""

    name: str
    reason: str

    @classmethod
    def of(cls, clip: Clip, error: Exception) -> "SkippedClip":
        """Describe what happened to a clip."""
        name = str(clip.path)
        return cls(name, str(error).removeprefix(f"{name}: "))


class SkippedClips:
    """Counts the clips of a run that could not be read, and names each once in the log.

    Args:
        clips: Number of clips there are.
        share: Share of them above which the run is to end; one is always tolerated.
        logs: Whether this process writes the log; the processes of a run count alike.
    """

    def __init__(self, clips: int, *, share: float, logs: bool = True) -> None:
        self.clips, self.share, self.logs = clips, share, logs
        self.names: set[str] = set()
        self.crops = 0
        """Times that another crop was taken, in all processes."""
        self._own: list[SkippedClip] = []

    def note(self, skipped: Iterable[SkippedClip]) -> None:
        """Remember what this process has skipped until `count` is called."""
        self._own += skipped

    def count(self, gather: Callable[[list[SkippedClip]], list[list[SkippedClip]]]) -> None:
        """Count what all processes have skipped since the last call, which all must make.

        `gather` exchanges the lists of the processes. Raises AudioError if more than the share of
        the clips is unreadable, in all of them.
        """
        everywhere = [each for own in gather(self._own) for each in own]
        self._own = []
        last = None
        for last in everywhere:
            self.crops += 1
            if last.name not in self.names:
                self.names.add(last.name)
                if self.logs:
                    log.warning(
                        "%s: skipped, another crop takes its place (%s)", last.name, last.reason
                    )
        if last and len(self.names) > tolerated(self.clips, self.share):
            raise AudioError(
                f"{last.name}: {last.reason}; with it, {len(self.names)} of {self.clips} clips "
                f"cannot be read, more than data.unreadable_share={self.share:g}: check the disk, "
                "or run `vocoder prepare` again"
            )

    def as_values(self) -> dict[str, float]:
        """The number of crops for the log; nothing if there was none."""
        return {"skipped_crops": float(self.crops)} if self.crops else {}


def check_settings(on_error: str, share: float) -> None:
    """Raise ConfigError for settings of unreadable clips that mean nothing."""
    if on_error not in ("stop", "skip"):
        raise ConfigError(f"data.on_error is {on_error!r}; choose stop or skip")
    if not 0.0 < share <= 1.0:
        raise ConfigError(f"data.unreadable_share is {share}; it is a share of the clips")


def tolerated(count: int, share: float) -> float:
    """How many of `count` clips may be unreadable: a share, at least one."""
    return max(1.0, share * count)


def given_up(last: SkippedClip) -> AudioError:
    """The error for a crop of which every clip that was tried is unreadable."""
    return AudioError(
        f"{last.name}: {last.reason}; it is the {ATTEMPTS}th clip in a row that cannot be read, "
        "check the disk or the storage"
    )
