"""Audio of mels of any length in constant memory, and of ragged batches."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor

from vocoder.errors import ConfigError, MelMismatchError
from vocoder.generators.base import Generator
from vocoder.streaming.plan import Plan

_log = logging.getLogger(__name__)
_SECONDS, _SECONDS_ON_ACCELERATOR = 5.0, 20.0  # of a block: in the cache, or enough to be busy
_IN_PARTS = 60.0  # in one call, where threads share the frames of a call but not of a stream
_BATCH_SECONDS = 120.0  # of all items together, padded, that are computed as a batch
_LONG = 60.0  # seconds of audio whose computation at once is worth a line in the log

Features = dict[str, Tensor]
"""Inputs of a generator by name, with the batch first and frames last."""


class Synthesis:
    """A generator on one device, for mels of any length: in one call, or block by block.

    Inputs of up to `at_once` frames are computed in one call. Longer ones are not, so that memory
    does not grow with them: blocks of `block` frames overlap by the frames on which their audio
    depends, or, where that depends on everything before, are those of a stream. Both equal one call
    to rounding. A network that can do neither computes everything at once.

    `most_frames` is the size of a batch of several mels; 0 where each is faster alone.

    Args:
        network: Audio of features; shape: [B, …, F] each → [B, T].
        plan: Makes the plan of the network as a stream, or raises ConfigError.
        generator: The generator, for its law of lengths.
        frame_rate: Frames of a second.
        accelerated: Whether it is not on a CPU.
        in_parts: Whether threads share the frames of a call.
    """

    def __init__(
        self,
        network: Callable[[Features], Tensor],
        plan: Callable[[], Plan],
        generator: Generator,
        *,
        frame_rate: float,
        accelerated: bool,
        in_parts: bool = False,
    ) -> None:
        self._network, self._plan = network, plan
        self._generator = generator
        self._samples, self._hop_length = generator.samples, generator.hop_length
        self._frame_rate = frame_rate
        seconds = _SECONDS_ON_ACCELERATOR if accelerated else _SECONDS
        self.block = max(round(seconds * frame_rate), 1)
        self.at_once = max(2 * self.block, round(_IN_PARTS * frame_rate) if in_parts else 0)
        self.most_frames = round(_BATCH_SECONDS * frame_rate) if accelerated else 0

    def is_long(self, frames: int) -> bool:
        """Whether an input is computed block by block, if the network can be."""
        return frames > self.at_once

    def whole(self, features: Features) -> Tensor:
        """Audio of one call; raises MelMismatchError if there is none. [B, …, F] → [B, T]."""
        require_audio(self._generator, _frames(features))
        with torch.inference_mode():
            audio = self._network(features)
        return audio.clone()  # outside inference mode, so that callers may write to it

    def blocks(self, pieces: Iterable[Features]) -> Iterator[Tensor]:
        """Audio of features that come in pieces, block by block; joined it equals one call.

        Shape of each piece: [B, …, f] → [B, t].
        """
        rest = iter(pieces)
        first: list[Features] = []
        while not self.is_long(sum(map(_frames, first))):
            piece = next(rest, None)
            if piece is None:
                if not first:
                    raise MelMismatchError("the mel is empty (no frames came)")
                yield self.whole(_joined(first))
                return
            first.append(piece)
        pieces = chain(first, rest)
        try:
            plan = self._plan()
        except ConfigError as error:
            features = _joined(list(pieces))
            seconds = _frames(features) / self._frame_rate
            if seconds > _LONG:
                _log.warning("%.0f s of audio are computed at once, in memory: %s", seconds, error)
            yield self.whole(features)
            return
        regrouped = _regrouped(pieces, self.block)
        yield from (
            self._streamed(regrouped, plan)
            if plan.reach is None
            else self._overlapping(regrouped, *plan.reach)
        )

    def ragged(self, features: Features, lengths: Sequence[int]) -> Tensor:
        """Audio of a padded batch, each item as if alone, and zeros after it.

        Items have the audio of the batch but for their last frames, which depend on the padding
        and are computed again without it. Where audio depends on everything before, items of equal
        length form batches instead. Shape: [B, …, F] → [B, samples(F)].
        """
        frames = _frames(features)
        if all(length == frames for length in lengths):
            return self.joined(features)
        try:
            reach = self._plan().reach
        except ConfigError:
            reach = None
        if reach is None:
            audio = features["mel"].new_zeros(len(lengths), max(self._samples(frames), 0))
            before, width = frames, frames
        else:
            audio = self.joined(features)
            before, width = reach[0], reach[0] + max(reach[1], 1)
        # Of items that reach the end of the batch nothing is missing, if there is audio.
        groups: dict[int, list[int]] = {}
        for item, length in enumerate(lengths):
            audio[item, max(self._samples(length), 0) :] = 0.0
            if self._samples(length) > 0 and (reach is None or length < frames):
                groups.setdefault(min(length, width), []).append(item)
        for size, items in groups.items():
            ends = [lengths[item] for item in items]
            tails = _joined_items(features, items, [slice(end - size, end) for end in ends])
            made = self.joined(tails)
            for row, (item, end) in enumerate(zip(items, ends, strict=True)):
                skip = 0 if size == end else before
                tail = made[row, skip * self._hop_length :]
                begin = (end - size + skip) * self._hop_length
                audio[item, begin : begin + len(tail)] = tail
        return audio

    def joined(self, features: Features) -> Tensor:
        """Audio of one call or of blocks, joined. Shape: [B, …, F] → [B, T]."""
        frames = _frames(features)
        if not self.is_long(frames):
            return self.whole(features)
        cuts = range(0, frames, self.block)
        pieces = ({n: x[..., cut : cut + self.block] for n, x in features.items()} for cut in cuts)
        return fill(self.blocks(pieces), self._samples(frames))

    def _overlapping(
        self, pieces: Iterable[tuple[Features, bool]], before: int, after: int
    ) -> Iterator[Tensor]:
        """Blocks that depend on so many frames before and after their own, of one call each."""
        after = max(after, 1)  # the last frame of a centered mel has no audio
        held: Features | None = None
        done = 0  # frames of `held` whose audio has been made
        for piece, last in pieces:
            held = piece if held is None else _joined([held, piece])
            frames = _frames(held)
            ready = frames if last else max(frames - after, done)
            if ready == done:
                continue
            audio = self.whole(held)
            end = audio.shape[-1] if last else ready * self._hop_length
            yield audio[:, done * self._hop_length : end]
            kept = max(ready - before, 0)
            held = {name: values[..., kept:] for name, values in held.items()}
            done = ready - kept

    def _streamed(self, pieces: Iterable[tuple[Features, bool]], plan: Plan) -> Iterator[Tensor]:
        """Blocks of the exact stream of the network."""
        states = plan.begin()
        for piece, last in pieces:
            with torch.inference_mode():
                made, states = plan.step(states, [piece[n] for n in plan.inputs], last=last)
            if made is not None:
                yield made[:, 0].clone()


def fill(blocks: Iterable[Tensor], samples: int) -> Tensor:
    """Blocks joined in a tensor that is allocated once. Shape: [..., t] each → [..., samples]."""
    made, end = None, 0
    for block in blocks:
        if made is None:
            if block.shape[-1] == samples:
                return block
            made = block.new_empty(*block.shape[:-1], samples)
        made[..., end : end + block.shape[-1]] = block
        end += block.shape[-1]
    assert made is not None
    assert end == samples
    return made


def trimmed(blocks: Iterable[Tensor], samples: int) -> Iterator[Tensor]:
    """The first samples of blocks. Shape: [..., t] each → same, `samples` in all."""
    for block in blocks:
        yield block[..., :samples]
        samples = max(samples - block.shape[-1], 0)


def require_audio(generator: Generator, frames: int) -> None:
    """Raise MelMismatchError if a mel of so many frames has no sample of audio."""
    if generator.samples(frames) < 1:
        raise MelMismatchError(f"the mel has {frames} frame, too few for a sample of audio")


def _frames(features: Features) -> int:
    return features["mel"].shape[-1]


def _joined(pieces: Sequence[Features]) -> Features:
    if len(pieces) == 1:
        return pieces[0]
    return {name: torch.cat([piece[name] for piece in pieces], dim=-1) for name in pieces[0]}


def _joined_items(features: Features, items: Sequence[int], parts: Sequence[slice]) -> Features:
    """A batch of equally long parts of some items."""
    chosen = list(zip(items, parts, strict=True))
    return {
        name: torch.stack([values[item, ..., part] for item, part in chosen])
        for name, values in features.items()
    }


def _regrouped(pieces: Iterable[Features], size: int) -> Iterator[tuple[Features, bool]]:
    """Pieces of `size` frames, but for the last, which is shorter; and whether it is the last."""
    held: list[Features] = []
    for piece in pieces:
        held.append(piece)
        while sum(map(_frames, held)) > size:
            joined = _joined(held)
            yield {name: values[..., :size] for name, values in joined.items()}, False
            held = [{name: values[..., size:] for name, values in joined.items()}]
    yield _joined(held), True
