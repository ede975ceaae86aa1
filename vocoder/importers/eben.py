"""jhauret/eben, `generator.ckpt`, and jhauret/vibravox, `model.safetensors`; no configuration."""

import math

import torch
from torch import Tensor

from vocoder.dsp.pqmf import even_pqmf_filters
from vocoder.errors import CheckpointError, ConfigError
from vocoder.features.mel import MelSpec
from vocoder.importers.common.project import Checkpoint, Conversion, Project
from vocoder.importers.common.state_dict import Weights, has, without

_RATE = 16000
_TOLERANCE = 1e-4


def _recognises(weights: Weights) -> bool:
    return has(
        weights, "pqmf.analysis_weights", "first_conv.weight", "encoder_blocks.0.", "last_conv."
    )


def _convert(checkpoint: Checkpoint) -> Conversion:
    bank, first = (_kernel(checkpoint, k) for k in ("pqmf.analysis_weights", "first_conv.weight"))
    (bands, _, size), (channels, lowest, _) = bank.shape, first.shape
    cutoff = _cutoff(bank)
    if not _is_bank(bank, cutoff):
        raise CheckpointError(
            f"{checkpoint.path}: pqmf.analysis_weights is no cosine-modulated filter bank; "
            "others are not supported"
        )
    generator = {
        "_target_": "vocoder.generators.bandwidth_extension.eben.EBEN",
        "bands": bands,
        "lowest": lowest,
        "filter_size": size,
        "cutoff": cutoff,
        "channels": channels,
        # The sensor's cutoff is unknown; the input of the network is its lowest bands alone.
        "cutoff_range": [400.0, lowest / bands * _RATE / 2],
    }
    return Conversion(
        generator=generator,
        mel=MelSpec.preset("hifigan_16k_80"),
        weights=without(checkpoint.weights, r"pqmf\..*"),
        naming=str,
    )


def _is_bank(bank: Tensor, cutoff: float) -> bool:
    """Whether a filter bank is ours, with the cutoff that it was found to have."""
    bands, _, size = bank.shape
    try:
        ours = even_pqmf_filters(bands, size=size, cutoff=cutoff)
    except ConfigError:
        return False
    return ours.shape == bank.shape and torch.allclose(bank, ours.flip(-1), atol=_TOLERANCE)


def _kernel(checkpoint: Checkpoint, name: str) -> Tensor:
    weight = checkpoint.weights.get(name)
    if weight is None or weight.ndim != 3 or not weight.numel():
        raise CheckpointError(f"{checkpoint.path}: {name} is no kernel of a convolution")
    return weight


def _cutoff(bank: Tensor) -> float:
    """The cutoff that a filter bank was designed with, from the middle of its lowest band.

    A windowed sinc is 2 / pi * sin(pi / 2 * cutoff) * window half a sample from its center.
    """
    bands, _, size = bank.shape
    middle = bank[0, 0, size // 2 - 1 : size // 2 + 1].double().sum()
    lowpass = middle / (2.0 * math.sqrt(2.0) * math.cos(math.pi / (4 * bands)))
    window = torch.kaiser_window(size, periodic=False, beta=9.0, dtype=torch.float64)[size // 2]
    return 2.0 / math.pi * torch.asin(math.pi / 2.0 * lowpass / window).item()


PROJECT = Project(
    title="jhauret/eben or jhauret/vibravox",
    settings=(),
    recognises=_recognises,
    convert=_convert,
)
