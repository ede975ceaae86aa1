"""Whether a model takes a mel, and what converts it."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vocoder.doctor.examination import Finding
from vocoder.doctor.mels.filters import PresetMatch, spectrogram_of
from vocoder.doctor.mels.recording import RecordingMatch
from vocoder.doctor.mels.scale import MelScale, own_normalisation
from vocoder.features.mel import PRESETS, MelSpec
from vocoder.features.mel_check import Diagnosis, check_mel
from vocoder.features.mel_conversion import differences

_POSSIBLE = 0.04  # probability of a preset from which it can be the right one
_CLEAR = 0.9  # and from which it is taken to be
# Fields that change a mel inaudibly, or only its numbers.
_HARMLESS = {"padding", "power_floor", "log_floor", "log", "mean", "scale"}


@dataclass(frozen=True)
class ModelFit:
    """A mel beside the settings of a model."""

    preset: str
    """The preset that the mel has, or most probably has; "" for none."""
    certain: bool
    """Whether that preset was found by the recording."""
    fields: dict[str, tuple[Any, Any]]
    """Fields that cannot be converted: name → (the mel's, the model's)."""
    refused: Diagnosis | None
    """Why `vocoder vocode` refuses the values; None if it does not."""
    other_scale: bool
    """Whether another normalisation than the model's is more likely, though not refused."""
    normalisation: str | None
    """What --normalisation must name; None if nothing, or nothing has a name."""
    doubtful: bool
    """Whether `fields` are likely, but not certain."""
    known: bool
    """Whether the values can be read: they are the model's, or their normalisation has a name."""

    def sentence(self, model: str) -> str:
        """Whether the model takes it, in a sentence."""
        if self.fields and not self.doubtful:
            return f"{model} needs other settings: {', '.join(self.fields)}."
        if not self.known:
            return f"{model} takes it only with facts that the values do not tell."
        if self.normalisation:
            return f"{model} takes it with --normalisation {self.normalisation}."
        return f"{model} takes it as it is."


def fit_of(
    scale: MelScale,
    presets: list[PresetMatch],
    match: RecordingMatch | None,
    spec: MelSpec,
    bands: int,
    refused: Diagnosis | None,
) -> ModelFit:
    """Compare what a mel is with the settings of a model.

    Args:
        scale: How its values are to be read.
        presets: What its filters are by its values, the most probable first.
        match: What they are by its recording, where there is one.
        spec: The model's settings.
        bands: Bands of the mel.
        refused: Why `vocoder vocode` refuses it, of `refusal`.
    """
    preset, fields = _spectrogram(presets, match, spec, bands)
    doubtful = match is None and bands == spec.n_mels and presets[0].probability < _CLEAR
    own = own_normalisation(spec)
    same = scale.name is not None and _same_numbers(scale.name, own)
    normalisation = None if same else scale.name
    known = same or scale.name is not None or (own is None and refused is None)
    other = not same and refused is None
    return ModelFit(
        preset, match is not None, fields, refused, other, normalisation, doubtful, known
    )


def refusal(mel: Any, spec: MelSpec) -> Diagnosis | None:
    """Why `vocoder vocode` refuses a mel that states no settings. Shape: [M, F]."""
    return check_mel(mel, spec) if len(mel) == spec.n_mels else None


def _same_numbers(name: str, own: str | None) -> bool:
    base = PRESETS["hifigan_22k_80"]
    if own is None:
        return False
    return dataclasses.replace(base.normalised(name), log_floor=1e-5) == dataclasses.replace(
        base.normalised(own), log_floor=1e-5
    )


def _spectrogram(
    presets: list[PresetMatch], match: RecordingMatch | None, spec: MelSpec, bands: int
) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """The preset, and the fields in which it differs so that nothing converts it."""
    if match is not None:
        name = match.preset if not match.changed else f"{match.preset} but for {match.changed[0]}"
        return name, _unlike(match.spec, spec)
    if bands != spec.n_mels:
        fields: dict[str, tuple[Any, Any]] = {"n_mels": (bands, spec.n_mels)}
        best = presets[0] if presets else None
        return (best.name, _unlike(PRESETS[best.name], spec)) if best else ("", fields)
    own = spectrogram_of(spec)
    for each in presets:
        if spectrogram_of(PRESETS[each.name]) == own and each.probability >= _POSSIBLE:
            return presets[0].name, {}
    known = any(spectrogram_of(preset) == own for preset in PRESETS.values())
    if not known or not presets:
        return "", {}
    return presets[0].name, _unlike(PRESETS[presets[0].name], spec)


def _unlike(mine: MelSpec, model: MelSpec) -> dict[str, tuple[Any, Any]]:
    found = differences(mine, model)
    return {name: pair for name, pair in found.items() if name not in _HARMLESS}


def model_findings(fit: ModelFit, path: Path, model: str) -> Iterator[Finding]:
    """Whether the model takes the mel, and the command that vocodes it."""
    option = "" if model == "default" else f" --model {model}"
    command = f"vocoder vocode {path} -o out.wav{option}"
    listed = ", ".join(f"{name} {a} (model: {b})" for name, (a, b) in fit.fields.items())
    if fit.fields and fit.doubtful:
        value = f"other filters than those of {model} are likely, but not certain: {listed}"
        advice = "--recording AUDIO decides; the command below takes it as made for the model"
        yield Finding("filters", value, "note", advice)
    if fit.fields and not fit.doubtful:
        sure = "" if fit.certain or "n_mels" in fit.fields else "probably "
        value = f"cannot be converted for {model}: {sure}{listed}"
        preset = fit.preset.split(" ")[0] or "PRESET"
        advice = (
            f"make it again: vocoder mel RECORDING -o mel.npy{option}; or train a model with "
            f"mel={preset}; to hear it: vocoder vocode {path} -o out.wav --model griffin-lim "
            f"--preset {preset}"
        )
        yield Finding("model", value, "problem", advice)
    elif not fit.known:
        advice = f"{command} --normalisation FILE, with mean and scale of the bands"
        yield Finding("model", f"{model}: its numbers need a conversion", "problem", advice)
    elif fit.normalisation:
        value = f"{model} takes it after an exact conversion"
        yield Finding("model", value, "note", f"{command} --normalisation {fit.normalisation}")
    else:
        yield Finding("model", f"{model} takes it as it is", "ok", command)
