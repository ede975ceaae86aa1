"""The report of runs in a browser: sounds by step switch in place, tables sort, small screens."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.session import Browser
from tests.training.runs.test_report import whole_run
from vocoder.training.runs.report.page import write_report

pytestmark = pytest.mark.slow  # a browser starts


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for number in range(2):
        whole_run(folder / "m" / str(number), seed=number)
    write_report(folder / "report.html", [folder / "m"])
    return folder / "report.html"


@pytest.fixture(autouse=True)
def no_problems(browser: Browser) -> Iterator[None]:
    """After each test: nothing on the console, no request."""
    yield
    assert browser.problems() == []


def test_steps_switch_at_one_position_with_their_pictures(browser: Browser, page: Path) -> None:
    browser.open(page)
    find = "document.querySelector('.clip').querySelector"
    assert browser.run(f"return {find}('.version[aria-pressed=true]').textContent") == "step 30"
    browser.run(f"{find}('.play').click()")
    browser.wait("return Player.current && Player.current.position > 0.03")
    last = browser.run(f"return {find}('.spectrum').src")
    before, after = browser.run(
        "const before = Player.current.position;"
        f"{find}('.version').click();"
        "return [before, Player.current.position]"
    )
    assert 0.0 <= after - before < 0.05
    assert browser.run("return Player.current.playing && Player.current.selected === 0")
    assert browser.run(f"return {find}('.difference').hidden")  # the recording has none
    assert browser.run(f"return {find}('.spectrum').src") != last
    assert browser.run(f"return {find}('.spectrum').alt") == "Spectrogram of clip, recording"
    browser.run("document.querySelectorAll('.clip .play')[1].click()")  # ends the first
    assert browser.wait(f"return {find}('.play').textContent === 'Play'")


def test_tables_sort(browser: Browser, page: Path) -> None:
    browser.open(page)
    column = "return [...document.querySelectorAll('table tbody tr')].slice(0, 2).map((row) => "
    column += "row.cells[0].textContent)"
    head = "document.querySelector('table th button').click()"
    assert [browser.run(f"{head}; {column}") for _ in range(2)] == [["0", "1"], ["1", "0"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_phone_and_can_be_read(browser: Browser, page: Path, scheme: str) -> None:
    browser.open(page, width=390, height=800, scheme=scheme)
    assert browser.overflow() <= 0
    assert (browser.nameless(), browser.faint()) == ([], [])
