"""The tables of the report, sorted in a browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import shown
from page_studies import HOURS, UNMEASURED

pytest.importorskip("playwright", reason="needs playwright, of the extra dev")
ORDERED = [f"m{row}" for row in sorted(range(len(HOURS)), key=HOURS.__getitem__)]
FIRST = [f"m{row}" for row in range(UNMEASURED + 1)]


@pytest.fixture
def head(browser: Any, by_hand: Path) -> Iterator[Any]:
    """The head of the column of hours, whose button is focused."""
    with shown(browser, by_hand) as page:
        head = page.locator("thead th", has_text="hours").first
        head.locator("button").focus()
        yield head


def rows(head: Any) -> list[str]:
    """The heads of the rows of the head's table, in the order shown."""
    named = "head => [...head.closest('table').tBodies[0].rows].map(row => row.cells[0].innerText.trim())"
    found: list[str] = head.evaluate(named)
    return found


def pressed(head: Any, times: int) -> tuple[list[str], str | None]:
    """The rows, and what the head says of their order, after its button was pressed by keyboard."""
    for _ in range(times):
        head.page.keyboard.press("Enter")
    return rows(head), head.get_attribute("aria-sort")


def test_before_any_press_rows_are_in_the_papers_order(head: Any) -> None:
    assert pressed(head, 0) in ((FIRST, None), (FIRST, "none"))


def test_a_press_sorts_as_numbers_and_what_was_not_run_comes_last(head: Any) -> None:
    assert pressed(head, 1) == ([*ORDERED, f"m{UNMEASURED}"], "ascending")


def test_a_second_press_turns_the_order_and_what_was_not_run_stays_last(head: Any) -> None:
    assert pressed(head, 2) == ([*reversed(ORDERED), f"m{UNMEASURED}"], "descending")


def test_a_third_press_gives_the_papers_order_back(head: Any) -> None:
    assert pressed(head, 3) in ((FIRST, None), (FIRST, "none"))


def test_space_presses_too_and_the_focus_stays(head: Any) -> None:
    head.page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "ascending"
    assert head.locator("button").evaluate("one => one === document.activeElement")


def test_one_column_at_a_time_is_sorted(head: Any) -> None:
    table = head.locator("xpath=ancestor::table")
    for button in table.locator("thead button").all():
        button.click()
    assert table.locator("[aria-sort=ascending], [aria-sort=descending]").count() == 1


def test_other_tables_stay_as_they_are(head: Any) -> None:
    others = "[...document.querySelectorAll('table')].filter(t => !t.querySelector('[aria-sort=ascending]'))"
    texts = f"JSON.stringify({others}.map(table => table.tBodies[0].innerText).slice(-1))"
    before = head.page.evaluate(texts)
    head.page.keyboard.press("Enter")
    assert head.page.evaluate(texts) == before


def test_the_best_is_told_by_its_weight_and_not_by_colour_alone(browser: Any, by_hand: Path) -> None:
    weights = "found => found.map(one => Number(getComputedStyle(one).fontWeight))"
    with shown(browser, by_hand, forced_colors="active") as page:
        best = page.eval_on_selector_all(".ours.best b", weights)
        others = page.eval_on_selector_all("td .ours:not(.best) b", weights)
    assert best
    assert min(best) >= max(others) + 200


def test_a_grey_difference_is_told_in_words_or_a_sign_too(browser: Any, by_hand: Path) -> None:
    with shown(browser, by_hand, forced_colors="active") as page:
        texts = page.locator(".ours.uncarried").all_inner_texts()
        carried = page.locator(".ours:not(.uncarried)").all_inner_texts()
    assert texts
    assert all("≈" in text or "not tested" in text for text in texts)
    assert not any("≈" in text or "not tested" in text for text in carried)
