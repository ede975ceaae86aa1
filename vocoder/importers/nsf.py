"""openvpi/SingingVocoders: NSF-HiFiGAN with either source, `model` and config.json.

Its files have no pitch network, so the models need the F0 of every frame.
"""

import dataclasses

from vocoder.importers.common.project import Checkpoint, Conversion, Project
from vocoder.importers.common.state_dict import Weights, has
from vocoder.importers.hifigan import flat_blocks, layout, mel_spec

_PITCH = {"_target_": "vocoder.nn.pitch.NoPitch", "f_min": 65.0, "f_max": 1100.0}  # its tracker's


def _recognises(weights: Weights) -> bool:
    plain = has(weights, "conv_pre.", "ups.0.", "resblocks.0.conv", "conv_post.")
    source = has(weights, "m_source.l_linear.", "noise_convs.") or has(weights, "source_conv.")
    return plain and source and not has(weights, "F0_model.")


def _convert(checkpoint: Checkpoint) -> Conversion:
    settings, mini = checkpoint.settings, has(checkpoint.weights, "source_conv.")
    settings.expect(mini_nsf=mini)
    if settings.get("noise_sigma", None):
        settings.expect(noise_sigma=0.0)
    mel = dataclasses.replace(mel_spec(settings), power_floor=0.0)
    sizes = layout(settings)
    del sizes["n_mels"], sizes["hop_length"]
    family = "mini_nsf.MiniNSFHiFiGAN" if mini else "nsf.NSFHiFiGAN"
    generator = {
        "_target_": f"vocoder.generators.pitched.{family}",
        "mel": {"_target_": "vocoder.features.mel.MelSpec", **mel.to_dict()},
        "pitch": dict(_PITCH),
        **sizes,
        **({} if mini else {"held_f0": True}),
    }
    flat = flat_blocks(settings.count("resblock_kernel_sizes"))
    return Conversion(
        generator=generator,
        mel=mel,
        weights=checkpoint.weights,
        naming=lambda name: flat(name).replace("source.linear.", "m_source.l_linear."),
    )


PROJECT = Project(
    title="openvpi/SingingVocoders (NSF-HiFiGAN)",
    settings=("config.json",),
    recognises=_recognises,
    convert=_convert,
)
