import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from study_files import ROOT, copied, edit, study
from test_tables import evaluation, tabulated

from looksam.errors import UserError
from looksam.shown import to_best
from looksam.tables import Cell, Table, read

IMAGES = 400


def of_seeds(method: str, top1s: list[float], **more: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A cell of the method, and its runs' evaluations, of seeds 0, 1, ..."""
    runs = [evaluation(f"{method}.{seed}", top1) for seed, top1 in enumerate(top1s)]
    cell = {"runs": [run["run"] for run in runs], "coordinates": {"model": "m", "method": method}}
    return {**cell, **more}, runs


def hits(right: set[int], test_images: str = "these") -> dict[str, Any]:
    """What differs in the evaluation of a run that is right on these of IMAGES test images."""
    bits = np.isin(np.arange(IMAGES), list(right))
    packed = np.packbits(bits).tobytes()
    return {"top1": bits.mean(), "images": IMAGES, "test_images": test_images, "correct": packed}


def table(
    folder: Path, *parts: tuple[dict[str, Any], list[dict[str, Any]]], compare: tuple[str, ...] = ("method",)
) -> Table:
    """The table of these cells, in one row."""
    cells = [cell | {"column": column} for column, (cell, _) in enumerate(parts)]
    runs = [run for _, evaluated in parts for run in evaluated]
    columns = [str(column) for column in range(len(parts))]
    return read(tabulated(folder, cells, runs, compare=list(compare), columns=columns))


BASE, SAM, LOOK = [0.80, 0.81, 0.80], [0.90, 0.91, 0.92], [0.89, 0.90, 0.92]


def three(folder: Path) -> list[Cell]:
    parts = [of_seeds("vanilla", BASE), of_seeds("sam", SAM), of_seeds("looksam-5", LOOK)]
    return table(folder, *parts).cells


def test_a_cell_keeps_its_values_and_their_seeds(tmp_path: Path) -> None:
    cell = three(tmp_path)[1]
    assert (cell.seeds, cell.values) == ([0, 1, 2], SAM)


def test_a_diverged_seed_has_no_value(tmp_path: Path) -> None:
    cell, runs = of_seeds("sam", [0.5, 0.6, 0.7])
    runs[1] |= {"top1": None, "diverged_at_step": 3}
    (kept,) = table(tmp_path, (cell, runs)).cells
    assert (kept.seeds, kept.values, kept.counted) == ([0, 2], [0.5, 0.7], ["sam.0", "sam.2"])


def test_the_best_is_the_highest_mean(tmp_path: Path) -> None:
    assert [cell.best for cell in three(tmp_path)] == [False, True, False]


def test_the_others_are_the_difference_from_the_best_and_its_interval(tmp_path: Path) -> None:
    base = three(tmp_path)[0]
    theirs = stats.ttest_ind(BASE, SAM, equal_var=False).confidence_interval(0.95)
    assert base.to_best == pytest.approx(np.mean(BASE) - np.mean(SAM))
    assert (base.to_best_low, base.to_best_high) == pytest.approx(tuple(theirs))


def test_p_is_holms_over_the_table(tmp_path: Path) -> None:
    base, _, look = three(tmp_path)
    ps = [stats.ttest_ind(values, SAM, equal_var=False).pvalue for values in (BASE, LOOK)]
    assert base.to_best_p == pytest.approx(2 * ps[0])
    assert look.to_best_p == pytest.approx(ps[1])
    assert (base.carried, look.carried) == (True, False)


def test_equal_means_are_both_best(tmp_path: Path) -> None:
    first, second = of_seeds("sam", [0.5, 0.75]), of_seeds("looksam-5", [0.75, 0.5])
    cells = table(tmp_path, first, second).cells
    assert [(cell.best, cell.to_best) for cell in cells] == [(True, None), (True, None)]


def test_cells_of_another_model_do_not_compete(tmp_path: Path) -> None:
    other = of_seeds("sam", [0.5, 0.6], coordinates={"model": "n", "method": "sam"})
    cells = table(tmp_path, of_seeds("vanilla", [0.7, 0.8]), other).cells
    assert [cell.best for cell in cells] == [False, False]


def test_a_table_that_compares_nothing_has_no_best(tmp_path: Path) -> None:
    one = table(tmp_path, of_seeds("vanilla", BASE), of_seeds("sam", SAM), compare=())
    assert not any(cell.best for cell in one.cells)
    assert one.compared == ""


def test_unequal_seeds_are_tested_by_welch(tmp_path: Path) -> None:
    cells = table(tmp_path, of_seeds("vanilla", BASE[:2]), of_seeds("sam", SAM)).cells
    assert cells[0].to_best_p == pytest.approx(stats.ttest_ind(BASE[:2], SAM, equal_var=False).pvalue)
    assert cells[0].test == "Welch's t over 2 and 3 seeds"


def test_one_seed_against_many_is_not_tested(tmp_path: Path) -> None:
    cells = table(tmp_path, of_seeds("vanilla", BASE[:1]), of_seeds("sam", SAM)).cells
    assert (cells[0].to_best_p, cells[0].carried, cells[0].test) == (None, False, "not tested: one seed")
    assert cells[0].to_best == pytest.approx(0.80 - 0.91)


def test_seeds_without_spread_carry_nothing(tmp_path: Path) -> None:
    cells = table(tmp_path, of_seeds("vanilla", [0.5, 0.5]), of_seeds("sam", [0.75, 0.75])).cells
    assert not cells[0].carried
    assert "do not differ" in cells[0].test


def test_a_diverged_cell_competes_with_none(tmp_path: Path) -> None:
    cell, runs = of_seeds("looksam-5", [0.5, 0.5])
    gone = [run | {"top1": None, "diverged_at_step": 1} for run in runs]
    cells = table(tmp_path, of_seeds("vanilla", BASE), of_seeds("sam", SAM), (cell, gone)).cells
    assert (cells[2].status, cells[2].best, cells[2].to_best, cells[2].test) == ("diverged", False, None, "")


def single(folder: Path, test_images: str = "these") -> Table:
    """A table of two single runs; the second is right on 40 more images and wrong on none."""
    first, runs = of_seeds("vanilla", [0.5])
    second, others = of_seeds("sam", [0.6])
    runs[0] |= hits(set(range(300)))
    others[0] |= hits(set(range(340)), test_images)
    return table(folder, (first, runs), (second, others))


def test_single_runs_are_compared_over_their_test_images(tmp_path: Path) -> None:
    base = single(tmp_path).cells[0]
    assert base.to_best == -0.1
    # the standard error of the mean of 400 images, of which a tenth differ, is 0.015
    assert (base.to_best_low, base.to_best_high) == pytest.approx((-0.13, -0.07), abs=0.005)
    assert base.carried
    assert base.test == "bootstrap over test images, 10,000 resamples"


def test_a_bootstrap_says_that_it_tells_nothing_of_training(tmp_path: Path) -> None:
    assert "and not the randomness of training" in single(tmp_path).compared


def test_single_runs_on_other_images_do_not_pair(tmp_path: Path) -> None:
    assert single(tmp_path, "those").cells[0].test == "not tested: one seed"


def test_the_caption_names_test_level_and_correction(tmp_path: Path) -> None:
    parts = [of_seeds("vanilla", BASE), of_seeds("sam", SAM), of_seeds("looksam-5", LOOK)]
    said = table(tmp_path, *parts).compared
    assert "cells that differ only in method." in said
    assert "Welch's t-test over seeds; two-sided, level 5 %, Holm's correction over the table's 2." in said


def timed(method: str, seconds: list[float], **more: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """As of_seeds, of seconds an epoch."""
    cell, runs = of_seeds(method, [0.5] * len(seconds), metric="seconds_per_epoch")
    return cell, [run | {"seconds_per_epoch": s} | more for run, s in zip(runs, seconds, strict=True)]


def test_times_are_compared_by_their_ratio(tmp_path: Path) -> None:
    slow, fast = [3.0, 3.3, 3.1], [2.0, 2.1, 2.2]
    cells = table(tmp_path, timed("vanilla", fast), timed("sam", slow)).cells
    theirs = stats.ttest_ind(np.log(slow), np.log(fast), equal_var=False).confidence_interval(0.95)
    assert [cell.best for cell in cells] == [True, False]
    assert (cells[1].to_best_low, cells[1].to_best_high) == pytest.approx(tuple(np.exp(theirs)))


def test_times_of_other_devices_do_not_compete(tmp_path: Path) -> None:
    elsewhere = {"environment": evaluation("x", 0.5, device="NVIDIA H100")["environment"]}
    cells = table(tmp_path, timed("vanilla", [2.0, 2.1]), timed("sam", [3.0, 3.1], **elsewhere)).cells
    assert [(cell.best, cell.to_best) for cell in cells] == [(False, None), (False, None)]


def test_a_time_whose_runs_are_from_two_devices_competes_with_none(tmp_path: Path) -> None:
    other = evaluation("x", 0.5, device="NVIDIA H100")["environment"]
    cells = [timed("vanilla", [2.0, 2.1]), timed("sam", [3.0, 3.1])]
    for _, runs in cells:
        runs[1]["environment"] = other
    assert not any(cell.best or cell.to_best for cell in table(tmp_path, *cells).cells)


def test_a_difference_is_told_with_its_unit(tmp_path: Path) -> None:
    told = to_best(three(tmp_path)[0])
    assert told is not None
    assert (told.text, told.interval, told.carried) == ("−10.7 pp", "−12.7 to −8.6", True)


def test_a_ratio_is_told_as_one(tmp_path: Path) -> None:
    told = to_best(table(tmp_path, timed("vanilla", [2.0, 2.1]), timed("sam", [4.0, 4.2])).cells[1])
    assert told is not None
    assert told.text == "2.00 ×"


def test_the_best_is_told_no_difference(tmp_path: Path) -> None:
    assert to_best(three(tmp_path)[1]) is None


def test_tabulating_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    single(tmp_path)
    first = (tmp_path / "table7.parquet").read_bytes()
    single(tmp_path)
    assert (tmp_path / "table7.parquet").read_bytes() == first


def test_comparing_imports_no_torch() -> None:
    code = "import sys, looksam.comparisons; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("table1", ["method"]),
        ("table2", ["method"]),
        ("table3", ["method", "augment"]),
        ("table5", ["alpha"]),
        ("table6", ["rho"]),
        ("figure4", ["method"]),
        ("table9", []),
        ("table10", []),
    ],
)
def test_what_competes_in_the_papers_tables(name: str, keys: list[str]) -> None:
    made = study(scale="paper")
    assert made.layout.request(made.tables[name])["compare"] == keys


def test_a_search_compares_nothing() -> None:
    made = study(scale="cifar", tables=["table7"])
    assert made.layout.request(made.tables["search-cifar10"])["compare"] == []


def test_a_setting_that_does_not_vary_cannot_compete(tmp_path: Path) -> None:
    root = copied(tmp_path)
    edit(root / "config/tables/table5.yaml", lambda t: t.update(compare=["rho"]))
    with pytest.raises(UserError, match=r"table5.yaml: unknown setting .* 'rho'; known: alpha, batch_size"):
        study(root).requests()


def test_a_cell_knows_what_it_stands_for() -> None:
    made = study(scale="mini")
    cell = made.layout.request(made.tables["table5"])["cells"][0]
    assert cell["coordinates"]["alpha"] == 0.5
    assert (ROOT / f"config/recipes/{cell['coordinates']['recipe']}.yaml").is_file()
