"""The batch of a training step, and the share of it that a process computes."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import NamedTuple

from torch import Tensor

from vocoder.data.unreadable import SkippedClip
from vocoder.errors import ConfigError


class Batch(NamedTuple):
    """The crops of one step: `audio` [B, 1, segment], and `names` of their files, for messages.

    `features` are those that come from files: "mel" [B, M, F] or "narrowband" [B, 1, segment] of
    paired clips, otherwise none. `cutoffs` [B] is the frequency in Hz at which the content of each
    crop ends, above which it cannot serve as a target; None where all crops are full band.
    `skipped` are the clips that could not be read, in whose place others were taken.
    """

    audio: Tensor
    names: list[str]
    features: Mapping[str, Tensor] = MappingProxyType({})
    cutoffs: Tensor | None = None
    skipped: Sequence[SkippedClip] = ()

    def parts(self, count: int) -> list["Batch"]:
        """The crops in order in `count` batches, whose sizes differ by one at most.

        With fewer crops than `count` every batch has one.
        """
        audio = self.audio.tensor_split(min(count, len(self.audio)))
        ends = list(accumulate(len(each) for each in audio))
        return [
            Batch(
                each,
                self.names[end - len(each) : end],
                {key: value[end - len(each) : end] for key, value in self.features.items()},
                None if self.cutoffs is None else self.cutoffs[end - len(each) : end],
            )
            for each, end in zip(audio, ends, strict=True)
        ]


def own_share(batch_size: int, rank: int, world_size: int) -> slice:
    """The crops of a batch that process `rank` of `world_size` computes, in the order of ranks.

    Raises ConfigError if there are fewer crops than processes.
    """
    if batch_size < world_size:
        raise ConfigError(
            f"data.batch_size is {batch_size}, for all {world_size} processes together; "
            f"set at least {world_size}, or start fewer"
        )
    return slice(batch_size * rank // world_size, batch_size * (rank + 1) // world_size)
