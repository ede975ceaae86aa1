"""The degraded copy of a recording that a band extension learns from, made while it trains.

`Degrade` is the feature; what happens to the recording is a mapping of steps, built from YAML. The
steps here combine others (`OneOf`, `LowRate`) or add noise; those that end the band are in
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
    """One thing that happens to a recording, to every item of a batch as it is drawn for it.

    What is left of the signal stays at its moment, to a fraction of a sample. Draws come from
    torch's global generator on the CPU, so that they follow from its seed alone; the rest runs on
    the device of the input. Items do not influence each other.
    """

    @abstractmethod
    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Degrade float32 audio at `sample_rate`.   Shape: [B, C, T] → same."""

    @abstractmethod
    def check(self, sample_rate: int) -> None:
        """Raise ConfigError unless the step can be done at `sample_rate`; for construction."""


class Steps(nn.ModuleDict):
    """Steps by name, to be done in their order.   Raises ConfigError for what is no step."""

    def __init__(self, steps: Mapping[str, Step]) -> None:
        for name, step in steps.items():
            if not isinstance(step, Step):
                raise ConfigError(f"{name} is a {type(step).__name__}, not a step of a degradation")
        super().__init__(steps)

    def check(self, sample_rate: int) -> None:
        """Raise ConfigError unless all can be done at `sample_rate`."""
        for name, step in self.items():
            assert isinstance(step, Step)
            try:
                step.check(sample_rate)
            except ConfigError as error:
                raise ConfigError(f"{name}: {error}") from error

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """All of them.   Shape: [B, C, T] → same."""
        for step in self.values():
            audio = step(audio, sample_rate)
        return audio


class Degrade(nn.Module):
    """All `steps` in their order, on audio at `sample_rate`: the feature "narrowband".

    Computes in float32 and passes no gradient. Seeded alike, it makes the same copy again.
    Raises ConfigError for a step that cannot be done at the rate it meets.

    Shape: [B, C, T] → same, sample for sample the same moments.
    """

    def __init__(self, sample_rate: int, *, steps: Mapping[str, Step]) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.steps = Steps(steps)
        self.steps.check(sample_rate)

    @torch.no_grad()
    def forward(self, audio: Tensor) -> Tensor:
        """A degraded copy of a batch."""
        with torch.autocast(audio.device.type, enabled=False):
            copy: Tensor = self.steps(audio.float(), self.sample_rate)
        return copy


class OneOf(Step):
    """One of `choices` for each item, with the probabilities `weights`.

    What they leave of 1 is the probability that an item stays as it is.
    """

    def __init__(self, choices: Mapping[str, Step], *, weights: Mapping[str, float]) -> None:
        super().__init__()
        if choices.keys() != weights.keys():
            raise ConfigError(f"weights name {sorted(weights)}, choices are {sorted(choices)}")
        total = sum(weights.values())
        if min(weights.values(), default=-1.0) < 0.0 or total > 1.0 + 1e-6:
            raise ConfigError(f"weights are {dict(weights)}; they are probabilities, at most 1")
        self.choices = Steps(choices)
        self.chances = [*(float(weights[name]) for name in choices), max(0.0, 1.0 - total)]

    def check(self, sample_rate: int) -> None:
        """Every choice must be possible."""
        self.choices.check(sample_rate)

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Do to each item what is drawn for it.   Shape: [B, C, T] → same."""
        drawn = torch.multinomial(torch.tensor(self.chances), len(audio), replacement=True)
        copy = audio.clone()
        for index, step in enumerate(self.choices.values()):
            items = (drawn == index).nonzero()[:, 0].to(audio.device)
            if len(items):
                copy[items] = step(audio[items], sample_rate)
        return copy


class LowRate(Step):
    """Down to one of `rates`, through `steps` there, and up again.

    Each item's rate is drawn, and so is the filter, the same for both ways: the `zeros`, `rolloff`
    and `beta` of vocoder.dsp.resample, from the values listed. With `interpolation` "linear",
    straight lines take it up, as cheap players do: images of the band remain above it.
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
        """The rates must be lower, and the steps possible at each."""
        for rate in self.rates:
            if rate >= sample_rate:
                raise ConfigError(f"rates has {rate} Hz; it must be below the {sample_rate} Hz")
            self.steps.check(rate)

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Take each item there and back.   Shape: [B, C, T] → same."""
        drawn = torch.randint(len(self.ways), (len(audio),))
        copy = torch.empty_like(audio)
        for index in sorted(set(drawn.tolist())):
            items = (drawn == index).nonzero()[:, 0].to(audio.device)
            copy[items] = self._travel(audio[items], sample_rate, *self.ways[index])
        return copy

    def _travel(
        self, audio: Tensor, orig_rate: int, rate: int, zeros: int, rolloff: float, beta: float
    ) -> Tensor:
        # Whole samples at both rates, so that no length is rounded on either way.
        whole = F.pad(audio, (0, -audio.shape[-1] % (orig_rate // math.gcd(orig_rate, rate))))
        low = resample(whole, orig_rate, rate, zeros=zeros, rolloff=rolloff, beta=beta)
        low = self.steps(low, rate)
        if self.interpolation == "linear":
            back = _connect(low, rate, orig_rate)
        else:
            back = resample(low, rate, orig_rate, zeros=zeros, rolloff=rolloff, beta=beta)
        return back[..., : audio.shape[-1]]


def _connect(audio: Tensor, orig_rate: int, new_rate: int) -> Tensor:
    """Resample by straight lines between samples.

    Shape: [..., T] → [..., T * new_rate / orig_rate].
    """
    samples = audio.shape[-1]
    position = torch.arange(samples * new_rate // orig_rate, device=audio.device) * orig_rate
    left = position // new_rate
    right = (left + 1).clamp_max(samples - 1)
    return torch.lerp(audio[..., left], audio[..., right], (position % new_rate) / new_rate)


class Noise(Step):
    """White Gaussian noise, by a ratio in dB that is drawn from `snr_db` for each item."""

    def __init__(self, *, snr_db: Sequence[float]) -> None:
        super().__init__()
        self.snr_db = interval("snr_db", snr_db, least=-100.0)

    def check(self, sample_rate: int) -> None:
        """Any rate will do."""

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Add noise; silence stays silent.   Shape: [B, C, T] → same."""
        ratio = 10.0 ** (-uniform(self.snr_db, len(audio)) / 20.0)
        level = audio.square().mean(dim=(1, 2)).sqrt() * ratio.to(audio.device)
        return audio + level[:, None, None] * torch.randn(audio.shape).to(audio.device)


def interval(name: str, ends: Sequence[float], *, least: float = 0.0) -> tuple[float, float]:
    """The two ends of what `uniform` draws from; ConfigError unless `least` < low <= high."""
    if len(ends) != 2 or not least < ends[0] <= ends[1]:
        raise ConfigError(f"{name} is {list(ends)}; give [lowest, highest], above {least:g}")
    return float(ends[0]), float(ends[1])


def uniform(ends: tuple[float, float], batch: int) -> Tensor:
    """Draw a number for each item, all between the ends equally likely.   Shape: [batch]."""
    low, high = ends
    return low + (high - low) * torch.rand(batch)


def log_uniform(ends: tuple[float, float], batch: int) -> Tensor:
    """Draw a positive number for each item, octaves equally likely.   Shape: [batch]."""
    low, high = ends
    return low * (high / low) ** torch.rand(batch)
