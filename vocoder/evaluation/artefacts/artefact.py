"""What a detector found, and what a detector is."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vocoder.evaluation.artefacts.analysis import Pair


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """One artefact in a generated recording: which, when, where in frequency, and how strong."""

    detector: str
    """Name of the detector, a key of `DETECTORS`."""
    begin: float
    """Seconds."""
    end: float
    low_hz: float | None = None
    """Lower end of the band concerned; None for the whole spectrum."""
    high_hz: float | None = None
    level: float
    """Strength, in `unit`; what it is measured against is in `words`."""
    unit: str
    words: str
    """One sentence for the user, without a full stop."""


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A detector of one kind of artefact."""

    label: str
    """Name in the headings of tables."""
    find: Callable[["Pair"], list[Artefact]]
    """Artefacts of the pair's estimate, in order of time."""
    remedy: str
    """What to look at in training when it fires."""
    picture: Literal["spectrum", "pitch", "waveform"] = "spectrum"
    """What shows the artefact."""
    needs_reference: bool = False
    """Whether it finds nothing without a reference."""

    @property
    def definition(self) -> str:
        """Full definition of the detector: the docstring of `find`."""
        return inspect.getdoc(self.find) or ""
