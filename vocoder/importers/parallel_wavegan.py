"""kan-bayashi/ParallelWaveGAN, which ESPnet uses too: `checkpoint-400000steps.pkl`, config.yml.

The mel of these models is normalised by statistics of the training set, which lie beside the
checkpoint (stats.h5 or stats.npy) and become part of the MelSpec.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vocoder.errors import CheckpointError, VocoderError
from vocoder.features.mel import MelSpec
from vocoder.importers.common.project import Checkpoint, Conversion, Project
from vocoder.importers.common.settings import ProjectSettings
from vocoder.importers.common.state_dict import Weights, has, without
from vocoder.importers.common.weights import Naming
from vocoder.importers.hifigan import flat_blocks
from vocoder.io.statistics import read_statistics
from vocoder.io.untrusted import load_npy

_STATISTICS = ("mean", "scale")
# Releases up to 0.4.2 had another filter. Training wrote its release into the configuration before
# there were bands, so one without a release was written by hand, for today's filter.
_OLD_RELEASE, _OLD_CUTOFF, _CUTOFF = (0, 4, 2), 0.15, 0.142
# Beginnings of our names → those of the project.
_HIFIGAN_NAMES = {
    r"conv_pre\.": "input_conv.",
    r"conv_post\.": "output_conv.1.",
    r"ups\.(\d+)\.": r"upsamples.\1.1.",
    r"resblocks\.(\d+)\.convs(\d)\.(\d+)\.": r"blocks.\1.convs\2.\3.1.",
    r"resblocks\.(\d+)\.convs\.(\d+)\.": r"blocks.\1.convs1.\2.1.",
}
_PARALLEL_WAVEGAN_NAMES = {
    r"conv_pre\.": "first_conv.",
    r"conv_mid\.": "last_conv_layers.1.",
    r"conv_post\.": "last_conv_layers.3.",
    r"upsampler\.conv_in\.": "upsample_net.conv_in.",
    r"layers\.(\d+)\.conv\.": r"conv_layers.\1.conv.",
    r"layers\.(\d+)\.condition\.": r"conv_layers.\1.conv1x1_aux.",
    r"layers\.(\d+)\.(out|skip)\.": r"conv_layers.\1.conv1x1_\2.",
}


def _recognises(weights: Weights) -> bool:
    kinds = ("melgan.", "input_conv.", "last_conv_layers.", "noise_upsample.", "codebook.")
    return any(has(weights, prefix) for prefix in kinds)


def _convert(checkpoint: Checkpoint) -> Conversion:
    settings = checkpoint.settings
    kind = str(settings.get("generator_type", "ParallelWaveGANGenerator"))
    converters = {
        "HiFiGANGenerator": _hifigan,
        "MelGANGenerator": _melgan,
        "ParallelWaveGANGenerator": _parallel_wavegan,
    }
    if kind not in converters:
        raise CheckpointError(
            f"{settings.path}: its generator is a {kind!r:.80}; "
            f"supported are {', '.join(converters)}"
        )
    parameters = settings.section("generator_params")
    parameters.expect(bias=True, use_causal_conv=False)
    generator, naming = converters[kind](settings, parameters)
    common = {"n_mels": settings["num_mels"], "hop_length": settings["hop_size"]}
    return Conversion(
        generator={**generator, **common},
        mel=_mel_spec(checkpoint),
        weights=without(checkpoint.weights, r"mean|scale|pqmf\..*"),
        naming=naming,
    )


def _hifigan(
    settings: ProjectSettings, parameters: ProjectSettings
) -> tuple[dict[str, Any], Naming]:
    parameters.expect(
        out_channels=1,
        kernel_size=7,
        nonlinear_activation="LeakyReLU",
        nonlinear_activation_params={"negative_slope": 0.1},
    )
    pairs = parameters.get("use_additional_convs", True)
    kernels = parameters.items("resblock_kernel_sizes", [3, 7, 11])
    sizes = parameters.get("upsample_kernel_sizes", [16, 16, 4, 4])
    generator = {
        "_target_": "vocoder.generators.hifigan.HiFiGAN",
        "upsample_rates": parameters.get("upsample_scales", [8, 8, 2, 2]),
        # The project's own early configurations misspell the key.
        "upsample_kernel_sizes": parameters.get("upsample_kernal_sizes", sizes),
        "channels": parameters.get("channels", 512),
        "resblock": "1" if pairs else "2",
        "resblock_kernel_sizes": kernels,
        "resblock_dilations": parameters.get("resblock_dilations", [[1, 3, 5]] * 3),
    }
    flat = flat_blocks(len(kernels))
    return generator, lambda name: _renamed(flat(name), _HIFIGAN_NAMES)


def _melgan(
    settings: ProjectSettings, parameters: ProjectSettings
) -> tuple[dict[str, Any], Naming]:
    parameters.expect(
        nonlinear_activation="LeakyReLU",
        nonlinear_activation_params={"negative_slope": 0.2},
        pad="ReflectionPad1d",
        pad_params={},
        use_final_nonlinear_activation=True,
    )
    rates = parameters.items("upsample_scales", [8, 8, 2, 2])
    stacks, bands = parameters.size("stacks", 3), parameters.size("out_channels", 1)
    generator = {
        "_target_": "vocoder.generators.melgan.MelGAN",
        "upsample_rates": rates,
        "channels": parameters.get("channels", 512),
        "stacks": stacks,
    }
    if bands > 1:
        parameters.expect(kernel_size=7, stack_kernel_size=3)
        generator |= {"_target_": "vocoder.generators.melgan.MultiBandMelGAN", "bands": bands}
        generator |= _pqmf(settings)
    else:
        generator |= {
            "kernel_size": parameters.get("kernel_size", 7),
            "stack_kernel_size": parameters.get("stack_kernel_size", 3),
        }
    parts = {"conv": "stack.2", "mix": "stack.4", "shortcut": "skip_layer"}
    return generator, melgan_naming("melgan", parts, stages=len(rates), stacks=stacks)


def melgan_naming(prefix: str, parts: Mapping[str, str], *, stages: int, stacks: int) -> Naming:
    """Naming of MelGAN's layers in projects with one list, which counts padding and activations.

    `prefix` is the name of the list, and `parts` maps those of our residual stacks to theirs.
    """
    per_stage = 2 + stacks

    def naming(name: str) -> str:
        layer, _, kind = name.removeprefix("subbands.").rpartition(".")
        where, _, index = layer.partition(".")
        if where == "ups":
            row = str(3 + int(index) * per_stage)
        elif where == "stacks":
            stage, depth, part = index.split(".")
            row = f"{4 + int(stage) * per_stage + int(depth)}.{parts[part]}"
        else:
            row = {"conv_pre": "1", "conv_post": str(4 + stages * per_stage)}[where]
        return f"{prefix}.{row}.{kind}"

    return naming


def _pqmf(settings: ProjectSettings) -> dict[str, Any]:
    if "pqmf_params" in settings:
        given, cutoff = settings.section("pqmf_params"), _CUTOFF
    else:
        release = tuple(map(int, re.findall(r"\d{1,9}", str(settings.get("version", "1")))))
        given = ProjectSettings({}, settings.path)
        cutoff = _OLD_CUTOFF if release[:3] <= _OLD_RELEASE else _CUTOFF
    return {
        "taps": given.get("taps", 62),
        "cutoff": given.get("cutoff_ratio", cutoff),
        "beta": given.get("beta", 9.0),
    }


def _parallel_wavegan(
    settings: ProjectSettings, parameters: ProjectSettings
) -> tuple[dict[str, Any], Naming]:
    parameters.expect(
        in_channels=1,
        out_channels=1,
        upsample_conditional_features=True,
        upsample_net="ConvInUpsampleNetwork",
    )
    upsampling = parameters.section("upsample_params")
    upsampling.expect(
        nonlinear_activation=None, interpolate_mode="nearest", freq_axis_kernel_size=1
    )
    generator = {
        "_target_": "vocoder.generators.parallel_wavegan.ParallelWaveGAN",
        "upsample_rates": upsampling["upsample_scales"],
        "layers": parameters.get("layers", 30),
        "stacks": parameters.get("stacks", 3),
        "kernel_size": parameters.get("kernel_size", 3),
        "channels": parameters.get("residual_channels", 64),
        "gate_channels": parameters.get("gate_channels", 128),
        "skip_channels": parameters.get("skip_channels", 64),
        "context": parameters.get("aux_context_window", 2),
    }
    return generator, _parallel_wavegan_name


def _parallel_wavegan_name(name: str) -> str:
    smooth = re.match(r"upsampler\.smooth\.(\d+)\.", name)
    if smooth:  # the project's list counts the stretching layers, too
        layer = 2 * int(smooth[1]) + 1
        return f"upsample_net.upsample.up_layers.{layer}.{name[smooth.end() :]}"
    return _renamed(name, _PARALLEL_WAVEGAN_NAMES)


def _renamed(name: str, rules: dict[str, str]) -> str:
    for pattern, replacement in rules.items():
        name = re.sub(f"^{pattern}", replacement, name)
    return name


def _mel_spec(checkpoint: Checkpoint) -> MelSpec:
    settings = checkpoint.settings
    settings.expect(window="hann", sampling_rate_for_feats=None)
    values = {
        "sample_rate": settings["sampling_rate"],
        "n_fft": settings["fft_size"],
        "hop_length": settings["hop_size"],
        "win_length": settings["win_length"] or settings["fft_size"],
        "n_mels": settings["num_mels"],
        "f_min": settings["fmin"] or 0.0,
        "f_max": settings["fmax"],
        "log": "log10",
        "log_floor": 1e-10,
        "padding": "center",
        **_statistics(checkpoint),
    }
    return MelSpec.from_dict(values, str(settings.path))


def _statistics(checkpoint: Checkpoint) -> dict[str, Any]:
    """Mean and scale per mel band: in the weights, or in files beside the checkpoint."""
    if checkpoint.weights.keys() >= set(_STATISTICS):
        return {name: checkpoint.vector(name) for name in _STATISTICS}
    folder = checkpoint.path.parent
    for name in ("stats.h5", "stats.npy"):
        if (folder / name).exists():
            return read_statistics(folder / name)
    if not all((folder / f"{name}.npy").exists() for name in _STATISTICS):
        raise CheckpointError(
            f"{folder / 'stats.h5'}: no such file; put the stats.h5 (or stats.npy) of the "
            "checkpoint there: its mel is normalised by them"
        )
    return {name: _read_vector(folder / f"{name}.npy") for name in _STATISTICS}


def _read_vector(path: Path) -> list[float]:
    try:
        with path.open("rb") as file:
            values = load_npy(file, path.stat().st_size, str(path), CheckpointError)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from error
    except VocoderError as error:
        raise CheckpointError(str(error)) from error
    if values.dtype.kind not in "fiu" or not values.size:
        raise CheckpointError(f"{path}: holds {values.size} {values.dtype} values; give floats")
    return [float(value) for value in values.ravel()]


PROJECT = Project(
    title="kan-bayashi/ParallelWaveGAN",
    settings=("config.yml", "config.yaml"),
    recognises=_recognises,
    convert=_convert,
)
