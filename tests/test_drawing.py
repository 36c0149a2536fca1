"""Facts about a drawing that a browser measures."""

from pathlib import Path
from typing import Any

import pytest
from browsing import shown

from looksam.drawing import drawing
from looksam.panels import Line, Look, Panel, Point

pytest.importorskip("playwright", reason="needs playwright, of the extra dev")

# texts of which something lies outside the picture
CUT = """[...document.querySelectorAll('svg')].flatMap(svg => {
    const whole = svg.getBoundingClientRect();
    return [...svg.querySelectorAll('text')].filter(text => {
        const own = text.getBoundingClientRect();
        const across = own.left < whole.left || own.right > whole.right;
        return across || own.top < whole.top || own.bottom > whole.bottom;
    }).map(text => text.textContent);
})"""
NAMES = ["base", "SAM", "SAM-5, LookSAM-5's settings", "g_v of the refresh before", "WWWWWWWWWWWWWWWWWWWWWW"]


@pytest.mark.parametrize("panels", [1, 2, 3, 6])
@pytest.mark.parametrize("names", [3, 5, 15])
def test_no_word_of_a_picture_is_cut_off(browser: Any, tmp_path: Path, panels: int, names: int) -> None:
    lines = [
        Line(f"{NAMES[i % len(NAMES)]} {i}", Look.of("look", i), [Point(0.0, i), Point(1.0, 2 * i)])
        for i in range(names)
    ]
    made = drawing("a title", [Panel("a panel", "x", "x", lines)] * panels)
    assert made
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{made.svg}")
    with shown(browser, tmp_path / "page.html", viewport={"width": 2000, "height": 2000}) as page:
        assert page.locator("svg text").count() > names
        assert page.evaluate(CUT) == []
