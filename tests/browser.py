"""A real Chromium without a window, for tests of pages; `conftest.py` makes it the fixture
`browser`.

Where chromium or chromedriver is missing, tests that ask for it are skipped; with
MCLTOOLKIT_NEED_BROWSER=1 they fail.
"""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NEEDED = "MCLTOOLKIT_NEED_BROWSER"
# A page that asks for anything but this machine gets an error, which the console then shows.
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    OFFLINE,
)


class Browser:
    """One tab. `driver` is selenium's own, for whatever has no method here."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(
        self,
        page: str | os.PathLike[str],
        width: int = 1200,
        height: int = 900,
        phone: bool = False,
        dark: bool = False,
    ) -> Browser:
        """Open a file or a URL in a view of `width` x `height` CSS pixels; what the console said
        before is forgotten.

        Args:
            phone: a touch screen with two device pixels a CSS pixel.
            dark: the system asks for dark pages.
        """
        self.resize(width, height, phone)
        self.command(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        self.driver.get_log("browser")
        url = str(page)
        self.driver.get(url if "://" in url else Path(page).resolve().as_uri())
        return self

    def resize(self, width: int, height: int, phone: bool = False) -> None:
        """The view's size; narrower than a window may be, as phones are."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self.command("Emulation.setTouchEmulationEnabled", enabled=phone)

    def command(self, name: str, **arguments: Any) -> Any:
        """A command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def run(self, code: str, *arguments: Any) -> Any:
        """What the JavaScript `code` returns; `arguments` are its `arguments`."""
        return self.driver.execute_script(code, *arguments)

    def find(self, selector: str) -> Any:
        """The first element of a CSS selector."""
        return self.driver.find_element("css selector", selector)

    def wait(self, code: str, seconds: float = 30) -> Any:
        """Wait until the JavaScript `code` returns something true, and return it."""
        return self.until(lambda: self.run(code), seconds, code)

    def until(self, found: Callable[[], Any], seconds: float = 30, what: str = "") -> Any:
        """Wait until `found` returns something true, and return it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = found()
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {what}; the console says {self.errors()}")

    def errors(self) -> list[str]:
        """Errors on the console since the page was opened or since the last call."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE" and "favicon" not in entry["message"]
        ]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the view; 0 where nothing scrolls sideways."""
        return self.run(
            "const e = document.scrollingElement; return Math.max(0, e.scrollWidth - e.clientWidth)"
        )

    def screenshot(self, path: str | os.PathLike[str], whole: bool = True) -> Path:
        """A PNG of the page, or of what the view shows of it."""
        shot = self.command("Page.captureScreenshot", captureBeyondViewport=whole,
                            **({"clip": self._page()} if whole else {}))  # fmt: skip
        Path(path).write_bytes(base64.b64decode(shot["data"]))
        return Path(path)

    def _page(self) -> dict[str, float]:
        size = self.command("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser with a fresh profile; skips the test where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    chromium = chromium or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    try:
        from selenium import webdriver
    except ImportError:
        webdriver = None
    lacking = [
        name
        for name, found in (
            ("chromium", chromium), ("chromedriver", chromedriver), ("selenium", webdriver)
        )
        if not found
    ]  # fmt: skip
    if lacking:
        reason = f"a browser test needs {' and '.join(lacking)}, not found on this machine"
        if os.environ.get(NEEDED) == "1":
            pytest.fail(f"{reason}, and {NEEDED}=1 asks for it")
        pytest.skip(reason)
    profile = tempfile.mkdtemp(prefix="browser-")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    service = webdriver.ChromeService(chromedriver)
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.set_page_load_timeout(60)
        yield Browser(driver)
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)
