from dataclasses import replace

import pytest
from made_ledgers import HERE, Counts, arm, entry, ledger
from scipy.stats import ttest_rel

from looksam.conditions import Arm, Contrast, conditions, contrast, longer
from looksam.conditions import arm as arm_of

LOOK, SAM = [905, 911, 898, 907], [900, 902, 897, 901]


def compared(a: Counts, b: Counts) -> Contrast:
    return contrast(HERE, arm("looksam-5", a), arm("sam-5", b), ("looksam-5", "sam-5"))


def test_a_contrast_is_paired_by_seed() -> None:
    found = compared(LOOK, SAM).found
    assert found
    assert found.p == pytest.approx(ttest_rel(LOOK, SAM).pvalue, rel=1e-9)


def test_a_contrasts_interval_is_the_paired_t_tests() -> None:
    found = compared(LOOK, SAM).found
    expected = ttest_rel([x / 1000 for x in LOOK], [x / 1000 for x in SAM]).confidence_interval(0.95)
    assert found
    assert found.interval == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_the_deviation_is_of_the_differences() -> None:
    assert compared([905, 911], [900, 902]).sd == pytest.approx(0.004 / 2**0.5)


def test_a_diverged_run_decides_nothing_and_says_so() -> None:
    found = compared([905, None, 898, 907], SAM)
    assert found.obstacle == "1 of 4 runs of LookSAM-5 diverged"


def test_the_pairs_that_did_not_diverge_are_still_shown() -> None:
    assert list(compared([905, None, 898, 907], SAM).differences) == [0, 2, 3]


def test_an_arm_that_was_not_run_is_named() -> None:
    assert contrast(HERE, None, arm("sam-5", SAM), ("looksam-5", "sam-5")).obstacle == (
        "looksam-5 was not run here"
    )


def test_other_seeds_decide_nothing() -> None:
    assert compared(LOOK[:3], SAM).obstacle == "they were not run with the same seeds"


def test_other_test_images_decide_nothing() -> None:
    other = arm("sam-5", SAM, test_images="others")
    found = contrast(HERE, arm("looksam-5", LOOK), other, ("looksam-5", "sam-5"))
    assert found.obstacle == "they were judged on different test images"


def test_one_seed_decides_nothing() -> None:
    assert compared([905], [900]).obstacle == "one seed"


def test_equal_differences_decide_nothing() -> None:
    assert "do not differ" in compared([905, 906], [900, 901]).obstacle


def test_trials_of_a_search_are_no_arm() -> None:
    trial = replace(entry("sam", 0, None), table="search-evidence", trial=1)
    assert conditions([trial], ["evidence-sgd", "search-evidence"]) == {}


def test_rows_of_other_tables_are_no_condition() -> None:
    assert conditions([replace(entry("sam", 0, 900), table="table7")], ["evidence-sgd"]) == {}


def test_a_methods_arm_is_that_of_fewest_steps() -> None:
    assert arms_of_base()["base"] == arm_of(arms_of_base(), "vanilla")


def test_the_longer_arm_is_that_of_most_steps() -> None:
    assert longer(arms_of_base(), "vanilla") == arms_of_base()["base, 1.2 x"]


def test_one_arm_alone_is_not_longer() -> None:
    assert longer({"base": arms_of_base()["base"]}, "vanilla") is None


def arms_of_base() -> dict[str, Arm]:
    more = ledger({"vanilla": [890, 892]}, steps=120, column="base, 1.2 x")
    return conditions([*ledger({"vanilla": [880, 882]}), *more], ["evidence-sgd"])[HERE]
