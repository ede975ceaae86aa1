"""NVIDIA/BigVGAN (both releases) and sony/bigvsan: `bigvgan_generator.pt`, `g_05000000`."""

import re

from vocoder.importers.common.project import Checkpoint, Conversion, Project
from vocoder.importers.common.state_dict import Weights, has, without
from vocoder.importers.hifigan import flat_blocks, layout, mel_spec

_FILTERS = r".*\.(upsample|downsample\.lowpass)\.filter"


def _recognises(weights: Weights) -> bool:
    return has(weights, "conv_pre.", "ups.0.0.", "activation_post.act.")


def _convert(checkpoint: Checkpoint) -> Conversion:
    settings = checkpoint.settings
    flat = flat_blocks(settings.count("resblock_kernel_sizes"))
    generator = {
        "_target_": "vocoder.generators.bigvgan.BigVGAN",
        **layout(settings),
        "activation": settings["activation"],
        "log_scale": settings["snake_logscale"],
        # The first release has neither key, but has both bias and tanh.
        "final_bias": settings.get("use_bias_at_final", True),
        "final_tanh": settings.get("use_tanh_at_final", True),
    }
    return Conversion(
        generator=generator,
        mel=mel_spec(settings),
        weights=without(checkpoint.weights, _FILTERS),
        naming=lambda name: re.sub(r"^ups\.(\d+)\.", r"ups.\1.0.", flat(name)),
    )


PROJECT = Project(
    title="NVIDIA/BigVGAN or sony/bigvsan",
    settings=("config.json",),
    recognises=_recognises,
    convert=_convert,
)
