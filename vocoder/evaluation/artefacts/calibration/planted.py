"""Artefacts planted in recordings at stated levels, one or two for each detector."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Analysis
from vocoder.evaluation.artefacts.calibration import planters

Planter = Callable[[Analysis, float, torch.Generator], Tensor | None]


@dataclass(frozen=True, kw_only=True)
class Planted:
    """One kind of artefact and how to plant it."""

    detector: str
    """Name of the detector that should find it."""
    what: str
    """What is planted, with the unit of the level."""
    levels: tuple[float, ...]
    """From hardly audible to plain."""
    plant: Planter
    """(recording, level, rng) → audio [T], or None where the recording has no place for it."""
    bare: bool = True
    """Whether it should be found without a reference, too."""


PLANTED = (
    Planted(
        detector="tones",
        what="tone in pauses, dB above its surroundings",
        levels=(12, 15, 18, 21, 24, 30, 40),
        plant=planters.tone,
    ),
    Planted(
        detector="hop_lines",
        what="pattern of 256 samples, dB against the recording",
        levels=(-60, -55, -50, -45, -40, -35, -30),
        plant=planters.hop_pattern,
    ),
    Planted(
        detector="imaging",
        what="image about a quarter of the sample rate, dB against its source",
        levels=(-60, -50, -40, -35, -30, -25, -20),
        plant=planters.image,
    ),
    Planted(
        detector="sibilants",
        what="a fricative too weak, dB",
        levels=(-3, -6, -7, -8, -10, -12),
        plant=planters.sibilant_level,
        bare=False,
    ),
    Planted(
        detector="sibilants",
        what="a gap of 15 ms in a fricative, dB",
        levels=(-6, -10, -12, -15, -20, -30),
        plant=planters.sibilant_gap,
        bare=False,
    ),
    Planted(
        detector="high_band",
        what="the highs too weak, dB",
        levels=(-3, -6, -7, -8, -10, -12),
        plant=planters.shelf,
        bare=False,
    ),
    Planted(
        detector="high_band",
        what="low-pass, dB",
        levels=(-20, -40, -60, -100),
        plant=planters.shelf,
    ),
    Planted(
        detector="clicks",
        what="impulse, dB above the recording's level",
        levels=(-10, 0, 5, 10, 15, 20, 25, 30),
        plant=planters.click,
    ),
    Planted(
        detector="dropouts",
        what="gap of 25 ms, dB",
        levels=(-15, -20, -25, -30, -40, -60, -100),
        plant=planters.gap,
    ),
    Planted(
        detector="pitch_steps",
        what="0.1 s of a held note up, cents",
        levels=(30, 50, 60, 80, 100, 200, 1200),
        plant=planters.pitch_step,
    ),
    Planted(
        detector="tremor",
        what="tremor of held notes at 11 Hz, cents",
        levels=(4, 6, 8, 12, 16, 25, 40),
        plant=planters.trembling,
    ),
    Planted(
        detector="dc",
        what="offset, dBFS",
        levels=(-60, -54, -53, -48, -40, -39),
        plant=planters.offset,
    ),
    Planted(
        detector="clipping",
        what="clipped below the peak, dB",
        levels=(-0.5, -1, -2, -3, -6, -10),
        plant=planters.clipped,
    ),
    Planted(
        detector="level",
        what="gain, dB",
        levels=(1, 1.5, 2, 2.5, 3),
        plant=planters.gain,
        bare=False,
    ),
    Planted(
        detector="level",
        what="gain that changes evenly, dB",
        levels=(3, 4, 5, 6, 8, 10),
        plant=planters.drift,
        bare=False,
    ),
    Planted(
        detector="noise_floor",
        what="white noise, dBFS",
        levels=(-80, -75, -74, -70, -60, -50),
        plant=planters.noise,
        bare=False,
    ),
)
