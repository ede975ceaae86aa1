"""speechbrain/speechbrain: `generator.ckpt` of its HiFi-GANs, with a hyperparams.yaml."""

import dataclasses

import torch

from vocoder.errors import CheckpointError
from vocoder.features.mel import MelSpec
from vocoder.importers.common.project import Checkpoint, Conversion, Project
from vocoder.importers.common.settings import ProjectSettings
from vocoder.importers.common.state_dict import Weights, has
from vocoder.importers.hifigan import flat_blocks, layout, mel_spec

# Its names of settings → those of HiFi-GAN, in which a converted configuration may be written.
_NAMES = {
    "sample_rate": "sampling_rate",
    "hop_length": "hop_size",
    "win_length": "win_size",
    "n_mel_channels": "num_mels",
    "mel_fmin": "fmin",
    "mel_fmax": "fmax",
    "resblock_type": "resblock",
    "upsample_factors": "upsample_rates",
}
# Of all its recipes; the released files contain what the generator is built from alone.
_DEFAULTS = {
    "hop_length": 256,
    "win_length": 1024,
    "n_fft": 1024,
    "n_mel_channels": 80,
    "mel_fmin": 0.0,
    "mel_fmax": 8000.0,
}


def _recognises(weights: Weights) -> bool:
    return has(weights, "conv_pre.conv.", "ups.0.conv.", "resblocks.0.conv", "conv_post.conv.")


def _convert(checkpoint: Checkpoint) -> Conversion:
    settings, weights = _settings(checkpoint.settings), checkpoint.weights
    settings.expect(out_channels=1, cond_channels=0, power=1, norm="slaney", mel_scale="slaney")
    settings.expect(mel_normalized=False, dynamic_range_compression=True)
    if not settings.get("conv_post_bias", True):
        weights = weights | {"conv_post.conv.bias": torch.zeros(1)}
    flat = flat_blocks(settings.count("resblock_kernel_sizes"))
    generator = {
        "_target_": "vocoder.generators.hifigan.HiFiGAN",
        **layout(settings),
        "reflect": True,
    }
    return Conversion(
        generator=generator,
        mel=_mel_spec(settings),
        weights=weights,
        naming=lambda name: ".conv.".join(flat(name).rsplit(".", 1)),
    )


def _settings(given: ProjectSettings) -> ProjectSettings:
    """The settings under the names of HiFi-GAN."""
    if "sample_rate" not in given and "sampling_rate" not in given:
        raise CheckpointError(
            f"{given.path}: has no sample_rate; add the line 'sample_rate: 22050', or the rate of "
            "the recordings that the model was trained on"
        )
    return given.renamed(_NAMES, _DEFAULTS)


def _mel_spec(settings: ProjectSettings) -> MelSpec:
    """The project's front end: centered frames, unlike those of HiFi-GAN."""
    return dataclasses.replace(mel_spec(settings), padding="center", power_floor=0.0)


PROJECT = Project(
    title="speechbrain",
    settings=("hyperparams.yaml", "config.json"),
    recognises=_recognises,
    convert=_convert,
)
