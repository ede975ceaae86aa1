"""What a vocoder makes of a mel, beside the recording: scores, and what tells them apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.doctor.pairs.differences import Difference, differences
from vocoder.doctor.pairs.timing import Timing
from vocoder.dsp.pitch import Pitch, track_pitch
from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.artefacts.artefact import Artefact
from vocoder.evaluation.artefacts.catalogue import detect
from vocoder.evaluation.metrics.catalogue import METRICS
from vocoder.features.mel import MelSpec
from vocoder.features.mel_values.readings import stated_nepers
from vocoder.generators.pitched.base import PitchedGenerator
from vocoder.inference.vocoder import Vocoder
from vocoder.nn.pitch import NoPitch


class Limits(NamedTuple):
    """Scores from which a copy is worth a note, and from which the vocoder is at fault."""

    note: float
    grave: float


# Copies of 22 recordings by the default model and by Griffin-Lim score at worst 0.13 Np, 3.2,
# 5 cents, 0.88 and 0.09.
LIMITS: Mapping[str, Limits] = {
    "log_mel": Limits(0.2, 0.4),
    "pesq_wb": Limits(3.0, 2.6),
    "f0_median": Limits(10.0, 25.0),
    "voicing_f1": Limits(0.85, 0.75),
    "periodicity": Limits(0.11, 0.15),
}
_PITCH_SHIFT, _GRAVE_PITCH_SHIFT = 40.0, 90.0  # cents
_FEWEST_VOICED = 20  # frames


@dataclass(frozen=True)
class Scored:
    """What a vocoder made of a mel: audio, its scores against the recording, and why others lack.

    Shape of `audio`: [T], at the vocoder's rate.
    """

    audio: Tensor
    scores: Mapping[str, float]
    skipped: Mapping[str, str]
    differences: tuple[Difference, ...]
    """How its mel differs from the one that was vocoded."""
    deviation: float
    """Mean absolute difference of those two mels, in nepers."""
    artefacts: tuple[Artefact, ...] = ()

    @property
    def words(self) -> str:
        """The scores in a line."""
        shown = [
            f"{METRICS[name].label} {value:.{METRICS[name].decimals}f} {METRICS[name].unit}".strip()
            for name, value in self.scores.items()
        ]
        return ", ".join(shown) or "no scores"

    @property
    def bad(self) -> list[str]:
        """The scores that show a fault, by name."""
        return [name for name, value in self.scores.items() if _exceeds(name, value, 1)]

    @property
    def doubtful(self) -> list[str]:
        """The scores that are worth a note, by name."""
        return [name for name, value in self.scores.items() if _exceeds(name, value, 0)]


def _exceeds(name: str, value: float, limit: int) -> bool:
    bound = LIMITS[name][limit]
    return value < bound if METRICS[name].better == "higher" else value > bound


def vocoded(vocoder: Vocoder, mel: Tensor, f0: Tensor | None) -> Tensor:
    """What a vocoder makes of a mel; `f0` is for those without a pitch of their own. → [T]."""
    generator = vocoder.generator
    blind = isinstance(generator, PitchedGenerator) and isinstance(generator.pitch, NoPitch)
    audio: Tensor = vocoder(mel, f0=f0 if blind else None)
    return audio


def scored(audio: Tensor, recording: Tensor, target: Tensor, vocoder: Vocoder) -> Scored:
    """Score what the vocoder made of the mel `target` against the recording, on the same frames.

    Shape: audio [T'], recording [T] at the vocoder's rate, target [M, F] in nepers.
    """
    samples = min(audio.shape[-1], recording.shape[-1])
    audio, recording = audio[:samples], recording[:samples]
    rate, spec = vocoder.sample_rate, vocoder.spec
    scores, skipped = {}, {}
    for name in LIMITS:
        try:
            scores[name] = METRICS[name].score(recording, audio, rate)
        except (AudioError, ConfigError) as error:
            skipped[name] = str(error)
    made = nepers(vocoder.mel(audio, sample_rate=rate), spec)
    frames = min(made.shape[1], target.shape[1])
    made, target = made[:, :frames], target[:, :frames]
    found = differences(made, target, Timing.identity(target), spec)
    deviation = float((made - target).abs().mean())
    artefacts = detect(audio, rate, recording, hop_length=spec.hop_length)
    return Scored(audio, scores, skipped, tuple(found), deviation, tuple(artefacts))


def nepers(mel: Tensor, spec: MelSpec) -> Tensor:
    """A mel of a spec as nepers of magnitude, nothing below 1e-5. Shape: [M, F] → same."""
    return stated_nepers(mel, spec).clamp_min(-11.5129)


def pitch_of(audio: Tensor, spec: MelSpec, frames: int) -> Pitch:
    """Pitch and voicing of audio on frames of a spec. Shape: [T] → [F], [F]."""
    found = track_pitch(
        audio[None], sample_rate=spec.sample_rate, hop_length=spec.hop_length, padding=spec.padding
    )
    f0, voiced = found.f0[0, :frames], found.voiced[0, :frames]
    lacking = (0, frames - len(f0))
    return Pitch(F.pad(f0, lacking, value=60.0), F.pad(voiced, lacking))


class PitchShift(NamedTuple):
    """By how many cents a pitch is higher than another: the median, and that of deviations."""

    cents: float
    spread: float

    @property
    def words(self) -> str:
        """The difference in words."""
        side = "higher" if self.cents > 0 else "lower"
        return f"{abs(self.cents):.0f} cents {side}, varying by {self.spread:.0f}"

    @property
    def grave(self) -> bool:
        """Whether it is another voice's pitch, and not just another intonation."""
        return abs(self.cents) > max(_GRAVE_PITCH_SHIFT, 2.0 * self.spread)

    @property
    def notable(self) -> bool:
        """Whether it is worth a note."""
        return abs(self.cents) > _PITCH_SHIFT or self.spread > _PITCH_SHIFT


def pitch_shift(given: Pitch, own: Pitch) -> PitchShift | None:
    """The difference of two pitches on the same frames; None where too few are voiced in both."""
    both = given.voiced & own.voiced
    if int(both.sum()) < _FEWEST_VOICED:
        return None
    cents = 1200.0 * torch.log2(given.f0[both] / own.f0[both])
    median = float(cents.median())
    return PitchShift(median, float((cents - median).abs().median()))
