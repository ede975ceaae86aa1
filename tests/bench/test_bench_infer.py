"""`vocoder bench infer`: pairs with the reference, work, memory, tables; with a simulated clock."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import vocoder
from vocoder.bench.infer import measure as bench, sources, table, ways
from vocoder.bench.infer.compare import compare, difference
from vocoder.bench.infer.memory import measured, peak_memory
from vocoder.bench.infer.work import matrix_bound, operations
from vocoder.bench.stream import machine
from vocoder.errors import CheckpointError, ConfigError
from vocoder.export import engines
from vocoder.inference.compiled.just_in_time import JustInTime

Command = Callable[..., Any]
FIXTURES = Path(__file__).parents[1] / "importers" / "fixtures"
SMALL = bench.InferBenchSettings(seconds=(0.2,), rounds=2, memory=False)
SHORT = ("--runtime", "torch", "--seconds", "0.2", "--rounds", "1", "--threads", "1")


@pytest.fixture(autouse=True)
def uncompiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile no network, which takes most of the time, but in the test of that."""
    if "compiled" not in request.node.name:
        monkeypatch.setattr(JustInTime, "compile", lambda self: None)


class Machine:
    """A clock that calls advance, each by its own time, and by `slower` times it from now on."""

    def __init__(self) -> None:
        self.now, self.slower, self.names = 0.0, 1.0, ""

    def clock(self) -> float:
        return self.now

    def call(self, name: str, seconds: float, result: float = 1.0) -> Callable[[], Tensor]:
        def run() -> Tensor:
            self.names += name
            self.now += self.slower * seconds
            return torch.tensor([result, 2.0])

        return run


def test_every_candidate_is_paired_with_the_reference_in_swapped_order() -> None:
    host, pauses = Machine(), []
    calls = {"b": host.call("b", 2.0), "c": host.call("c", 8.0, 1.5)}
    found = compare(host.call("a", 4.0), calls, 3, clock=host.clock, sleep=pauses.append)
    assert host.names == "abc" + "abac" + "baca" + "abac"
    assert len(pauses) == len(host.names) - 3
    assert (found["b"].ratio, found["c"].ratio) == (2.0, 0.5)
    assert (found["b"].seconds, found["b"].reference) == (2.0, 4.0)
    assert (found["b"].difference, found["c"].difference) == (0.0, 0.25)
    assert found["c"].pairs == [(4.0, 8.0)] * 3


def test_a_busy_machine_changes_times_and_not_ratios() -> None:
    host = Machine()

    def busier(seconds: float) -> None:
        if len(host.names) % 2 == 0:  # between pairs
            host.slower *= 1.7

    calls = {"b": host.call("b", 0.5)}
    found = compare(host.call("a", 2.0), calls, 5, clock=host.clock, sleep=busier)["b"]
    assert (found.lower, found.ratio, found.upper) == pytest.approx((4.0, 4.0, 4.0))
    assert found.pairs[-1][0] > 5 * found.pairs[0][0]


def test_quartiles_are_of_the_ratios() -> None:
    host = Machine()
    times = iter([1.0, 1.0, 2.0, 4.0, 5.0, 10.0])

    def candidate() -> Tensor:
        host.now += next(times)
        return torch.ones(2)

    found = compare(host.call("a", 20.0), {"b": candidate}, 5, clock=host.clock, sleep=len_of)["b"]
    assert (found.lower, found.ratio, found.upper) == (4.0, 5.0, 10.0)


def len_of(_: float) -> None:
    """Sleep no time."""


def test_results_of_two_shapes_are_no_results() -> None:
    with pytest.raises(ValueError, match=r"\[1, 3\], \[3\]"):
        difference(torch.ones(1, 3), torch.ones(3))


def test_operations_are_those_of_convolutions_and_products() -> None:
    net, x = nn.Conv1d(4, 8, 3), torch.randn(2, 4, 102)
    assert operations(lambda: net(x)) == 2 * 2 * 8 * 4 * 3 * 100
    assert operations(lambda: x @ x.mT) == 2 * 2 * 4 * 4 * 102
    with torch.inference_mode():
        depthwise = nn.ConvTranspose1d(4, 4, 2, stride=2, groups=4)
    assert operations(lambda: depthwise(x)) == 2 * 2 * 4 * 2 * 102


