"""Micro-batches: the parts of a batch whose gradients are added up before an update."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vocoder.data.segments import Batch
from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.dsp.lowpass import band_limit
from vocoder.training.system import Features

Generated = tuple[Tensor, dict[str, Tensor]]
"""Audio of the generator and the losses that it computes itself."""


@dataclass
class MicroBatch:
    """A part of a batch on the device of the networks, with the features of the generator.

    `weight` is its share of the batch, so that weighted sums over parts are means over the batch.
    With `random`, the state of the random generators, the generator starts in every update, so its
    fakes are always the same. A part that is a whole batch keeps them with their graph (`keep`,
    `generated`), others make them again. `scores` are those for real and fake in the
    last update of the discriminators.
    """

    audio: Tensor
    cutoffs: Tensor | None
    sample_rate: int
    features: Mapping[str, Tensor]
    weight: float
    random: "RandomState"
    keep: bool
    generated: Generated | None = None
    scores: Sequence[list[DiscriminatorOutput]] = ()

    @property
    def real(self) -> Tensor:
        """The recordings as fakes are compared with them.   Shape: [B, C, T]."""
        return self.limit(self.audio)

    def limit(self, audio: Tensor) -> Tensor:
        """Cut audio to the length, and to the cutoffs, of the recordings.   Shape: [B, C, T]."""
        audio = audio[..., : self.audio.shape[-1]]
        if self.cutoffs is None:
            return audio
        return band_limit(audio, self.cutoffs, sample_rate=self.sample_rate)


class RandomState:
    """State of torch's random generators, on the CPU and on a device, to return to."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.cpu = device, torch.get_rng_state()
        self.module = None if device.type == "cpu" else torch.get_device_module(device)
        self.own = None if self.module is None else self.module.get_rng_state()

    def restore(self) -> None:
        """Set the random generators to this state."""
        torch.set_rng_state(self.cpu)
        if self.module is not None:
            self.module.set_rng_state(self.own)


def micro_batches(
    batch: Batch,
    count: int,
    *,
    features: Features,
    sample_rate: int,
    device: torch.device,
    seed: int,
    keep: bool,
) -> list[MicroBatch]:
    """The batch in `count` parts on the device.

    Args:
        batch: The crops of a step.
        count: Number of parts.
        features: Features of the generator, from audio and from those that come from files.
        sample_rate: Of the audio, in Hz.
        device: Device of the networks.
        seed: Of the randomness of the step; every part has its own, the first one this.
        keep: Whether fakes are kept with their graph if the batch is a single part.
    """
    parts = []
    for index, each in enumerate(batch.parts(count)):
        torch.manual_seed((seed + index * 0x9E37_79B9_7F4A_7C15) % 2**64)
        audio = each.audio.to(device, non_blocking=True)
        part = MicroBatch(
            audio=audio,
            cutoffs=each.cutoffs,
            sample_rate=sample_rate,
            features=features(audio, each.features),
            weight=len(each.audio) / len(batch.audio),
            random=RandomState(device),
            keep=keep and len(each.audio) == len(batch.audio),
        )
        parts.append(part)
    return parts


def without_graph(outputs: Sequence[DiscriminatorOutput]) -> list[DiscriminatorOutput]:
    """The scores of discriminator outputs alone."""
    return [_joined([output]) for output in outputs]


def scores_of(parts: Sequence[MicroBatch]) -> list[list[DiscriminatorOutput]]:
    """The scores for real and fake of a whole batch."""
    pairs = zip(*(part.scores for part in parts), strict=True)
    return [[_joined(outputs) for outputs in zip(*each, strict=True)] for each in pairs]


def _joined(outputs: Sequence[DiscriminatorOutput]) -> DiscriminatorOutput:
    directions = [output.direction.detach() for output in outputs if output.direction is not None]
    return outputs[0]._replace(
        logits=torch.cat([output.logits.detach() for output in outputs]),
        feature_maps=[],
        direction=torch.cat(directions) if directions else None,
    )
