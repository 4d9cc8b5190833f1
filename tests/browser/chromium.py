"""A headless Chromium for the browser tests and for screenshots: Debian's own, never a downloaded one.

python -m tests.browser.chromium picture.png            a step-through of §6's network, mid-way
python -m tests.browser.chromium picture.png --step 3 --dark
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
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


def main(arguments: list[str] | None = None) -> None:
    """Write a screenshot."""
    from micrograd_mlp import step_through

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--page", type=Path, help="a saved page; the default is §6's network")
    parser.add_argument("--step", type=int, help="how many steps in; the default is in the backward pass")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--width", type=int, default=1280)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, chromium(width=options.width, height=1000) as driver:
        page = options.page or Path(folder) / "steps.html"
        if options.page is None:
            step_through(network()).save(page)
        prefer(driver, color_scheme="dark" if options.dark else "light", reduced_motion="reduce")
        driver.get(page.absolute().as_uri())
        root = driver.find_element("css selector", "main > div").shadow_root
        driver.execute_script(
            "const slider = arguments[0]; slider.value = arguments[1] ?? Math.round(slider.max * 0.72);"
            "slider.dispatchEvent(new Event('input'));",
            root.find_element("css selector", "input"),
            options.step,
        )
        root.find_element("css selector", ".card").screenshot(str(options.picture))


if __name__ == "__main__":
    main()