def test_the_bound_is_of_the_fastest_product() -> None:
    times = iter([0.0, 9.0, 9.0, 10.0, 10.0, 10.5])  # starts and ends; the first does not count
    bound = matrix_bound(torch.device("cpu"), repeats=2, clock=lambda: next(times))
    assert bound == pytest.approx(2 * 1536**3 / 0.5)


def test_a_model_is_measured_in_every_way(tiny_model: Path) -> None:
    settings = replace(SMALL, threads=(1, 2), batches=(1, 3))
    found = bench.measure(str(tiny_model), settings, {1: 1e9, 2: 2e9})
    threads = torch.get_num_threads()
    assert (found.model, found.sample_rate) == ("tiny", 22050)
    assert [(run.way.threads, run.way.batch) for run in found.runs] == [
        (1, 1),
        (1, 3),
        (2, 1),
        (2, 3),
    ]
    for run in found.runs:
        got = run.measured
        assert got and got.path == vocoder.load(tiny_model, runtime="torch").network.path
        assert got.times.difference <= 1e-5
        seconds = run.way.batch * 18 * 256 / 22050  # 0.2 s in whole frames
        assert got.speed == pytest.approx(seconds / got.times.seconds)
        assert got.reference_speed == pytest.approx(seconds / got.times.reference)
        assert got.share == pytest.approx(got.speed * found.operations / (1e9 * run.way.threads))
        assert got.first_audio and min(got.first_audio, got.start) > 0
        assert got.memory is None
    assert torch.get_num_threads() == threads


def test_networks_are_compiled_before_they_are_measured(tiny_model: Path) -> None:
    pytest.importorskip("llvmlite")
    found = bench.measure(str(tiny_model), SMALL, {1: 1e9})
    (run,) = found.runs
    assert run.measured and run.measured.path.startswith("compiled for this CPU")
    assert 0 < run.measured.times.difference <= 1e-5  # the reference is not compiled


def test_operations_are_for_a_second_of_audio(tiny_model: Path) -> None:
    found = bench.measure(str(tiny_model), SMALL, {1: 1e9})
    model = vocoder.load(tiny_model, runtime="torch")
    frames = 87  # about a second
    work = operations(lambda: model.generator(mel=torch.zeros(1, 80, frames)))
    assert found.operations == pytest.approx(work / (frames * 256 / 22050))


