import numpy as np
import pytest
from scipy.stats import nct, t, ttest_1samp

from looksam.power import power, smallest

# between the rule of 200 nodes and scipy's series
ROUNDING = 2e-6


@pytest.mark.parametrize(("n", "difference"), [(3, 1.0), (10, 0.5), (10, 1.0), (34, 0.5)])
def test_power_is_that_of_the_noncentral_t(n: int, difference: float) -> None:
    edge, shift = t.ppf(0.975, n - 1), difference * n**0.5
    exact = nct.sf(edge, n - 1, shift) + nct.cdf(-edge, n - 1, shift)
    assert power(difference, 1.0, n) == pytest.approx(exact, abs=ROUNDING)


def test_half_a_standard_deviation_needs_34_pairs() -> None:
    # Cohen's example, as G*Power prints it: n = 34, actual power 0.8077775
    assert power(0.5, 1.0, 34) == pytest.approx(0.8077775, abs=ROUNDING)
    assert power(0.5, 1.0, 33) < 0.8


def test_without_a_difference_the_power_is_the_level() -> None:
    assert power(0.0, 1.0, 10, 0.01) == pytest.approx(0.01, abs=ROUNDING)


def test_the_smallest_difference_is_found_with_the_wanted_power() -> None:
    assert power(smallest(0.3, 10, 0.8, 0.05 / 12), 0.3, 10, 0.05 / 12) == pytest.approx(0.8, abs=1e-6)


def test_the_smallest_difference_is_in_the_unit_of_the_deviation() -> None:
    assert smallest(3.0, 10, 0.8) == pytest.approx(3 * smallest(1.0, 10, 0.8), rel=1e-9)


def test_two_pairs_at_a_strict_level_find_only_what_is_huge() -> None:
    # nct has gaps there; by df = 1: power = P(|N| / 152.8 < ...), so that 138 deviations it is
    assert smallest(1.0, 2, 0.8, 0.05 / 12) == pytest.approx(138.5, abs=0.1)


def test_simulated_tests_find_the_smallest_difference_as_often_as_said() -> None:
    draws, n, level = 20_000, 10, 0.05 / 12
    true = smallest(1.0, n, 0.8, level)
    samples = np.random.default_rng(0).normal(true, 1.0, (draws, n))
    found = float(np.mean(ttest_1samp(samples, 0.0, axis=1).pvalue <= level))
    # three standard errors of a share of 0.8 in so many draws
    assert found == pytest.approx(0.8, abs=3 * (0.8 * 0.2 / draws) ** 0.5)
