"""yxlu-0102/AP-BWE: `g_8kto48k`, `g_00500000` and the like, with a config.json."""

from vocoder.errors import CheckpointError
from vocoder.features.mel import MelSpec
from vocoder.importers.common.project import Checkpoint, Conversion, Project
from vocoder.importers.common.state_dict import Weights, has

# The mel that results are shown and compared with, by sample rate; the network takes none.
_MELS = {16000: "hifigan_16k_80", 48000: "hifigan_48k_128"}
_LAYERS = {
    "embed": "conv_pre_{}",
    "norm": "norm_pre_{}",
    "convnext": "convnext_{}",
    "final_layer_norm": "norm_post_{}",
}
_STREAMS = {"amplitude": "mag", "phase": "pha"}
_HEADS = {
    "to_gain": "linear_post_mag",
    "to_real": "linear_post_pha_r",
    "to_imaginary": "linear_post_pha_i",
}


def _recognises(weights: Weights) -> bool:
    return has(weights, "conv_pre_mag.", "convnext_mag.0.", "convnext_pha.0.", "linear_post_mag.")


def _convert(checkpoint: Checkpoint) -> Conversion:
    settings = checkpoint.settings
    sample_rate, cutoff = settings.size("hr_sampling_rate"), settings.number("lr_sampling_rate") / 2
    if sample_rate not in _MELS:
        raise CheckpointError(
            f"{settings.path}: hr_sampling_rate is {sample_rate}; "
            f"supported are {', '.join(map(str, _MELS))}"
        )
    channels = settings.size("ConvNeXt_channels")
    generator = {
        "_target_": "vocoder.generators.bandwidth_extension.ap_bwe.APBWE",
        "channels": channels,
        "hidden": 3 * channels,
        "blocks": settings["ConvNeXt_layers"],
        "n_fft": settings["n_fft"],
        "hop_length": settings["hop_size"],
        "win_length": settings["win_size"],
        "cutoff_range": [cutoff, cutoff],
    }
    return Conversion(
        generator=generator,
        mel=MelSpec.preset(_MELS[sample_rate]),
        weights=checkpoint.weights,
        naming=_naming,
    )


def _naming(name: str) -> str:
    stream, _, rest = name.partition(".")
    if stream in _HEADS:
        return f"{_HEADS[stream]}.{rest}"
    layer, _, rest = rest.partition(".")
    return f"{_LAYERS[layer].format(_STREAMS[stream])}.{rest}"


PROJECT = Project(
    title="yxlu-0102/AP-BWE",
    settings=("config.json",),
    recognises=_recognises,
    convert=_convert,
)
