"""A browser without a window, and what a test asks of a page that it shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CONTRAST = (HERE / "contrast.js").read_text()
CUT = (HERE / "cut.js").read_text()
OPEN = "document.querySelectorAll('details').forEach(one => { one.open = true })"
REFUSED = "document.addEventListener('securitypolicyviolation', e => console.warn('refused', e.blockedURI))"
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta"}
UNSEEN = {"style", "script", "head", "title", "desc", "template"}


@contextmanager
def shown(browser: Any, html: Path, **context: Any) -> Iterator[Any]:
    """The page at `html` in a tab of its own. context: of Playwright's new_context."""
    with browser.new_context(**context) as opened:
        page = opened.new_page()
        page.set_default_timeout(10_000)
        page.goto(html.as_uri())
        yield page


def heard(page: Any) -> tuple[list[str], list[str]]:
    """What is said in the console, and asked of anything, from now on: errors, refusals and addresses."""
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.context.on("request", lambda request: asked.append(request.url))
    page.add_init_script(REFUSED)
    return said, asked


def serious(page: Any) -> list[str]:
    """What axe finds that keeps somebody from reading the page, with the first place of each."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {rule['nodes'][0]['html'][:200]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]


class Texts(HTMLParser):
    """Every word of a page's source that a reader should see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not UNSEEN & set(self.open):
            self.words += data.split()
