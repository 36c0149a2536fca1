import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from looksam.intervals import RESAMPLES, Difference, bootstrap, holm, mean, paired, welch

A = [0.912, 0.907, 0.921, 0.915]
B = [0.901, 0.911, 0.899]
# sums in another order than scipy's: a few ulp of the t statistic, which its tail blows up by its square
CLOSE = 1e-9


def test_welch_is_scipys() -> None:
    theirs = stats.ttest_ind(A, B, equal_var=False)
    ours = welch(A, B)
    assert ours.p == pytest.approx(theirs.pvalue, rel=CLOSE)
    assert ours.interval == pytest.approx(tuple(theirs.confidence_interval(0.95)), rel=CLOSE)
    assert (ours.n, ours.paired) == ((4, 3), False)


def test_paired_is_scipys() -> None:
    theirs = stats.ttest_rel(A[:3], B)
    ours = paired(A[:3], B)
    assert ours.p == pytest.approx(theirs.pvalue, rel=CLOSE)
    assert ours.interval == pytest.approx(tuple(theirs.confidence_interval(0.95)), rel=CLOSE)


@pytest.mark.parametrize("bound", [-0.01, 0.0, 0.02])
def test_one_sided_tests_against_a_bound_are_scipys(bound: float) -> None:
    moved = [x - bound for x in A]
    ours = welch(A, B)
    above = stats.ttest_ind(moved, B, equal_var=False, alternative="greater")
    below = stats.ttest_ind(moved, B, equal_var=False, alternative="less")
    assert ours.p_above(bound) == pytest.approx(above.pvalue, rel=CLOSE)
    assert ours.p_below(bound) == pytest.approx(below.pvalue, rel=CLOSE)


def test_the_mean_of_one_sample_is_scipys() -> None:
    theirs = stats.ttest_1samp(A, 0.0)
    assert mean(A).interval == pytest.approx(tuple(theirs.confidence_interval(0.95)), rel=CLOSE)


def test_a_difference_turned_round_has_the_opposite_interval() -> None:
    low, high = welch(A, B).interval or (math.nan, math.nan)
    assert welch(B, A).interval == pytest.approx((-high, -low), rel=1e-14)
    assert welch(B, A).p == pytest.approx(welch(A, B).p, rel=1e-14)


def untested(one: Difference) -> bool:
    return one.interval is None and one.p == 1.0 and bool(one.untested)


@pytest.mark.parametrize("one", [welch(A[:1], B), welch(A, B[:1]), mean(A[:1]), paired(A[:1], B[:1])])
def test_one_seed_gives_no_interval(one: Difference) -> None:
    assert untested(one)
    assert one.untested == "one seed"


@pytest.mark.parametrize("one", [welch([0.5, 0.5], [0.25, 0.25]), paired([0.5, 0.75], [0.25, 0.5])])
def test_seeds_that_do_not_differ_give_no_interval(one: Difference) -> None:
    assert untested(one)
    assert one.value == 0.25


def test_pairs_that_differ_by_rounding_alone_give_no_interval() -> None:
    a, b = [0.9, 0.8, 0.3], [0.8, 0.7, 0.2]
    assert len({x - y for x, y in zip(a, b, strict=True)}) > 1
    assert untested(paired(a, b))


# scipy's moments of equal numbers warn; its degrees of freedom are those of the other side all the same
@pytest.mark.filterwarnings("ignore:Precision loss")
def test_a_spread_of_one_side_alone_has_that_sides_degrees_of_freedom() -> None:
    constant, varied = [0.5, 0.5, 0.5], [0.25, 0.26, 0.3]
    theirs = stats.ttest_ind(constant, varied, equal_var=False)
    assert welch(constant, varied).p == pytest.approx(theirs.pvalue, rel=CLOSE)


def images(better: int, worse: int, same: int) -> np.ndarray:
    """Per image, what one run scores over another."""
    return np.repeat([1.0, -1.0, 0.0], [better, worse, same])


def test_a_bootstrap_is_the_same_to_the_bit_and_in_any_order() -> None:
    first, again = bootstrap(images(30, 12, 258)), bootstrap(images(30, 12, 258)[::-1])
    assert (first.interval, first.p) == (again.interval, again.p)


def test_a_bootstraps_interval_is_that_of_resampled_images() -> None:
    # 20,000 plain resamples: an end of the interval is off by a standard error of about 0.001 of accuracy
    differences = images(30, 12, 258)
    random = np.random.default_rng(1)
    drawn = [random.choice(differences, len(differences)).mean() for _ in range(20_000)]
    assert bootstrap(differences).interval == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.005)


def test_a_bootstraps_p_is_near_mcnemars() -> None:
    # of the same discordant images; both have a relative error of some tenths at p = 0.005
    exact = stats.binomtest(12, 42).pvalue
    assert bootstrap(images(30, 12, 258)).p == pytest.approx(exact, rel=0.6)


def test_a_bootstrap_is_never_surer_than_its_resamples() -> None:
    assert bootstrap(images(250, 1, 49)).p == 2 / (RESAMPLES + 1)


def test_as_many_images_gained_as_lost_is_no_difference() -> None:
    even = bootstrap(images(20, 20, 260))
    low, high = even.interval or (math.nan, math.nan)
    assert even.value == 0.0
    assert low < 0 < high
    assert even.p > 0.9


def test_runs_that_are_right_on_the_same_images_are_not_tested() -> None:
    assert untested(bootstrap(images(0, 0, 300)))


def test_holm_is_its_definition() -> None:
    # by hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, and never less than the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_rejects_what_stepping_down_rejects() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        ps = random.uniform(0, 0.05, random.integers(1, 9)).tolist()
        rejected, level = set(), 0.05
        for rank, index in enumerate(np.argsort(ps)):
            if ps[index] > level / (len(ps) - rank):
                break
            rejected.add(int(index))
        assert {i for i, p in enumerate(holm(ps)) if p <= level} == rejected


def test_holm_keeps_order_and_never_exceeds_1() -> None:
    adjusted = holm([0.2, 0.9, 0.9, 0.001])
    assert all(a <= b for a, b in pairwise(sorted(adjusted)))
    assert max(adjusted) == 1.0


def test_one_test_needs_no_correction() -> None:
    assert holm([0.04]) == [0.04]


def test_no_tests_are_corrected_to_none() -> None:
    assert holm([]) == []
