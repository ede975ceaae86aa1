"""Degradation steps that limit the band, by filters without delay."""

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from vocoder.degradations.degrade import Step, interval, log_uniform, uniform
from vocoder.dsp.stft import pad_reflect
from vocoder.errors import ConfigError

FAMILIES = ("butterworth", "chebyshev1", "chebyshev2", "elliptic", "bessel")
_BLOCK = 4096  # transforms are multiples of it, hence fast for every length
Roots = list[complex]


class ZeroPhase(Step):
    """Base class of zero-phase filters, drawn at random for each item by their gains.

    `cutoff_range` holds the lowest and the highest cutoff in Hz that can be drawn. The signal gets
    `margin` seconds or more of reflect padding at each end; an impulse response fits into that.
    """

    def __init__(self, *, cutoff_range: tuple[float, float], margin: float) -> None:
        super().__init__()
        self.cutoff_range, self.margin = cutoff_range, margin

    def check(self, sample_rate: int) -> None:
        """Raise ConfigError unless all cutoffs lie below half of the sample rate."""
        if self.cutoff_range[1] >= sample_rate / 2:
            raise ConfigError(
                f"the highest cutoff is {self.cutoff_range[1]:g} Hz; "
                f"it must be below half of {sample_rate} Hz"
            )

    def content_limits(self) -> tuple[float, float]:
        """The range of cutoffs in Hz."""
        return self.cutoff_range

    @abstractmethod
    def gains(self, like: Tensor, size: int, sample_rate: int) -> Tensor:
        """Draw a filter for each item of `like`, as gains of the bins of an rfft of `size` points.

        Shape: [B, size // 2 + 1], on the device of `like`.
        """

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Filter each item.   Shape: [B, C, T] → same."""
        samples = audio.shape[-1]
        least = samples + 2 * math.ceil(self.margin * sample_rate)
        size = -(-least // _BLOCK) * _BLOCK
        left = (size - samples) // 2
        bins = torch.fft.rfft(pad_reflect(audio, left, size - samples - left))
        bins = bins * self.gains(audio, size, sample_rate).float()[:, None]
        filtered: Tensor = torch.fft.irfft(bins, n=size)
        return filtered[..., left : left + samples]


class AnalogLowPass(ZeroPhase):
    """Classic low-pass filter of random family, order and cutoff, without its phase.

    The cutoff is the frequency of the design: -3 dB for Butterworth and Bessel, the end of the pass
    band with its `ripple_db` for Chebyshev I and elliptic, the start of the stop band at
    `attenuation_db` for Chebyshev II; filters with a gentle slope pass much above it. The gains are
    those of the digital filter that the bilinear transform gives.

    Raises ConfigError for an unknown family, and without scipy, which designs the prototypes.

    Args:
        cutoff_range: Lowest and highest cutoff in Hz; octaves are equally likely.
        families: Some of `FAMILIES`, equally likely.
        orders: Lowest and highest order.
        ripple_db: Lowest and highest ripple of the pass band in dB.
        attenuation_db: Lowest and highest attenuation of the stop band in dB.
    """

    def __init__(
        self,
        *,
        cutoff_range: Sequence[float],
        families: Sequence[str] = FAMILIES,
        orders: Sequence[int] = (4, 12),
        ripple_db: Sequence[float] = (0.1, 1.0),
        attenuation_db: Sequence[float] = (40.0, 80.0),
    ) -> None:
        ends = interval("cutoff_range", cutoff_range)
        # A sharp filter rings for 200 periods until it has decayed by 60 dB, most for a few.
        super().__init__(cutoff_range=ends, margin=200.0 / ends[0])
        unknown = sorted(set(families) - set(FAMILIES))
        if unknown or not families:
            raise ConfigError(f"families has {unknown}; list some of {', '.join(FAMILIES)}")
        self.families, self.orders = list(families), interval("orders", orders)
        self.ripple_db = interval("ripple_db", ripple_db)
        self.attenuation_db = interval("attenuation_db", attenuation_db, least=self.ripple_db[1])
        for family in families:
            _prototype(family, int(self.orders[1]), self.ripple_db[0], self.attenuation_db[1])

    def gains(self, like: Tensor, size: int, sample_rate: int) -> Tensor:
        """Draw a filter for each item.   Shape: [B, K]."""
        batch = len(like)
        families = torch.randint(len(self.families), (batch,)).tolist()
        orders = torch.randint(int(self.orders[0]), int(self.orders[1]) + 1, (batch,)).tolist()
        cutoffs = log_uniform(self.cutoff_range, batch).tolist()
        ripples = uniform(self.ripple_db, batch).tolist()
        attenuations = uniform(self.attenuation_db, batch).tolist()
        drawn = zip(families, orders, cutoffs, ripples, attenuations, strict=True)
        return torch.stack(
            [
                _magnitude(
                    _frequencies(like, size, sample_rate, cutoff),
                    *_prototype(self.families[family], order, ripple, attenuation),
                )
                for family, order, cutoff, ripple, attenuation in drawn
            ]
        )


class SincLowPass(ZeroPhase):
    """Low-pass filter by a windowed sinc: gain 1 below its transition band, 0 above its cutoff.

    The cutoff is drawn from `cutoff_range` in Hz. The transition band ends there and has the shape
    of half a cosine; its width, as a share of the cutoff, is drawn from `transition`. Raises
    ConfigError for a share above 1.
    """

    def __init__(self, *, cutoff_range: Sequence[float], transition: Sequence[float]) -> None:
        ends, shares = interval("cutoff_range", cutoff_range), interval("transition", transition)
        if shares[1] > 1.0:
            raise ConfigError(
                f"transition is {list(transition)}; it is a share of the cutoff, at most 1"
            )
        # An impulse response decays with the cube of the time: there it is down by 90 dB or more.
        super().__init__(cutoff_range=ends, margin=8.0 / (ends[0] * shares[0]))
        self.transition = shares

    def gains(self, like: Tensor, size: int, sample_rate: int) -> Tensor:
        """Draw a cutoff and a transition band for each item.   Shape: [B, K]."""
        cutoffs = log_uniform(self.cutoff_range, len(like)).to(like.device)[:, None]
        widths = cutoffs * uniform(self.transition, len(like)).to(like.device)[:, None]
        hertz = torch.fft.rfftfreq(size, 1.0 / sample_rate, device=like.device)
        return 0.5 - 0.5 * torch.cos(math.pi * ((cutoffs - hertz) / widths).clamp(0.0, 1.0))


class BodyConduction(ZeroPhase):
    """Resonant low-pass filter, applied twice: what skin and bone pass to an in-ear microphone.

    `cutoff` in Hz and the quality factor `q` of one pass are each multiplied by a number drawn from
    `spread`. The gains are those of a digital biquad run forwards and backwards.

    Hauret et al. 2023 (EBEN) and its code, which then adds noise 46 dB below (see `Noise`), fades
    both ends of the copy and of the target and normalises their peaks; the last two are not the
    task of a feature.
    """

    def __init__(
        self, *, cutoff: float = 600.0, q: float = 1.0, spread: Sequence[float] = (0.8, 1.2)
    ) -> None:
        ends, factors = interval("cutoff", [cutoff, cutoff]), interval("spread", spread)
        cutoff_range = (ends[0] * factors[0], ends[1] * factors[1])
        # In a period the ringing decays by 27 dB / q.
        super().__init__(cutoff_range=cutoff_range, margin=5.0 * q / cutoff_range[0])
        self.cutoff, self.spread = cutoff, factors
        self.q = interval("q", [q, q])[0]

    def content_limits(self) -> tuple[float, float]:
        """None: the level falls from the cutoff on, but the content has no end."""
        return (math.inf, math.inf)

    def gains(self, like: Tensor, size: int, sample_rate: int) -> Tensor:
        """Draw a filter for each item.   Shape: [B, K]."""
        cutoffs = (self.cutoff * uniform(self.spread, len(like))).tolist()
        factors = self.q * uniform(self.spread, len(like)).to(like.device)[:, None]
        square = torch.stack([_frequencies(like, size, sample_rate, hz) for hz in cutoffs]).square()
        return 1.0 / ((1.0 - square).square() + square / factors.square())


def _frequencies(like: Tensor, size: int, sample_rate: int, unit: float) -> Tensor:
    """Bins of a transform on the axis of an analog prototype, with `unit` Hz at 1 rad/s.

    Shape: [size // 2 + 1], float64 on the device of `like`.
    """
    bins = torch.arange(size // 2 + 1, device=like.device, dtype=torch.float64)
    # Nyquist lies at infinity; beyond the bound, the gains no longer change.
    warped = torch.tan(bins * (math.pi / size)).clamp(0.0, 1e5)
    return warped / math.tan(math.pi * unit / sample_rate)


def _prototype(
    family: str, order: int, ripple_db: float, attenuation_db: float
) -> tuple[Roots, Roots, float]:
    """Zeros, poles and gain of the analog low-pass filter for 1 rad/s."""
    try:
        from scipy import signal
    except ImportError as error:
        raise ConfigError('low-pass families need scipy; pip install "vocoder[train]"') from error
    designs = {
        "butterworth": lambda: signal.buttap(order),
        "chebyshev1": lambda: signal.cheb1ap(order, ripple_db),
        "chebyshev2": lambda: signal.cheb2ap(order, attenuation_db),
        "elliptic": lambda: signal.ellipap(order, ripple_db, attenuation_db),
        "bessel": lambda: signal.besselap(order, norm="mag"),
    }
    zeros, poles, gain = designs[family]()
    return zeros.tolist(), poles.tolist(), float(gain)


def _magnitude(frequencies: Tensor, zeros: Roots, poles: Roots, gain: float) -> Tensor:
    """Absolute response at frequencies in rad/s, in float64.   Shape: [K] → same."""
    power = torch.full_like(frequencies, gain**2)
    for zero in map(complex, zeros):
        power *= (frequencies - zero.imag).square() + zero.real**2
    for pole in map(complex, poles):
        power /= (frequencies - pole.imag).square() + pole.real**2
    return power.sqrt()
