"""Bandwidth extension of recordings that lack an upper band.

extender = load_extender()                       # the embedded one, or a model directory
audio = extender(audio, sample_rate=8000)        # [T] or [C, T] at extender.sample_rate
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor, nn

from vocoder.checkpoint import EXTENDER, ModelConfig
from vocoder.errors import AudioError, CheckpointError, ConfigError
from vocoder.generators.base import BandwidthExtender
from vocoder.inference.crossover import Crossover, LinearPhaseLowPass
from vocoder.inference.device import find_device
from vocoder.inference.gradients import warn_of_gradients
from vocoder.inference.model import InferenceModel, require_finite
from vocoder.inference.precision.choice import use
from vocoder.inference.runtimes.choice import open_model
from vocoder.inference.runtimes.stages import new_stage
from vocoder.inference.streams.extension import Chain, ExtensionStream
from vocoder.io.arrays import Array, float_tensor, like
from vocoder.io.audio import StrPath, probe, read_blocks, write_blocks
from vocoder.io.bandwidth import BandwidthMeter
from vocoder.io.defaults import Float32OnCpu
from vocoder.streaming.plan import Plan, noise_examples

_log = logging.getLogger(__name__)
_FULL = 0.9  # share of the band from which on content counts as full band
_NARROW = 0.8  # share of the lowest training cutoff below which there is a warning
_PIECE_SECONDS = 0.5  # computed at once for whole recordings: longer pieces leave the cache
_BLOCK = 200  # samples, at least, that a crossover filters at once


def load_extender(
    name: str | Path = EXTENDER,
    *,
    device: str = "cpu",
    runtime: str = "auto",
    precision: str = "float32",
) -> "Extender":
    """Load a bandwidth extender from a model directory, or the built-in "extender".

    A name with the suffix .onnx is a file of `vocoder export`; `runtime` and `precision` are as for
    `vocoder.load`. Raises CheckpointError if there is no such model, or it is damaged or no
    extender, ConfigError if `device` is not available.

    >>> import torch
    >>> extender = load_extender()
    >>> extender(torch.zeros(800), sample_rate=8000).shape
    torch.Size([4800])
    """
    where = find_device(device)
    opened = open_model(name, "extender", runtime)
    network, config = opened.generator, opened.config
    if not isinstance(network, BandwidthExtender):
        raise CheckpointError(
            f"{name}: a vocoder, not a bandwidth extender; `vocoder vocode` takes it, or "
            "vocoder.load in Python"
        )
    with torch.inference_mode():
        silence = torch.zeros(1, 1, 4 * network.hop_length, device="cpu", dtype=torch.float32)
        audio = network(silence)
    require_finite(audio, str(name))
    extender = Extender(network, config, device=where)
    use(extender, runtime=runtime, precision=precision, opened=opened)
    return extender


class Extender(InferenceModel):
    """A bandwidth extender for recordings of any rate, on one device.

    `cutoff_range` holds the lowest and the highest cutoff in Hz of its training data. Every method
    takes tensors or NumPy arrays of floats and returns the same kind.
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
        """Extend a whole recording by an upper band, each channel independently.

        Raises AudioError, ConfigError.

        Shape: [T] or [C, T] → same, round(T * output_rate / sample_rate) samples.

        Args:
            audio: The recording.
            sample_rate: Sample rate of the recording in Hz.
            output_rate: Sample rate of the result in Hz; the model's by default.
            cutoff: Frequency in Hz above which the recording has no content; measured by default.
            preserve_low_band: Whether the result is the recording itself below the cutoff;
                otherwise the network's output in the whole band.
        """
        warn_of_gradients(audio, "the audio", "an extender has no gradients")
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
            live=False,
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
        """Extend one audio file into another, in constant memory; returns the samples written.

        Raises AudioError, ConfigError; then nothing is written.

        Args:
            source: File that is read, twice if its cutoff is measured.
            target: File that is written.
            output_rate: Sample rate of the result in Hz; the model's by default.
            cutoff: Frequency in Hz above which the recording has no content; measured by default.
            preserve_low_band: Whether the result is the recording itself below the cutoff.
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
            live=False,
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
        live: bool = True,
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
        live: bool = True,
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
        live: bool = True,
        arrays: type = Tensor,
    ) -> ExtensionStream[Any]:
        """Open a live stream: `push` audio as it arrives, then `flush`; together they equal a call.

        Args:
            sample_rate: Sample rate of the input in Hz.
            channels: Number of channels of every piece.
            output_rate: Sample rate of the result in Hz; the model's by default.
            cutoff: Frequency in Hz above which the input has no content; half of `sample_rate` by
                default, as it cannot be measured in advance.
            preserve_low_band: Whether the result is the input itself below the cutoff.
            live: Whether audio is returned as soon as it can be, or in blocks of seconds.
            arrays: `torch.Tensor` or `numpy.ndarray`: the kind of pieces for type checkers, and of
                the result of `flush` where nothing was pushed.
        """
        cutoff = sample_rate / 2 if cutoff is None else cutoff
        output_rate = output_rate or self.sample_rate
        if not 0.0 <= cutoff <= sample_rate / 2:
            raise ConfigError(
                f"cutoff is {cutoff} Hz; at {sample_rate} Hz it is at most {sample_rate / 2} Hz"
            )
        complete = preserve_low_band and cutoff >= _FULL * min(self.sample_rate, output_rate) / 2
        if complete:
            _log.warning("the content reaches %.0f Hz: nothing is missing, nothing added", cutoff)
        elif 0.0 < cutoff < _NARROW * self.cutoff_range[0]:
            _log.warning(
                "the content ends at %.0f Hz, but %s was trained on recordings that end at "
                "%.0f Hz or above",
                *(cutoff, self.config.name, self.cutoff_range[0]),
            )
        return ExtensionStream(
            None if complete or not cutoff else self._chains(cutoff, preserve_low_band, live),
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
        """Whether the network runs as an exact stream; otherwise it runs on overlapping windows."""
        try:
            self.plan()
        except ConfigError:
            return False
        return True

    def plan(self) -> Plan:
        """Plan of the network as a stream, made once; raises ConfigError if it cannot stream."""
        hop_length = self.generator.hop_length
        return self._planned("", lambda: self._plan(self.generator, hop_length, "narrowband"))

    def examples(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Noise, of different length and batch size. Shape: [B, 1, T] each."""
        short, long = noise_examples(self.generator.hop_length, device=self.device)
        return {"narrowband": short}, {"narrowband": long}

    def _chains(self, cutoff: float, preserve_low_band: bool, live: bool) -> Callable[[], Chain]:
        """Constructor of the chain of one channel, for a recording that ends at `cutoff`."""
        block = self.generator.hop_length * math.ceil(_BLOCK / self.generator.hop_length)
        filters = {"sample_rate": self.sample_rate, "block": block}
        limit = crossover = None
        if cutoff > self.cutoff_range[1]:
            with Float32OnCpu():
                low_pass = LinearPhaseLowPass(self.cutoff_range[1], **filters)
            limit = self._plan(low_pass, block, "audio")
        if preserve_low_band:
            with Float32OnCpu():
                both = Crossover(cutoff, **filters)
            crossover = self._plan(both, block, "recording", "wide")
        stage = partial(new_stage, self, self.plan, live=live)
        return lambda: Chain(stage(), multiple=block, limit=limit, crossover=crossover)

    def _plan(self, module: nn.Module, hop_length: int, *inputs: str) -> Plan:
        examples = noise_examples(hop_length, device=self.device)
        module = module.to(self.device)
        return Plan(module, *(dict.fromkeys(inputs, audio) for audio in examples))


def measure_cutoff(blocks: Iterable[Tensor], sample_rate: int) -> int:
    """Measure the cutoff of a recording in Hz; 0 for silence. Shape of each block: [C, T]."""
    meter = BandwidthMeter(sample_rate)
    for block in blocks:
        meter.add(block)
    return meter.bandwidth_hz
