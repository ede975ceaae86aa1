"""Listening tests in a browser: whole tests by keyboard alone, reloads, files, a server."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.browser.session import Browser
from vocoder.evaluation.listening.results.analysis import Rated, analyse
from vocoder.evaluation.listening.results.sheets import collect, read_sheet
from vocoder.evaluation.listening.trials.design import TestSettings, design_test
from vocoder.evaluation.listening.trials.page import write_listening_test
from vocoder.io.audio import write_audio

pytestmark = pytest.mark.slow  # a browser starts, and sounds take their time

RATE = 16000
ENTER, TAB, SPACE, UP, DOWN = "\ue007", "\ue004", " ", "\ue013", "\ue015"
LEFT, RIGHT, HOME, END = "\ue012", "\ue014", "\ue011", "\ue010"
NAMES = ("wind", "rain", "snow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("systems")
    for i, name in enumerate(NAMES):
        rng = torch.Generator().manual_seed(i)
        clean = 0.05 * torch.randn(1, RATE, generator=rng)
        for system, noise in (("ref", 0.0), ("good", 0.01), ("bad", 0.1)):
            noisy = clean + noise * torch.randn(1, RATE, generator=rng)
            write_audio(folder / system / f"{name}.flac", noisy, RATE)
    return folder


def make(folder: Path, path: Path, *, post: str = "", **settings: Any) -> Path:
    systems = {name: folder / name for name in ("good", "bad")}
    test = design_test(folder / "ref", systems, TestSettings(**settings))
    write_listening_test(test, path, consent="I agree.", post=post)
    return path


@pytest.fixture(autouse=True)
def no_problems(browser: Browser, request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test: nothing on the console, no request."""
    yield
    if "server" not in request.fixturenames:
        assert browser.problems() == []


def start(browser: Browser, listener: str) -> None:
    """From the welcome to the practice, by keys."""
    assert browser.run("return visible()") == "welcome"
    browser.press(TAB, TAB)  # the link to the content stands before the heading
    browser.run("byId('begin').elements.listener.focus()")
    browser.press(*listener, TAB, SPACE, ENTER)
    assert browser.run("return visible()") == "questions"
    browser.press(TAB, SPACE, TAB, SPACE, TAB, SPACE, ENTER)
    assert browser.run("return visible()") == "volume"
    browser.press(ENTER)
    assert "play" in browser.run("return byId('volume-missing').textContent")
    browser.press(SPACE)
    time.sleep(0.8)
    browser.press(ENTER)
    assert browser.run("return visible()") == "trial"


VISIBLE = "window.visible = () => document.querySelector('.screen:not([hidden])').id"


def listen(browser: Browser, keys: str) -> None:
    """Hear every version long enough; sounds play."""
    for key in keys:
        browser.press(key)
        if not browser.run("return current.transport.player.playing"):
            browser.press(SPACE)
        index = browser.run("return current.transport.selected")
        browser.wait(f"current.transport.settle(); return current.transport.hasHeard({index})")


def rate_all(browser: Browser, wanted: dict[str, int]) -> None:
    """Rate every version of the trial by keys, by what it is."""
    key = json.loads(browser.run("return atob(test.key)"))
    codes = browser.run("return record.current.sounds")
    listen(browser, "0123456789"[: len(codes) + 1])
    for place, code in enumerate(codes, 1):
        rating = wanted[key["sounds"][code]["condition"]]
        browser.press(str(place), *(END if rating > 50 else HOME))
        steps = 100 - rating if rating > 50 else rating
        browser.press(*[DOWN if rating > 50 else UP] * steps)
    assert browser.run("return current.missing()") == ""


RATINGS = {"reference": 100, "good": 93, "bad": 6, "anchor 3.5 kHz": 3}


def test_a_mushra_test_is_taken_by_keyboard_and_analysed(
    browser: Browser, folder: Path, tmp_path: Path
) -> None:
    page = make(folder, tmp_path / "own test.html", trials=2)
    browser.open(page)
    browser.run(VISIBLE)
    assert browser.nameless() == [] and browser.faint() == []
    start(browser, "ada")
    assert browser.nameless() == [] and browser.faint() == []
    browser.press(ENTER)  # nothing was heard or rated
    missing = browser.run("return byId('missing').textContent")
    assert "listen to the reference, 1, 2, 3, 4" in missing and "rate 1, 2, 3, 4" in missing
    rate_all(browser, RATINGS)
    browser.press(ENTER)
    assert browser.run("return visible()") == "ready"
    browser.press(ENTER)
    rate_all(browser, RATINGS)
    before = browser.run("return record")
    browser.driver.refresh()  # in the middle of a trial
    browser.run(VISIBLE)
    after = browser.run("return record")
    for field in ("listener", "seed", "order", "done"):
        assert after[field] == before[field]
    assert after["current"]["ratings"] == before["current"]["ratings"]
    assert browser.run("return current.sliders.map((s) => s.value)") == [
        str(rating) for rating in before["current"]["ratings"]
    ]
    browser.press(ENTER)
    rate_all(browser, RATINGS)
    browser.press(ENTER)
    assert browser.run("return visible()") == "end"
    browser.press(TAB, *"fine", TAB, ENTER)
    name = browser.run("return fileName()")
    assert name.startswith("own-test-") and name.endswith("-ada.json")
    until = time.monotonic() + 5.0
    while not (saved := browser.downloads / name).exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    sheet = read_sheet(saved)
    assert (sheet.listener, sheet.comment, sheet.missing) == ("ada", "fine", 0)
    assert sheet.about["device"] == "headphones"
    results = analyse(collect([saved]), screening=False)
    assert isinstance(results.outcome, Rated)
    means = {name: mean.mean for name, mean in results.outcome.means.items()}
    assert means == RATINGS
    first = json.loads(saved.read_text("utf-8"))["trials"][0]
    assert first["role"] == "practice" and first["seconds"] > 2.0
    assert all(each["plays"] >= 1 and each["heard"] >= 0.5 for each in first["ratings"])


