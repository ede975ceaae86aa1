"""`vocoder bench stream`: latency agrees with the plan, underruns with simulated timing."""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

import vocoder
from vocoder.bench import stream as bench, stream_table
from vocoder.bench.pace import Arrival, head_start, pace, under_runs
from vocoder.errors import ConfigError
from vocoder.inference.streams.synthesis import Stream
from vocoder.inference.vocoder import Vocoder

Command = Callable[..., Any]
SHORT = ("--seconds", "0.2", "--repeats", "1", "--chunks", "4,2")
SMALL = bench.StreamBenchSettings(chunks=(4, 1), seconds=0.2, repeats=2, long=0.02, pace=0.003)
RATE = 22050


@pytest.fixture
def tiny(tiny_model: Path) -> Vocoder:
    return vocoder.load(tiny_model)


class FakeTime:
    """A clock that only sleeping and pushing advance."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0.0
        self.now += seconds


@pytest.fixture
def pushes_take(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], float]], FakeTime]:
    """Make push number n take `took(n)` seconds of a fake clock."""

    def slowed(took: Callable[[int], float]) -> FakeTime:
        fake, push, numbers = FakeTime(), Stream.push, iter(range(10**6))

        def slow(self: Stream, mel: Tensor) -> Tensor:
            fake.now += took(next(numbers))
            return push(self, mel)

        monkeypatch.setattr(Stream, "push", slow)
        return fake

    return slowed


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in leaves(part)]
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in leaves(part)]
    return [value]


def test_everything_is_measured_and_finite(tiny: Vocoder) -> None:
    result = bench.measure(tiny, SMALL)
    numbers = [leaf for leaf in leaves(asdict(result)) if not isinstance(leaf, str)]
    assert all(math.isfinite(number) and number >= 0 for number in numbers)
    assert (result.model, result.parameters) == ("tiny", tiny.num_parameters)
    assert [cost.chunk for cost in result.overhead] == [4, 1]
    for cost in result.overhead:
        assert 0 < cost.lowest <= cost.ratio <= cost.highest
        assert min(cost.stream, cost.one_shot) > 0
    assert result.flat and min(result.flat.push_early, result.flat.push_late) > 0
    assert result.pace and result.pace.push_p99 <= result.pace.push_worst


def test_long_and_paced_streams_are_optional(tiny: Vocoder) -> None:
    result = bench.measure(tiny, bench.StreamBenchSettings(chunks=(8,), seconds=0.1, repeats=1))
    assert (result.flat, result.pace) == (None, None)


def test_latency_is_that_of_the_plan_and_of_a_stream(tiny: Vocoder) -> None:
    plan = tiny.plan()
    mel = bench.noise_mel(tiny, 0.5)
    found = bench.latency(tiny, mel, repeats=1)
    assert (found.lookahead, found.samples) == (plan.lookahead, plan.latency)
    assert found.lookahead_seconds == pytest.approx(plan.lookahead * 256 / RATE)
    assert found.seconds == pytest.approx(plan.latency / RATE)
    stream = tiny.stream()
    assert len(stream.push(mel[:, : found.first_frame - 1])) == 0
    assert len(stream.push(mel[:, found.first_frame - 1 : found.first_frame])) > 0


@pytest.mark.parametrize("chunk", [1, 4, 9])
def test_fast_stream_at_pace_has_no_under_run(
    tiny: Vocoder, pushes_take: Callable[..., FakeTime], chunk: int
) -> None:
    fake, period = pushes_take(lambda number: 0.001), chunk * 256 / RATE
    mel = bench.noise_mel(tiny, 0.3)
    first = bench.latency(tiny, mel, repeats=1).first_frame
    found = pace(tiny, mel, chunk=chunk, minutes=0.01, clock=fake.clock, sleep=fake.sleep)
    assert found.under_runs == 0
    assert found.push_worst == pytest.approx(0.001)
    assert found.first_audio == pytest.approx((math.ceil(first / chunk) - 1) * period + 0.001)
    assert fake.now - 100.0 == pytest.approx(0.6, abs=period)


def test_slow_stream_at_pace_has_many_under_runs(
    tiny: Vocoder, pushes_take: Callable[..., FakeTime]
) -> None:
    period = 4 * 256 / RATE
    fake = pushes_take(lambda number: 2 * period)
    mel = bench.noise_mel(tiny, 0.3)
    found = pace(tiny, mel, chunk=4, minutes=0.02, clock=fake.clock, sleep=fake.sleep)
    assert found.under_runs > 10
    assert found.head_start > 10 * period
    assert found.push_p99 == pytest.approx(2 * period)
    assert found.push_worst == pytest.approx(2 * period)


def test_one_slow_push_is_one_under_run(
    tiny: Vocoder, pushes_take: Callable[..., FakeTime]
) -> None:
    fake = pushes_take(lambda number: 0.5 if number == 9 else 0.0)
    mel = bench.noise_mel(tiny, 0.3)
    found = pace(tiny, mel, chunk=4, minutes=0.03, clock=fake.clock, sleep=fake.sleep)
    assert found.under_runs == 1
    assert found.push_worst == pytest.approx(0.5)
    assert found.head_start == pytest.approx(0.5, abs=4 * 256 / RATE)


arrivals = st.lists(
    st.tuples(st.floats(0.0, 0.2), st.integers(1, 4096)), min_size=1, max_size=20
).map(
    lambda steps: [
        Arrival(10.0 + sum(gap for gap, _ in steps[: number + 1]), samples)
        for number, (_, samples) in enumerate(steps)
    ]
)


@settings(deadline=None)
@given(arrivals)
def test_head_start_is_the_smallest_without_under_runs(arrivals: list[Arrival]) -> None:
    least = head_start(arrivals, RATE)
    assert under_runs(arrivals, RATE, wait=least) == 0
    if least > 3 / RATE:
        assert under_runs(arrivals, RATE, wait=least - 2 / RATE) > 0


def test_pace_too_short_for_the_look_ahead_is_an_error(tiny: Vocoder) -> None:
    mel = bench.noise_mel(tiny, 0.3)
    with pytest.raises(ConfigError, match=r"tiny: 0\.0001 minutes at pace give no audio"):
        pace(tiny, mel, chunk=1, minutes=0.0001)


def test_long_stream_repeats_its_mel(tiny: Vocoder, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[Tensor] = []

    def push(self: Stream, mel: Tensor) -> Tensor:
        got.append(mel)
        return torch.empty(0)

    monkeypatch.setattr(Stream, "push", push)
    mel = bench.noise_mel(tiny, 0.1)
    bench.flat(tiny, mel, chunk=7, minutes=0.03)
    streamed = torch.cat(got, dim=-1)
    assert streamed.shape[-1] == pytest.approx(0.03 * 60 * RATE / 256, abs=4)
    assert torch.equal(streamed, mel.repeat(1, 99)[:, : streamed.shape[-1]])


def test_command_prints_a_table(vocoder_command: Command, tiny_model: Path) -> None:
    more = ("--long", "0.01", "--pace", "0.003")
    result = vocoder_command("bench", "stream", "--model", tiny_model, *SHORT, *more)
    assert (result.code, result.err) == (0, "")
    printed = " ".join(result.out.split())
    lookahead = vocoder.load(tiny_model).plan().lookahead
    threads = torch.get_num_threads()
    for words in ("tiny", f"torch {torch.__version__}", f"{threads} thread", "pieces of 4"):
        assert words in printed
    for words in (f"look-ahead {lookahead} frames", "0.01 min, pieces of 4", "under-runs"):
        assert words in printed


def test_command_prints_json(vocoder_command: Command, tiny_model: Path) -> None:
    result = vocoder_command("bench", "stream", "--model", tiny_model, *SHORT, "--json")
    facts = json.loads(result.out)
    machine, plan = facts["machine"], vocoder.load(tiny_model).plan()
    assert machine == asdict(bench.machine(torch.device("cpu")))
    assert machine["threads"] == torch.get_num_threads()
    assert facts["settings"]["chunks"] == [4, 2]
    (measured,) = facts["results"]
    assert measured["latency"]["lookahead"] == plan.lookahead
    assert measured["latency"]["samples"] == plan.latency
    assert [cost["chunk"] for cost in measured["overhead"]] == [4, 2]


def test_command_prints_markdown_with_its_machine(
    vocoder_command: Command, tiny_model: Path
) -> None:
    common = ("--model", tiny_model, "--system", "demo", *SHORT)
    result = vocoder_command("bench", "stream", *common, "--markdown")
    heading, rule, *rows, _, caption = result.out.rstrip().splitlines()
    assert [row.split("|")[1].strip() for row in rows] == ["tiny", "demo"]
    assert len({row.count("|") for row in (heading, rule, *rows)}) == 1
    machine = bench.machine(torch.device("cpu"))
    measured = bench.StreamBenchSettings(chunks=(4, 2), seconds=0.2, repeats=1)
    assert caption == stream_table.conditions(machine, measured)
    assert machine.device in caption and torch.__version__ in caption


@pytest.mark.parametrize("command", [("bench",), ("bench", "stream"), ("bench", "extend")])
def test_help_has_examples(vocoder_command: Command, command: tuple[str, ...]) -> None:
    result = vocoder_command(*command, "--help")
    assert result.code == 0
    examples = result.out.split("Examples:\n")[1].strip().splitlines()
    assert all(line.strip().startswith(f"vocoder {' '.join(command)}") for line in examples)
    assert max(map(len, result.out.splitlines())) <= 82


def test_one_bad_name_leaves_the_others(vocoder_command: Command, tiny_model: Path) -> None:
    common = ("--model", "nowhere", "--model", tiny_model, "--system", "nothing")
    result = vocoder_command("bench", "stream", *common, *SHORT, "--json")
    assert result.code == 2
    assert [model["model"] for model in json.loads(result.out)["results"]] == ["tiny"]
    lines = result.err.splitlines()
    assert lines[0].startswith("error: nowhere: no such model directory")
    assert lines[1:] == ["error: there is no system 'nothing'; `vocoder systems` lists them"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--chunks", "32,0"), r"chunks [32, 0]: give numbers of frames, from 1 on"),
        (("--chunks", "few"), "--chunks few: write numbers of frames, such as 32,4,1"),
        (("--repeats", "0"), "a measurement needs one repeat"),
        (("--pace", "-1"), "no negative minutes"),
        (("--device", "toaster"), "device 'toaster' cannot be used here"),
        (("--threads", "0"), "--threads"),
    ],
)
def test_bad_options_are_exit_code_2(
    vocoder_command: Command, arguments: tuple[str, ...], words: str
) -> None:
    result = vocoder_command("bench", "stream", *arguments)
    assert (result.code, result.out) == (2, "")
    assert words in result.err


def test_systems_without_the_extra_are_an_error_that_names_it(
    vocoder_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hydra", None)
    monkeypatch.delitem(sys.modules, "vocoder.training.run", raising=False)
    result = vocoder_command("bench", "stream", "--system", "demo", "--json")
    assert result.code == 2
    assert result.err == "error: --system needs hydra: pip install 'vocoder[train]'\n"
