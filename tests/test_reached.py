import pytest
from made_ledgers import arm

from looksam.reached import reached

NAMES = ("looksam-5", "sam")
# at each milestone a tenth more of 1,000: the sixth has 600
RISING = {"judged_correct": tuple(range(100, 1100, 100))}


def test_it_is_the_passes_of_the_first_milestone_that_is_as_accurate() -> None:
    found = reached(arm("looksam-5", [1000], **RISING), arm("sam", [600]), *NAMES)
    # 120 passes in ten milestones, six of them, over SAM's 200
    assert found.shares == {0: 72 / 200}


def test_a_seed_that_does_not_reach_it_counts_as_none() -> None:
    found = reached(arm("looksam-5", [500, 700]), arm("sam", [600, 600]), *NAMES)
    assert found.shares == {0: None, 1: pytest.approx(108 / 200)}
    assert found.seeds == 1


def test_each_seed_has_its_own_goal() -> None:
    found = reached(arm("looksam-5", [600, 600]), arm("sam", [600, 601]), *NAMES)
    assert found.shares == {0: 120 / 200, 1: None}


def test_what_is_compared_is_when_the_target_itself_is_there() -> None:
    early = arm("sam", [600, 620], judged_correct=(600, 620, 600, 600, 600, 600, 600, 600, 600, 620))
    found = reached(arm("looksam-5", [600, 640]), early, *NAMES)
    assert found.own == {0: 20 / 200, 1: 40 / 200}
    assert found.found
    assert found.found.value == pytest.approx((120 / 200 + 120 / 200) / 2 - 30 / 200)


def test_nothing_is_compared_where_a_seed_does_not_reach_it() -> None:
    assert reached(arm("looksam-5", [500, 700]), arm("sam", [600, 600]), *NAMES).found is None


def test_a_diverged_run_says_nothing() -> None:
    found = reached(arm("looksam-5", [None, 700]), arm("sam", [600, 600]), *NAMES)
    assert found.obstacle == "1 of 2 runs of LookSAM-5 diverged"


def test_the_target_reaches_itself_and_loses_no_name() -> None:
    lost = arm("sam", [None, 600])
    assert reached(lost, lost, "sam", "sam").obstacle == "1 of 2 runs of SAM diverged"


def test_a_method_that_was_not_run_is_named() -> None:
    assert reached(None, arm("sam", [600]), *NAMES).obstacle == "looksam-5 was not run here"