def test_an_abx_test_is_taken_by_keyboard_and_balanced(
    browser: Browser, folder: Path, tmp_path: Path
) -> None:
    browser.open(make(folder, tmp_path / "abx.html", kind="abx", trials=2, controls=4))
    browser.run(VISIBLE)
    start(browser, "bob")
    assert browser.nameless() == [] and browser.faint() == []
    xs = []
    for trial in range(9):  # the practice, two of each system, four controls
        listen(browser, "abx")
        x = browser.run("return record.current.x")
        xs.append(x)
        browser.press(RIGHT if x else LEFT, ENTER)
        if trial == 0:
            assert "Right" in browser.run("return byId('missing').textContent")
            browser.press(ENTER, ENTER)
    assert sorted(xs[1:]) == [0, 0, 0, 0, 1, 1, 1, 1]
    assert browser.run("return visible()") == "end"
    browser.press(TAB, TAB, ENTER)
    name = browser.run("return fileName()")
    until = time.monotonic() + 5.0
    while not (saved := browser.downloads / name).exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    results = analyse(collect([saved]))
    assert [each.overall[:2] for each in results.outcome] == [(2, 2), (2, 2)]  # type: ignore[union-attr]


def test_listeners_have_orders_of_their_own_and_tests_do_not_mix(
    browser: Browser, folder: Path, tmp_path: Path
) -> None:
    one = make(folder, tmp_path / "one.html", trials=3)
    other = make(folder, tmp_path / "other.html", trials=2)
    browser.open(one)
    orders = browser.run(
        "return ['a', 'b', 'a'].map((name) => JSON.stringify(newRecord(name).order))"
    )
    assert orders[0] == orders[2] != orders[1]
    browser.run("record = newRecord('eve'); record.screen = 'ready'; keep()")
    browser.open(other)
    assert browser.run("return record") is None
    browser.open(one)
    assert browser.run("return record.listener") == "eve"
    text = one.read_text("utf-8")
    for word in (*NAMES, "good", '"bad"'):
        assert word not in text.split('id="test"')[1].split("<script>")[0]  # the data


@pytest.fixture
def server() -> Iterator[tuple[str, list[bytes]]]:
    """A server that accepts answers, and what it got."""
    got: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    running = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/answers", got
    running.shutdown()
    running.server_close()
    thread.join()


FINISHED = """
record = newRecord(arguments[0]);
const facts = { begun: "", seconds: 9, loops: 0 };
record.done = record.order.map((placed, order) => {
  const ratings = placed.sounds.map(() => 95);
  return { ...Rating.entry(placed), ...facts, order, ratings };
});
record.finished = "now"; go("end");
"""


def test_answers_are_sent_or_else_saved(
    browser: Browser, folder: Path, tmp_path: Path, server: tuple[str, list[bytes]]
) -> None:
    url, got = server
    page = make(folder, tmp_path / "sent.html", trials=1, post=url)
    browser.open(page)
    browser.run(FINISHED, "carl")
    browser.run("return finish()")
    assert "sent" in browser.run("return byId('end-status').textContent")
    (tmp_path / "carl.json").write_bytes(got[0])
    assert read_sheet(tmp_path / "carl.json").listener == "carl"
    assert [p for p in browser.problems() if not p.startswith(f"request: {url}")] == []
    page = make(folder, tmp_path / "lost.html", trials=1, post="http://127.0.0.1:9/none")
    browser.open(page)
    browser.run(FINISHED, "dora")
    browser.run("return finish()")
    assert "could not be sent" in browser.run("return byId('end-status').textContent")
    name = browser.run("return fileName()")
    until = time.monotonic() + 5.0
    while not (browser.downloads / name).exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    browser.problems()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["mushra", "abx", "ab"])
def test_every_screen_fits_a_phone(
    browser: Browser, folder: Path, tmp_path: Path, kind: str, scheme: str
) -> None:
    page = make(folder, tmp_path / f"{kind}-{scheme}.html", kind=kind, trials=1)
    for width in (375, 1200):
        browser.open(page, width=width, scheme=scheme)
        browser.run("record = newRecord('x')")
        for screen in ("questions", "volume", "trial", "ready", "end"):
            browser.run("go(arguments[0])", screen)
            place = (screen, width)
            assert browser.overflow() <= 0, place
            assert browser.nameless() == [], place
            assert browser.faint() == [], place
        browser.run("nextListener()")
