"""The listening report in a browser: sounds that switch in place, tables, keys, small screens."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.browser.session import Browser
from vocoder.evaluation.comparison import Evaluation
from vocoder.evaluation.listening.page import write_report
from vocoder.evaluation.report import Report
from vocoder.evaluation.scoring import Scoring, evaluate
from vocoder.io.audio import write_audio

pytestmark = pytest.mark.slow  # a browser starts, and sounds take their time

RATE = 16000
SECONDS = 4.0
BASES = {"reference": 500.0, "a": 1500.0, "b <i>": 3000.0}  # Hz at the beginning
SLOPE = 200.0  # Hz in a second: what is heard tells the version and the position
GAINS = {"reference": 0.1, "a": 0.1, "b <i>": 0.2}
NAMES = ("first", "second", "third")


def sweep(version: str, louder: float) -> torch.Tensor:
    t = torch.arange(int(SECONDS * RATE), dtype=torch.float64) / RATE
    phase = 2.0 * math.pi * (BASES[version] * t + SLOPE / 2.0 * t**2)
    return (louder * GAINS[version] * phase.sin()).float()[None]


CLICK = {
    **{"detector": "clicks", "begin": 2.0, "end": 2.1, "low_hz": None, "high_hz": 4000.0},
    **{"level": 20.0, "unit": "dB", "words": "a click of 20 dB"},
}


def with_click(report: Report) -> Report:
    """The report, in which a detector has found a click in the first file."""
    first, *others = report.files
    return replace(report, files=(replace(first, artefacts=(CLICK,)), *others))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    for version in BASES:
        for i, name in enumerate(NAMES):
            if (version, name) != ("a", "third"):
                write_audio(folder / version / f"{name}.flac", sweep(version, 1.0 + i), RATE)
    scoring = Scoring(metrics=("log_mel", "stft"))
    recordings, *systems = BASES
    reports = {s: evaluate(folder / recordings, folder / s, scoring) for s in systems}
    reports["a"] = with_click(reports["a"])
    evaluation = Evaluation(reference=folder / recordings, reports=reports)
    write_report(evaluation, folder / "index.html")
    return folder / "index.html"


@pytest.fixture(autouse=True)
def no_problems(browser: Browser) -> Iterator[None]:
    """After each test: nothing on the console, no request."""
    browser.problems()
    yield
    assert browser.problems() == []


HEAR = """
window.stage = stages.find((s) => s.name === arguments[0]);
window.analyser ??= new AnalyserNode(Player.context, { fftSize: 4096, smoothingTimeConstant: 0 });
Player.output.connect(analyser);
window.heard = () => {
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  const top = levels.indexOf(Math.max(...levels));
  const { position } = stage.player;
  return { hertz: (top * Player.context.sampleRate) / 4096, decibels: levels[top], position };
};
"""
LATER = "return new Promise((done) => setTimeout(() => done(heard()), 200))"


def hear(browser: Browser, version: str) -> dict[str, float]:
    """What sounds now: asserts that it is this version, at the position that the player shows."""
    browser.wait("return stage.player.playing && heard().decibels > -60")
    heard = browser.run(LATER)
    expected = BASES[version] + SLOPE * (heard["position"] - 0.05)  # the middle of the analysed
    assert heard["hertz"] == pytest.approx(expected, abs=0.1 * SLOPE + 12.0), version
    return dict(heard)


def click(browser: Browser, selector: str) -> None:
    """Click an element of the utterance at hand as a script does."""
    browser.run("stage.article.querySelector(arguments[0]).click()", selector)


def test_versions_switch_in_place_and_sound(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run(HEAR, "first")
    click(browser, ".play")
    reference = hear(browser, "reference")
    click(browser, "[data-choice='2']")
    louder = hear(browser, "b <i>")
    assert 0.1 < louder["position"] - reference["position"] < 1.5  # it went on
    assert louder["decibels"] - reference["decibels"] == pytest.approx(6.0, abs=1.5)
    browser.run("setting('loudness').click()")
    assert hear(browser, "b <i>")["decibels"] < louder["decibels"] - 3.0
    assert "to match loudness" in browser.run("return stage.rows[2].textContent")
    click(browser, ".play")
    assert not browser.run("return stage.player.playing")


def test_a_dragged_part_repeats_until_it_is_ended(browser: Browser, page: Path) -> None:
    from selenium.webdriver import ActionChains

    browser.open(page)
    browser.run(HEAR, "second")
    browser.run("stage.article.scrollIntoView({ block: 'start', behavior: 'instant' })")
    surface = browser.run("return stage.rows[1].querySelector('.picture')")
    width = surface.size["width"]
    drag = ActionChains(browser.driver).move_to_element_with_offset(surface, -width // 4, 0)
    drag.click_and_hold().move_by_offset(width // 8, 0).release().perform()
    start, end = browser.run("return stage.player.region")
    assert (start, end) == (pytest.approx(1.0, abs=0.05), pytest.approx(1.5, abs=0.05))
    for _ in range(3):
        position = hear(browser, "a")["position"]
        assert start - 0.01 <= position <= end + 0.01
    browser.press("\ue00c")  # Escape
    assert browser.run("return stage.player.region") is None
    browser.wait("return stage.player.position > 1.6")
    surface.click()
    assert 1.9 < browser.run("return stage.player.position") < 2.3


def test_keys_play_choose_move_and_lead_on(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("setting('order').value = 'name'; orderStages()")
    browser.run(HEAR, "first")
    browser.press("n")
    assert browser.run("return document.activeElement.textContent") == "first"
    browser.press(" ")
    hear(browser, "reference")
    browser.press("3")
    hear(browser, "b <i>")
    before = browser.run("return stage.player.position")
    browser.press("\ue014", "\ue014")  # arrow right
    after = hear(browser, "b <i>")["position"]
    assert 1.0 < after - before < 2.2
    browser.press("n")
    browser.run(HEAR, "second")
    hear(browser, "b <i>")
    assert not browser.run("return stages.find((s) => s.name === 'first').player.playing")
    browser.press("n", "2")  # the third has no second version
    assert browser.run("return [Stage.active.name, Stage.active.heard]") == ["third", 2]
    browser.press(" ")
    assert not browser.run("return Stage.active.player.playing")


def names(browser: Browser) -> list[str]:
    return list(browser.run("return shownStages().map((stage) => stage.name)"))


def test_utterances_are_ordered_and_filtered(browser: Browser, page: Path) -> None:
    browser.open(page)
    choose = "setting(arguments[0]).value = arguments[1]; orderStages()"
    browser.run(choose, "metric", "log_mel")
    files = browser.run("return report.files.map((f) => [f.name, f.scores.log_mel])")
    every = {name: list(scores.values()) for name, scores in files}
    one = {name: [scores["b <i>"]] for name, scores in files}
    for system, scores in (("", every), ("b <i>", one)):
        browser.run(choose, "system", system)
        expected = {
            "worst": {name: -max(values) for name, values in scores.items()},
            "best": {name: min(values) for name, values in scores.items()},
            "spread": {name: min(values) - max(values) for name, values in every.items()},
            "name": {name: name for name in scores},
        }
        for order, keys in expected.items():
            browser.run(choose, "order", order)
            assert names(browser) == sorted(keys, key=keys.__getitem__), (system, order)
    browser.run("setting('filter').focus()")
    browser.press("S", "e", "c", "x")
    assert names(browser) == []
    browser.press("\ue003")  # backspace
    assert names(browser) == ["second"]
    assert "1 of 3" in browser.run("return setting('count').textContent")
    dots = "[...document.querySelectorAll('.strip circle')]"
    find = f"{dots}.find((dot) => dot.textContent.startsWith('third'))"
    browser.run(f"{find}.dispatchEvent(new Event('click'))")
    assert browser.run("return document.activeElement.textContent") == "third"  # filtered before


def test_tables_sort_by_every_column(browser: Browser, page: Path) -> None:
    browser.open(page)
    table = "document.querySelector('.all-scores')"
    heads = browser.run(f"return {table}.tHead.rows[0].cells.length")
    for column in range(heads):
        for direction in ("ascending", "descending"):
            button = f"{table}.tHead.rows[0].cells[{column}].querySelector('button')"
            browser.run(f"{button}.click()")
            assert browser.run(f"return {button}.parentElement.ariaSort") == direction
            values = browser.run(
                f"return [...{table}.tBodies[0].rows].map((row) => cellValue(row, {column}))"
            )
            known = [value for value in values if value is not None]
            assert known == sorted(known, reverse=direction == "descending")
            assert values == known + [None] * (len(values) - len(known))
    assert browser.run(f"return {table}.querySelectorAll('[aria-sort]').length") == 1
    assert browser.run("return setting('announcer').textContent").startswith("Sorted by artefacts")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1200])
def test_pages_are_readable_everywhere(
    browser: Browser, page: Path, width: int, scheme: str
) -> None:
    browser.open(page, width=width, scheme=scheme)
    browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert browser.overflow() <= 0
    assert browser.nameless() == []
    assert browser.faint() == []
    small = browser.run(
        "return [...document.querySelectorAll('button, select, input[type=search], summary')]"
        ".filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 39.5)"
        ".map((e) => e.outerHTML)"
    )
    assert small == []
    light = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (int(re.search(r"\d+", light)[0]) < 128) == (scheme == "dark")


def test_the_reader_can_choose_the_colours(browser: Browser, page: Path) -> None:
    browser.open(page)
    shade = "return getComputedStyle(document.body).backgroundColor"
    light = browser.run(shade)
    change = "theme.value = arguments[0]; theme.dispatchEvent(new Event('change'))"
    browser.run("window.theme = document.getElementById('theme');" + change, "dark")
    assert browser.run(shade) != light
    browser.run("window.theme = document.getElementById('theme');" + change, "")
    assert browser.run(shade) == light


def test_a_button_plays_an_artefact(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run(HEAR, "first")
    assert browser.run("return stage.rows[1].querySelector('.mark').title") == CLICK["words"]
    click(browser, "[data-jump]")
    assert 1.7 < hear(browser, "a")["position"] < 2.5


def test_a_sound_that_cannot_be_played_is_said(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run(HEAR, "first")
    broken = "document.getElementById(`${stage.article.id}-1`).textContent = '\"AAAA\"'"
    browser.run(broken)
    click(browser, ".play")
    words = browser.wait("return stage.article.querySelector('.error').textContent")
    assert "cannot play" in words
    assert not browser.run(
        "return stage.player.playing || stage.article.querySelector('.error').hidden"
    )
