"""Mels of any length in constant memory: blocks and ragged batches equal single calls."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.inference.blocks import BLOCK, accelerated, assert_same, mel_of, model, set_block
from tests.inference.models import VOCODERS
from vocoder.errors import ConfigError, MelMismatchError
from vocoder.inference.batches import similar
from vocoder.inference.long import blocks
from vocoder.inference.long.blocks import Synthesis

NAMES = ("default", "griffin-lim", *VOCODERS)
SLOW = ("griffin-lim", "hiftnet", "pwg_melgan", "bigvgan_v2")
EVERY = [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in NAMES]


@pytest.fixture
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 20 frames, for every model."""
    set_block(monkeypatch, BLOCK)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The frames of every call of a network."""
    counted: list[int] = []
    whole = Synthesis.whole

    def count(self: Synthesis, features: dict[str, Tensor]) -> Tensor:
        counted.append(features["mel"].shape[-1])
        return whole(self, features)

    monkeypatch.setattr(Synthesis, "whole", count)
    return counted


@pytest.mark.parametrize("name", EVERY)
def test_blocks_equal_one_call_of_every_network(
    name: str, monkeypatch: pytest.MonkeyPatch, calls: list[int]
) -> None:
    v, mel = model(name), mel_of(name)
    lengths = (2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 1)
    expected = [v(mel[:, :frames]) for frames in lengths]
    set_block(monkeypatch, BLOCK)
    calls.clear()
    for frames, whole in zip(lengths, expected, strict=True):
        assert_same(v(mel[:, :frames]), whole)
    # Up to two blocks in one call; those whose audio depends on all before are streamed.
    assert calls[:2] == [2 * BLOCK - 1, 2 * BLOCK]
    if name != "hiftnet":
        reach = v.plan().reach
        assert (reach is None) == (len(calls) == 2)
        assert all(frames <= BLOCK + sum(reach or ()) + 1 for frames in calls[2:])


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("block", [BLOCK, 1000])
def test_a_ragged_batch_is_every_item_alone(
    name: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    v, mel = model(name), mel_of(name)
    rng = torch.Generator().manual_seed(block)
    lengths = [70, 1, 2, *torch.randint(1, 71, (2,), generator=rng).tolist(), 70]
    batch = torch.full((len(lengths), v.spec.n_mels, 70), 3.0)
    for item, length in enumerate(lengths):
        batch[item, :, :length] = mel[:, item : item + length]
    expected = [
        v(batch[item, :, :length]) if v.generator.samples(length) else torch.empty(0)
        for item, length in enumerate(lengths)
    ]
    set_block(monkeypatch, block)
    audio = v(batch, lengths=lengths)
    assert audio.shape == (len(lengths), v.generator.samples(70))
    for row, alone in zip(audio, expected, strict=True):
        assert_same(row[: len(alone)], alone) if len(alone) else None
        assert not row[len(alone) :].any()


@pytest.mark.parametrize("block", [BLOCK, pytest.param(1000, marks=pytest.mark.slow)])
def test_ragged_batches_and_blocks_take_f0(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    v, mel = model("default"), mel_of("default")
    f0 = torch.linspace(90.0, 300.0, mel.shape[1])
    f0[30:40] = 0.0
    lengths = [60, 45]
    batch = torch.stack([mel[:, :60], mel[:, 5:65]])
    contours = torch.stack([f0[:60], f0[5:65]])
    expected = [v(mel[:, :60], f0=f0[:60]), v(mel[:, 5:50], f0=f0[5:50])]
    whole = v(mel, f0=f0)
    set_block(monkeypatch, block)
    made = v(batch, f0=contours, lengths=lengths)
    assert_same(made[0], expected[0])
    assert_same(made[1, : 45 * 256], expected[1])
    assert_same(torch.cat(list(v.blocks(mel, f0=f0))), whole)
    parts = v.blocks(mel.split(13, dim=1), f0=f0.split(13))
    assert_same(torch.cat(list(parts)), whole)
    for contour in (f0.split(13)[:-1], [*f0.split(13), f0[:3]]):
        with pytest.raises(ConfigError, match="than mels; give one for each"):
            list(v.blocks(mel.split(13, dim=1), f0=contour))


@pytest.mark.usefixtures("short_blocks")
def test_blocks_come_while_the_mel_is_read() -> None:
    v, mel = model("hifigan_v3"), mel_of("hifigan_v3")
    read = 0

    def parts() -> Iterator[np.ndarray]:
        nonlocal read
        for part in mel.numpy().T.reshape(-1, 10, mel.shape[0]):
            read += 10
            yield part.T

    made = v.blocks(parts())
    first = next(made)
    assert isinstance(first, np.ndarray)
    assert 0 < len(first) <= BLOCK * 256
    assert read == 50  # two blocks, and a part more
    joined = torch.from_numpy(np.concatenate([first, *made]))
    assert_same(joined, torch.cat(list(v.blocks(mel))))
    assert_same(joined, torch.cat(list(v.blocks(mel.T))))


def test_parts_of_a_mel_that_do_not_fit_are_refused() -> None:
    v = model("hifigan_v3")
    with pytest.raises(MelMismatchError, match=r"takes mels \[80, f\]; this one has \[81, 5\]"):
        next(v.blocks([torch.zeros(81, 5)]))
    with pytest.raises(MelMismatchError, match="empty"):
        next(v.blocks([]))
    with pytest.raises(ConfigError, match="takes no f0"):
        next(v.blocks([torch.zeros(80, 5)], f0=[torch.zeros(5)]))


def test_a_network_that_needs_the_whole_mel_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, calls: list[int]
) -> None:
    v, mel = model("hiftnet"), mel_of("hiftnet", 60)
    set_block(monkeypatch, BLOCK)
    v(mel)
    assert calls == [60]
    assert "at once" not in caplog.text
    monkeypatch.setattr(blocks, "_LONG", 0.1)
    v(mel)
    assert "s of audio are computed at once, in memory: hiftnet: pitch" in caplog.text


@pytest.mark.usefixtures("short_blocks")
def test_memory_of_a_call_does_not_grow_with_the_mel() -> None:
    v = model("hifigan_v3")

    def most_bytes(frames: int) -> int:
        """The largest tensor that an operation made, apart from the audio itself."""
        mel, most, total = torch.zeros(80, frames), 0, 4 * frames * 256

        class Watch(TorchDispatchMode):
            def __torch_dispatch__(
                self, function: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                nonlocal most
                made = function(*args, **(kwargs or {}))
                if isinstance(made, Tensor):
                    memory = made.untyped_storage()
                    own = memory.data_ptr() == mel.untyped_storage().data_ptr()
                    most = most if own or memory.nbytes() == total else max(most, memory.nbytes())
                return made

        with Watch():
            v(mel)
        return most

    v.plan()
    assert most_bytes(60 * BLOCK) == most_bytes(10 * BLOCK)


def test_items_of_similar_lengths_form_groups() -> None:
    assert similar([10, 100, 9, 95, 30, 90], 0) == [[1], [3], [5], [4], [0], [2]]
    assert similar([10, 100, 9, 95, 30, 90], 200) == [[1, 3], [5], [4], [0, 2]]
    assert similar([], 200) == []


@pytest.mark.parametrize("name", ["hifigan_v3", "default"])
def test_a_list_of_mels_gives_a_list_of_what_calls_give(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    v, mel = model(name), mel_of(name)
    mels = [mel[:, :n].numpy() for n in (60, 10, 59, 60, 11)]
    f0 = [np.full(m.shape[1], 120.0) for m in mels] if name == "default" else None
    expected = v.batch(mels, f0=f0)
    sizes = accelerated(monkeypatch)
    made = v.batch(mels, f0=f0)
    assert sorted(sizes) == [2, 3]
    for audio, alone, given in zip(made, expected, mels, strict=True):
        assert isinstance(audio, np.ndarray)
        assert len(audio) == given.shape[1] * v.spec.hop_length
        assert_same(torch.from_numpy(audio), torch.from_numpy(alone))
    assert v.batch([]) == []
