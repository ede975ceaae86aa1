"""`vocoder bench extend` measures the plain call, the planned network and the whole stream."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vocoder.bench import extend as bench, extend_table
from vocoder.bench.stream import in_turn, machine
from vocoder.checkpoint import ModelConfig, save_model
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec
from vocoder.generators.bandwidth_extension.band_filler import BandFiller
from vocoder.generators.base import BandwidthExtender
from vocoder.inference.extender import Extender
from vocoder.inference.streams.extension import ExtensionStream, Planned

Command = Callable[..., Any]
SIZES: dict[str, Any] = {"channels": 8, "hidden": 8, "blocks": 1, "cutoff_range": [3400.0, 12000.0]}
CONFIG = ModelConfig(
    name="small",
    mel=MelSpec.preset("hifigan_48k_128"),
    generator={
        "_target_": "vocoder.generators.bandwidth_extension.band_filler.BandFiller",
        **SIZES,
    },
)
SHORT = ("--seconds", "0.3", "--repeats", "1", "--pieces", "50,100")
SMALL = bench.ExtendBenchSettings(pieces=(50.0, 100.0), seconds=0.3, repeats=2)


class Centred(BandwidthExtender):
    """A network whose output depends on the whole signal."""

    def forward(self, narrowband: Tensor) -> Tensor:
        return narrowband - narrowband.mean(dim=-1, keepdim=True)


@pytest.fixture
def extender() -> Extender:
    torch.manual_seed(0)
    return Extender(BandFiller(**SIZES), CONFIG)


@pytest.fixture
def whole() -> Extender:
    return Extender(Centred(hop_length=100, cutoff_range=[100.0, 4000.0]), CONFIG)


@pytest.fixture
def model(tmp_path: Path, extender: Extender) -> Path:
    save_model(tmp_path / "small", BandFiller(**SIZES), CONFIG)
    return tmp_path / "small"


def test_everything_is_measured(extender: Extender) -> None:
    result, plan = bench.measure(extender, SMALL), extender.plan()
    assert (result.model, result.parameters) == ("small", extender.num_parameters)
    assert (result.lookahead, result.latency) == (plan.lookahead, plan.latency)
    assert result.refused is None
    assert result.live is not None
    assert [cost.milliseconds for cost in result.planned] == [50.0, 100.0]
    for cost in (*result.planned, result.live):
        assert all(math.isfinite(number) and number > 0 for number in asdict(cost).values())
        assert cost.lowest <= cost.ratio <= cost.highest
        assert cost.push_median <= cost.push_p99


def test_pieces_are_whole_hops_and_live_ones_have_the_input_rate(extender: Extender) -> None:
    result, hop = bench.measure(extender, SMALL), extender.generator.hop_length
    for cost in result.planned:
        least = cost.milliseconds * 48
        assert cost.samples % hop == 0
        assert least <= cost.samples < least + hop
    assert result.live is not None
    assert (result.live.sample_rate, result.live.samples) == (8000, 400)


@pytest.mark.parametrize(("rate", "cutoff"), [(None, 3400.0), (16000, 3400.0), (6000, 3000.0)])
def test_a_live_stream_has_the_rate_of_the_settings(
    extender: Extender, monkeypatch: pytest.MonkeyPatch, rate: int | None, cutoff: float
) -> None:
    stream, asked = extender.stream, []

    def spy(**options: Any) -> ExtensionStream:
        asked.append(options)
        return stream(**options)

    monkeypatch.setattr(extender, "stream", spy)
    found = bench.measure(
        extender, bench.ExtendBenchSettings(pieces=(50.0,), seconds=0.1, sample_rate=rate)
    )
    assert asked == [{"sample_rate": rate or 8000, "cutoff": cutoff}]
    assert found.live is not None
    assert found.live.sample_rate == (rate or 8000)


def test_call_and_plan_process_the_same_audio(
    extender: Extender, monkeypatch: pytest.MonkeyPatch
) -> None:
    extender.plan()  # making it calls the network, too
    calls: list[Tensor] = []
    pushed: list[Tensor] = []
    step = Planned.step

    def spy(self: Planned, *chunks: Tensor | None, last: bool = False) -> Tensor | None:
        if self.plan is extender.plan() and chunks[0] is not None:
            pushed.append(chunks[0])
        return step(self, *chunks, last=last)

    monkeypatch.setattr(Planned, "step", spy)
    monkeypatch.setattr(
        extender.generator, "forward", lambda audio: calls.append(audio) or torch.zeros_like(audio)
    )
    bench.measure(extender, bench.ExtendBenchSettings(pieces=(20.0,), seconds=0.1, repeats=1))
    assert len(calls) == 2 * 3  # alone, beside the plan, beside the whole stream
    assert all(torch.equal(audio, calls[0]) for audio in calls)
    streamed = torch.cat(pushed, dim=-1)
    samples = calls[0].shape[-1]
    assert samples == pytest.approx(4800, abs=extender.generator.hop_length)
    assert torch.equal(streamed[..., : 2 * samples], torch.cat([calls[0]] * 2, dim=-1))


def test_both_are_timed_alternately() -> None:
    order: list[str] = []
    pairs = in_turn(lambda: order.append("one"), lambda: order.append("other"), repeats=3)
    assert order == ["one", "other"] * 4
    assert len(pairs) == 3


def test_a_ratio_above_one_is_a_faster_stream(
    extender: Extender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(one: object, other: Callable[[], None], *, repeats: int) -> Any:
        for _ in range(repeats + 1):
            other()
        return [(2.0, 1.0), (8.0, 2.0), (9.0, 3.0)]

    monkeypatch.setattr(bench, "in_turn", measured)
    monkeypatch.setattr(bench, "timed", lambda call: (call(), 0.01)[1])
    cost = bench.measure(
        extender, bench.ExtendBenchSettings(pieces=(100.0,), seconds=0.3, repeats=3)
    ).live
    assert cost is not None
    assert (cost.lowest, cost.ratio, cost.highest) == (2.0, 3.0, 4.0)
    assert cost.compute == pytest.approx(2.0 / 0.3)
    assert cost.push_median == pytest.approx(0.1)


def test_a_network_that_cannot_stream_is_only_called(whole: Extender) -> None:
    result = bench.measure(whole, SMALL)
    assert result.plain > 0
    assert (result.latency, result.planned, result.live) == (None, [], None)
    assert result.refused is not None
    assert "cannot stream" in result.refused


def test_facts_have_the_same_headings(extender: Extender, whole: Extender) -> None:
    rows = [extend_table.facts(bench.measure(one, SMALL), SMALL) for one in (extender, whole)]
    assert list(rows[0]) == list(rows[1])
    assert rows[1]["streams"] == "in windows"
    assert [rows[1][f"plan, {size} ms"] for size in (50, 100)] == ["–", "–"]
    assert rows[0]["streams"] == "exactly"
    assert rows[0]["latency"].startswith(f"{extender.plan().latency} samples")


def test_command_prints_a_table(vocoder_command: Command, model: Path) -> None:
    result = vocoder_command("bench", "extend", "--model", model, *SHORT)
    assert (result.code, result.err) == (0, "")
    printed = " ".join(result.out.split())
    for words in ("small", f"torch {torch.__version__}", "× real time", "plan, 50 ms", "8000 Hz"):
        assert words in printed


def test_command_prints_json(vocoder_command: Command, model: Path) -> None:
    result = vocoder_command("bench", "extend", "--model", model, *SHORT, "--json")
    facts = json.loads(result.out)
    assert facts["machine"] == asdict(machine(torch.device("cpu")))
    assert facts["settings"]["pieces"] == [50.0, 100.0]
    (measured,) = facts["results"]
    assert [cost["milliseconds"] for cost in measured["planned"]] == [50.0, 100.0]
    assert measured["live"]["sample_rate"] == 8000


def test_command_prints_markdown_and_measures_systems(
    vocoder_command: Command, model: Path
) -> None:
    common = ("--model", model, "--system", "eben", "--system", "demo", "--system", "nothing")
    result = vocoder_command("bench", "extend", *common, *SHORT, "--markdown")
    assert result.code == 2
    assert result.err.splitlines() == [
        "error: demo: a vocoder; `vocoder bench stream` measures it",
        "error: there is no system 'nothing'; `vocoder systems` lists them",
    ]
    heading, rule, *rows, _, caption = result.out.rstrip().splitlines()
    assert [row.split("|")[1].strip() for row in rows] == ["small", "eben"]
    assert len({row.count("|") for row in (heading, rule, *rows)}) == 1
    short = bench.ExtendBenchSettings(pieces=(50.0, 100.0), seconds=0.3, repeats=1)
    assert caption == extend_table.conditions(machine(torch.device("cpu")), short)


def test_each_command_names_the_other(vocoder_command: Command, tiny_model: Path) -> None:
    extended = vocoder_command("bench", "extend", "--model", tiny_model, *SHORT)
    assert (extended.code, "not a bandwidth extender" in extended.err) == (2, True)
    streamed = vocoder_command("bench", "stream", "--system", "eben")
    assert streamed.code == 2
    assert streamed.err == "error: eben: a bandwidth extender; `vocoder bench extend` measures it\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--pieces", "20,0"), "pieces [20.0, 0.0]: give milliseconds, above 0"),
        (("--pieces", "few"), "--pieces few: write milliseconds, such as 20,100,2000"),
        (("--pieces", "nan"), "pieces [nan]: give milliseconds, above 0"),
        (("--repeats", "0"), "a measurement needs one repeat"),
        (("--seconds", "1"), "noise as long as its pieces"),
        (("--from", "0"), "--from"),
        (("--device", "toaster"), "device 'toaster' cannot be used here"),
    ],
)
def test_bad_options_are_exit_code_2(
    vocoder_command: Command, arguments: tuple[str, ...], words: str
) -> None:
    result = vocoder_command("bench", "extend", *arguments)
    assert (result.code, result.out) == (2, "")
    assert words in result.err


def test_pieces_as_long_as_the_noise_can_be_measured(extender: Extender) -> None:
    settings = bench.ExtendBenchSettings(pieces=(33.3,), seconds=0.0333, repeats=1)
    assert bench.measure(extender, settings).planned[0].push_p99 > 0
    with pytest.raises(ConfigError):
        bench.ExtendBenchSettings(pieces=(33.4,), seconds=0.0333)
