import pytest
from made_ledgers import HERE, Counts, ledger
from scipy.stats import ttest_1samp, ttest_rel

from looksam.conditions import conditions
from looksam.families import LESS, MORE, OPEN, UNDECIDED, Family, family
from looksam.intervals import holm
from looksam.power import smallest

CONDITIONS = [HERE, HERE._replace(label_noise=0.4), HERE._replace(optimizer="adamw")]
SAM = [900, 902, 897, 901, 899]
MUCH, LITTLE, WORSE = [930, 933, 926, 932, 928], [903, 899, 899, 900, 902], [880, 884, 874, 881, 880]


def asked(*looks: Counts) -> Family:
    entries = [
        one
        for condition, look in zip(CONDITIONS, looks, strict=True)
        for one in ledger({"looksam-5": look, "sam-5": SAM}, condition)
    ]
    return family(conditions(entries, ["evidence-sgd"]), "looksam-5", "sam-5", 0.8, ("looksam-5", "sam-5"))


def test_ps_are_holms_over_the_conditions() -> None:
    found = asked(MUCH, LITTLE, WORSE)
    ps = [float(ttest_rel(look, SAM).pvalue) for look in (MUCH, LITTLE, WORSE)]
    assert [one.p for one in found.tested] == pytest.approx(holm(ps), rel=1e-6)


def test_each_condition_says_what_it_shows() -> None:
    assert [one.shows for one in asked(MUCH, LITTLE, WORSE).tested] == [MORE, OPEN, LESS]


def test_a_condition_with_a_diverged_run_shows_nothing() -> None:
    assert asked(MUCH, [None, *MUCH[1:]], WORSE).tested[1].shows == UNDECIDED


def test_a_condition_that_is_lost_makes_no_other_test_easier() -> None:
    alone = float(ttest_rel(LITTLE, SAM).pvalue)
    lost: Counts = [None, *MUCH[1:]]
    assert asked(lost, LITTLE, lost).tested[1].p == pytest.approx(min(1.0, 3 * alone))


def test_the_smallest_difference_is_at_holms_strictest_level() -> None:
    one = asked(MUCH, LITTLE, WORSE).tested[0]
    assert one.contrast.sd
    assert one.smallest == smallest(one.contrast.sd, 5, 0.8, 0.05 / 3)


def test_a_lost_condition_has_no_power() -> None:
    assert asked([None, *MUCH[1:]], LITTLE, WORSE).tested[0].smallest is None


def test_the_mean_over_seeds_is_of_the_conditions_mean_by_seed() -> None:
    found = asked(MUCH, LITTLE, WORSE).over_seeds
    by_seed = [(a + b + c) / 3 - s for a, b, c, s in zip(MUCH, LITTLE, WORSE, SAM, strict=True)]
    assert found
    assert found.p == pytest.approx(float(ttest_1samp(by_seed, 0).pvalue), rel=1e-6)


def test_the_mean_over_conditions_takes_them_as_a_sample() -> None:
    found = asked(MUCH, LITTLE, WORSE).over_conditions
    means = [sum(look) / 5 - sum(SAM) / 5 for look in (MUCH, LITTLE, WORSE)]
    assert found
    assert found.p == pytest.approx(float(ttest_1samp(means, 0).pvalue), rel=1e-6)


def test_a_lost_condition_is_in_no_mean() -> None:
    found = asked(MUCH, [None, *MUCH[1:]], WORSE).over_conditions
    assert found
    assert found.n == (2, 2)


def test_a_family_of_nothing_keeps_its_names() -> None:
    found = family({}, "looksam-5", "sam-5", 0.8, ("looksam-5", "sam-5"))
    assert (found.of, found.against, found.tested) == ("looksam-5", "sam-5", [])
