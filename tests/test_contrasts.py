from pathlib import Path

import pytest
from made_tables import evidence, table

from looksam.contrasts import Evidence, absence, common_seeds, contrast, how_tested, labelled, names, pairs
from looksam.tables import Cell

SAM, LOOK = [0.9, 0.91, 0.92], [0.91, 0.91, 0.94]


def made(folder: Path) -> Evidence:
    """A table of two networks by three methods, LookSAM-5 of the second not being there."""
    first, runs = table({"looksam-5": LOOK, "sam": SAM, "vanilla": [0.8]})
    second, more = table({"sam": SAM}, model="ViT-S-16", name="other")
    first["cells"] += [cell | {"row": 1, "column": 1} for cell in second["cells"]]
    first["rows"] += second["rows"]
    return evidence(folder, (first, [*runs, *more]))


def one_pair(found: Evidence, of: str, against: str) -> tuple[Cell, Cell]:
    (pair,) = pairs(found.tables["table1"], "top1", {"method": of}, {"method": against})
    return pair


def test_cells_pair_where_all_but_what_is_named_agrees(tmp_path: Path) -> None:
    found = made(tmp_path)
    a, b = one_pair(found, "looksam-5", "sam")
    assert (a.row, b.row, a.values, b.values) == ("ViT-B-16", "ViT-B-16", LOOK, SAM)


def test_pairs_are_of_one_metric(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert pairs(found.tables["table1"], "top5", {"method": "looksam-5"}, {"method": "sam"}) == []


def test_pairs_are_among_the_values_asked_for(tmp_path: Path) -> None:
    found = made(tmp_path).tables["table1"]
    methods = ({"method": "looksam-5"}, {"method": "sam"})
    assert len(pairs(found, "top1", *methods, {"model": ["ViT-B-16"]})) == 1
    assert pairs(found, "top1", *methods, {"model": ["ViT-B-32"]}) == []


def test_a_contrast_is_over_the_seeds_in_common(tmp_path: Path) -> None:
    found = made(tmp_path)
    a, b = one_pair(found, "looksam-5", "sam")
    assert common_seeds(a, b) == [0, 1, 2]
    assert contrast(a, b, found.evaluated).value == pytest.approx(0.01)
    assert how_tested(contrast(a, b, found.evaluated)) == "Student's t over 3 seeds, paired"


def test_of_one_seed_in_common_it_is_over_test_images(tmp_path: Path) -> None:
    found = made(tmp_path)
    a, b = one_pair(found, "looksam-5", "vanilla")
    assert common_seeds(a, b) == [0]
    assert how_tested(contrast(a, b, found.evaluated)).startswith("bootstrap over test images")


def test_without_the_images_one_seed_has_no_interval(tmp_path: Path) -> None:
    a, b = one_pair(made(tmp_path), "looksam-5", "vanilla")
    assert how_tested(contrast(a, b, {})) == "not tested: one seed"


def test_cells_of_no_common_seed_do_not_compare(tmp_path: Path) -> None:
    sam = table({"sam": [None, 0.9], "looksam-5": [0.9, None]})
    a, b = one_pair(evidence(tmp_path, sam), "looksam-5", "sam")
    assert absence(a, b, ("a", "b")) == "they have no seed in common"


def test_a_pair_is_named_by_what_differs_and_what_does_not(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert names(found.tables["table1"], *one_pair(found, "looksam-5", "sam")) == (
        "looksam-5",
        "sam",
        "ViT-B-16",
    )


@pytest.mark.parametrize(
    ("label", "said"), [("16384", "batch size 16384"), ("0.7", "batch size 0.7"), ("SAM-5", "SAM-5")]
)
def test_a_bare_number_is_told_with_its_setting(label: str, said: str) -> None:
    assert labelled("batch size", label) == said
