"""modelscope/ClearerVoice-Studio: MossFormer2_SR_48K, `last_best_checkpoint_g.pt` and the like.

The convolutions are in that file, the mask net beside it in one with an m in place of the g.
"""

import re

from vocoder.features.mel import MelSpec
from vocoder.importers.common.project import Checkpoint, Conversion, Project
from vocoder.importers.common.state_dict import Weights, has, unwrap, without
from vocoder.importers.common.weights import Naming, read
from vocoder.importers.hifigan import flat_blocks, layout, mel_spec

_COMPUTED = r".*\.(inv_freq|freqs)"
_G = re.compile(r"^g(?=_)|(?<=_)g(?=\.\w+$)")
# Names in the mask net: ours, and those in the file.
_NET = {
    "embed": "conv1d_encoder",
    "scale": "pos_enc.scale",
    "final_norm": "mdl.intra_mdl.norm",
    "level": "mdl.intra_norm",
    "out": "conv1d_out",
    "signal": "output.0",
    "gate": "output_gate.0",
    "decode": "conv1_decoder",
}
_BLOCKS = {"attentions": "layers", "memories": "fsmn"}
_PARTS = {
    "to_keys": "to_qk",
    "gains": "qk_offset_scale.gamma",
    "offsets": "qk_offset_scale.beta",
    "narrow": "conv1.0",
    "prelu": "conv1.1",
    "norm": "norm1",
    "to_memory": "gated_fsmn.to_u",
    "to_gate": "gated_fsmn.to_v",
    "memory": "gated_fsmn.fsmn",
    "final_norm": "norm2",
    "widen": "conv2",
}
_PROJECTION = {"norm": "mdl.0", "linear": "mdl.1", "conv": "mdl.3.sequential.1.conv", "gain": "g"}
_MEMORY = {"conv": "conv1"}


def _recognises(weights: Weights) -> bool:
    return has(weights, "conv_pre.", "ups.0.", "snakes.0.", "snake_post.")


def _mask_net(checkpoint: Checkpoint) -> Checkpoint:
    """The mask net, in the file beside that of the convolutions."""
    beside = checkpoint.path.with_name(_G.sub("m", checkpoint.path.name))
    weights = without(unwrap(read(beside), beside), _COMPUTED)
    return Checkpoint(beside, weights, checkpoint.settings)


def _convert(checkpoint: Checkpoint) -> Conversion:
    settings, mel = checkpoint.settings, mel_spec(checkpoint.settings)
    settings.expect(resblock="1")
    half, sizes = _mask_net(checkpoint), layout(settings)
    shared = ("channels", "upsample_rates", "upsample_kernel_sizes")
    rates = settings.numbers("supported_sampling_rates", [16000, 32000])
    generator = {
        "_target_": "vocoder.generators.bandwidth_extension.hifi_sr.HiFiSR",
        "mel": {"_target_": "vocoder.features.mel.MelSpec", **mel.to_dict()},
        # The mask net's sizes are not in the settings.
        "hidden": half.length("mossformer.conv1d_encoder.weight"),
        "blocks": sum(name.endswith(".qk_offset_scale.gamma") for name in half.weights),
        **{name: sizes[name] for name in (*shared, "resblock_kernel_sizes", "resblock_dilations")},
        "cutoff_range": [min(rates) / 2, max(rates) / 2],
    }
    kernels, stages = map(settings.count, ("resblock_kernel_sizes", "upsample_rates"))
    return Conversion(
        generator=generator,
        mel=MelSpec.from_dict(
            {**mel.to_dict(), "f_max": settings["fmax_for_loss"]}, str(settings.path)
        ),
        weights=checkpoint.weights | half.weights,
        naming=_naming(flat_blocks(kernels), stages),
    )


def _naming(flat: Naming, stages: int) -> Naming:
    def naming(name: str) -> str:
        if name.startswith("mask_net."):
            return f"mossformer.{_mask_name(*name.split('.')[1:])}"
        name = re.sub(r"\.activations\.(\d+)\.alpha$", _alpha, flat(name))
        name = re.sub(rf"^activations\.{stages}\.", "snake_post.", name)
        return re.sub(r"^activations\.", "snakes.", name)

    return naming


def _mask_name(part: str, *inside: str) -> str:
    if part not in _BLOCKS:
        return ".".join([_NET.get(part, part), *inside])
    number, layer, *inner = inside
    names = _PROJECTION if layer.startswith("to_") else _MEMORY if layer == "memory" else {}
    theirs = [names.get(name, name) for name in inner]
    kind = f"mdl.intra_mdl.mossformerM.{_BLOCKS[part]}"
    return ".".join([kind, number, _PARTS.get(layer, layer), *theirs])


def _alpha(activation: re.Match[str]) -> str:
    """Name of an activation: a residual block has two lists, of the first and second of a pair."""
    pair, second = divmod(int(activation[1]), 2)
    return f".convs{second + 1}_activates.{pair}.alpha"


PROJECT = Project(
    title="modelscope/ClearerVoice-Studio",
    settings=("config.json", "MossFormer2_SR_48K.json"),
    recognises=_recognises,
    convert=_convert,
)
