"""A real Chromium for the tests of the screens, and the hall that they talk to."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.fake_hall import Hall, Server

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)
SCREENSHOTS = Path(__file__).parents[2] / "test-screenshots"


def find_chromium() -> str:
    """The system's Chromium (or the one that CHROMIUM names); its absence is a failure, never a skip."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.fail(f"No Chromium here (looked for {', '.join(NAMES)}). Install it, or name one in CHROMIUM.")
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A running Chromium, for one module: while it is open no coroutine can run beside it, so it has to be gone before
    asynchronous tests."""
    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser profile of its own, at a desktop's size, whose clock is not India's."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, timezone_id="America/New_York")
    context.set_default_timeout(8000)
    yield context
    context.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Open a fake hall: `serve(opens_in=-1.0, minutes=90)`; seconds and minutes. `rules` are those of `Hall`."""
    servers: list[Server] = []

    def open_hall(opens_in: float = -1.0, minutes: float = 90, grace: float = 20, **rules: Any) -> Server:
        opens_at = int((time.time() + opens_in) * 1000)
        servers.append(Server(Hall(opens_at, minutes, grace_ms=int(grace * 1000), **rules)))
        return servers[-1]

    yield open_hall
    for server in servers:
        server.stop()