def test_what_cannot_be_had_is_a_row_with_the_reason(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = ways.load

    def refuse(name: str, **options: Any) -> vocoder.Vocoder:
        if options.get("precision") == "int8":
            raise ConfigError("int8 is not to be had")
        return load(name, **options)

    monkeypatch.setattr(ways, "load", refuse)
    settings = replace(SMALL, precisions=("int8", "float32"))
    found = bench.measure(str(tiny_model), settings, {1: 1e9})
    assert [run.refused for run in found.runs] == ["int8 is not to be had", None]
    rows = table.facts(found, settings)
    assert rows[0]["runs as"] == "torch: int8 is not to be had"
    assert [row["precision"] for row in rows] == ["int8", "float32"]
    assert rows[0].keys() == rows[1].keys()
    assert rows[0]["× real time"] == "–"


def test_extenders_run_their_network(vocoder_command: Command) -> None:
    result = vocoder_command("bench", "infer", "extender", "--no-memory", *SHORT, "--json")
    assert (result.code, result.err) == (0, "")
    (found,) = json.loads(result.out)["results"]
    assert found["model"] == "band_filler_48k"
    assert found["runs"][0]["measured"]["times"]["difference"] <= 1e-5
    assert found["runs"][0]["measured"]["first_audio"] is None


def test_a_process_reports_its_memory(tiny_model: Path) -> None:
    found = measured(str(tiny_model), SMALL.inputs()[0], ())
    assert found and 50e6 < found.loaded <= found.peak


@pytest.mark.slow  # it starts processes
def test_memory_is_that_of_one_call_alone(tiny_model: Path) -> None:
    ballast = torch.ones(100_000_000)  # 400 MB in this process
    short, long = (
        peak_memory(str(tiny_model), ways.Way(seconds=seconds)) for seconds in (1.0, 60.0)
    )
    assert short and long
    assert long.peak - long.loaded > 40e6 > short.peak - short.loaded
    assert short.loaded < ballast.nbytes


def test_other_projects_checkpoints_are_imported_for_the_time(tmp_path: Path) -> None:
    with sources.named(str(FIXTURES / "hifigan_v3")) as name:
        assert vocoder.load(name).config.training["imported"]["file"] == "g_00000010"
    assert not Path(name).exists()
    for kept in ("default", "nowhere", "x.onnx"):
        with sources.named(kept) as name:
            assert name == kept
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(CheckpointError, match="holds no checkpoint"), sources.named(str(tmp_path)):
        pass


def test_models_and_files_in_them_are_themselves(tiny_model: Path) -> None:
    for path in (tiny_model, tiny_model / "model.safetensors"):
        with sources.named(str(path)) as name:
            assert name == str(path)
    (tiny_model / "config.json").write_text("{")
    with sources.named(str(tiny_model)) as name:  # whose fault loading reports
        assert name == str(tiny_model)


def test_command_prints_markdown_and_writes_json(
    vocoder_command: Command, tiny_model: Path, tmp_path: Path
) -> None:
    common = (tiny_model, FIXTURES / "hifigan_v3", "--system", "demo", "--no-memory", *SHORT)
    file = tmp_path / "new" / "speed.json"
    result = vocoder_command("bench", "infer", *common, "--markdown", "-o", file)
    assert (result.code, result.err) == (0, "")
    heading, rule, *rows, _, caption = result.out.rstrip().splitlines()
    assert [row.split("|")[1].strip() for row in rows] == ["tiny", "hifigan_v3", "demo"]
    assert len({row.count("|") for row in (heading, rule, *rows)}) == 1
    assert "precision" not in heading and "float32, 1 thread, batch 1, 0.2 s" in caption
    facts = json.loads(file.read_text())
    assert [model["model"] for model in facts["results"]] == ["tiny", "hifigan_v3", "demo"]
    assert facts["machine"]["device"] == machine(torch.device("cpu")).device
    assert facts["settings"]["threads"] == [1]
    assert f"{facts['bounds']['1'] / 1e9:.0f} GFLOP/s on 1 thread" in caption


def test_command_prints_a_column_for_every_way(vocoder_command: Command, tiny_model: Path) -> None:
    result = vocoder_command(
        "bench", "infer", tiny_model, "--no-memory", *SHORT[:-1], "1,2", "--batch", "2"
    )
    assert (result.code, result.err) == (0, "")
    words = " ".join(result.out.split())
    assert "batch 2" in words and "threads 1 thread 2 threads" in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--runtime", "jax"), "there is no runtime 'jax'; give torch, onnx, openvino"),
        (("--precision", "float8"), "there is no precision 'float8'; give float32, bfloat16, int8"),
        (("--threads", "0"), "threads, batches and rounds are numbers from 1 on"),
        (("--threads", "two"), "--threads two: write numbers, such as 1,2"),
        (("--batch", "0"), "threads, batches and rounds are numbers from 1 on"),
        (("--seconds", "nan"), "lengths [nan]: give seconds, above 0"),
        (("--rounds", "0"), "threads, batches and rounds are numbers from 1 on"),
        (("--device", "toaster"), "device 'toaster' cannot be used here"),
    ],
)
def test_bad_options_are_exit_code_2(
    vocoder_command: Command, arguments: tuple[str, ...], words: str
) -> None:
    result = vocoder_command("bench", "infer", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ") and words in result.err
    assert result.err.count("\n") == 1


def test_runtimes_without_their_package_name_the_extra(
    vocoder_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engines.PACKAGES, "openvino", "no_such_package")
    result = vocoder_command("bench", "infer", "--runtime", "torch,openvino")
    assert result.code == 2
    assert result.err == (
        "error: runtime openvino needs no_such_package: pip install 'vocoder[openvino]'\n"
    )


def test_one_bad_name_leaves_the_others(
    vocoder_command: Command, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.pt").write_text("no checkpoint")
    names = ("nowhere", tmp_path / "text.pt", tiny_model, "--system", "nothing")
    result = vocoder_command("bench", "infer", *names, "--no-memory", *SHORT, "--json")
    assert result.code == 2
    assert [model["model"] for model in json.loads(result.out)["results"]] == ["tiny"]
    first, second, third = result.err.splitlines()
    assert first.startswith("error: nowhere: no such model directory")
    assert "text.pt" in second
    assert third == "error: there is no system 'nothing'; `vocoder systems` lists them"
