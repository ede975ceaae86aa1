"""Intervals contain the mean as often as they say, tests reject as seldom, Holm's order holds."""

import random
import statistics

import pytest
from scipy import stats

from vocoder.evaluation.statistics import (
    FEWEST_FOR_P,
    PairedTest,
    mean_interval,
    paired_tests,
    summary,
)


def sample(count: int, seed: int, shift: float = 0.0) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(shift, 1.0) for _ in range(count)]


def test_an_interval_lies_about_the_mean_and_is_repeatable() -> None:
    values = sample(30, 0)
    low, high = mean_interval(values)
    assert (low, high) == mean_interval(values)
    expected = stats.t.interval(0.95, 29, statistics.fmean(values), stats.sem(values))
    assert (low, high) == pytest.approx(expected, abs=0.1)


def test_a_skewed_sample_has_an_interval_that_leans() -> None:
    values = [2.0**value for value in sample(40, 1)]
    low, high = mean_interval(values)
    mean = statistics.fmean(values)
    assert high is not None
    assert low is not None
    assert high - mean > 1.05 * (mean - low)


def test_few_or_equal_values() -> None:
    assert mean_interval([1.5]) == (None, None)
    assert mean_interval([0.1, 0.1, 0.1 + 1e-17]) == (0.1, 0.1)
    assert summary([1.0, 3.0], skipped=2).mean == 2.0
    assert summary([1.0, 3.0], skipped=2)[3:] == (2, 2)


@pytest.mark.slow
def test_intervals_contain_the_mean_as_often_as_they_say() -> None:
    intervals = [mean_interval(sample(20, seed)) for seed in range(400)]
    inside = sum(low <= 0.0 <= high for low, high in intervals)  # type: ignore[operator]
    assert 0.90 <= inside / 400 <= 0.97


def scores(values: list[float]) -> dict[str, float]:
    return {f"{index}": value for index, value in enumerate(values)}


def test_a_difference_over_common_files_is_found() -> None:
    first = sample(20, 0)
    second = [value + 0.3 + 0.1 * more for value, more in zip(first, sample(20, 1), strict=True)]
    (test,) = paired_tests({"a": scores(first), "b": scores([*second, 99.0])})
    assert (test.first, test.second, test.files) == ("a", "b", 20)
    assert test.p is not None
    assert test.p < 1e-4
    assert test.low is not None
    assert test.high is not None
    assert -0.45 < test.low < test.difference < test.high < -0.15


def test_few_files_have_no_p() -> None:
    few = FEWEST_FOR_P - 1
    (test,) = paired_tests({"a": scores(sample(few, 0)), "b": scores(sample(few, 1, 9.0))})
    assert test.p is None
    assert paired_tests({"a": {"x": 1.0}, "b": {"y": 1.0}}) == []
    (equal,) = paired_tests({"a": scores([1.0] * 8), "b": scores([1.0] * 8)})
    assert equal == PairedTest("a", "b", 0.0, 0.0, 0.0, 1.0, 8)


def test_p_is_corrected_for_the_number_of_pairs() -> None:
    values = {"a": sample(12, 0), "b": sample(12, 1, 0.6), "c": sample(12, 2, 2.5)}
    tests = paired_tests({name: scores(each) for name, each in values.items()})
    single = [
        float(stats.wilcoxon([x - y for x, y in zip(values[a], values[b], strict=True)]).pvalue)
        for a, b in (("a", "b"), ("a", "c"), ("b", "c"))
    ]
    order = sorted(range(3), key=lambda index: single[index])
    corrected = [test.p for test in tests]
    assert corrected[order[0]] == pytest.approx(3 * single[order[0]])
    assert corrected[order[1]] == pytest.approx(max(3 * single[order[0]], 2 * single[order[1]]))
    assert corrected[order[2]] >= single[order[2]]  # type: ignore[operator]
