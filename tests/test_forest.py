import re
from xml.etree import ElementTree

import pytest
from study_files import ROOT

from looksam.forest import Axis, Forest, Mark, Scale, drawn, ticks
from looksam.svg import standalone

STYLE = (ROOT / "reports/templates/style.css").read_text()
SHOWN = Mark("here", 0.5, (0.2, 0.8), "+0.50", "look", True, 0.6)
OPEN = Mark("there", 0.1, (-0.2, 0.4), "+0.10")
GONE = Mark("elsewhere", None, words="1 of 2 runs diverged")


def picture(*marks: Mark, columns: int = 1, **axis: object) -> str:
    return drawn("a title", [Forest("a panel", marks)], Axis("points", [0.0], **axis), columns)  # type: ignore[arg-type]


def test_a_number_that_is_shown_is_a_disc_and_another_a_ring() -> None:
    fills = re.findall(r'<circle[^>]* fill="var\(--(\w+)\)"', picture(SHOWN, OPEN))
    assert fills == ["look", "paper"]


def test_a_row_without_a_number_says_why() -> None:
    assert ">1 of 2 runs diverged<" in picture(GONE, columns=3)


def test_every_number_is_told_in_words() -> None:
    told = re.findall("<desc>(.*)</desc>", picture(SHOWN, GONE))
    assert told == ["a panel, here: +0.50. a panel, elsewhere: 1 of 2 runs diverged."]


def test_an_interval_that_leaves_the_axis_ends_in_an_arrow() -> None:
    assert picture(SHOWN, limits=(0.0, 0.6)).count("<path") == 1
    assert picture(SHOWN, limits=(0.0, 2.0)).count("<path") == 0


def test_a_number_off_the_axis_is_not_drawn_at_its_end() -> None:
    assert "<circle" not in picture(SHOWN, limits=(1.0, 2.0))


def test_a_place_is_in_proportion() -> None:
    scale = Scale(-1.0, 1.0, 100.0)
    assert (scale(-1.0), scale(0.0), scale(1.0), scale(5.0)) == (100.0, 225.0, 350.0, 350.0)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.6, 1.6, [-0.5, 0.0, 0.5, 1.0, 1.5]), (83.4, 87.1, [84.0, 85.0, 86.0, 87.0]), (0.0, 0.004, 5)],
)
def test_ticks_are_round(low: float, high: float, expected: list[float] | int) -> None:
    found = ticks(low, high)
    assert found == expected or len(found) == expected


def test_labels_are_text_whatever_they_hold() -> None:
    found = ElementTree.fromstring(standalone(picture(Mark("<b> & co", 0.5)), STYLE))
    assert "<b> & co" in "".join(found.itertext())


def test_a_picture_of_nothing_is_still_a_picture() -> None:
    found = ElementTree.fromstring(standalone(picture(GONE), STYLE))
    assert found.tag.endswith("svg")


def test_a_file_of_its_own_has_the_pages_colours_light_and_dark() -> None:
    found = standalone(picture(SHOWN), STYLE)
    assert re.findall(r"--look: (#\w+)", found) == re.findall(r"--look: (#\w+)", STYLE)[:2]
    assert found.count("@media (prefers-color-scheme: dark)") == 1


def test_a_file_of_its_own_names_no_colour_that_it_does_not_have() -> None:
    found = standalone(picture(SHOWN, OPEN), STYLE)
    assert set(re.findall(r"var\((--\w+)\)", found)) <= set(re.findall(r"(--\w+):", found))


@pytest.mark.parametrize("forests", [[], [Forest("a panel", [])]])
def test_of_no_number_the_picture_says_so(forests: list[Forest]) -> None:
    assert ">Not measured in this reading.<" in drawn("a title", forests, Axis("points"))
