"""A headless Chromium for the browser tests and for screenshots: Debian's own, never a downloaded one.

python -m tests.browser.chromium picture.png            the explorer of §6's network
python -m tests.browser.chromium picture.png --step 38 --dark
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]


def missing() -> str | None:
    """What a browser test lacks here, or None."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed (apt install chromium chromium-driver)"
    return None


@contextmanager
def chromium(*flags: str, width: int = 1280, height: int = 900) -> Iterator[Any]:
    """A Selenium driver with an empty profile, which logs the console and every request."""
    from selenium import webdriver

    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        size = f"--window-size={width},{height}"
        for flag in (*FLAGS, *flags, size, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(str(shutil.which("chromedriver")))
        driver = webdriver.Chrome(options, service)
        try:
            yield driver
        finally:
            driver.quit()


def prefer(driver: Any, **features: str) -> None:
    """Let the page see a person's wishes: prefer(driver, color_scheme="dark", reduced_motion="reduce")."""
    shown = [
        {"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()
    ]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": shown})


def network() -> Any:
    """§6's two-layer network on one example; its loss."""
    from micrograd_mlp import MLP, Value, squared_error

    model = MLP(2, [2, 1], activation="sigmoid", seed=3)
    loss = squared_error(model([Value(1.0, "x[1]"), Value(-2.0, "x[2]")]), Value(1.0, "y"))
    loss.label = "ℓ"
    return loss


class Page:
    """What a person does with a page of `explore` or `step_through`, and sees on it."""

    def __init__(self, driver: Any, file: Path, host: str = "main > div", fragment: str = "") -> None:
        self.driver = driver
        driver.get("about:blank")
        self.requests(), self.complaints()  # reading a log empties it: what came before is not this page's
        driver.get(file.as_uri() + (f"#{fragment}" if fragment else ""))
        prefer(driver, reduced_motion="reduce")
        self.host = driver.find_element("css selector", host)
        self.root = self.host.shadow_root
        self.wait_for_frame()

    def find(self, selector: str) -> Any:
        return self.root.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return list(self.root.find_elements("css selector", selector))

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()
        self.wait_for_frame()

    def run(self, script: str, *arguments: Any) -> Any:
        """What the script returns; `explorer` is the page's interface."""
        return self.driver.execute_script(script, *arguments)

    def wait_for_frame(self) -> None:
        """Until everything that was asked for is drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()))"
        )

    def wait_until(self, holds: Callable[[], Any]) -> None:
        """Until what the page does after a while is done."""
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, 20, poll_frequency=0.05).until(lambda _: holds())

    def drawn(self) -> list[str]:
        """Every text that the canvas shows, as it is drawn again."""
        return list(
            self.driver.execute_async_script(
                """
                const done = arguments[0];
                const texts = [];
                const original = CanvasRenderingContext2D.prototype.fillText;
                CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
                  texts.push(text);
                  return original.call(this, text, ...place);
                };
                dispatchEvent(new Event("explorer:draw"));
                requestAnimationFrame(() => requestAnimationFrame(() => {
                  CanvasRenderingContext2D.prototype.fillText = original;
                  done(texts);
                }));
                """
            )
        )

    def requests(self) -> list[str]:
        """The addresses of all requests so far."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[Any]:
        return list(self.driver.get_log("browser"))


def main(arguments: list[str] | None = None) -> None:
    """Write a screenshot."""
    from micrograd_mlp import explore, step_through

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--page", type=Path, help="a saved page; the default is §6's network")
    parser.add_argument("--step", type=int, help="step through, and so many steps in")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=760)
    options = parser.parse_args(arguments)
    window = {"width": options.width, "height": options.height}
    with tempfile.TemporaryDirectory() as folder, chromium(**window) as driver:
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", window | {"deviceScaleFactor": 2, "mobile": False}
        )
        file = options.page or Path(folder) / "page.html"
        if options.page is None:
            (explore if options.step is None else step_through)(network()).save(file)
        page = Page(driver, file.absolute())
        prefer(driver, color_scheme="dark" if options.dark else "light", reduced_motion="reduce")
        if options.step is not None:
            page.run("explorer.step(arguments[0])", options.step)
        page.wait_for_frame()
        driver.save_screenshot(str(options.picture))


if __name__ == "__main__":
    main()
