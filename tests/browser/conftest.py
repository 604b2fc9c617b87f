"""A Chromium for each module; its tabs fail a test for whatever their console complains about.

Looks: pages in both themes, on a desk and on a phone. With CONCORD_SCREENSHOTS=1 the pictures
replace those in docs/screenshots.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connections
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.integration import dashboard_web
from tests.integration.dashboard_web import Web, session_of

web, settled = dashboard_web.web, dashboard_web.settled

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
WAIT_MS = 15_000
DOCS = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
KEEP = os.environ.get("CONCORD_SCREENSHOTS") == "1"
SIZES = {"1440": (1440, 900), "390": (390, 844)}
EVERY_LOOK = [(theme, size) for theme in ("light", "dark") for size in SIZES]
# Without pictures to keep, two opposite looks find what is cut off.
LOOKS = EVERY_LOOK if KEEP else [("light", "1440"), ("dark", "390")]

Take = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """For one module only: while it runs, this thread counts as inside an event loop, and Django
    would refuse its queries to everybody's tests."""
    # Inside the loop Django opens connections of its own; neither kind may stay behind.
    connections.close_all()
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        expect.set_options(timeout=WAIT_MS)
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()
        connections.close_all()


class Watch:
    """What a tab complained about: policy violations, errors, dialogs, requests to strangers."""

    def __init__(self, page: Page, web: Web) -> None:
        self.complaints: list[str] = []
        self._origin = web.origin
        page.on("console", lambda message: self._console(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error.stack}"))
        page.on("request", lambda request: self._request(request.url))
        page.on("dialog", self._dialog)

    def _console(self, kind: str, text: str) -> None:
        # A killed server cannot be reached; the page's own words about that are expected.
        if (
            kind in {"error", "warning"}
            and "ERR_CONNECTION" not in text
            and "WebSocket" not in text
        ):
            self.complaints.append(f"console: {text}")

    def _request(self, url: str) -> None:
        local = (self._origin, self._origin.replace("http", "ws", 1), "data:", "blob:")
        if not url.startswith(local):
            self.complaints.append(f"request: {url}")

    def _dialog(self, dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()


OpenTab = Callable[..., "contextmanager[Page]"]


@pytest.fixture
def open_tab(browser: Browser) -> OpenTab:
    """A function that opens a tab of a signed-in user; it must end without a complaint."""

    @contextmanager
    def open_page(
        web: Web,
        user=None,
        *,
        width: int = 1440,
        height: int = 900,
        theme: str = "light",
    ) -> Iterator[Page]:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            base_url=web.origin,
            reduced_motion="reduce",
        )
        if user is not None:
            cookie = {"name": "sessionid", "value": session_of(user), "url": web.origin}
            context.add_cookies([cookie])
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        watch = Watch(page, web)
        yield page
        context.close()
        assert not watch.complaints, "\n".join(watch.complaints)

    return open_page


@pytest.fixture(params=LOOKS, ids="-".join)
def look(request: pytest.FixtureRequest) -> tuple[str, str]:
    chosen: tuple[str, str] = request.param
    return chosen


@pytest.fixture
def open_look(open_tab: OpenTab, look: tuple[str, str]) -> OpenTab:
    """`open_tab` in this test's theme and size."""
    theme, size = look
    width, height = SIZES[size]

    def open_page(web: Web, user: User | None = None) -> "contextmanager[Page]":
        return open_tab(web, user, width=width, height=height, theme=theme)

    return open_page


@pytest.fixture
def take(look: tuple[str, str], tmp_path: Path) -> Take:
    """A function that checks a page's layout and takes its picture."""

    def take_picture(page: Page, name: str) -> None:
        page.mouse.move(0, 0)
        page.evaluate("document.fonts.ready")
        # The first figures of the socket, so that a picture does not show half of each.
        page.wait_for_timeout(1_200 if KEEP else 100)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name} is {wide} px too wide"
        folder = DOCS if KEEP else tmp_path
        folder.mkdir(exist_ok=True)
        page.screenshot(path=folder / f"{name}-{'-'.join(look)}.png")

    return take_picture
