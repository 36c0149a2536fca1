"""The report in a browser: what everybody sees of it, at any width, without scripts, and on paper."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from browsing import CUT, OPEN, Texts, heard, shown
from page_studies import ROWS, SCRIPT

pytest.importorskip("playwright", reason="needs playwright, of the extra dev")
# A4 across, less 12 mm on both sides, at 96 pixels an inch
PRINTED_WIDTH = int((297 - 24) / 25.4 * 96)


def test_the_page_says_nothing_in_the_console_and_asks_for_nothing_else(browser: Any, html: Path) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        said, asked = heard(page)
        page.goto(html.as_uri())
        page.evaluate(OPEN)
        for button in page.locator("thead button").all()[:20]:
            button.press("Enter")
        page.emulate_media(media="print", color_scheme="dark")
        page.wait_for_timeout(100)
        assert said == []
        assert asked == [html.as_uri()]


def test_a_script_that_is_not_the_pages_own_does_not_run(browser: Any, by_hand: Path) -> None:
    with shown(browser, by_hand) as page:
        page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
        )
        assert page.evaluate("window.ran") is None


def test_a_hostile_name_is_text_and_no_link_runs_anything(browser: Any, by_hand: Path) -> None:
    with shown(browser, by_hand) as page:
        page.evaluate(OPEN)
        assert page.locator("body").inner_text().count(SCRIPT) > 5
        links = page.evaluate(
            "[...document.querySelectorAll('[href]')].map(one => new URL(one.href).protocol)"
        )
        assert set(links) == {"file:"}


def test_no_part_of_the_page_has_another_parts_id(browser: Any, html: Path) -> None:
    with shown(browser, html) as page:
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
        assert [name for name, times in Counter(ids).items() if times > 1] == []


def test_every_link_within_the_page_leads_somewhere(browser: Any, html: Path) -> None:
    lost = "[...document.querySelectorAll('a[href^=\"#\"]')].map(a => decodeURIComponent(a.hash.slice(1)))"
    with shown(browser, html) as page:
        assert page.evaluate(f"{lost}.filter(id => id && !document.getElementById(id))") == []


def test_at_360_pixels_the_page_does_not_scroll_sideways(browser: Any, html: Path) -> None:
    with shown(browser, html, viewport={"width": 360, "height": 740}) as page:
        page.evaluate(OPEN)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_at_360_pixels_a_wide_table_scrolls_within_itself_by_keyboard_too(browser: Any, html: Path) -> None:
    unreachable = """[...document.querySelectorAll('table')].filter(table => {
        let box = table;
        while (box && !['auto', 'scroll'].includes(getComputedStyle(box).overflowX)) box = box.parentElement;
        return table.checkVisibility() && table.scrollWidth > 360 && !(box && box.tabIndex === 0);
    }).map(table => table.caption.textContent)"""
    with shown(browser, html, viewport={"width": 360, "height": 740}) as page:
        assert page.evaluate(unreachable) == []


def test_without_javascript_every_word_is_there(browser: Any, html: Path) -> None:
    with shown(browser, html, java_script_enabled=False) as page:
        page.evaluate(OPEN)
        seen = re.sub(r"\s+", "", page.locator("body").inner_text()).casefold()
    words = Texts(html.read_text(encoding="utf-8")).words
    assert len(words) > 500
    assert [word for word in words if word.casefold() not in seen] == []


def test_without_javascript_no_button_is_left_that_does_nothing(browser: Any, by_hand: Path) -> None:
    with shown(browser, by_hand, java_script_enabled=False) as page:
        assert page.locator("button:visible").count() == 0


def test_nothing_is_cut_where_the_page_is_printed(browser: Any, html: Path) -> None:
    with shown(browser, html, viewport={"width": PRINTED_WIDTH, "height": 700}) as page:
        page.emulate_media(media="print")
        assert page.evaluate(CUT) == []


def pages(browser: Any, html: Path) -> list[str]:
    """The text of each page of the PDF that is printed."""
    pdfium = pytest.importorskip("pypdfium2", reason="needs pypdfium2, of the extra dev")
    with shown(browser, html) as page:
        printed = pdfium.PdfDocument(page.pdf(prefer_css_page_size=True))
    return [" ".join(one.get_textpage().get_text_range().split()) for one in printed]


def test_on_paper_every_row_is_there_once_and_heads_are_repeated(browser: Any, by_hand: Path) -> None:
    found = pages(browser, by_hand)
    holding = [text for text in found if any(row in text for row in ROWS)]
    assert len(holding) > 2
    assert all(sum(row in text for text in holding) == 1 for row in ROWS)
    assert all("column 7 of the long table" in text for text in holding)


def test_on_paper_no_letter_lies_beyond_the_margin(browser: Any, html: Path) -> None:
    pdfium = pytest.importorskip("pypdfium2", reason="needs pypdfium2, of the extra dev")
    with shown(browser, html) as page:
        printed = pdfium.PdfDocument(page.pdf(prefer_css_page_size=True))
    for one in printed:
        text = one.get_textpage()
        edge = one.get_width() - 12 / 25.4 * 72
        assert max(text.get_rect(i)[2] for i in range(text.count_rects())) <= edge + 1


def test_a_page_of_the_papers_scale_is_at_most_1_5_mb(paper: Path) -> None:
    assert 100_000 < paper.stat().st_size <= 1_500_000
