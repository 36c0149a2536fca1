import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_tables import evidence, table
from scipy import stats

from looksam.claims import judged
from looksam.contrasts import Evidence
from looksam.verdicts import CONTRADICTED, SUPPORTED, UNDECIDED, Verdict

KEEPS = {"tables": ["table1"], "metric": "top1", "of": {"method": "looksam-5"}, "against": {"method": "sam"}}
NOT_WORSE = {**KEEPS, "above": -0.5}
BETTER = {**KEEPS, "above": 0.0}
ABOUT = {
    "tables": ["table4"],
    "metric": "seconds_per_epoch",
    "of": {"method": "layersam"},
    "against": {"method": "vanilla"},
    "above": 1.53,
    "below": 1.87,
}
SAM = [0.900, 0.910, 0.905]


def claim(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"claim": "a claim", "where": "Table 1", "parts": list(parts)}


def verdict(found: Evidence, *parts: dict[str, Any]) -> Verdict:
    return judged("c1", claim(*parts), found)


def beside_sam(folder: Path, *points: float, **more: Any) -> Evidence:
    """A table in which LookSAM-5 is so many points over SAM, seed by seed."""
    look = [sam + point / 100 for sam, point in zip(SAM, points, strict=False)]
    return evidence(folder, table({"looksam-5": look, "sam": SAM[: len(points)]}, **more))


@pytest.mark.parametrize(
    ("points", "here"),
    [
        ((0.0, 0.1, -0.1), SUPPORTED),
        ((1.0, 1.2, 1.1), SUPPORTED),
        ((-2.0, -2.1, -1.9), CONTRADICTED),
        ((-1.0, 1.0, 0.0), UNDECIDED),
        ((-0.5, -0.4, -0.6), UNDECIDED),
    ],
)
def test_non_inferiority_is_the_whole_interval_above_the_margin(
    tmp_path: Path, points: tuple[float, ...], here: str
) -> None:
    assert verdict(beside_sam(tmp_path, *points), NOT_WORSE).here == here


def test_the_interval_is_students_over_pairs_of_seeds(tmp_path: Path) -> None:
    points = (0.4, 0.9, 0.5)
    theirs = stats.ttest_1samp(points, 0).confidence_interval(0.95)
    said = f"{theirs.low:+.1f} to {theirs.high:+.1f}".replace("-", "−")
    found = verdict(beside_sam(tmp_path, *points), BETTER)
    assert found.interval == said
    assert found.seeds == 3
    assert "+0.6 pp" in found.why


def test_a_small_gain_is_no_gain_shown(tmp_path: Path) -> None:
    found = verdict(beside_sam(tmp_path, -0.1, 0.2, 0.0), BETTER)
    assert found.here == UNDECIDED
    assert "an interval contains 0" in found.why


def test_one_seed_decides_nothing_however_far_apart(tmp_path: Path) -> None:
    found = verdict(beside_sam(tmp_path, -20.0), NOT_WORSE)
    assert found.verdict == found.here == UNDECIDED
    assert found.interval
    assert "one seed, whose interval is of the test images' sampling" in found.why


@pytest.mark.parametrize("points", [(0.0, 0.1, -0.1), (-2.0, -2.1, -1.9)])
def test_stand_ins_decide_nothing_for_the_paper(tmp_path: Path, points: tuple[float, ...]) -> None:
    found = verdict(beside_sam(tmp_path, *points, scale="mini"), NOT_WORSE)
    assert found.verdict == UNDECIDED
    assert found.here in (SUPPORTED, CONTRADICTED)
    assert f"On this study's stand-ins, and there alone, {found.here}." in found.why
    assert "is not decided by stand-ins" in found.why


def test_at_the_papers_scale_the_papers_claim_is_decided(tmp_path: Path) -> None:
    found = verdict(beside_sam(tmp_path, 0.0, 0.1, -0.1), NOT_WORSE)
    assert found.verdict == SUPPORTED
    assert "stand-in" not in found.why


def test_a_table_that_was_not_run_leaves_the_claim_open(tmp_path: Path) -> None:
    found = verdict(Evidence({}, {}), NOT_WORSE)
    assert (found.verdict, found.seeds, found.interval) == (UNDECIDED, 0, "")
    assert "Table 1 is no part of this study" in found.why


def test_a_cell_that_was_not_run_says_why(tmp_path: Path) -> None:
    made = evidence(tmp_path, table({"looksam-5": "not run at this scale", "sam": SAM}))
    found = verdict(made, NOT_WORSE)
    assert found.here == UNDECIDED
    assert "looksam-5 was not run: not run at this scale" in found.why


def test_a_method_that_a_scale_leaves_out_says_so(tmp_path: Path) -> None:
    found = verdict(evidence(tmp_path, table({"sam": SAM, "vanilla": SAM})), NOT_WORSE)
    assert "Table 1 has no looksam-5 beside sam at this scale" in found.why


