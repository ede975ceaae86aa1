"""Bandwidth extension: recordings without their upper band in, full band out.

extender = load_extender()                       # the embedded one, or a model directory
audio = extender(audio, sample_rate=8000)        # [T] or [C, T] at extender.sample_rate
"""

import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from vocoder.arrays import Array, float_tensor, like
from vocoder.audio import StrPath, probe, read_blocks, write_blocks
from vocoder.checkpoint import EXTENDER, ModelConfig, find_model, load_model
from vocoder.device import find_device
from vocoder.dsp.bandwidth import BandwidthMeter
from vocoder.errors import AudioError, CheckpointError, ConfigError
from vocoder.generators.base import Widener
from vocoder.nn.crossover import Crossover, LowPass
from vocoder.nn.weight_norm import count_weights
from vocoder.streaming.extension import Chain, ExtensionStream, Planned, Stage
from vocoder.streaming.plan import Plan
from vocoder.streaming.windows import Windows

_log = logging.getLogger(__name__)
_FULL = 0.9  # share of the band that content reaches where nothing is missing
_NARROW = 0.8  # share of the lowest edge of the training below which a warning is due
_PIECE_SECONDS = 0.5  # computed at once where nobody waits: longer pieces leave the cache
_WINDOW_SECONDS, _OVERLAP_SECONDS = 4.0, 1.0  # for networks that cannot stream
_BLOCK = 200  # samples, at least, that a crossover filters at once


def load_extender(name: str | Path = EXTENDER, *, device: str = "cpu") -> "Extender":
    """Load a bandwidth extender: a model directory, or the built-in "extender".

    Raises CheckpointError if there is no such model, or it is damaged or no extender, ConfigError
    if `device` is not there.
    """
    where = find_device(device)
    network, config = load_model(find_model(name))
    if not isinstance(network, Widener):
        raise CheckpointError(
            f"{name}: a vocoder, not a bandwidth extender; `vocoder vocode` takes it, or "
            "vocoder.load in Python"
        )
    with torch.inference_mode():
        audio = network(torch.zeros(1, 1, 4 * network.hop_length))
    if not torch.isfinite(audio).all():
        raise CheckpointError(f"{name}: its weights hold NaN or infinite values")
    return Extender(network, config, device=where)


