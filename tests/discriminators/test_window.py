"""Random windows: where they lie, what their outputs depend on, and when they are drawn."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from vocoder.discriminators import window
from vocoder.discriminators.window import ConditionalRandomWindow, RandomWindow
from vocoder.errors import ConfigError


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


# Of the paper's conditional discriminators, whose features have 200 frames a second at 24 kHz.
PUBLISHED: dict[str, Any] = {
    "hop_length": 120,
    "frames": (2, 4, 8, 16, 30),
    "factors": ((5, 3, 2, 2, 2), (5, 3, 2, 2), (5, 3, 2), (5, 3), (2, 2, 2)),
}


def small() -> RandomWindow:
    return RandomWindow(windows=(16, 32), factors=((2, 2), (4,)), channels=2)


def conditional() -> ConditionalRandomWindow:
    return ConditionalRandomWindow(
        n_mels=3, hop_length=8, frames=(2, 4), factors=((2, 2), (2,)), channels=2
    )


def used(signal: Tensor) -> list[int]:
    """Indices of the samples that have a gradient."""
    assert signal.grad is not None
    return signal.grad.abs().sum((0, 1)).nonzero().flatten().tolist()


def test_size_is_that_of_the_published_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    # Spectral norm adds no weight, but takes its time where there is nothing to compute.
    monkeypatch.setattr(window, "normalise", lambda conv, norm: conv)
    published = partial(ConditionalRandomWindow, **PUBLISHED)
    for make, blocks in [(RandomWindow, 6_719_040), (published, 28_144_192)]:
        with torch.device("meta"):
            model = make()
        ours = sum(
            w.numel()
            for discriminator in model.discriminators
            for w in discriminator.conv_post.parameters()
        )
        assert sum(w.numel() for w in model.parameters()) - ours == blocks


def test_draws_follow_the_generator_and_differ_between_calls() -> None:
    model, audio = small(), torch.randn(1, 1, 500)
    for _ in range(100):  # until the estimates of spectral norm have converged
        model(audio)

    def logits(seed: int | None = None) -> list[float]:
        if seed is not None:
            torch.manual_seed(seed)
        return [round(output.logits.item(), 4) for output in model(audio)]

    first, second = logits(seed=1), logits()
    assert first != second
    assert logits(seed=1) == first
    assert logits() == second


def test_output_depends_on_the_window_only() -> None:
    model = small()
    for _ in range(30):
        audio = torch.randn(1, 1, 40, requires_grad=True)
        model(audio)[0].logits.sum().backward()
        indices = used(audio)
        assert indices == list(range(indices[0], indices[0] + 16))


def test_every_start_is_drawn() -> None:
    model, starts = small(), set()
    for _ in range(100):
        audio = torch.randn(1, 1, 20, requires_grad=True)
        model(audio)[0].logits.sum().backward()
        starts.add(used(audio)[0])
    assert starts == {0, 1, 2, 3, 4}


def test_window_in_evaluation_is_the_middle_one() -> None:
    audio = torch.randn(1, 1, 101, requires_grad=True)
    small().eval()(audio)[0].logits.sum().backward()
    assert used(audio) == list(range(42, 58))


def test_mel_belongs_to_the_window_and_windows_begin_with_frames() -> None:
    model, starts = conditional(), set()
    for _ in range(60):
        audio = torch.randn(1, 1, 45, requires_grad=True)  # five frames and a remainder
        mel = torch.randn(1, 3, 6, requires_grad=True)  # as of a centered transform
        model(audio, mel=mel)[0].logits.sum().backward()
        frames = used(mel)
        start = frames[0]
        assert frames == [start, start + 1]
        assert used(audio) == list(range(8 * start, 8 * start + 16))
        starts.add(start)
    assert starts == {0, 1, 2, 3}


def test_logits_depend_on_the_mel() -> None:
    model, audio, mel = conditional().eval(), torch.randn(2, 1, 64), torch.randn(2, 3, 8)
    for right, wrong in zip(model(audio, mel=mel), model(audio, mel=mel.flip(0)), strict=True):
        assert right.logits.shape == (2, 1)
        assert not torch.allclose(right.logits, wrong.logits)


def test_folding_stacks_consecutive_samples_as_channels() -> None:
    """In the second window two samples make a step: both reach the same places of the map."""
    discriminator = small().discriminators[1]
    maps = []
    discriminator.blocks[0].shortcut.register_forward_pre_hook(lambda _, args: maps.append(args[0]))
    discriminator(torch.arange(32.0)[None, None])
    assert maps[0].tolist() == [[list(range(0, 32, 2)), list(range(1, 32, 2))]]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: RandomWindow(windows=(), factors=()), "windows"),
        (lambda: RandomWindow(channels=0), "channels"),
        (lambda: RandomWindow(windows=(240, 300), factors=((2,), (2,))), "shortest"),
        (lambda: RandomWindow(windows=(240,)), "factors"),
        (lambda: RandomWindow(windows=(8,), factors=((4, 4),)), "at most 8"),
        (lambda: RandomWindow(windows=(8,), factors=((),)), "factors"),
        (
            lambda: ConditionalRandomWindow(**{**PUBLISHED, "hop_length": 256}),
            "divisor of hop_length 256",
        ),
        (lambda: ConditionalRandomWindow(**{**PUBLISHED, "frames": (0, 1, 2, 3, 4)}), "frames"),
    ],
)
def test_impossible_sizes_are_named(make: Callable[[], object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make()