def test_a_cell_that_lost_a_run_supports_nothing(tmp_path: Path) -> None:
    made = evidence(tmp_path, table({"looksam-5": [0.95, 0.955, None], "sam": SAM}))
    found = verdict(made, NOT_WORSE)
    assert found.here == UNDECIDED
    assert "1 of 3 runs of looksam-5 diverged" in found.why


def test_a_cell_that_diverged_says_so(tmp_path: Path) -> None:
    found = verdict(evidence(tmp_path, table({"looksam-5": [None] * 3, "sam": SAM})), NOT_WORSE)
    assert found.here == UNDECIDED
    assert "every run of looksam-5 diverged" in found.why


def test_unequal_seeds_pair_where_both_have_them(tmp_path: Path) -> None:
    look = [sam + 0.01 + wiggle for sam, wiggle in zip(SAM[:2], (0.0, 0.0002), strict=True)]
    found = verdict(evidence(tmp_path, table({"looksam-5": look, "sam": SAM})), BETTER)
    assert found.seeds == 2
    assert found.findings[0].number == "+1.0 pp"


def test_one_part_that_fails_contradicts_the_claim(tmp_path: Path) -> None:
    worse = [0.700, 0.711, 0.706]
    better = [0.950, 0.961, 0.955]
    made = evidence(tmp_path, table({"looksam-5": better, "looksam-20": worse, "sam": SAM}))
    part = {**BETTER, "of": {"method": "looksam-20"}}
    found = verdict(made, BETTER, part)
    assert found.here == CONTRADICTED
    assert [one.decides for one in found.findings] == [SUPPORTED, CONTRADICTED]
    assert "Of 2 comparisons, 1 for it and 1 against it." in found.why


def two_parts(folder: Path) -> Verdict:
    """A claim of two parts, each with p a little under the level by itself."""
    points = np.array([0.6, 1.0, 0.8, 1.4])
    sam = np.array([0.9, 0.91, 0.905, 0.902])
    # so wide that p, one-sided, is between half the level and the level of one test
    wide = points.mean() + (points - points.mean()) * 1.55
    numbers = {"looksam-5": (sam + wide / 100).tolist(), "looksam-10": (sam + wide / 100).tolist()}
    made = evidence(folder, table({**numbers, "sam": sam.tolist()}))
    p = stats.ttest_1samp(wide, 0, alternative="greater").pvalue
    assert 0.0125 < p < 0.025
    return verdict(made, BETTER, {**BETTER, "of": {"method": "looksam-10"}})


def test_comparisons_of_a_claim_are_corrected_together(tmp_path: Path) -> None:
    found = two_parts(tmp_path)
    assert found.here == UNDECIDED
    assert "Holm's correction leaves it open" in found.why


def timed(folder: Path, layersam: list[float], vanilla: list[float], **more: Any) -> Evidence:
    numbers = {"layersam": layersam, "vanilla": vanilla}
    return evidence(folder, table(numbers, "table4", metric="seconds_per_epoch", **more))


@pytest.mark.parametrize(
    ("layersam", "here"),
    [
        ([1.70, 1.71, 1.69], SUPPORTED),
        ([1.20, 1.21, 1.19], CONTRADICTED),
        ([2.40, 2.41, 2.42], CONTRADICTED),
        ([1.20, 2.30, 1.70], UNDECIDED),
        ([1.87, 1.88, 1.86], UNDECIDED),
    ],
)
def test_about_is_a_band_that_the_whole_interval_is_in(
    tmp_path: Path, layersam: list[float], here: str
) -> None:
    assert verdict(timed(tmp_path, layersam, [1.0, 1.001, 0.999]), ABOUT).here == here


def test_a_ratio_of_times_is_over_logarithms(tmp_path: Path) -> None:
    layersam, vanilla = [3.4, 3.6, 3.3], [2.0, 2.1, 1.9]
    theirs = stats.ttest_rel(np.log(layersam), np.log(vanilla)).confidence_interval(0.95)
    found = verdict(timed(tmp_path, layersam, vanilla), ABOUT)
    assert found.interval == f"{math.exp(theirs.low):.2f} to {math.exp(theirs.high):.2f}"
    assert found.findings[0].what == "layersam over vanilla, ViT-B-16"


def test_one_time_has_no_interval(tmp_path: Path) -> None:
    found = verdict(timed(tmp_path, [1.7], [1.0]), ABOUT)
    assert (found.here, found.interval, found.findings[0].number) == (UNDECIDED, "", "1.70 ×")
    assert "Open, because one seed." in found.why


