from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_tables import Numbers, evidence, table
from scipy import stats

from looksam.answer import answer
from looksam.contrasts import Evidence
from looksam.verdicts import Answer

ASKED = {
    "of": "looksam-5",
    "target": "sam",
    "control": "sam-5",
    "base": "vanilla",
    "margin": 0.5,
    "same_cost": 1.1,
    "accuracy": ["table1", "table7"],
    "time": ["figure4"],
}
SAM = [0.900, 0.910, 0.905]


def shifted(*points: float) -> list[float]:
    """SAM's accuracies, so many points higher each."""
    return [sam + point / 100 for sam, point in zip(SAM, points, strict=False)]


METHODS: dict[str, Numbers | str] = {
    "vanilla": shifted(-3.0, -3.1, -2.9),
    "sam": SAM,
    "sam-5": shifted(-1.0, -1.1, -0.9),
    "looksam-5": shifted(0.1, 0.0, -0.1),
}
TIMES: dict[str, Numbers | str] = {
    "vanilla": [1.0, 1.01, 0.99],
    "sam": [2.0, 2.01, 1.99],
    "looksam-5": [1.2, 1.22, 1.2],
}


def answered(
    folder: Path,
    methods: dict[str, Numbers | str] | None = None,
    times: dict[str, Numbers | str] | None = None,
    **more: Any,
) -> Answer:
    """The answer of a study of one network, given by what differs from METHODS and TIMES."""
    tops = table(METHODS | (methods or {}), **more)
    timed = table(TIMES | (times or {}), "figure4", metric="seconds_per_epoch", **more)
    return answer(ASKED, evidence(folder, tops, timed))


@pytest.mark.parametrize(
    ("points", "headline"),
    [
        ((0.1, 0.0, -0.1), "In this study, looksam-5 keeps sam's accuracy within 0.5 pp"),
        ((1.1, 1.0, 0.9), "In this study, looksam-5 is more accurate than sam"),
        ((-1.0, -1.1, -0.9), "In this study, looksam-5 does not keep sam's accuracy"),
        ((-0.5, -0.55, -0.4), "In this study, looksam-5 is less accurate than sam"),
        (
            (-1.0, 1.0, 0.2),
            "In this study, looksam-5 is not shown to differ from sam, nor to keep its accuracy",
        ),
    ],
)
def test_the_headline_is_what_the_interval_shows(
    tmp_path: Path, points: tuple[float, ...], headline: str
) -> None:
    assert answered(tmp_path, {"looksam-5": shifted(*points)}).headline.startswith(headline)


def test_a_first_sentence_gives_number_interval_and_seeds(tmp_path: Path) -> None:
    points = (0.4, 0.1, -0.2)
    theirs = stats.ttest_1samp(points, 0).confidence_interval(0.95)
    interval = f"{theirs.low:+.1f} to {theirs.high:+.1f}".replace("-", "−")
    first = answered(tmp_path, {"looksam-5": shifted(*points)}).sentences[0]
    assert first.startswith(f"looksam-5 minus sam is +0.1 pp (95 % interval {interval}, 3 seeds): ")


def test_what_is_not_shown_is_said_to_be_no_difference_shown(tmp_path: Path) -> None:
    told = answered(tmp_path, {"looksam-5": shifted(-1.0, 1.0, 0.2), "sam-5": shifted(0.1, 0.3, -0.2)})
    assert "no difference shown, and a loss of 0.5 pp or more is not excluded." in told.sentences[0]
    assert told.sentences[1].endswith("3 seeds): no difference shown.")


def test_looksam_is_judged_beside_what_costs_as_much(tmp_path: Path) -> None:
    said = answered(tmp_path).sentences[1]
    assert said.startswith("Against what costs as much, looksam-5 minus sam-5 is +1.0 pp (95 % interval ")
    assert said.endswith(": a gain.")


def test_whether_sam_has_a_gain_to_keep_is_said(tmp_path: Path) -> None:
    assert "sam minus vanilla is +3.0 pp" in answered(tmp_path).sentences[2]
    without = answered(tmp_path, {"vanilla": shifted(-1.0, 1.0, 0.1)}).sentences[2]
    assert "sam has no gain here that could be kept or lost" in without


@pytest.mark.parametrize(
    ("seconds", "ending"),
    [
        ([1.02, 1.03, 1.01], ", at vanilla's cost."),
        ([1.2, 1.22, 1.2], ", at more than vanilla's cost."),
        ([1.0, 1.3, 1.1], ", at a cost that may or may not be vanilla's."),
    ],
)
def test_the_headline_ends_in_the_cost(tmp_path: Path, seconds: list[float], ending: str) -> None:
    assert answered(tmp_path, times={"looksam-5": seconds}).headline.endswith(ending)


