"""descriptinc/melgan-neurips: `best_netG.pt`, `linda_johnson.pt` and the like; no settings."""

from vocoder.features.mel import MelSpec
from vocoder.importers.common.project import Checkpoint, Conversion, Project
from vocoder.importers.common.state_dict import Weights, has
from vocoder.importers.parallel_wavegan import melgan_naming

_RATES = [8, 8, 2, 2]
_SHORTCUT = ".shortcut.bias"


def _recognises(weights: Weights) -> bool:
    return has(weights, "model.1.", "model.3.", "model.4.block.2.", "model.4.shortcut.")


def _convert(checkpoint: Checkpoint) -> Conversion:
    weights = checkpoint.weights
    stacks = sum(name.endswith(_SHORTCUT) for name in weights) // len(_RATES)
    mel = MelSpec.from_dict(_MEL, str(checkpoint.path))
    generator = {
        "_target_": "vocoder.generators.melgan.MelGAN",
        "n_mels": mel.n_mels,
        "hop_length": mel.hop_length,
        "upsample_rates": _RATES,
        "channels": checkpoint.length("model.1.bias"),
        "stacks": stacks,
    }
    parts = {"conv": "block.2", "mix": "block.4", "shortcut": "shortcut"}
    return Conversion(
        generator=generator,
        mel=mel,
        weights=weights,
        naming=melgan_naming("model", parts, stages=len(_RATES), stacks=stacks),
    )


# Constants of its code.
_MEL = {
    "sample_rate": 22050,
    "n_fft": 1024,
    "hop_length": 256,
    "win_length": 1024,
    "n_mels": 80,
    "f_min": 0.0,
    "f_max": None,
    "log": "log10",
    "log_floor": 1e-5,
}

PROJECT = Project(
    title="descriptinc/melgan-neurips",
    settings=(),
    recognises=_recognises,
    convert=_convert,
)
