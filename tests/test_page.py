import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_report import PRINTED, reported

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra dev")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the browser chromium")
SERIOUS = {"serious", "critical"}
CELLS = [
    {"runs": ["a", "b", "c"], "published": PRINTED},
    {"column": 1, "absent": "no SAM at 65536"},
    {"column": 2, "runs": ["lost"]},
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = reported(tmp_path_factory.mktemp("page"), CELLS, columns=["small", "large", "lost"])
    return (folder / "all_tables.html").as_uri()


def test_the_page_opens_without_a_word_in_the_console_and_asks_for_nothing_else(
    browser: Any, address: str
) -> None:
    page = browser.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    assert said == []
    assert asked == [address]


def test_at_360_pixels_only_tables_scroll_sideways(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_without_javascript_the_text_is_the_same(browser: Any, address: str) -> None:
    texts = []
    for allowed in (True, False):
        page = browser.new_context(java_script_enabled=allowed).new_page()
        page.goto(address)
        texts.append(page.locator("body").inner_text())
    assert texts[0] == texts[1]
    assert "97.2 ± 0.2" in texts[0]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Any, address: str, colours: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    # axe is put into the page by the test, which the page's policy rightly forbids to others
    page = browser.new_context(color_scheme=colours, bypass_csp=True).new_page()
    page.goto(address)
    found = axe.Axe().run(page).response["violations"]
    assert [rule["id"] for rule in found if rule["impact"] in SERIOUS] == []
