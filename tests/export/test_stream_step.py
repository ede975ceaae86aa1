"""A streaming step of fixed sizes gives what one call gives, from the start to the end."""

import inspect
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from tests.streaming.test_rules import MODULES, REFUSED, Along
from vocoder.errors import ConfigError
from vocoder.export.stream.build import LIMIT
from vocoder.export.stream.step import StreamingStep, build_step
from vocoder.nn.activation import AntiAliased, Snake
from vocoder.nn.conv import Conv1d, ConvTranspose1d, ReflectConv1d

CHANNELS = 6
CHUNK = 60  # fits all strides
LEFT_OUT = {"pad", "perceptron"}  # pads with 2; its output has time on an inner axis


class Late(nn.Module):
    """A complex and a boolean signal that wait for another one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(CHANNELS, CHANNELS, 9, padding=4)

    def forward(self, x: Tensor) -> Tensor:
        bins = torch.complex(x, -x) * self.conv(x)
        return torch.where(x > 0.0, (bins * torch.complex(self.conv(x), x)).real, 0.5)


class Infinite(nn.Module):
    """A sum of reciprocals, which are infinite where there is no signal yet."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(CHANNELS, CHANNELS, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = (1.0 / (x + self.conv(x) * 0.0)).cumsum(-1)
        return y


def network(channels: int = CHANNELS, *, causal: bool = False) -> nn.Module:
    """All that upsampling networks are made of."""
    return nn.Sequential(
        Conv1d(channels, 8, 7, causal=causal),
        ConvTranspose1d(8, 4, 8, stride=4, causal=causal),
        AntiAliased(Snake(4), causal=causal),
        Conv1d(4, 4, 3, dilation=5, causal=causal),
        Conv1d(4, 4, 5, causal=True) if causal else ReflectConv1d(4, 4, 5),
        ConvTranspose1d(4, 2, 5, stride=2, causal=causal),
        AntiAliased(nn.LeakyReLU(0.1), causal=causal),
        Conv1d(2, 1, 7, causal=causal),
    )


OWN: dict[str, Callable[[], nn.Module]] = {
    "late": Late,
    "network": network,
    "network-causal": lambda: network(causal=True),
}


def stepped(make: Callable[[], nn.Module], chunk: int) -> tuple[nn.Module, StreamingStep]:
    torch.manual_seed(0)
    module = make().eval().requires_grad_(False)
    name = next(iter(inspect.signature(module.forward).parameters))
    examples = [{name: signal(CHUNK * length, batch=batch)} for batch, length in ((2, 1), (1, 2))]
    return module, build_step(module, *examples, chunk=chunk)


def signal(steps: int, *, batch: int = 1) -> Tensor:
    return torch.randn(batch, CHANNELS, steps, generator=torch.Generator().manual_seed(steps))


@pytest.mark.parametrize("name", [name for name in MODULES | OWN if name not in LEFT_OUT])
def test_the_steps_of_a_stream_give_what_one_call_gives(name: str) -> None:
    module, step = stepped((MODULES | OWN)[name], CHUNK // 5)
    for steps in (CHUNK, 2 * CHUNK):
        x = signal(steps)
        with torch.inference_mode():
            whole = module(x)
        made = step.stream(x)
        assert made.shape == whole.shape
        torch.testing.assert_close(made, whole, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("chunk", [1, 3, 16])
@pytest.mark.parametrize("causal", [False, True])
def test_any_chunk_and_any_length_will_do(chunk: int, causal: bool) -> None:
    module, step = stepped(lambda: network(causal=causal), chunk)
    assert step.rate == 8 and step.offset == 0
    assert (step.delay == 0) == causal
    for steps in (1, 2, 7, 16, 35):
        x = signal(steps)
        with torch.inference_mode():
            whole = module(x)
        torch.testing.assert_close(step.stream(x), whole, rtol=1e-4, atol=1e-5)


def test_what_is_infinite_before_the_start_does_not_spread() -> None:
    module, step = stepped(Infinite, CHUNK)
    x = signal(2 * CHUNK).abs() + 1.0
    torch.testing.assert_close(step.stream(x), module(x))


def test_all_shapes_are_fixed_and_states_begin_as_zeros() -> None:
    _, step = stepped(network, 4)
    states = [torch.zeros(state.shape, dtype=state.dtype) for state in step.states]
    for count in (4, 4, 2, 0):
        audio, *states = step.module(signal(4), torch.tensor([count]), *states)
        assert audio.shape == (1, 1, 32)
        assert [(tuple(s.shape), s.dtype) for s in states] == [s[1:] for s in step.states]


def test_a_stream_of_days_ends_as_a_short_one_does() -> None:
    _, step = stepped(network, 16)
    x = signal(16)
    states = [torch.zeros(state.shape, dtype=state.dtype) for state in step.states]
    for _ in range(6):
        _, *states = step.module(x, torch.tensor([16]), *states)
    late = [torch.tensor([LIMIT - 16]), torch.tensor([LIMIT - 16]), *states[2:]]
    for count in (16, 16, 16, 7, 0):
        audio, *states = step.module(x, torch.tensor([count]), *states)
        audio_late, *late = step.module(x, torch.tensor([count]), *late)
        assert torch.equal(audio, audio_late)
        assert late[0] == LIMIT


def test_a_chunk_that_does_not_fit_the_strides_is_refused() -> None:
    with pytest.raises(ConfigError, match="chunk of 30.*multiple of 4"):
        stepped(MODULES["conv-strided"], 30)
    assert stepped(MODULES["conv-strided"], 32)[1].rate == Fraction(1, 4)


@pytest.mark.parametrize("name", ["lstm", "softmax", "flip"])
def test_what_cannot_stream_is_refused_by_name(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(ConfigError, match=message):
        stepped(make, CHUNK)


def test_padding_with_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="Along: pad.*zeros only"):
        stepped(MODULES["pad"], CHUNK)


def test_a_signal_in_a_tuple_cannot_wait() -> None:
    def late(x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=1)
        return first + torch.nn.functional.avg_pool1d(second, 5, 1, 2)

    _, step = stepped(lambda: Along(late), CHUNK)
    torch.testing.assert_close(step.stream(signal(90)), late(signal(90)))
