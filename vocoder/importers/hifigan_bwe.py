"""brentspell/hifi-gan-bwe: a training's `ckpt-0200k.pt`; the sizes are constants of its code."""

import re

import torch

from vocoder.errors import CheckpointError
from vocoder.features.mel import MelSpec
from vocoder.importers.common.project import Checkpoint, Conversion, Project
from vocoder.importers.common.state_dict import Weights, has, without

_STACKS = 2  # not visible in the weights
_CUTOFF_RANGE = (4000.0, 12000.0)  # half the lowest and the highest rate of its training
# torchaudio's arguments in its code, with the window that is called "kaiser_best" there.
_RESAMPLING = {"zeros": 16, "rolloff": 0.945, "beta": 14.769656459379492}
_NAMES = {
    r"conv_pre\.": "_wavenet._conv_in.",
    r"conv_post\.": "_wavenet._conv_out.",
    r"layers\.(\d+)\.conv\.": r"_wavenet._layers.\1._conv.",
    r"layers\.(\d+)\.(out|skip)\.": r"_wavenet._layers.\1._conv_\2.",
}


def _recognises(weights: Weights) -> bool:
    return has(weights, "_wavenet._conv_in.bias", "_wavenet._layers.0._conv_skip.")


def _convert(checkpoint: Checkpoint) -> Conversion:
    weights = checkpoint.weights
    mel = MelSpec.preset("hifigan_48k_128")
    sample_rate = weights.get("sample_rate", torch.tensor(mel.sample_rate))
    if sample_rate.flatten().tolist() != [mel.sample_rate]:
        raise CheckpointError(
            f"{checkpoint.path}: sample_rate is {sample_rate.flatten()[:4].tolist()}; "
            f"only {mel.sample_rate} is supported"
        )
    generator = {
        "_target_": "vocoder.generators.bandwidth_extension.hifigan_bwe.HiFiGANBWE",
        "layers": sum(name.endswith("._conv_skip.bias") for name in weights),
        "stacks": _STACKS,
        "channels": checkpoint.length("_wavenet._conv_in.bias"),
        "cutoff_range": list(_CUTOFF_RANGE),
        "resampling": dict(_RESAMPLING),
    }
    return Conversion(
        generator=generator, mel=mel, weights=without(weights, "sample_rate"), naming=_naming
    )


def _naming(name: str) -> str:
    for pattern, replacement in _NAMES.items():
        name = re.sub(f"^{pattern}", replacement, name)
    return name


PROJECT = Project(
    title="brentspell/hifi-gan-bwe", settings=(), recognises=_recognises, convert=_convert
)
