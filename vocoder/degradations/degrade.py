"""Degraded copies of recordings, made during training as the input of bandwidth extension.

`Degrade` is the feature; what it does to a recording is a mapping of steps, built from YAML. The
steps here combine others (`OneOf`, `LowRate`) or add noise; those that limit the band are in
vocoder.degradations.band_limits, codecs in vocoder.degradations.codecs.
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.resample import resample
from vocoder.errors import ConfigError


class Step(nn.Module, ABC):
    """Base class of the steps of a degradation, whose parameters are drawn for each item.

    The output is aligned with the input to a fraction of a sample. Random numbers come from torch's
    global generator on the CPU, so that they depend on its seed alone; the rest runs on the device
    of the input. Items of a batch do not influence each other.
    """

    @abstractmethod
    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Degrade float32 audio at `sample_rate`.   Shape: [B, C, T] → same."""

    @abstractmethod
    def check(self, sample_rate: int) -> None:
        """Raise ConfigError unless the step works at `sample_rate`; called at construction."""

    def content_limits(self) -> tuple[float, float]:
        """Lowest and highest frequency in Hz at which content ends; inf where it may not end."""
        return (math.inf, math.inf)


class Steps(nn.ModuleDict):
    """Degradation steps by name, applied in their order; ConfigError for what is no `Step`."""

    def __init__(self, steps: Mapping[str, Step]) -> None:
        for name, step in steps.items():
            if not isinstance(step, Step):
                raise ConfigError(f"{name} is a {type(step).__name__}, not a step of a degradation")
        super().__init__(steps)

    def check(self, sample_rate: int) -> None:
        """Raise ConfigError, which names the step, unless all steps work at `sample_rate`."""
        for name, step in self.items():
            assert isinstance(step, Step)
            try:
                step.check(sample_rate)
            except ConfigError as error:
                raise ConfigError(f"{name}: {error}") from error

    def content_limits(self) -> tuple[float, float]:
        """Limits of the content after all steps, in Hz: those of the narrowest."""
        limits = [step.content_limits() for step in self.values() if isinstance(step, Step)]
        lows, highs = zip(*limits, strict=True) if limits else ((math.inf,), (math.inf,))
        return min(lows), min(highs)

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Apply all steps.   Shape: [B, C, T] → same."""
        for step in self.values():
            audio = step(audio, sample_rate)
        return audio


class Degrade(nn.Module):
    """Degrade audio at `sample_rate` by all `steps` in their order: the feature "narrowband".

    Computes in float32 and passes no gradient. The same seed gives the same copy. Raises
    ConfigError for a step that does not work at the sample rate of its input.

    Shape: [B, C, T] → same, aligned sample by sample.
    """

    def __init__(self, sample_rate: int, *, steps: Mapping[str, Step]) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.steps = Steps(steps)
        self.steps.check(sample_rate)

    @property
    def cutoff_range(self) -> tuple[float, float] | None:
        """Lowest and highest cutoff in Hz of the copies; None if the steps set none."""
        low, high = self.steps.content_limits()
        return (low, high) if math.isfinite(high) else None

    @property
    def resampling(self) -> dict[str, float] | None:
        """The filter that brings copies to `sample_rate`, if it is one and the same for all.

        Arguments of `vocoder.dsp.resample.resample`.
        """
        filters = [step.filters for step in self.steps.values() if isinstance(step, LowRate)]
        return filters[0][0] if len(filters) == 1 and len(filters[0]) == 1 else None

    @torch.no_grad()
    def forward(self, audio: Tensor) -> Tensor:
        """Make a degraded copy of the audio."""
        with torch.autocast(audio.device.type, enabled=False):
            copy: Tensor = self.steps(audio.float(), self.sample_rate)
        return copy


class OneOf(Step):
    """Apply one of `choices` to each item, drawn with the probabilities `weights`.

    With the remaining probability, an item stays unchanged. Raises ConfigError for weights that
    name other choices or are no probabilities.
    """

    def __init__(self, choices: Mapping[str, Step], *, weights: Mapping[str, float]) -> None:
        super().__init__()
        if choices.keys() != weights.keys():
            raise ConfigError(f"weights name {sorted(weights)}, choices are {sorted(choices)}")
        total = sum(weights.values())
        if min(weights.values(), default=-1.0) < 0.0 or total > 1.0 + 1e-6:
            raise ConfigError(
                f"weights are {dict(weights)}; give probabilities whose sum is at most 1"
            )
        self.choices = Steps(choices)
        self.chances = [*(float(weights[name]) for name in choices), max(0.0, 1.0 - total)]

    def check(self, sample_rate: int) -> None:
        """Raise ConfigError unless all choices work at `sample_rate`."""
        self.choices.check(sample_rate)

    def content_limits(self) -> tuple[float, float]:
        """Limits of the content in Hz, over all choices and, if it can happen, none of them."""
        limits = [step.content_limits() for step in self.choices.values() if isinstance(step, Step)]
        if self.chances[-1] > 1e-6:
            limits.append((math.inf, math.inf))
        lows, highs = zip(*limits, strict=True)
        return min(lows), max(highs)

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Apply to each item the step drawn for it.   Shape: [B, C, T] → same."""
        drawn = torch.multinomial(torch.tensor(self.chances), len(audio), replacement=True)
        copy = audio.clone()
        for index, step in enumerate(self.choices.values()):
            items = (drawn == index).nonzero()[:, 0].to(audio.device)
            if len(items):
                copy[items] = step(audio[items], sample_rate)
        return copy


