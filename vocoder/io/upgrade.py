"""Configurations and training states of earlier releases, in today's names.

One table each for classes that moved, arguments and settings that were renamed, and options of
configuration groups. Files of an earlier release are upgraded when they are read; an old name on
the command line is an error that contains the new one.
"""

import re
from collections.abc import Mapping
from typing import Any

MODULES = {
    "vocoder.discriminators.amplitude_phase": "vocoder.discriminators.spectral.amplitude_phase",
    "vocoder.discriminators.band": "vocoder.discriminators.spectral.band",
    "vocoder.discriminators.complex_stft": "vocoder.discriminators.spectral.complex_stft",
    "vocoder.discriminators.cqt": "vocoder.discriminators.spectral.cqt",
    "vocoder.discriminators.resolution": "vocoder.discriminators.spectral.resolution",
    "vocoder.disturbances.augment": "vocoder.augmentation.adaptive",
    "vocoder.disturbances.diffusion": "vocoder.augmentation.diffusion",
    "vocoder.features.band_limits": "vocoder.degradations.band_limits",
    "vocoder.features.codecs": "vocoder.degradations.codecs",
    "vocoder.features.degrade": "vocoder.degradations.degrade",
    "vocoder.generators.ap_bwe": "vocoder.generators.bandwidth_extension.ap_bwe",
    "vocoder.generators.band_filler": "vocoder.generators.bandwidth_extension.band_filler",
    "vocoder.generators.dsp_informed": "vocoder.generators.bandwidth_extension.dsp_informed",
    "vocoder.generators.eben": "vocoder.generators.bandwidth_extension.eben",
    "vocoder.generators.hifi_sr": "vocoder.generators.bandwidth_extension.hifi_sr",
    "vocoder.generators.hifigan_bwe": "vocoder.generators.bandwidth_extension.hifigan_bwe",
    "vocoder.generators.hiftnet": "vocoder.generators.pitched.hiftnet",
    "vocoder.generators.musichifi": "vocoder.generators.bandwidth_extension.musichifi",
    "vocoder.generators.nsf": "vocoder.generators.pitched.nsf",
    "vocoder.generators.source_filter": "vocoder.generators.pitched.source_filter",
    "vocoder.nn.jdc": "vocoder.generators.pitched.jdc",
}
"""Modules of 0.1.0 whose classes a configuration may name: old path → path today."""

CLASSES = {
    "vocoder.degradations.band_limits.LowPass": "vocoder.degradations.band_limits.AnalogLowPass",
}
"""Classes that were renamed: old name with today's module → path today."""

_EXTENDERS = ("APBWE", "BandFiller", "DSPInformed", "EBEN", "HiFiGANBWE", "HiFiSR", "MusicHiFiBWE")
ARGUMENTS = {
    **{name: {"edges": "cutoff_range"} for name in (*_EXTENDERS, "AnalogLowPass", "SincLowPass")},
    "MusicHiFiBWE": {"edges": "cutoff_range", "kept": "preserve_below"},
    "Segments": {"partial": "allow_band_limited", "tones": "tone_share"},
    "Sliced": {"judge": "discriminator"},
    "System": {"disturbances": "augmentation"},
    "TrainerSettings": {"start": "init_from"},
    "Weighted": {"judge": "discriminator"},
}
"""Arguments that were renamed: class → old name → new name."""

SETTINGS = {
    "disturbances": "augmentation",
    "data.partial": "data.allow_band_limited",
    "data.tones": "data.tone_share",
    "generator.edges": "generator.cutoff_range",
    "generator.kept": "generator.preserve_below",
    "optim.clip_generator": "optim.generator.clip",
    "optim.clip_discriminators": "optim.discriminators.clip",
    "optim.schedule": "optim.generator.schedule and optim.discriminators.schedule",
    "optim.schedule_discriminators": "optim.discriminators.schedule",
    "trainer.start": "trainer.init_from",
    **{
        f"optim.{network}.{name}": f"optim.{network}.optimizer.{name}"
        for network in ("generator", "discriminators")
        for name in ("lr", "betas", "eps", "weight_decay", "amsgrad")
    },
}
"""Settings of `vocoder train` that were renamed: old name → new name."""

