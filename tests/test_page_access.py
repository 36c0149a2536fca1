"""The report for those who use a keyboard, listen to it, or see colours otherwise."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browsing import CONTRAST, OPEN, serious, shown

pytest.importorskip("playwright", reason="needs playwright, of the extra dev")
COLOURS = pytest.mark.parametrize("colours", ["light", "dark"])


@COLOURS
def test_axe_finds_nothing_serious(browser: Any, html: Path, colours: str) -> None:
    # axe is put into the page by the test, which the page's policy rightly forbids to others
    with shown(browser, html, color_scheme=colours, bypass_csp=True) as page:
        page.evaluate(OPEN)
        assert serious(page) == []


@COLOURS
def test_every_text_stands_out_from_what_is_behind_it(browser: Any, html: Path, colours: str) -> None:
    with shown(browser, html, color_scheme=colours) as page:
        page.evaluate(OPEN)
        assert page.evaluate(CONTRAST) == []


def test_every_table_has_a_caption_and_every_head_says_what_it_heads(browser: Any, html: Path) -> None:
    scopes = "[...document.querySelectorAll('th')].map(head => head.scope)"
    with shown(browser, html) as page:
        assert page.locator("table").count() > 4
        assert page.locator("table:not(:has(> caption:not(:empty)))").count() == 0
        assert set(page.evaluate(scopes)) <= {"row", "col", "rowgroup", "colgroup"}


def test_headings_step_down_one_at_a_time(browser: Any, html: Path) -> None:
    with shown(browser, html) as page:
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])")
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_picture_has_a_title_and_a_description(browser: Any, html: Path) -> None:
    untold = """[...document.querySelectorAll('svg:not([aria-hidden=true])')].filter(svg =>
        svg.getAttribute('role') !== 'img' || !svg.querySelector('title')?.textContent
        || !svg.querySelector('desc')?.textContent)"""
    with shown(browser, html) as page:
        assert page.locator("svg").count() > 0
        assert page.evaluate(f"{untold}.map(svg => svg.outerHTML.slice(0, 200))") == []


def test_everything_that_can_be_worked_has_a_name(browser: Any, html: Path) -> None:
    roles = {"button", "link", "checkbox", "textbox", "combobox", "region", "DisclosureTriangle", "image"}
    with shown(browser, html) as page:
        page.evaluate(OPEN)
        tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    worked = [one for one in tree if one.get("role", {}).get("value") in roles and not one["ignored"]]
    assert len(worked) > 10
    assert [one["role"]["value"] for one in worked if not one.get("name", {}).get("value", "").strip()] == []


def test_whatever_opens_opens_by_keyboard(browser: Any, by_hand: Path) -> None:
    with shown(browser, by_hand) as page:
        closed = page.locator("details:not([open]) > summary:visible").element_handles()
        assert closed
        for summary in closed[:5]:
            summary.focus()
            page.keyboard.press("Enter")
            assert summary.evaluate("one => one.parentElement.open && one === document.activeElement")
