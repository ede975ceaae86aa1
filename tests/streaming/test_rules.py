"""Streams of operations with a rule equal one call, in any chunks; other operations are refused."""

import functools
import inspect
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.fx
import torch.nn.functional as F
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from vocoder.dsp.stft import hann_window, istft, pad_reflect, stft
from vocoder.errors import ConfigError
from vocoder.nn.conv import Conv1d, ConvTranspose1d, ReflectConv1d
from vocoder.streaming.plan import Plan

torch.fx.wrap("istft")
torch.fx.wrap("pad_reflect")

CHANNELS = 6
conv = partial(nn.Conv1d, CHANNELS, 3)
transposed = partial(nn.ConvTranspose1d, CHANNELS, 3)


class Along(nn.Module):
    """A function of a signal, as a module."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


class Branches(nn.Module):
    """Two branches with different look-ahead, combined."""

    def __init__(self) -> None:
        super().__init__()
        self.short, self.long = conv(3, padding=1), conv(9, padding=4)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.short(x), self.long(x)
        return torch.cat([a + b, a, torch.stack([x[:, 0], b[:, 0]], dim=1)], dim=1)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.LSTM(CHANNELS, 3, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.transpose(1, 2))[0].transpose(1, 2)


WINDOW, MASS = hann_window(10, 12), hann_window(16, 16)


def spectrum(x: Tensor) -> Tensor:
    return stft(x[:, 0], WINDOW, hop_length=4, padding="same").abs()


def centered(x: Tensor) -> Tensor:
    return stft(x[:, 0], WINDOW, hop_length=3, padding="center", mode="constant").abs()


def synthesis(x: Tensor, padding: Any, hop_length: int) -> Tensor:
    bins = torch.complex(F.pad(x, (0, 0, 0, 3)), F.pad(x, (0, 0, 3, 0)))
    return istft(bins, MASS, hop_length=hop_length, padding=padding)


MODULES: dict[str, Callable[[], nn.Module]] = {
    "conv": partial(conv, 5),
    "conv-padded": partial(conv, 5, padding=2, dilation=3),
    "conv-strided": partial(conv, 8, stride=4, padding=2),
    "conv-strided-odd": partial(conv, 7, stride=3, padding=5),
    "conv-skipping": partial(conv, 1, stride=3),
    "conv-grouped": partial(nn.Conv1d, CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS),
    "conv-pointwise": partial(conv, 1),
    "conv-pointwise-padded": partial(conv, 1, padding=2),
    "conv-same": lambda: Conv1d(CHANNELS, 3, 7, dilation=2),
    "conv-causal": lambda: Conv1d(CHANNELS, 3, 4, dilation=3, causal=True),
    "conv-reflect": lambda: ReflectConv1d(CHANNELS, 3, 7, dilation=3),
    "conv-2d": lambda: nn.Sequential(
        nn.Unflatten(1, (1, CHANNELS)), nn.Conv2d(1, 2, (3, 5), padding=(1, 2)), nn.Flatten(1, 2)
    ),
    "transposed": partial(transposed, 7, stride=3),
    "transposed-same": lambda: ConvTranspose1d(CHANNELS, 3, 9, stride=4),
    "transposed-causal": lambda: ConvTranspose1d(CHANNELS, 3, 7, stride=4, causal=True),
    "transposed-longer": partial(transposed, 4, stride=4, output_padding=2),
    "transposed-gaps": partial(transposed, 2, stride=5, dilation=2),
    "transposed-dilated": partial(transposed, 3, stride=2, dilation=3, padding=1, bias=False),
    "transposed-cropped": partial(transposed, 3, stride=2, padding=3),
    "transposed-grouped": partial(nn.ConvTranspose1d, CHANNELS, 4, 5, stride=2, groups=2),
    "average": lambda: nn.AvgPool1d(7, 1, 3),
    "pad": lambda: Along(lambda x: F.pad(x, (3, 5), value=2.0)),
    "pad-held": lambda: Along(lambda x: F.pad(x, (4, 2), mode="replicate")),
    "pad-left": lambda: Along(lambda x: pad_reflect(x, 1, 0)),
    "pad-reflect": lambda: Along(lambda x: pad_reflect(x, 9, 13)),
    "crop": lambda: Along(lambda x: F.pad(x, (0, 9))[..., 2:-4]),
    "crop-behind-padding": lambda: Along(lambda x: F.pad(x, (0, 3))[:, :, :-3]),
    "padded-and-cut": lambda: Along(lambda x: F.pad(F.pad(x, (5, 5)), (-2, -7))),
    "nearest": lambda: Along(lambda x: F.interpolate(x, scale_factor=3.0)),
    "repeated": lambda: Along(lambda x: x.repeat_interleave(4, dim=-1)),
    "linear": lambda: Along(lambda x: F.interpolate(x, scale_factor=4.0, mode="linear")),
    "linear-odd": lambda: Along(lambda x: F.interpolate(x, scale_factor=5.0, mode="linear")),
    "sum": lambda: Along(lambda x: x.double().cumsum(-1)),
    "position": lambda: Along(lambda x: torch.ones_like(x).cumsum(-1) * x),
    "spectrum": lambda: Along(spectrum),
    "spectrum-centered": lambda: Along(centered),
    "synthesis-same": lambda: Along(partial(synthesis, padding="same", hop_length=5)),
    "synthesis-center": lambda: Along(partial(synthesis, padding="center", hop_length=4)),
    "synthesis-causal": lambda: Along(partial(synthesis, padding="causal", hop_length=6)),
    "norm-over-channels": lambda: Along(lambda x: F.layer_norm(x.mT, (CHANNELS,)).mT),
    "softmax-over-channels": lambda: nn.Softmax(dim=1),
    "perceptron": lambda: Along(lambda x: x.mT @ torch.ones(CHANNELS, 4).cumsum(0)),
    "gate": lambda: nn.GLU(dim=1),
    "branches": Branches,
    "fold": lambda: Along(lambda x: x.transpose(1, 2).flatten(1)),
}
REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "lstm": (Recurrent, r"net \(LSTM"),
    "instance-norm": (lambda: nn.Sequential(nn.InstanceNorm1d(CHANNELS)), r"0 \(InstanceNorm1d"),
    "mean": (lambda: Along(lambda x: x - x.mean(-1, keepdim=True)), "no time axis left"),
    "attention": (lambda: Along(lambda x: x.mT @ x), "2 time axes"),
    "softmax": (lambda: nn.Sequential(nn.ReLU(), nn.Softmax(dim=-1)), r"1 \(Softmax"),
    "flip": (lambda: Along(lambda x: x.flip(-1)), "flip"),
    "length": (lambda: Along(lambda x: x / x.shape[-1]), "depends on the number of steps"),
    "circular": (lambda: Along(lambda x: F.pad(x, (2, 2), mode="circular")), "pad"),
    "subsampled": (lambda: Along(lambda x: x[..., ::2]), "getitem"),
}


def example(steps: int, *, batch: int = 2) -> Tensor:
    torch.manual_seed(steps)
    return torch.randn(batch, CHANNELS, steps)


@functools.cache
def made(name: str) -> tuple[nn.Module, Plan]:
    torch.manual_seed(0)
    module = MODULES[name]().eval().requires_grad_(False)
    return module, planned(module)


def planned(module: nn.Module, shortest: int = 12) -> Plan:
    name = next(iter(inspect.signature(module.forward).parameters))
    return Plan(module, {name: example(shortest, batch=1)}, {name: example(shortest + 5)})


def in_pieces(plan: Plan, signal: Tensor, cuts: list[int]) -> Tensor | None:
    """Output of a stream whose input is cut at these steps; None if it is empty."""
    states, made = plan.begin(), []
    bounds = [0, *sorted(min(cut, signal.shape[-1]) for cut in cuts), signal.shape[-1]]
    with torch.inference_mode():
        for begin, end in pairwise(bounds):
            if end > begin:
                chunk, states = plan.step(states, [signal[..., begin:end]])
                made.append(chunk)
        chunk, states = plan.step(states, [None], last=True)
    pieces = [chunk for chunk in [*made, chunk] if chunk is not None]
    return torch.cat(pieces, plan.axis) if pieces else None


@pytest.mark.parametrize("name", MODULES)
@settings(max_examples=12, deadline=None)
@given(steps=st.integers(1, 40), cuts=st.lists(st.integers(0, 40), max_size=12))
def test_stream_equals_one_call(name: str, steps: int, cuts: list[int]) -> None:
    module, plan = made(name)
    signal = example(steps)
    try:
        whole = module(signal)
    except RuntimeError:  # shorter than the window of the operation
        return
    pieces = in_pieces(plan, signal, cuts)
    if whole.numel() == 0:
        assert pieces is None
        return
    assert pieces is not None and pieces.shape == whole.shape
    torch.testing.assert_close(pieces, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", REFUSED)
def test_operation_on_all_steps_is_refused_by_name(name: str) -> None:
    module, message = REFUSED[name]
    with pytest.raises(ConfigError, match=f"cannot stream.*{message}|{message}.*cannot stream"):
        planned(module().eval())
