"""A headless Chromium for tests of pages: opens files, presses keys, says what went wrong."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--autoplay-policy=no-user-gesture-required", "--window-size=1200,900"),
)
# Elements that a reader can operate, but whose purpose a screen reader could not say.
_NAMELESS = """
const named = (e) => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.title
  || [...(e.labels ?? [])].some((label) => label.textContent.trim())
  || (!/^(INPUT|SELECT|TEXTAREA)$/.test(e.tagName) && e.textContent.trim());
const operable = 'a[href], button, input, select, textarea, summary, [tabindex="0"], [role=button]';
return [...document.querySelectorAll(operable)].filter((e) => !named(e)).map((e) => e.outerHTML);
"""
_RATIOS = """
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const ground = (e) => {
  for (; e; e = e.parentElement) {
    const colour = parse(getComputedStyle(e).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) return light(colour);
  }
  return light([255, 255, 255]);
};
const written = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
const seen = (e) => e.checkVisibility() && !e.closest('.visually-hidden, svg, option, :disabled');
return [...document.querySelectorAll('body *')].filter((e) => written(e) && seen(e)).map((e) => {
  const [a, b] = [light(parse(getComputedStyle(e).color)), ground(e)].sort((x, y) => x - y);
  return [(b + 0.05) / (a + 0.05), e.textContent.trim().slice(0, 40)];
}).filter(([ratio]) => ratio < 4.5);
"""


class Browser:
    """One browser window. What it downloads appears in `downloads`."""

    def __init__(self, downloads: Path) -> None:
        webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
        for program in (CHROMIUM, DRIVER):
            if not program.exists():
                pytest.skip(f"no {program}: install Chromium and its driver")
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for option in OPTIONS:
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        service = webdriver.ChromeService(str(DRIVER))  # named: else selenium searches the network
        self.driver = webdriver.Chrome(options=options, service=service)
        self.downloads = downloads

    def open(
        self, path: Path, *, width: int = 1200, height: int = 900, scheme: str = "light"
    ) -> None:
        """Load a page from the disk, in a window of this size; narrow ones are phones."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        self.problems()  # those of the page before
        self.driver.get(path.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """Value that JavaScript returns on the page; a promise is awaited."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str, *, seconds: float = 5.0) -> Any:
        """The first value of JavaScript that is true. Fails after `seconds`."""
        until = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < until, f"not in {seconds} s: {script}"
            time.sleep(0.02)
        return value

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, where the focus is."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def problems(self) -> list[str]:
        """Words of the console, and requests beyond the page itself, since the last call."""
        found = [entry["message"] for entry in self.driver.get_log("browser")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                page = url.split("#")[0] == self.driver.current_url.split("#")[0]
                if not page and not url.startswith(("data:", "blob:")):
                    found.append(f"request: {url[:200]}")
        return found

    def nameless(self) -> list[str]:
        """Controls of the page without an accessible name."""
        return list(self.run(_NAMELESS))

    def faint(self) -> list[Any]:
        """Visible texts whose contrast is below 4.5, with the ratio."""
        return list(self.run(_RATIOS))

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.run("return document.documentElement.scrollWidth - innerWidth"))
