"""yl4579/HiFTNet: `g_00850000` and the like, with the pitch network inside, and a config.json."""

import re

from vocoder.importers.common.project import Checkpoint, Conversion, Project
from vocoder.importers.common.state_dict import Weights, has, without
from vocoder.importers.common.weights import Naming
from vocoder.importers.hifigan import flat_blocks, layout, mel_spec

# A second output of the pitch network, which nothing uses.
_UNUSED = r"F0_model\.(detector_conv|bilstm_detector|detector)\..*"


def _recognises(weights: Weights) -> bool:
    return has(weights, "conv_pre.", "ups.0.", "m_source.l_linear.", "F0_model.")


def _convert(checkpoint: Checkpoint) -> Conversion:
    settings, mel = checkpoint.settings, mel_spec(checkpoint.settings)
    settings.expect(resblock="1")
    sizes = layout(settings)
    shared = ("upsample_rates", "upsample_kernel_sizes", "channels")
    generator = {
        "_target_": "vocoder.generators.pitched.hiftnet.HiFTNet",
        "mel": {"_target_": "vocoder.features.mel.MelSpec", **mel.to_dict()},
        # Its width is not in the settings.
        "pitch": {
            "_target_": "vocoder.generators.pitched.jdc.JDC",
            "n_mels": mel.n_mels,
            "channels": checkpoint.length("F0_model.conv_block.0.weight"),
        },
        **{name: sizes[name] for name in (*shared, "resblock_kernel_sizes", "resblock_dilations")},
        "istft_n_fft": settings["gen_istft_n_fft"],
        "istft_hop_length": settings["gen_istft_hop_size"],
    }
    return Conversion(
        generator=generator,
        mel=mel,
        weights=without(checkpoint.weights, _UNUSED),
        naming=_naming(flat_blocks(settings.count("resblock_kernel_sizes"))),
    )


def _naming(flat: Naming) -> Naming:
    def naming(name: str) -> str:
        name = re.sub(r"^pitch\.res_blocks\.(\d)\.", _pitch_block, flat(name))
        name = re.sub(r"^pitch\.", "F0_model.", name)
        name = re.sub(r"^source\.linear\.", "m_source.l_linear.", name)
        name = re.sub(r"^head\.out\.", "conv_post.", name)
        return re.sub(r"\.activations\.(\d+)\.alpha$", _alpha, name)

    return naming


def _pitch_block(block: re.Match[str]) -> str:
    return f"F0_model.res_block{int(block[1]) + 1}."


def _alpha(activation: re.Match[str]) -> str:
    """Name of an activation: a residual block has two lists, of the first and second of a pair."""
    pair, second = divmod(int(activation[1]), 2)
    return f".alpha{second + 1}.{pair}"


PROJECT = Project(
    title="yl4579/HiFTNet",
    settings=("config.json",),
    recognises=_recognises,
    convert=_convert,
)