OPTIONS = {
    "system=default": "system=source_filter_22k",
    "system=extender": "system=band_filler_48k",
    "system=ablation": "system=vocos_small_22k",
    "discriminators=small": "discriminators=mpd_mrd_narrow",
    "discriminators=tiny": "discriminators=mpd_mrd_tiny",
    "objective=ablation": "objective=lsgan_mel_stft",
    "objective=ablation_spectral": "objective=mel_stft",
    "objective=extender": "objective=band_filler",
    "optim=ablation": "optim=vocos_small",
}
"""Options of configuration groups that were renamed: old → new override."""

FLAGS = {
    "--to": "--output-rate",
    "--edge": "--cutoff",
    "--keep": "--preserve-low-band",
    "--no-keep": "--no-preserve-low-band",
}
"""Options of the command line that were renamed: old → new."""

_NEW_ARGUMENTS = {
    # Part of the class in 0.1; torchaudio's "kaiser_best" window in the code of hifi-gan-bwe.
    "HiFiGANBWE": {"resampling": {"zeros": 16, "rolloff": 0.945, "beta": 14.769656459379492}},
}
"""Arguments added since 0.1: class → argument → value that behaves as 0.1 did."""

STATE_KEYS = {"average": "ema", "disturbances": "augmentation"}
"""Parts of a training state that were renamed: old name → new name."""
# The sub-discriminator of Dilated, GroupedWaveform, Sliced and Weighted.
_WEIGHT = re.compile(r"(^|\.)judge\.")


def upgrade_target(target: str) -> str:
    """Path today of the class that a `_target_` of any release names."""
    module, _, name = target.rpartition(".")
    moved = f"{MODULES.get(module, module)}.{name}"
    return CLASSES.get(moved, moved)


def upgrade_config(node: Any) -> Any:
    """Rename class paths and arguments of an old configuration to today's, at every depth."""
    if isinstance(node, list | tuple):
        return [upgrade_config(value) for value in node]
    if not isinstance(node, Mapping):
        return node
    values = {key: upgrade_config(value) for key, value in node.items()}
    if isinstance(values.get("_target_"), str):
        values["_target_"] = upgrade_target(values["_target_"])
        name = values["_target_"].rpartition(".")[2]
        renamed = ARGUMENTS.get(name, {})
        values = {renamed.get(key, key): value for key, value in values.items()}
        values = {**_NEW_ARGUMENTS.get(name, {}), **values}
        if values["_target_"].endswith(".Optim"):
            values = _upgrade_optim(values)
    elif {"objective", "optim", "trainer"} <= values.keys():  # the root: a System
        renamed = ARGUMENTS["System"]
        values = {renamed.get(key, key): value for key, value in values.items()}
    return values


def _upgrade_optim(values: dict[str, Any]) -> dict[str, Any]:
    """Group the settings of each network, which 0.1 had side by side, in one mapping."""
    if not {"schedule", "generator", "discriminators", "ema"} <= values.keys():
        return values
    schedules = {
        "generator": values["schedule"],
        "discriminators": values.get("schedule_discriminators") or values["schedule"],
    }
    networks = {
        name: {
            "_target_": "vocoder.training.system.NetworkOptim",
            "optimizer": values[name],
            "schedule": schedule,
            "clip": values.get(f"clip_{name}"),
        }
        for name, schedule in schedules.items()
    }
    return {"_target_": values["_target_"], **networks, "ema": values["ema"]}


def upgrade_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the keys of old weights, or of other values by weight name, to today's."""
    return {_WEIGHT.sub(r"\1discriminator.", name): value for name, value in weights.items()}


def upgrade_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the parts, weights and settings of an old training state to today's names."""
    values = {STATE_KEYS.get(key, key): value for key, value in state.items()}
    if "discriminators" in values:
        values["discriminators"] = upgrade_weights(values["discriminators"])
    for optimizer in values.get("optimizers", {}).values():
        for group in optimizer.get("param_groups", ()):
            names = group.get("param_names", ())
            group["param_names"] = [_WEIGHT.sub(r"\1discriminator.", name) for name in names]
    if "config" in values:
        values["config"] = upgrade_config(values["config"])
    return values


def renamed_setting(override: str) -> str | None:
    """New name of the setting in a Hydra override; None if it was not renamed."""
    key, equals, value = override.lstrip("+~").partition("=")
    if equals and f"{key}={value}" in OPTIONS:
        return OPTIONS[f"{key}={value}"]
    for old, new in SETTINGS.items():
        if key == old or key.startswith(f"{old}."):
            return new + key[len(old) :]
    match = re.fullmatch(r"(discriminators\.\w+)\.judge(\..*)?", key)
    return f"{match[1]}.discriminator{match[2] or ''}" if match else None