def test_times_of_two_devices_are_not_compared(tmp_path: Path) -> None:
    request, runs = table(
        {"layersam": [1.7, 1.8], "vanilla": [1.0, 1.1]}, "table4", metric="seconds_per_epoch"
    )
    for run in runs[:2]:
        run["environment"] = run["environment"] | {"device": "NVIDIA H100"}
    found = verdict(evidence(tmp_path, (request, runs)), ABOUT)
    assert (found.here, found.findings[0].number) == (UNDECIDED, "")
    assert "different devices" in found.why


HOURS = {
    "tables": ["table4"],
    "metric": "training_hours",
    "of": {"method": "look-layersam-5"},
    "device": "TPU v3",
    "below": 0.75,
}


def trained(folder: Path, device: str, *hours: float) -> Evidence:
    seconds = table({"look-layersam-5": list(hours)}, "table4", metric="training_hours")
    request, runs = seconds
    for run, hour in zip(runs, hours, strict=True):
        run |= {"seconds": 3600 * hour, "environment": run["environment"] | {"device": device}}
    return evidence(folder, (request, runs))


@pytest.mark.parametrize(
    ("hours", "here"), [((0.70, 0.702), SUPPORTED), ((0.9, 0.91), CONTRADICTED), ((0.7, 0.8), UNDECIDED)]
)
def test_hours_are_judged_by_themselves(tmp_path: Path, hours: tuple[float, float], here: str) -> None:
    assert verdict(trained(tmp_path, "TPU v3", *hours), HOURS).here == here


def test_hours_of_another_machine_decide_nothing(tmp_path: Path) -> None:
    found = verdict(trained(tmp_path, "NVIDIA H100", 0.1, 0.11), HOURS)
    assert found.here == UNDECIDED
    assert "a time on TPU v3, and these runs were on NVIDIA H100" in found.why


def test_the_best_of_a_setting_is_better_than_each_other(tmp_path: Path) -> None:
    rhos = {"1.0": [0.90, 0.901, 0.902], "0.5": [0.80, 0.801, 0.803], "1.2": [0.85, 0.851, 0.853]}
    made = evidence(tmp_path, table(rhos, "table6", varied="rho"))
    part = {"tables": ["table6"], "metric": "top1", "of": {"rho": 1.0}, "above": 0.0}
    found = verdict(made, {**part, "against": {"rho": 0.5}}, {**part, "against": {"rho": 1.2}})
    assert found.here == SUPPORTED
    assert found.findings[0].what == "rho 1.0 minus rho 0.5, ViT-B-16"


def test_what_costs_as_much_stands_beside_and_decides_nothing(tmp_path: Path) -> None:
    look, sam_5 = [sam + 0.02 for sam in SAM], [sam + 0.05 + i / 1000 for i, sam in enumerate(SAM)]
    look[0] += 0.001
    made = evidence(tmp_path, table({"looksam-5": look, "sam": SAM, "sam-5": sam_5}))
    found = verdict(made, {**NOT_WORSE, "beside": {"method": "sam-5"}})
    assert found.here == SUPPORTED
    assert "Beside it, deciding nothing: looksam-5 minus sam-5, ViT-B-16 (Table 1): −3." in found.why
    assert [one.decides for one in found.findings] == [SUPPORTED, ""]


def test_a_rule_says_its_bounds(tmp_path: Path) -> None:
    found = judged("c", claim(NOT_WORSE, ABOUT, HOURS), Evidence({}, {}))
    assert found.rule == "above −0.5 pp; above 1.53 × and below 1.87 ×; below 0.75 h"


SLOW = {"tables": ["table1"], "metric": "cos_g_v_old", "of": {}, "above": 0.5}


def turning(folder: Path, *cosines: float) -> Evidence:
    """A table of LookSAM-5 whose runs recorded such cosines of successive g_v."""
    request, runs = table({"looksam-5": SAM[: len(cosines)]})
    for cell in request["cells"]:
        cell["descent"] = "g_v"
    for run, cosine in zip(runs, cosines, strict=True):
        run |= {"cos_g_v_old": cosine, "reuse_gain": 0.01}
    return evidence(folder, (request, runs))


@pytest.mark.parametrize(
    ("cosines", "here"),
    [((0.8, 0.82), SUPPORTED), ((0.1, 0.12), CONTRADICTED), ((0.3, 0.7), UNDECIDED), ((0.9,), UNDECIDED)],
)
def test_g_v_varies_slowly_where_successive_ones_are_near(
    tmp_path: Path, cosines: tuple[float, ...], here: str
) -> None:
    assert verdict(turning(tmp_path, *cosines), SLOW).here == here


def test_the_reuse_gain_stands_beside_the_cosine(tmp_path: Path) -> None:
    assert "what reusing g_v gains over g" in verdict(turning(tmp_path, 0.8, 0.82), SLOW).why


def test_without_cosines_the_premise_is_open(tmp_path: Path) -> None:
    found = verdict(beside_sam(tmp_path, 0.0, 0.1), SLOW)
    assert found.here == UNDECIDED
    assert "histories record no cosines of g_v" in found.why
