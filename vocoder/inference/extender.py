"""Bandwidth extension: recordings without their upper band in, full band out.

extender = load_extender()                       # the embedded one, or a model directory
audio = extender(audio, sample_rate=8000)        # [T] or [C, T] at extender.sample_rate
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor, nn

from vocoder.checkpoint import EXTENDER, ModelConfig, find_model, load_model
from vocoder.errors import AudioError, CheckpointError, ConfigError
from vocoder.generators.base import BandwidthExtender
from vocoder.inference.crossover import Crossover, LinearPhaseLowPass
from vocoder.inference.device import find_device
from vocoder.inference.model import InferenceModel, require_finite
from vocoder.inference.streams.extension import Chain, ExtensionStream, Planned, Stage
from vocoder.inference.streams.windows import Windows
from vocoder.io.arrays import Array, float_tensor, like
from vocoder.io.audio import StrPath, probe, read_blocks, write_blocks
from vocoder.io.bandwidth import BandwidthMeter
from vocoder.streaming.plan import Plan, noise_examples

_log = logging.getLogger(__name__)
_FULL = 0.9  # share of the band that content reaches where nothing is missing
_NARROW = 0.8  # share of the lowest cutoff of the training below which a warning is due
_PIECE_SECONDS = 0.5  # computed at once where nobody waits: longer pieces leave the cache
_WINDOW_SECONDS, _OVERLAP_SECONDS = 4.0, 1.0  # for networks that cannot stream
_BLOCK = 200  # samples, at least, that a crossover filters at once


def load_extender(name: str | Path = EXTENDER, *, device: str = "cpu") -> "Extender":
    """Load a bandwidth extender: a model directory, or the built-in "extender".

    Raises CheckpointError if there is no such model, or it is damaged or no extender, ConfigError
    if `device` is not there.

    >>> import torch
    >>> extender = load_extender()
    >>> extender(torch.zeros(800), sample_rate=8000).shape
    torch.Size([4800])
    """
    where = find_device(device)
    network, config = load_model(find_model(name))
    if not isinstance(network, BandwidthExtender):
        raise CheckpointError(
            f"{name}: a vocoder, not a bandwidth extender; `vocoder vocode` takes it, or "
            "vocoder.load in Python"
        )
    with torch.inference_mode():
        audio = network(torch.zeros(1, 1, 4 * network.hop_length))
    require_finite(audio, str(name))
    return Extender(network, config, device=where)


class Extender(InferenceModel):
    """A network that extends bands, ready for recordings on one device.

    `cutoff_range` are the lowest and the highest frequency in Hz at which the recordings ended that
    it has learned from. Every method takes tensors or NumPy arrays of floats and returns the same
    kind.
    """

    generator: BandwidthExtender

    def __init__(
        self,
        generator: BandwidthExtender,
        config: ModelConfig,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(generator, config, device=device)
        self.cutoff_range = generator.cutoff_range

    def __call__(
        self,
        audio: Array,
        *,
        sample_rate: int,
        output_rate: int | None = None,
        cutoff: float | None = None,
        preserve_low_band: bool = True,
    ) -> Array:
        """A whole recording with an upper band; each channel by itself.

        Raises AudioError, ConfigError.

        Shape: [T] or [C, T] → same, round(T * output_rate / sample_rate) samples.

        Args:
            audio: The recording.
            sample_rate: Of the recording, in Hz.
            output_rate: Of the result, in Hz; the model's by default.
            cutoff: Frequency in Hz above which the recording holds nothing; measured by default.
            preserve_low_band: Below the cutoff, the result is the recording itself; if false, it is
                what the network makes of all of it.
        """
        signal = float_tensor(audio, "the audio", AudioError)
        if signal.ndim not in (1, 2) or signal.numel() == 0:
            raise AudioError(f"audio has the shape [T] or [C, T]; this one {list(signal.shape)}")
        channels = signal.reshape(-1, signal.shape[-1])
        if cutoff is None:
            cutoff = measure_cutoff([channels.cpu()], sample_rate)
        stream: ExtensionStream[Tensor] = self.stream(
            sample_rate=sample_rate,
            channels=len(channels),
            output_rate=output_rate,
            cutoff=cutoff,
            preserve_low_band=preserve_low_band,
        )
        pieces: tuple[Tensor, ...] = torch.split(
            channels, math.ceil(_PIECE_SECONDS * sample_rate), dim=-1
        )
        made = torch.cat([*map(stream.push, pieces), stream.flush()], dim=-1)
        return like(made.reshape(*signal.shape[:-1], -1), audio)

    def file(
        self,
        source: StrPath,
        target: StrPath,
        *,
        output_rate: int | None = None,
        cutoff: float | None = None,
        preserve_low_band: bool = True,
    ) -> int:
        """Extend one file into another, in constant memory; returns the number of samples written.

        `output_rate`, `cutoff` and `preserve_low_band` are those of a call. A file whose cutoff is
        to be measured is read twice. Raises AudioError, ConfigError; then nothing is written.
        """
        info = probe(source)
        frames = math.ceil(_PIECE_SECONDS * info.sample_rate)
        if cutoff is None:
            cutoff = measure_cutoff(read_blocks(source, frames=frames), info.sample_rate)
        stream = self.stream(
            sample_rate=info.sample_rate,
            channels=info.channels,
            output_rate=output_rate,
            cutoff=cutoff,
            preserve_low_band=preserve_low_band,
        )

        def made() -> Iterator[Tensor]:
            for block in read_blocks(source, frames=frames):
                yield stream.push(block)
            yield stream.flush()

        return write_blocks(
            target, (part.reshape(info.channels, -1) for part in made()), stream.output_rate
        )

    @overload
    def stream(
        self,
        *,
        sample_rate: int,
        channels: int = 1,
        output_rate: int | None = None,
        cutoff: float | None = None,
        preserve_low_band: bool = True,
    ) -> ExtensionStream[Tensor]: ...
    @overload
    def stream(
        self,
        *,
        sample_rate: int,
        channels: int = 1,
        output_rate: int | None = None,
        cutoff: float | None = None,
        preserve_low_band: bool = True,
        arrays: type[Array],
    ) -> ExtensionStream[Array]: ...
    def stream(
        self,
        *,
        sample_rate: int,
        channels: int = 1,
        output_rate: int | None = None,
        cutoff: float | None = None,
        preserve_low_band: bool = True,
        arrays: type = Tensor,
    ) -> ExtensionStream[Any]:
        """A live stream: `push` audio as it comes, then `flush`; together, what a call gives.

        Args:
            sample_rate: Of the audio that is pushed, in Hz.
            channels: In every piece.
            output_rate: Of the result, in Hz; the model's by default.
            cutoff: As for a call, but it cannot be measured in advance: half of `sample_rate` by
                default.
            preserve_low_band: As for a call.
            arrays: `torch.Tensor` or `numpy.ndarray`: what type checkers take pieces to be, and
                what `flush` gives where nothing was pushed.
        """
        cutoff = sample_rate / 2 if cutoff is None else cutoff
        output_rate = output_rate or self.sample_rate
        if not 0.0 <= cutoff <= sample_rate / 2:
            raise ConfigError(
                f"cutoff is {cutoff} Hz; at {sample_rate} Hz nothing lies above {sample_rate / 2} Hz"
            )
        complete = preserve_low_band and cutoff >= _FULL * min(self.sample_rate, output_rate) / 2
        if complete:
            _log.warning("the content reaches %.0f Hz: nothing is missing, nothing added", cutoff)
        elif 0.0 < cutoff < _NARROW * self.cutoff_range[0]:
            _log.warning(
                "the content ends at %.0f Hz, but %s has learned from recordings that end at "
                "%.0f Hz or above",
                *(cutoff, self.config.name, self.cutoff_range[0]),
            )
        return ExtensionStream(
            None
            if complete or cutoff == 0.0
            else self._chains(cutoff, preserve_low_band=preserve_low_band),
            sample_rate=sample_rate,
            network_rate=self.sample_rate,
            output_rate=output_rate,
            channels=channels,
            device=self.device,
            arrays=arrays,
            resampling=self.generator.resampling,
        )

    @property
    def can_stream(self) -> bool:
        """Whether the network can extend a live stream exactly, or only window by window."""
        try:
            self.plan()
        except ConfigError:
            return False
        return True

    def plan(self) -> Plan:
        """How the network runs as a stream, made once; ConfigError says why if it cannot."""
        hop_length = self.generator.hop_length
        return self._planned("", lambda: self._plan(self.generator, hop_length, "narrowband"))

    def _chains(self, cutoff: float, *, preserve_low_band: bool) -> Callable[[], Chain]:
        """What makes a chain for each channel of a recording that ends at `cutoff`."""
        block = self.generator.hop_length * math.ceil(_BLOCK / self.generator.hop_length)
        filters = {"sample_rate": self.sample_rate, "block": block}
        limit = crossover = None
        if cutoff > self.cutoff_range[1]:
            limit = self._plan(LinearPhaseLowPass(self.cutoff_range[1], **filters), block, "audio")
        if preserve_low_band:
            crossover = self._plan(Crossover(cutoff, **filters), block, "recording", "wide")
        return lambda: Chain(self._stage(), multiple=block, limit=limit, crossover=crossover)

    def _stage(self) -> Stage:
        if self.can_stream:
            return Planned(self.plan())
        hop, rate = self.generator.hop_length, self.sample_rate
        size, overlap = (
            math.ceil(seconds * rate / hop) * hop for seconds in (_WINDOW_SECONDS, _OVERLAP_SECONDS)
        )
        return Windows(self.generator, size=size, overlap=overlap)

    def _plan(self, module: nn.Module, hop_length: int, *inputs: str) -> Plan:
        examples = noise_examples(hop_length, device=self.device)
        module = module.to(self.device)
        return Plan(module, *(dict.fromkeys(inputs, audio) for audio in examples))


def measure_cutoff(blocks: Iterable[Tensor], sample_rate: int) -> int:
    """Where the content of a recording ends, in Hz; 0 for silence. Shape of each block: [C, T]."""
    meter = BandwidthMeter(sample_rate)
    for block in blocks:
        meter.add(block)
    return meter.bandwidth_hz
