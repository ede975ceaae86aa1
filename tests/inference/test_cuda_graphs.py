"""CUDA graphs: what is captured and how it is replayed, with a recorder in the place of CUDA's."""

import copy
import logging
import pickle
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from vocoder.generators.hifigan import HiFiGAN
from vocoder.generators.vocos import Vocos
from vocoder.inference.captured import (
    CapturedGenerator,
    CapturedPlan,
    Reach,
    bucket,
    captured_network,
    captured_plan,
)
from vocoder.inference.cuda_graphs import Graphs, Run
from vocoder.inference.network import Eager
from vocoder.inference.streams.synthesis import Stream
from vocoder.inference.vocoder import Vocoder
from vocoder.streaming.plan import Plan

from ..conftest import SMALL, small_vocoder

MELS = 20


class Capturing(TorchDispatchMode):
    """Refuses to read values, as CUDA does while a stream is captured."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        return func(*args, **(kwargs or {}))


class Recorder:
    """Replays a run by running it again and filling the tensors of the first time, as CUDA does."""

    def __init__(self) -> None:
        self.captures = self.replays = 0

    def __call__(self, run: Run) -> tuple[Callable[[], None], list[Tensor]]:
        with Capturing():
            made = run()
        self.captures += 1

        def replay() -> None:
            self.replays += 1
            for place, value in zip(made, run(), strict=True):
                place.copy_(value.clone())

        return replay, made

    def in_order(self) -> Any:
        return nullcontext()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


hifigan = partial(HiFiGAN, n_mels=MELS, hop_length=32, **SMALL)
vocos = partial(
    Vocos, n_mels=MELS, channels=16, hidden=24, blocks=2, n_fft=32, hop_length=8, padding="center"
)
GENERATORS: dict[str, Callable[[], Any]] = {"hifigan": hifigan, "vocos-center": vocos}


def ready(name: str) -> Any:
    torch.manual_seed(0)
    return GENERATORS[name]().eval().freeze()


def plan_of(generator: nn.Module) -> Plan:
    short, long = torch.randn(2, MELS, 4), torch.randn(1, MELS, 7)
    return Plan(generator, {"mel": short}, {"mel": long})


def captured(generator: Any, recorder: Recorder) -> CapturedGenerator:
    plan = plan_of(generator)
    assert plan.receptive_field
    reach = Reach(plan.receptive_field - 1, plan.lookahead)
    return CapturedGenerator(generator, recorder, lambda names: reach)


def difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return float((a - b).abs().max() / b.abs().max())


def test_buckets_waste_at_most_a_fifth() -> None:
    sizes = sorted({bucket(frames) for frames in range(1, 3000)})
    assert sizes[:6] == [32, 38, 45, 54, 64, 76]
    assert all(bucket(size) == size and bucket(size - 1) == size for size in sizes)
    assert all(1 - frames / bucket(frames) < 0.2 for frames in range(32, 3000))


@pytest.mark.parametrize("name", GENERATORS)
def test_every_length_of_a_bucket_equals_one_call(name: str, recorder: Recorder) -> None:
    generator = ready(name)
    network = captured(generator, recorder)
    network(mel=torch.zeros(2, MELS, 250))  # seen once: computed as written
    assert recorder.captures == 0
    for frames in (250, 216, 217, 255, 256):
        mel = torch.randn(2, MELS, frames)
        with torch.inference_mode():
            wanted = generator(mel)
        made = network(mel=mel)
        assert difference(made, wanted) < 1e-5, frames
        # The end is where padding would be heard.
        assert difference(made[..., -200:], wanted[..., -200:]) < 1e-5
    # One graph of the bucket, one of the last frames; a full bucket has no padding.
    assert (recorder.captures, recorder.replays) == (2, 9)


def test_results_are_not_overwritten_by_the_next_call(recorder: Recorder) -> None:
    network = captured(ready("hifigan"), recorder)
    mels = torch.randn(4, 1, MELS, 120)
    made = [network(mel=mel) for mel in mels]
    assert recorder.captures == 2
    again = [network(mel=mel) for mel in mels]
    assert all(map(torch.equal, made[1:], again[1:]))


def test_short_mels_are_captured_by_their_length(recorder: Recorder) -> None:
    generator = ready("hifigan")
    network = captured(generator, recorder)
    for frames in (3, 4, 3, 3, 3):
        mel = torch.randn(1, MELS, frames)
        with torch.inference_mode():
            wanted = generator(mel)
        assert difference(network(mel=mel), wanted) < 1e-6
    assert recorder.captures == 1  # of three frames; four were seen once
    assert len(network.graphs) == 1


def test_where_audio_depends_on_all_frames_lengths_are_exact(recorder: Recorder) -> None:
    generator = ready("hifigan")
    network = CapturedGenerator(generator, recorder, lambda names: None)
    mel = torch.randn(1, MELS, 100)
    made = [network(mel=mel) for _ in range(4)]
    assert (recorder.captures, recorder.replays) == (1, 2)
    assert all(torch.equal(audio, made[0]) for audio in made)


def test_long_mels_are_computed_as_written(recorder: Recorder) -> None:
    network = captured(ready("hifigan"), recorder)
    for _ in range(3):
        network(mel=torch.randn(8, MELS, 260))
    assert recorder.captures == 0


def test_what_cannot_be_captured_is_computed_and_logged_once(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    graphs = Graphs(recorder)
    with caplog.at_level(logging.WARNING):
        made = [graphs.run("sum", lambda x: x * x.sum().item(), [torch.ones(2)]) for _ in range(3)]
    assert all(torch.equal(y, torch.full((2,), 2.0)) for y in made)
    assert [record.getMessage() for record in caplog.records] == [
        "not as a CUDA graph, but kernel by kernel: operation not permitted when stream is "
        "capturing"
    ]


def test_an_error_of_the_caller_is_that_of_the_generator(recorder: Recorder) -> None:
    network = captured(ready("hifigan"), recorder)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="channels"):
            network(mel=torch.randn(1, MELS + 1, 120))


def test_the_least_recently_used_graph_is_dropped(recorder: Recorder) -> None:
    graphs = Graphs(recorder, size=2)
    for key in (1, 2, 1, 3, 1, 2):
        made = graphs.run(key, lambda x, key=key: x * key, [torch.ones(2)])
        assert torch.equal(made, torch.full((2,), float(key)))
    assert (len(graphs), recorder.captures) == (2, 4)  # 2 was dropped for 3, then made again


def test_a_graph_holds_what_it_reads(recorder: Recorder) -> None:
    """A graph has addresses only: a cache may drop what lies there."""
    table = [torch.arange(3.0)]
    graphs = Graphs(recorder)
    graphs.run("sum", lambda x: x + table[0], [torch.ones(3)])
    graph = graphs._graphs["sum"]
    assert graph is not None
    assert any(held is table[0] for held in graph._held)
    assert len(graph._held) == 2  # that and its own input, not what it makes


@pytest.mark.parametrize("name", GENERATORS)
def test_steps_of_a_stream_are_bit_identical(name: str, recorder: Recorder) -> None:
    plan = plan_of(ready(name))
    graphs = CapturedPlan(plan, recorder)
    assert (graphs.lookahead, graphs.inputs) == (plan.lookahead, plan.inputs)
    states = {"eager": plan.begin(), "first": graphs.begin(), "second": graphs.begin()}
    with torch.inference_mode():
        for step in range(30):
            mel = torch.randn(1, MELS, 4)
            last = step == 29
            wanted, states["eager"] = plan.step(states["eager"], [mel], last=last)
            for key in ("first", "second"):  # two streams share the graphs, not the states
                made, states[key] = graphs.step(states[key], [mel], last=last)
                assert (made is None) == (wanted is None)
                assert made is None or torch.equal(made, wanted)
    # Each step was seen at least twice, and every steady one replayed.
    assert recorder.replays > 30
    assert recorder.captures == len(graphs.graphs) < 20


def test_states_that_a_caller_keeps_are_not_changed(recorder: Recorder) -> None:
    graphs = CapturedPlan(plan_of(ready("hifigan")), recorder)
    states = graphs.begin()
    for _ in range(12):
        _, states = graphs.step(states, [torch.randn(1, MELS, 4)])
    kept, mel = copy.deepcopy(states), torch.randn(1, MELS, 4)
    first, _ = graphs.step(states, [mel])
    graphs.step(states, [torch.randn(1, MELS, 4)])
    again, _ = graphs.step(kept, [mel])
    assert first is not None and again is not None and torch.equal(first, again)


def test_only_a_gpu_is_given_graphs(recorder: Recorder) -> None:
    generator = ready("hifigan")
    plan = plan_of(generator)
    cpu = torch.device("cpu")
    assert isinstance(captured_network(generator, cpu, lambda f0: plan), Eager)
    assert captured_plan(plan, cpu) is plan
    assert "CUDA graphs" in captured(generator, recorder).path


def test_copies_leave_the_graphs_behind(recorder: Recorder) -> None:
    network = captured(ready("hifigan"), recorder)
    mel = torch.randn(1, MELS, 50)
    made = [network(mel=mel) for _ in range(3)][-1]
    restored = pickle.loads(pickle.dumps(network))
    assert isinstance(restored, Eager)
    with torch.inference_mode():
        assert difference(restored(mel=mel), made) < 1e-5


def test_a_vocoder_with_graphs(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `load(..., device="cuda")` puts together, on a CPU."""
    monkeypatch.setattr("vocoder.inference.captured.CudaCapture", lambda device: recorder)
    cuda, model, mel = torch.device("cuda"), small_vocoder(), torch.randn(MELS, 120) - 5.0
    wanted = model(mel)
    model.network = captured_network(model.generator, cuda, lambda f0: model.plan(f0=f0))
    made = [model(mel) for _ in range(3)]
    assert recorder.captures == 2
    assert all(difference(audio, wanted) < 1e-5 for audio in made)
    plan = captured_plan(model.plan(), cuda)
    for _ in range(2):
        stream: Stream[Tensor] = Stream(
            plan, lambda piece: piece, device=model.device, arrays=Tensor
        )
        parts = [stream.push(piece) for piece in mel.split(4, dim=1)] + [stream.flush()]
        assert difference(torch.cat(parts), wanted) < 1e-5
    assert isinstance(plan, CapturedPlan)
    assert len(plan.graphs) > 3


def test_a_phase_needs_graphs_of_single_lengths(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, pitched_vocoder: Vocoder
) -> None:
    monkeypatch.setattr("vocoder.inference.captured.CudaCapture", lambda device: recorder)
    generator = pitched_vocoder.generator
    network = captured_network(
        generator, torch.device("cuda"), lambda f0: pitched_vocoder.plan(f0=f0)
    )
    mel, f0 = torch.randn(1, MELS, 60) - 5.0, torch.full((1, 60), 120.0)
    made = [network(mel=mel, f0=f0) for _ in range(4)]
    assert recorder.captures == 1
    assert all(difference(audio, made[0]) < 1e-6 for audio in made)
