"""Picture of a page for the manual, by a headless Chromium, as a small palette PNG."""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from selenium import webdriver


def main() -> None:
    """Open a page from the disk, lead to an element of it and save what the window shows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--at", default="", help="id of the element at the top")
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--run", default="", help="JavaScript to run before")
    arguments = parser.parse_args()
    options = webdriver.ChromeOptions()
    for option in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(option)
    # Named, so that selenium does not look for one in the network.
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as driver:
        size = {"width": arguments.width, "height": arguments.height, "deviceScaleFactor": 1}
        size["mobile"] = arguments.width < 500
        scheme = {"name": "prefers-color-scheme", "value": "dark" if arguments.dark else "light"}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        address = arguments.page.resolve().as_uri()
        driver.get(f"{address}#{arguments.at}" if arguments.at else address)
        driver.execute_script(arguments.run)
        # Two frames later, everything in view has been drawn.
        driver.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 500))")
        image = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(96, dither=Image.Dither.NONE).save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