def test_times_are_ratios_to_the_base_and_to_sam(tmp_path: Path) -> None:
    theirs = stats.ttest_rel(np.log([1.2, 1.22, 1.2]), np.log([1.0, 1.01, 0.99])).confidence_interval(0.95)
    low, high = np.exp(theirs.low), np.exp(theirs.high)
    said = answered(tmp_path).sentences[3]
    assert f"over vanilla's is 1.21 × (95 % interval {low:.2f} to {high:.2f}, 3 seeds): more than 1.1" in said
    assert "looksam-5's time over sam's is 0.60 ×" in said


def one_seed(folder: Path) -> Answer:
    methods = {key: values[:1] for key, values in METHODS.items() if not isinstance(values, str)}
    times = {key: values[:1] for key, values in TIMES.items() if not isinstance(values, str)}
    return answered(folder, methods, times)


def test_one_seed_answers_nothing_and_says_of_what_its_interval_is(tmp_path: Path) -> None:
    told = one_seed(tmp_path)
    assert told.headline == (
        "In this study, looksam-5 was not judged against sam on seeds enough, "
        "at a cost that one seed cannot tell."
    )
    assert "over test images alone, 1 seed): one seed, which tells nothing of others." in told.sentences[2]


def test_one_seed_asks_for_more(tmp_path: Path) -> None:
    assert "Accuracy of looksam-5 beside sam: more seeds; there is 1." in one_seed(tmp_path).missing


def test_without_sam_there_is_no_answer(tmp_path: Path) -> None:
    told = answered(tmp_path, {"sam": "not run at this scale"}, {"sam": "not run at this scale"})
    assert told.headline.startswith("In this study, looksam-5 was not compared with sam")
    assert "not measured, because sam was not run: not run at this scale" in told.sentences[0]
    assert "Accuracy of looksam-5 beside sam: sam was not run: not run at this scale." in told.missing


def test_a_study_without_these_tables_says_so() -> None:
    told = answer(ASKED, Evidence({}, {}))
    assert told.headline == (
        "In this study, looksam-5 was not compared with sam, at a cost that was not measured."
    )
    assert "no table has looksam-5 beside sam" in told.sentences[0]


def test_a_diverged_looksam_is_no_kept_accuracy(tmp_path: Path) -> None:
    told = answered(tmp_path, {"looksam-5": [None] * 3})
    assert "is not judged against sam, since runs diverged" in told.headline
    assert "3 of 3 runs of looksam-5 diverged" in told.sentences[0]


def test_a_run_that_diverged_among_others_is_told(tmp_path: Path) -> None:
    told = answered(tmp_path, {"looksam-5": [0.95, 0.96, None]})
    assert "since runs diverged" in told.headline
    assert "1 of 3 runs of looksam-5 diverged, and are in no mean" in told.sentences[0]


def test_stand_ins_answer_for_themselves_alone(tmp_path: Path) -> None:
    told = answered(tmp_path, scale="mini")
    assert told.headline.startswith("On this study's stand-ins, looksam-5 keeps")
    assert told.missing == [
        "These are stand-ins (scale mini) and say nothing of the paper's models and data."
    ]


def of_two(folder: Path, *, second: Numbers) -> Answer:
    """The answer of a study of two networks, of the second of which LookSAM-5 has these accuracies."""
    others = {key: values[: len(second)] for key, values in METHODS.items()} | {"looksam-5": second}
    tables = [table(METHODS), table(others, "table7", model="ResNet-18")]
    return answer(ASKED, evidence(folder, *tables))


def test_several_networks_are_one_mean_by_seed(tmp_path: Path) -> None:
    first = of_two(tmp_path, second=shifted(-0.2, 0.2, 0.0)).sentences[0]
    theirs = stats.ttest_1samp([-0.05, 0.1, -0.05], 0).confidence_interval(0.95)
    interval = f"{theirs.low:+.1f} to {theirs.high:+.1f}".replace("-", "−")
    assert f"({f'95 % interval {interval}'}, 3 seeds, mean over 2 networks)" in first


def test_a_network_of_one_seed_is_left_out_of_the_mean_and_named(tmp_path: Path) -> None:
    told = of_two(tmp_path, second=shifted(-20.0))
    assert told.sentences[0].startswith("looksam-5 minus sam is 0.0 pp (95 % interval")
    assert any("ResNet-18 of Table 7" in said for said in told.missing)


def test_nothing_of_the_answer_is_longer_than_five_sentences(tmp_path: Path) -> None:
    assert 2 <= len(answered(tmp_path).sentences) <= 5
