"""Live synthesis: streams equal one call, are independent, and return audio once it is final."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from vocoder.checkpoint import ModelConfig
from vocoder.errors import ConfigError, MelMismatchError
from vocoder.generators.pitched.hiftnet import HiFTNet
from vocoder.generators.pitched.jdc import JDC
from vocoder.inference.streams.synthesis import Stream, push_all
from vocoder.inference.vocoder import Vocoder

from ..conftest import SPEC

EXACT = 1e-5


def error(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def run(stream: Stream, mel: Tensor, sizes: list[int]) -> Tensor:
    """Push the mel in pieces of these sizes, repeated in turn, then flush."""
    made, begin, turn = [], 0, 0
    while begin < mel.shape[-1]:
        size = sizes[turn % len(sizes)]
        made.append(stream.push(mel[:, begin : begin + size]))
        begin, turn = begin + size, turn + 1
    return torch.cat([*made, stream.flush()])


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(1, 60), sizes=st.lists(st.integers(0, 70), min_size=1, max_size=6))
def test_stream_of_any_pieces_equals_one_call(
    vocoder: Vocoder, frames: int, sizes: list[int]
) -> None:
    mel = torch.randn(SPEC.n_mels, 60, generator=torch.Generator().manual_seed(2)) - 5.0
    sizes = [*sizes, 1]  # so that it comes to an end
    whole = vocoder(mel[:, :frames])
    assert error(run(vocoder.stream(), mel[:, :frames], sizes), whole) < EXACT


def test_audio_is_returned_as_soon_as_it_is_final(vocoder: Vocoder, mel: Tensor) -> None:
    """Which samples are final is found by changing all later frames."""
    stream, plan, hop = vocoder.stream(), vocoder.plan(), SPEC.hop_length
    whole = vocoder(mel)
    for frame in range(40):
        made = stream.samples
        stream.push(mel[:, frame : frame + 1])
        changed = mel.clone()
        changed[:, frame + 1 :] += 1.0
        same = vocoder(changed) == whole
        first = int((~same).nonzero()[0])
        assert stream.samples <= first  # returned audio does not depend on later frames
        assert stream.samples in (made, made + hop) or frame <= plan.lookahead
    assert stream.frames == 40
    assert 40 * hop - stream.samples == plan.latency
    assert first - stream.samples < hop  # and no hop is held back


def test_lookahead_and_receptive_field_are_those_of_the_network(
    vocoder: Vocoder, mel: Tensor
) -> None:
    plan, hop, frame = vocoder.plan(), SPEC.hop_length, 30
    changed = mel.clone()
    changed[:, frame] += 1.0
    differing = (vocoder(changed) != vocoder(mel)).nonzero()
    assert frame - int(differing[0]) // hop == plan.lookahead
    assert plan.receptive_field == plan.lookahead + 1 + int(differing[-1]) // hop - frame


def test_causal_stream_returns_audio_for_the_first_frame(
    causal_vocoder: Vocoder, mel: Tensor
) -> None:
    plan, stream = causal_vocoder.plan(), causal_vocoder.stream()
    assert plan.lookahead == plan.latency == 0
    for frame in range(5):
        assert len(stream.push(mel[:, frame : frame + 1])) == SPEC.hop_length
    assert len(stream.flush()) == 0


def test_states_do_not_grow(vocoder: Vocoder, mel: Tensor) -> None:
    stream = vocoder.stream()
    shapes = []
    for _ in range(12):
        stream.push(mel[:, :7])
        shapes.append(stream._batch.shapes)
    assert shapes[-1] == shapes[-2] == shapes[5]


def test_streams_in_a_batch_are_independent(vocoder: Vocoder, mel: Tensor) -> None:
    """They begin, end and restart at different times; each gets its own signal."""
    streams = [vocoder.stream() for _ in range(4)]
    mels = [mel + number for number in range(4)]
    made: list[list[Tensor]] = [[] for _ in streams]
    at = [0] * 4
    for turn in range(30):
        if turn == 9:
            streams[2].reset()
            made[2], at[2] = [], 0
        now = [n for n in range(4) if turn >= 3 * n and at[n] < 60 and (turn + n) % 5]
        sizes = [4 if turn % 7 else n + 1 for n in now]
        pieces = [mels[n][:, at[n] : at[n] + size] for n, size in zip(now, sizes, strict=True)]
        audio = push_all([streams[n] for n in now], pieces)
        for n, piece, part in zip(now, pieces, audio, strict=True):
            made[n].append(part)
            at[n] += piece.shape[1]
    for n, stream in enumerate(streams):
        made[n] += [stream.push(mels[n][:, at[n] :]), stream.flush()]
        assert error(torch.cat(made[n]), vocoder(mels[n])) < EXACT


def test_threads_share_a_model(vocoder: Vocoder, mel: Tensor) -> None:
    mels = [mel - number for number in range(6)]
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda m: run(vocoder.stream(), m, [1, 5, 2]), mels))
    for audio, own in zip(made, mels, strict=True):
        assert error(audio, vocoder(own)) < EXACT


def test_asyncio(vocoder: Vocoder, mel: Tensor) -> None:
    async def pieces() -> AsyncIterator[Tensor]:
        for begin in range(0, 60, 13):
            await asyncio.sleep(0)
            yield mel[:, begin : begin + 13]

    async def generated(mels: object) -> Tensor:
        return torch.cat([audio async for audio in vocoder.astream(mels)])  # type: ignore[arg-type]

    assert error(asyncio.run(generated(pieces())), vocoder(mel)) < EXACT
    assert error(asyncio.run(generated([mel[:, :50], mel[:, 50:]])), vocoder(mel)) < EXACT


def test_reset_and_the_end_of_a_block_start_a_new_signal(vocoder: Vocoder, mel: Tensor) -> None:
    with vocoder.stream() as stream:
        stream.push(mel[:, :20] + 3.0)
        stream.reset()
        assert error(run(stream, mel, [9]), vocoder(mel)) < EXACT
        with pytest.raises(ConfigError, match="flushed.*reset"):
            stream.push(mel)
        with pytest.raises(ConfigError, match="flushed.*reset"):
            stream.flush()
    assert (stream.frames, stream.samples) == (0, 0)
    assert len(stream.flush()) == 0


def test_bad_frames_do_not_change_the_stream(vocoder: Vocoder, mel: Tensor) -> None:
    stream = vocoder.stream()
    made = [stream.push(mel[:, :30])]
    broken = mel[:, 30:].clone()
    broken[3, 4] = float("nan")
    for bad in (broken, mel.T, mel[None], mel[:19], mel.int()):
        with pytest.raises(MelMismatchError):
            stream.push(bad)
    with pytest.raises(ConfigError, match="takes no f0"):
        stream.push(mel, f0=torch.ones(60))
    made += [stream.push(mel[:, :0]), stream.push(mel[:, 30:]), stream.flush()]
    assert error(torch.cat(made), vocoder(mel)) < EXACT


def test_push_all_checks_all_pieces_first(vocoder: Vocoder, causal_vocoder: Vocoder) -> None:
    a, b, other = vocoder.stream(), vocoder.stream(), causal_vocoder.stream()
    good, bad = torch.zeros(20, 3), torch.zeros(7, 3)
    with pytest.raises(MelMismatchError):
        push_all([a, b], [good, bad])
    with pytest.raises(ConfigError, match="different models"):
        push_all([a, other], [good, good])
    for streams, mels in (([a, a], [good, good]), ([a, b], [good])):
        with pytest.raises(ConfigError, match="each stream once"):
            push_all(streams, mels)
    assert a.frames == b.frames == 0
    assert push_all([], []) == []


def test_buffer_of_the_caller_may_be_reused(vocoder: Vocoder, mel: Tensor) -> None:
    stream, buffer, made = vocoder.stream(), torch.empty(20, 5), []
    for begin in range(0, 60, 5):
        buffer.copy_(mel[:, begin : begin + 5])
        made.append(stream.push(buffer))
        buffer.fill_(float("nan"))
    assert error(torch.cat([*made, stream.flush()]), vocoder(mel)) < EXACT


def test_numpy_mels_with_another_spec(vocoder: Vocoder, mel: Tensor) -> None:
    stream = vocoder.stream(spec=dataclasses.replace(SPEC, log="log10"))
    piece = (mel / np.log(10.0)).numpy()
    first, rest = stream.push(piece), stream.flush()
    assert isinstance(first, np.ndarray) and isinstance(rest, np.ndarray)
    whole = np.concatenate([first, rest])
    assert error(torch.from_numpy(whole), vocoder(mel)) < EXACT
    whole += 1.0  # results may be written to
    with pytest.raises(MelMismatchError, match="n_mels"):
        vocoder.stream(spec=dataclasses.replace(SPEC, n_mels=21))


def test_f0_is_pushed_with_the_mel(pitched_vocoder: Vocoder, mel: Tensor) -> None:
    f0 = 100.0 + 50.0 * torch.rand(60)
    f0[20:30] = 0.0
    stream, made = pitched_vocoder.stream(f0=True), []
    for begin in range(0, 60, 8):
        piece = slice(begin, begin + 8)
        made.append(stream.push(mel[:, piece], f0=f0[piece]))
    whole = pitched_vocoder(mel, f0=f0)
    assert error(torch.cat([*made, stream.flush()]), whole) < EXACT
    assert error(run(pitched_vocoder.stream(), mel, [3]), pitched_vocoder(mel)) < EXACT
    stream.reset()
    with pytest.raises(ConfigError, match="needs f0"):
        stream.push(mel)
    with pytest.raises(ConfigError, match=r"f0 has the shape \[7\]"):
        stream.push(mel, f0=f0[:7])


def test_module_that_cannot_stream_is_named() -> None:
    wide = dataclasses.replace(SPEC, n_mels=32)
    generator = HiFTNet(
        mel=wide,
        pitch=JDC(32, channels=4),
        channels=8,
        upsample_rates=[4, 2],
        upsample_kernel_sizes=[8, 4],
        resblock_kernel_sizes=[3],
        resblock_dilations=[[1]],
    )
    vocoder = Vocoder(generator, ModelConfig(name="hift", mel=wide, generator={}))
    with pytest.raises(ConfigError, match=r"hift: pitch\.bilstm_classifier \(LSTM.*f0=True"):
        vocoder.stream()
    mel, f0 = torch.randn(32, 40) - 5.0, 100.0 + torch.rand(40)
    stream = vocoder.stream(f0=True)
    made = [stream.push(mel[:, :11], f0=f0[:11]), stream.push(mel[:, 11:], f0=f0[11:])]
    assert error(torch.cat([*made, stream.flush()]), vocoder(mel, f0=f0)) < EXACT
