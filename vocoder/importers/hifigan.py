"""jik876/hifi-gan: `generator_v1`, `g_02500000` and the like, with a config.json."""

import re
from typing import Any

from vocoder.errors import CheckpointError
from vocoder.features.mel import MelSpec
from vocoder.importers.common.project import Checkpoint, Conversion, Project
from vocoder.importers.common.settings import ProjectSettings
from vocoder.importers.common.state_dict import Weights, has
from vocoder.importers.common.weights import Naming

_BLOCK = re.compile(r"resblocks\.(\d+)\.(\d+)\.")


def layout(settings: ProjectSettings) -> dict[str, Any]:
    """The sizes that HiFi-GAN and its descendants share, as arguments of our generators."""
    return {
        "n_mels": settings["num_mels"],
        "hop_length": settings["hop_size"],
        "upsample_rates": settings["upsample_rates"],
        "upsample_kernel_sizes": settings["upsample_kernel_sizes"],
        "channels": settings["upsample_initial_channel"],
        "resblock": settings["resblock"],
        "resblock_kernel_sizes": settings["resblock_kernel_sizes"],
        "resblock_dilations": settings["resblock_dilation_sizes"],
    }


def mel_spec(settings: ProjectSettings) -> MelSpec:
    """The mel settings that HiFi-GAN and its descendants share."""
    values = {
        "sample_rate": settings["sampling_rate"],
        "n_fft": settings["n_fft"],
        "hop_length": settings["hop_size"],
        "win_length": settings["win_size"],
        "n_mels": settings["num_mels"],
        "f_min": settings["fmin"],
        "f_max": settings["fmax"],
        "power_floor": 1e-9,
    }
    return MelSpec.from_dict(values, str(settings.path))


def flat_blocks(kernels: int) -> Naming:
    """Naming of residual blocks in projects that number our `resblocks.STAGE.KERNEL` in one list.

    `kernels` is the number of kernel sizes, that is blocks in a stage.
    """

    def flat(block: re.Match[str]) -> str:
        return f"resblocks.{int(block[1]) * kernels + int(block[2])}."

    return lambda name: _BLOCK.sub(flat, name)


def _recognises(weights: Weights) -> bool:
    plain = has(weights, "conv_pre.", "ups.0.", "resblocks.0.conv", "conv_post.")
    other = ("ups.0.0.", "ups.0.conv.", "m_source.", "noise_convs.", "source_conv.", "snakes.")
    return plain and not any(has(weights, prefix) for prefix in other)


def _convert(checkpoint: Checkpoint) -> Conversion:
    settings = checkpoint.settings
    if "gen_istft_n_fft" in settings:
        raise CheckpointError(f"{checkpoint.path}: iSTFTNet, by its settings; it is not imported")
    return Conversion(
        generator={"_target_": "vocoder.generators.hifigan.HiFiGAN", **layout(settings)},
        mel=mel_spec(settings),
        weights=checkpoint.weights,
        naming=flat_blocks(settings.count("resblock_kernel_sizes")),
    )


PROJECT = Project(
    title="jik876/hifi-gan",
    settings=("config.json",),
    recognises=_recognises,
    convert=_convert,
)
