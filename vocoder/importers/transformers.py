"""Transformers' HiFi-GANs: directories of SpeechT5HifiGan and FastSpeech2ConformerHifiGan."""

from vocoder.errors import CheckpointError
from vocoder.features.mel import MelSpec
from vocoder.importers.common.project import Checkpoint, Conversion, Project
from vocoder.importers.common.state_dict import Weights, has, without
from vocoder.importers.hifigan import flat_blocks

# The mel belongs to the acoustic model, so the vocoder's settings contain at most the rate:
# SpeechT5FeatureExtractor has 16 kHz, ESPnet's FastSpeech 2 for LJSpeech 22.05 kHz.
_SAMPLE_RATES = {"speecht5_hifigan": 16000, "fastspeech2_conformer_hifigan": 22050}
_HOP_LENGTH = 256


def _recognises(weights: Weights) -> bool:
    return has(weights, "conv_pre.", "upsampler.0.", "resblocks.0.convs1.", "conv_post.")


def _convert(checkpoint: Checkpoint) -> Conversion:
    settings = checkpoint.settings
    settings.expect(leaky_relu_slope=0.1)
    flat = flat_blocks(settings.count("resblock_kernel_sizes"))
    generator = {
        "_target_": "vocoder.generators.hifigan.HiFiGAN",
        "n_mels": settings["model_in_dim"],
        "hop_length": _HOP_LENGTH,
        "upsample_rates": settings["upsample_rates"],
        "upsample_kernel_sizes": settings["upsample_kernel_sizes"],
        "channels": settings["upsample_initial_channel"],
        "resblock": "1",
        "resblock_kernel_sizes": settings["resblock_kernel_sizes"],
        "resblock_dilations": settings["resblock_dilation_sizes"],
    }
    return Conversion(
        generator=generator,
        mel=_mel_spec(checkpoint),
        weights=without(checkpoint.weights, "mean|scale"),
        naming=lambda name: flat(name).replace("ups.", "upsampler."),
    )


def _mel_spec(checkpoint: Checkpoint) -> MelSpec:
    settings = checkpoint.settings
    kind = str(settings["model_type"])
    if kind not in _SAMPLE_RATES:
        raise CheckpointError(
            f"{settings.path}: model_type is {kind!r:.80}; supported are {', '.join(_SAMPLE_RATES)}"
        )
    settings.expect(sampling_rate=_SAMPLE_RATES[kind])
    values = {
        "sample_rate": _SAMPLE_RATES[kind],
        "n_fft": 1024,
        "hop_length": _HOP_LENGTH,
        "win_length": 1024,
        "n_mels": settings["model_in_dim"],
        "f_min": 80.0,
        "f_max": 7600.0,
        "log": "log10",
        "log_floor": 1e-10,
        "padding": "center",
    }
    if settings["normalize_before"]:
        values |= {name: checkpoint.vector(name) for name in ("mean", "scale")}
    return MelSpec.from_dict(values, str(settings.path))


PROJECT = Project(
    title="transformers",
    settings=("config.json",),
    recognises=_recognises,
    convert=_convert,
)