class LowRate(Step):
    """Resample to a lower rate, apply `steps` there, and resample back.

    Rate and filter (see `vocoder.dsp.resample`) are drawn for each item from the values listed; the
    filter is the same in both directions.

    Args:
        rates: Lower sample rates in Hz.
        zeros: Zero crossings of the filter on each side.
        rolloff: Cutoffs of the filter, as fractions of the lower Nyquist frequency.
        beta: Shapes of the filter's Kaiser window.
        interpolation: Of the way back: by the filter ("sinc") or by straight lines ("linear"), as
            in cheap players: images of the band remain above it.
        steps: Applied at the lower rate.
    """

    def __init__(
        self,
        *,
        rates: Sequence[int],
        zeros: Sequence[int] = (64,),
        rolloff: Sequence[float] = (0.95,),
        beta: Sequence[float] = (10.0,),
        interpolation: Literal["sinc", "linear"] = "sinc",
        steps: Mapping[str, Step] | None = None,
    ) -> None:
        super().__init__()
        lists = {"rates": rates, "zeros": zeros, "rolloff": rolloff, "beta": beta}
        for name, values in lists.items():
            if len(values) == 0 or min(values) <= 0:
                raise ConfigError(f"{name} is {list(values)}; list one or more positive values")
        if interpolation not in ("sinc", "linear"):
            raise ConfigError(f"interpolation is {interpolation!r}; choose sinc or linear")
        self.ways = list(itertools.product(rates, zeros, rolloff, beta))
        self.rates, self.interpolation = list(rates), interpolation
        self.steps = Steps(steps or {})

    def check(self, sample_rate: int) -> None:
        """Raise ConfigError unless the rates are below `sample_rate` and the steps work there."""
        for rate in self.rates:
            if rate >= sample_rate:
                raise ConfigError(f"rates has {rate} Hz; it must be below the {sample_rate} Hz")
            self.steps.check(rate)

    def content_limits(self) -> tuple[float, float]:
        """Limits of the content in Hz: half of the rates, or less by the steps in between."""
        low, high = self.steps.content_limits()
        return min(low, min(self.rates) / 2), min(high, max(self.rates) / 2)

    @property
    def filters(self) -> list[dict[str, float]]:
        """The filters it draws from, as arguments of `vocoder.dsp.resample.resample`."""
        sets = dict.fromkeys(way[1:] for way in self.ways)
        return [dict(zip(("zeros", "rolloff", "beta"), each, strict=True)) for each in sets]

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Resample each item down and back.   Shape: [B, C, T] → same."""
        drawn = torch.randint(len(self.ways), (len(audio),))
        copy = torch.empty_like(audio)
        for index in sorted(set(drawn.tolist())):
            items = (drawn == index).nonzero()[:, 0].to(audio.device)
            copy[items] = self._travel(audio[items], sample_rate, *self.ways[index])
        return copy

    def _travel(
        self, audio: Tensor, orig_rate: int, rate: int, zeros: int, rolloff: float, beta: float
    ) -> Tensor:
        # Whole samples at both rates, so that no length is rounded in either direction.
        whole = F.pad(audio, (0, -audio.shape[-1] % (orig_rate // math.gcd(orig_rate, rate))))
        low = resample(whole, orig_rate, rate, zeros=zeros, rolloff=rolloff, beta=beta)
        low = self.steps(low, rate)
        if self.interpolation == "linear":
            back = _connect(low, rate, orig_rate)
        else:
            back = resample(low, rate, orig_rate, zeros=zeros, rolloff=rolloff, beta=beta)
        return back[..., : audio.shape[-1]]


def _connect(audio: Tensor, orig_rate: int, new_rate: int) -> Tensor:
    """Resample by linear interpolation.

    Shape: [..., T] → [..., T * new_rate / orig_rate].
    """
    samples = audio.shape[-1]
    position = torch.arange(samples * new_rate // orig_rate, device=audio.device) * orig_rate
    left = position // new_rate
    right = (left + 1).clamp_max(samples - 1)
    return torch.lerp(audio[..., left], audio[..., right], (position % new_rate) / new_rate)


class Noise(Step):
    """Add white Gaussian noise, at a signal-to-noise ratio in dB drawn from `snr_db`."""

    def __init__(self, *, snr_db: Sequence[float]) -> None:
        super().__init__()
        self.snr_db = interval("snr_db", snr_db, least=-100.0)

    def check(self, sample_rate: int) -> None:
        """Accept any sample rate."""

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Add noise; silence stays silent.   Shape: [B, C, T] → same."""
        ratio = 10.0 ** (-uniform(self.snr_db, len(audio)) / 20.0)
        level = audio.square().mean(dim=(1, 2)).sqrt() * ratio.to(audio.device)
        return audio + level[:, None, None] * torch.randn(audio.shape).to(audio.device)


def interval(name: str, ends: Sequence[float], *, least: float = 0.0) -> tuple[float, float]:
    """Return the two `ends` of an interval; ConfigError unless `least` < lowest <= highest."""
    if len(ends) != 2 or not least < ends[0] <= ends[1]:
        raise ConfigError(f"{name} is {list(ends)}; give [lowest, highest], above {least:g}")
    return float(ends[0]), float(ends[1])


def uniform(ends: tuple[float, float], batch: int) -> Tensor:
    """Draw a number for each item, uniformly between the `ends`.   Shape: [batch]."""
    low, high = ends
    return low + (high - low) * torch.rand(batch)


def log_uniform(ends: tuple[float, float], batch: int) -> Tensor:
    """Draw a number for each item, uniformly on a logarithmic scale.   Shape: [batch]."""
    low, high = ends
    return low * (high / low) ** torch.rand(batch)
