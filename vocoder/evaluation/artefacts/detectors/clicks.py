"""Clicks: single impulses and steps of the waveform."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Analysis, Pair, near_max, runs
from vocoder.evaluation.artefacts.artefact import Artefact

_BLOCK = 0.0005  # seconds
_CORE = 2  # blocks on each side of a click that may belong to it
_AROUND = 0.015  # seconds on each side that are compared: more than a pitch period of most voices
_RATIO_DB = 10.0
_BARE_RATIO_DB = 24.0  # without a reference: tongues and lips click, too
_REFERENCE_DB = 8.0
_LOWEST_LEVEL = -60.0  # dBFS


def find_clicks(pair: Pair) -> list[Artefact]:
    """Impulses of a millisecond that stand alone: 10 dB above all else within 15 ms.

    What is compared is the second difference of the waveform, in which steps and impulses stand
    out, at its largest in blocks of half a millisecond. Pulses of a voice have neighbours, bursts
    and drum hits go on for longer. A click is above -60 dBFS, and 8 dB more alone than
    anything in the reference within 10 ms; without a reference it is 24 dB above all else.

    The level in dB is that above the surroundings.
    """
    levels, alone = _alone(pair.estimate)
    ratio = _RATIO_DB if pair.reference else _BARE_RATIO_DB
    hit = (alone > ratio) & (levels > _LOWEST_LEVEL)
    if pair.reference is not None:
        near = round(0.01 / _BLOCK)
        hit &= alone > near_max(_alone(pair.reference)[1], near, near) + _REFERENCE_DB
    found = []
    step = round(_BLOCK * pair.estimate.sample_rate) / pair.estimate.sample_rate
    for first, last in runs(near_max(hit.float(), _CORE, _CORE) > 0.5):
        over = float(alone[first:last].max())
        at = (first + last) / 2 * step
        found.append(
            Artefact(
                detector="clicks",
                begin=max(0.0, at - 0.001),
                end=at + 0.001,
                level=over,
                unit="dB",
                words=f"a click at {at:.3f} s, {over:.0f} dB above its surroundings",
            )
        )
    return found


def _alone(signal: Analysis) -> tuple[Tensor, Tensor]:
    """Level of each block of half a millisecond, and how far it is above the others around, in dB.

    Shape: [N], [N].
    """
    block = round(_BLOCK * signal.sample_rate)
    bend = F.pad(signal.audio.diff(n=2).abs(), (1, 1))
    peaks = F.max_pool1d(bend[None], block, ceil_mode=True)[0]
    levels = 20.0 * torch.log10(peaks.clamp_min(1e-5))
    around = round(_AROUND / _BLOCK)
    before = near_max(levels, around, 0).roll(_CORE)
    after = near_max(levels, 0, around).roll(-_CORE)
    before[:_CORE], after[-_CORE:] = 0.0, 0.0  # nothing is known about the ends
    return levels, levels - torch.maximum(before, after)
