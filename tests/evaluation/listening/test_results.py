"""Results of listening tests: simulated listeners, screening, damaged files, laws of statistics."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from vocoder.errors import ConfigError, VocoderError
from vocoder.evaluation.listening.results.analysis import Rated, analyse
from vocoder.evaluation.listening.results.intervals import (
    answers_needed,
    crossed_mean,
    listeners_needed,
    rating_tests,
    share_test,
)
from vocoder.evaluation.listening.results.page import write_results_page
from vocoder.evaluation.listening.results.picture import results_figure
from vocoder.evaluation.listening.results.sheets import collect, read_sheet
from vocoder.evaluation.listening.results.table import markdown, tables

CONDITIONS = ("reference", "a", "b", "anchor 3.5 kHz")
TRUTH = {"reference": 97.0, "a": 80.0, "b": 60.0, "anchor 3.5 kHz": 20.0}
Answer = Callable[[np.random.Generator, str], float]


def key_of(pairs: Sequence[tuple[str, Sequence[str]]], utterances: int) -> dict[str, Any]:
    """The key of a test whose trials have a role and conditions, for each utterance."""
    trials, sounds = {}, {}
    for i in range(utterances):
        for j, (role, conditions) in enumerate(pairs):
            codes = [f"{i}-{name}" for name in conditions]
            for code, name in zip(codes, conditions, strict=True):
                sounds[code] = {"utterance": f"u{i}", "condition": name, "gain": 0.0}
            trials[f"t{i}-{j}"] = {
                **{"role": role, "utterance": f"u{i}", "seconds": 3.0, "sounds": codes}
            }
    return {"systems": ["a", "b"], "loudness": -23.0, "notes": [], "trials": trials} | {
        "sounds": sounds
    }


def sheet(
    kind: str, key: Mapping[str, Any], listener: str, answers: Mapping[str, Any], **fields: Any
) -> dict[str, Any]:
    """A file as the page writes it; `answers` has what differs by trial."""
    coded = base64.b64encode(json.dumps(key).encode()).decode()
    trials = [{"trial": code, "seconds": 20.0, **(answers[code])} for code in key["trials"]]
    return {
        **{"format": "vocoder listening test", "version": 1, "started": "", "comment": ""},
        "test": {"id": "t1", "kind": kind, "title": "Test", "key": coded},
        "listener": {"id": listener, "seed": 1, "device": "headphones"},
        **{"finished": "2026-01-01", "trials": trials},
        **fields,
    }


def rated(listener: str, answer: Answer, rng: np.random.Generator, **fields: Any) -> dict[str, Any]:
    key = key_of([("test", CONDITIONS)], 8)
    answers = {
        code: {
            "ratings": [
                {
                    "sound": s,
                    "rating": float(np.clip(answer(rng, key["sounds"][s]["condition"]), 0, 100)),
                }
                for s in trial["sounds"]
            ]
        }
        for code, trial in key["trials"].items()
    }
    return sheet("mushra", key, listener, answers, **fields)


def honest(rng: np.random.Generator, condition: str) -> float:
    return TRUTH[condition] + (0.0 if condition == "reference" else 8.0 * rng.standard_normal())


def by_chance(rng: np.random.Generator, condition: str) -> float:
    return rng.uniform(0, 100)


def chosen(listener: str, hears: Mapping[str, float], rng: np.random.Generator) -> dict[str, Any]:
    """ABX answers; `hears` is how often a difference of the second condition is heard."""
    control = ("control", ("reference", "anchor 3.5 kHz"))
    key = key_of([("test", ("reference", "a")), ("test", ("reference", "b")), control], 10)
    answers = {}
    for code, trial in key["trials"].items():
        a, b = trial["sounds"]
        x, other = (a, b) if rng.random() < 0.5 else (b, a)
        known = rng.random() < hears[key["sounds"][b]["condition"]]
        guess = x if rng.random() < 0.5 else other
        answers[code] = {"a": a, "b": b, "x": x, "answer": x if known else guess}
    return sheet("abx", key, listener, answers)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_file(name: str, content: Any) -> Path:
        path = tmp_path / f"{name}.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write_file


def test_known_differences_are_found_and_random_listeners_left_out(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for i in range(12):
        write(f"h{i:02d}", rated(f"h{i:02d}", honest, rng))
    for i in range(3):
        write(f"r{i}", rated(f"r{i}", by_chance, rng))
    results = analyse(collect([tmp_path]))
    assert {sheet.listener for sheet in results.kept} == {f"h{i:02d}" for i in range(12)}
    assert all("hidden reference" in results.reasons[f"r{i}"][0] for i in range(3))
    assert isinstance(results.outcome, Rated)
    for name, mean in results.outcome.means.items():
        assert mean.mean == pytest.approx(TRUTH[name], abs=2.5)
        assert mean.low is not None and mean.high is not None
        assert mean.low <= mean.mean <= mean.high
    tests = {(test.first, test.second): test for test in results.outcome.tests}
    assert set(tests) == {("reference", "a"), ("reference", "b"), ("a", "b")}
    difference = tests["a", "b"]
    assert difference.difference == pytest.approx(20.0, abs=4.0)
    assert difference.p_listeners is not None and difference.p_listeners < 0.01
    assert difference.p_utterances is not None and difference.p_utterances < 0.05
    text = markdown(results)
    assert "| a − b |" in text and "r0 left out: hidden reference rated below 90" in text
    results.save(tmp_path / "out.json")
    saved = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert np.shape(saved["results"]["conditions"]["a"]["ratings"]) == (12, 8)
    write_results_page(results, tmp_path / "page.html")
    assert "Paired tests" in (tmp_path / "page.html").read_text("utf-8")
    assert len(analyse(collect([tmp_path / f"h{i:02d}.json" for i in range(2)])).kept) == 2


def test_abx_finds_what_is_heard_and_controls_screen(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    hears = {"a": 0.0, "b": 0.8, "anchor 3.5 kHz": 1.0}
    for i in range(6):
        write(f"h{i}", chosen(f"h{i}", hears, rng))
    write("deaf", chosen("deaf", dict.fromkeys(hears, 0.0), rng))
    results = analyse(collect([tmp_path]))
    assert "deaf" not in {sheet.listener for sheet in results.kept}
    assert "control trials wrong" in results.reasons["deaf"][0]
    same, different = results.outcome  # type: ignore[misc]
    assert same.pair == ("reference", "a") and same.p > 0.05
    assert different.pair == ("reference", "b") and different.p < 1e-6
    assert different.overall.low < 0.9 < different.overall.high
    assert different.overall.chosen == sum(t.chosen for t in different.by_listener.values())
    assert tables(results)[0].rows[1][5] == "yes"
    assert results_figure(results).axes
    everyone = analyse(collect([tmp_path]), screening=False)
    assert len(everyone.kept) == 7


def test_damaged_and_other_files_are_named_and_the_others_go_on(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    good = rated("ann", honest, rng)
    write("a", good)
    write("again", {**good, "finished": "2026-01-02"})
    write("b", rated("bob", honest, rng))
    short = rated("cat", honest, rng)
    write("c", {**short, "trials": short["trials"][:5]})
    other = rated("dan", honest, rng)
    write("d", {**other, "test": {**other["test"], "id": "t2"}})
    write("e", "{")
    write("f", {"format": "other"})
    wrong = rated("eve", honest, rng)
    wrong["trials"][0]["ratings"][0]["rating"] = 101
    write("g", wrong)
    found = collect([tmp_path, tmp_path / "none.json"])
    assert [sheet.listener for sheet in found.sheets] == ["ann", "bob"]
    assert {Path(path).stem: reason[:12] for path, reason in found.left_out.items()} == {
        "again": "the same ans",
        "c": "incomplete: ",
    }
    assert len(found.problems) == 5
    for word in ("none.json: no such file", "another test", "not JSON", "not the answers", "101"):
        assert any(word in problem for problem in found.problems), word


@pytest.mark.parametrize("path", ["trials", "listener", "test", "finished", "comment"])
@pytest.mark.parametrize("value", [None, 3, "x", [], {}, [{}], [[1]]])
def test_whatever_is_in_a_file_is_an_answer_or_one_line(
    write: Callable[..., Path], path: str, value: Any
) -> None:
    content = rated("ann", honest, np.random.default_rng(0)) | {path: value}
    file = write("x", content)
    if path in ("finished", "comment") and value == "x":
        assert not read_sheet(file).missing
    elif path == "trials" and value in ([], {}):
        assert read_sheet(file).missing == 8
    else:
        with pytest.raises(VocoderError, match=r"damaged answers .*; have it sent again") as caught:
            read_sheet(file)
        assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_hasty_listeners_and_empty_rooms(write: Callable[..., Path]) -> None:
    content = rated("fast", honest, np.random.default_rng(0))
    for trial in content["trials"][:2]:
        trial["seconds"] = 1.0
    file = write("fast", content)
    with pytest.raises(ConfigError, match=r"left before the sound could have ended in 2 of 8"):
        analyse(collect([file]))
    results = analyse(collect([file]), screening=False)
    assert "would be left out" in "\n".join(results.notes)
    assert isinstance(results.outcome, Rated)
    assert results.outcome.means["a"].low is None  # of a single listener


def test_intervals_of_shares_are_exact() -> None:
    found = share_test(9, 10, one_sided=True)
    assert found.p == pytest.approx(11 / 1024)
    assert stats.binom.sf(8, 10, found.low) == pytest.approx(0.025, abs=1e-6)
    assert stats.binom.cdf(9, 10, found.high) == pytest.approx(0.025, abs=1e-6)
    assert share_test(1, 10, one_sided=False).p == pytest.approx(22 / 1024)


def test_more_is_needed_for_less() -> None:
    assert answers_needed(0.5, one_sided=True) is None
    assert answers_needed(0.4, one_sided=True) is None
    counts = [answers_needed(share, one_sided=True) for share in (0.55, 0.6, 0.75, 0.9)]
    assert counts == sorted(counts, reverse=True)  # type: ignore[type-var]
    assert answers_needed(0.25, one_sided=False) == answers_needed(0.75, one_sided=False)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(20)
    noise -= noise.mean()
    needed = [listeners_needed(noise + shift) for shift in (0.2, 0.5, 1.0, 9.0)]
    assert needed == sorted(needed, reverse=True)  # type: ignore[type-var]
    assert needed[-1] == 6
    assert listeners_needed(noise) is None or listeners_needed(noise) > 9_000  # type: ignore[operator]


def simulated(
    rng: np.random.Generator, shape: tuple[int, int], spreads: tuple[float, float, float]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    listeners, utterances = shape
    by_listener, by_utterance, rest = spreads
    return (
        by_listener * rng.standard_normal((listeners, 1))
        + by_utterance * rng.standard_normal((1, utterances))
        + rest * rng.standard_normal(shape)
    )


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(6, 6), (10, 8), (20, 10)])
@pytest.mark.parametrize("spreads", [(8.0, 6.0, 12.0), (8.0, 0.0, 10.0), (4.0, 10.0, 8.0)])
def test_intervals_cover_the_truth(
    shape: tuple[int, int], spreads: tuple[float, float, float]
) -> None:
    rng, count = np.random.default_rng(0), 1500
    found = [crossed_mean(50.0 + simulated(rng, shape, spreads)) for _ in range(count)]
    covered = sum(f.low <= 50.0 <= f.high for f in found) / count  # type: ignore[operator]
    assert 0.935 <= covered <= 0.985


@pytest.mark.slow
def test_p_is_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(0)
    values = []
    for _ in range(600):
        a, b = (simulated(rng, (12, 8), (8.0, 0.0, 10.0)) for _ in range(2))
        values.append(rating_tests({"a": a, "b": b})[0].p_listeners)
    for level in (0.05, 0.1, 0.2, 0.5):  # the test is exact, and so conservative between its steps
        share = np.mean(np.array(values) <= level)
        error = 3.0 * (level * (1.0 - level) / len(values)) ** 0.5
        assert 0.85 * level - error < share < level + error


@pytest.mark.slow
def test_the_listeners_needed_find_the_difference_in_four_of_five_tests() -> None:
    rng = np.random.default_rng(0)
    spread = rng.standard_normal(1000)
    spread = (spread - spread.mean()) / spread.std(ddof=1)
    needed = listeners_needed(spread + 0.6)
    assert needed is not None
    trials = [stats.wilcoxon(0.6 + rng.standard_normal(needed)).pvalue for _ in range(1500)]
    assert 0.76 < np.mean(np.array(trials) < 0.05) < 0.87