class Extender:
    """A network that extends bands, with its sample rate, ready for recordings on one device.

    `edges` are the lowest and the highest frequency in Hz at which the recordings ended that it has
    learned from. Every method takes tensors or NumPy arrays of floats and returns the same kind.
    """

    def __init__(
        self, network: Widener, config: ModelConfig, *, device: torch.device | str = "cpu"
    ) -> None:
        self.config = config
        self.sample_rate = config.mel.sample_rate
        self.edges = network.edges
        self.device = torch.device(device)
        self.parameters = count_weights(network)  # some networks merge weights when frozen
        self.network = network.freeze().to(self.device)
        self._planning = threading.Lock()
        self._planned: Plan | ConfigError | None = None

    def __call__(
        self,
        audio: Array,
        *,
        sample_rate: int,
        to: int | None = None,
        edge: float | None = None,
        keep: bool = True,
    ) -> Array:
        """A whole recording, extended; each channel by itself.

        `to` is the sample rate of the result (default: the model's). Above `edge` in Hz the
        recording is taken to hold nothing; by default that is measured. Below, the result is the
        recording itself, unless `keep` is false: then it is what the network makes of all of it.
        Raises AudioError, ConfigError.

        Shape: [T] or [C, T] → same, round(T * to / sample_rate) samples.
        """
        signal = float_tensor(audio, "the audio", AudioError)
        if signal.ndim not in (1, 2) or signal.numel() == 0:
            raise AudioError(f"audio has the shape [T] or [C, T]; this one {list(signal.shape)}")
        channels = signal.reshape(-1, signal.shape[-1])
        if edge is None:
            edge = measured_edge([channels.cpu()], sample_rate)
        stream: ExtensionStream = self.stream(
            sample_rate=sample_rate, channels=len(channels), to=to, edge=edge, keep=keep
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
        to: int | None = None,
        edge: float | None = None,
        keep: bool = True,
    ) -> int:
        """As a call, from file to file, in memory that does not grow with it; returns the samples.

        A file whose edge is to be measured is read twice. Raises AudioError, ConfigError; then
        nothing is written.
        """
        info = probe(source)
        frames = math.ceil(_PIECE_SECONDS * info.sample_rate)
        if edge is None:
            edge = measured_edge(read_blocks(source, frames=frames), info.sample_rate)
        stream = self.stream(
            sample_rate=info.sample_rate, channels=info.channels, to=to, edge=edge, keep=keep
        )

        def made() -> Iterator[Tensor]:
            for block in read_blocks(source, frames=frames):
                yield stream.push(block)
            yield stream.flush()

        return write_blocks(target, (part.reshape(info.channels, -1) for part in made()), stream.to)

    def stream(
        self,
        *,
        sample_rate: int,
        channels: int = 1,
        to: int | None = None,
        edge: float | None = None,
        keep: bool = True,
    ) -> "ExtensionStream":
        """A live stream: `push` audio as it comes, then `flush`; together, what a call gives.

        Only `edge` cannot be measured in advance: by default it is half of `sample_rate`.
        """
        edge = sample_rate / 2 if edge is None else edge
        to = to or self.sample_rate
        if not 0.0 <= edge <= sample_rate / 2:
            raise ConfigError(
                f"edge is {edge} Hz; at {sample_rate} Hz nothing lies above {sample_rate / 2} Hz"
            )
        complete = keep and edge >= _FULL * min(self.sample_rate, to) / 2
        if complete:
            _log.warning("the content reaches %.0f Hz: nothing is missing, nothing added", edge)
        elif 0.0 < edge < _NARROW * self.edges[0]:
            _log.warning(
                "the content ends at %.0f Hz, but %s has learned from recordings that end at "
                "%.0f Hz or above",
                *(edge, self.config.name, self.edges[0]),
            )
        return ExtensionStream(
            None if complete or edge == 0.0 else self._chains(edge, keep=keep),
            sample_rate=sample_rate,
            rate=self.sample_rate,
            to=to,
            channels=channels,
            device=self.device,
            resampling=self.network.resampling,
        )

    @property
    def streams(self) -> bool:
        """Whether the network can extend a live stream exactly, or only window by window."""
        try:
            self.plan()
        except ConfigError:
            return False
        return True

    def plan(self) -> Plan:
        """How the network runs as a stream, made once; ConfigError says why if it cannot."""
        with self._planning:
            if self._planned is None:
                try:
                    self._planned = self._plan(self.network, self.network.hop_length, "narrowband")
                except ConfigError as error:
                    self._planned = ConfigError(f"{self.config.name}: {error}")
        if isinstance(self._planned, ConfigError):
            raise self._planned
        return self._planned

    def _chains(self, edge: float, *, keep: bool) -> Callable[[], Chain]:
        """What makes a chain for each channel of a recording that ends at `edge`."""
        block = self.network.hop_length * math.ceil(_BLOCK / self.network.hop_length)
        filters = {"sample_rate": self.sample_rate, "block": block}
        limit = crossover = None
        if edge > self.edges[1]:
            limit = self._plan(LowPass(self.edges[1], **filters), block, "audio")
        if keep:
            crossover = self._plan(Crossover(edge, **filters), block, "recording", "wide")
        return lambda: Chain(self._stage(), multiple=block, limit=limit, crossover=crossover)

    def _stage(self) -> Stage:
        if self.streams:
            return Planned(self.plan())
        hop, rate = self.network.hop_length, self.sample_rate
        size, overlap = (
            math.ceil(seconds * rate / hop) * hop for seconds in (_WINDOW_SECONDS, _OVERLAP_SECONDS)
        )
        return Windows(self.network, size=size, overlap=overlap)

    def _plan(self, module: nn.Module, hop_length: int, *inputs: str) -> Plan:
        chance = torch.Generator().manual_seed(0)
        examples = [
            0.1 * torch.randn(items, 1, hops * hop_length, generator=chance).to(self.device)
            for items, hops in ((2, 3), (1, 4))
        ]
        return Plan(module.to(self.device), *(dict.fromkeys(inputs, audio) for audio in examples))


def measured_edge(blocks: Iterable[Tensor], sample_rate: int) -> int:
    """Where the content of a recording ends, in Hz; 0 for silence. Shape of each block: [C, T]."""
    meter = BandwidthMeter(sample_rate)
    for block in blocks:
        meter.add(block)
    return meter.bandwidth_hz
