"""What tests of pages share: their marks, the web process, and waiting until a page is live."""

import pytest
from playwright.sync_api import Page, expect

MARKS = [
    pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"]),
    pytest.mark.usefixtures("settled"),
]


def live(page: Page, address: str | None = None) -> None:
    """Go there, if anywhere, and wait until the socket keeps it."""
    if address is not None:
        page.goto(address)
    expect(page.locator("#live b")).to_have_text("Live")
