import numpy as np
import pytest
from scipy.stats import t

from looksam.retained import NOTHING, UNBOUNDED, retained

WHOLES = [2.0, 2.5, 1.8, 2.2, 2.6, 1.9, 2.4, 2.1]
PARTS = [1.1, 1.2, 0.8, 1.3, 1.2, 0.9, 1.4, 1.0]


def test_the_fraction_is_the_ratio_of_the_means() -> None:
    assert retained(PARTS, WHOLES).value == pytest.approx(sum(PARTS) / sum(WHOLES))


def test_at_the_ends_the_t_test_is_on_its_edge() -> None:
    interval = retained(PARTS, WHOLES).interval
    assert interval
    for end in interval:
        rest = np.array(PARTS) - end * np.array(WHOLES)
        statistic = rest.mean() / (rest.std(ddof=1) / len(rest) ** 0.5)
        assert abs(statistic) == pytest.approx(t.ppf(0.975, len(rest) - 1), rel=1e-9)


def test_where_the_whole_is_known_exactly_it_is_students_interval() -> None:
    whole = [2.0] * len(PARTS)
    half = t.ppf(0.975, 7) * np.std(PARTS, ddof=1) / 8**0.5
    middle = float(np.mean(PARTS))
    assert retained(PARTS, whole).interval == pytest.approx(((middle - half) / 2, (middle + half) / 2))


def test_the_interval_is_near_the_bootstraps() -> None:
    rng = np.random.default_rng(1)
    wholes = rng.normal(2.0, 0.5, 60)
    parts = 0.5 * wholes + rng.normal(0.0, 0.3, 60)
    drawn = rng.integers(0, 60, (20_000, 60))
    ratios = parts[drawn].mean(1) / wholes[drawn].mean(1)
    interval = retained(parts.tolist(), wholes.tolist()).interval
    assert interval
    # of 60 seeds Student's t is 2 % wider than the normal, and a percentile bootstrap as much narrower
    width = interval[1] - interval[0]
    assert interval == pytest.approx(np.quantile(ratios, [0.025, 0.975]), abs=0.08 * width)


def test_a_gain_that_may_be_none_bounds_nothing() -> None:
    found = retained([1.0, -1.0, 0.5], [1.0, -0.5, 0.2])
    assert found.interval is None
    assert found.why == UNBOUNDED


def test_of_a_loss_nothing_can_be_retained() -> None:
    found = retained(PARTS, [-x for x in WHOLES])
    assert (found.value, found.interval, found.why) == (None, None, NOTHING)


def test_one_seed_has_no_interval() -> None:
    assert retained([1.0], [2.0]).why == "one seed"


def test_fieller_covers_the_true_ratio_as_often_as_it_says() -> None:
    rng, covered, draws = np.random.default_rng(2), 0, 2000
    for _ in range(draws):
        wholes = rng.normal(2.0, 1.0, 10)
        interval = retained((0.5 * wholes + rng.normal(0, 1, 10)).tolist(), wholes.tolist()).interval
        covered += interval is None or interval[0] <= 0.5 <= interval[1]
    # three standard errors of 95 % in so many draws; an unbounded interval covers everything but for a gap
    assert covered / draws == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / draws) ** 0.5)
