"""Variance within and between groups: published figures, an independent method, and coverage."""

import math

import numpy as np
import pytest

from harness.statistics import variance_components

DYESTUFF = [
    [1545, 1440, 1440, 1520, 1580],
    [1540, 1555, 1490, 1560, 1495],
    [1595, 1550, 1605, 1510, 1560],
    [1445, 1440, 1595, 1465, 1545],
    [1595, 1630, 1515, 1635, 1625],
    [1520, 1455, 1450, 1480, 1445],
]
"""Yields of six batches: Davies and Goldsmith (1972), Statistical Methods in Research."""


def test_the_published_components_of_the_dyestuff_data():
    # Box and Tiao (1973): the variances are 1764.05 and 2451.25.
    found = variance_components(DYESTUFF)
    assert found.between.value**2 == pytest.approx(1764.05, abs=0.01)
    assert found.within.value**2 == pytest.approx(2451.25)
    assert (found.groups, found.each, found.between.n, found.within.n) == (6, 5, 6, 30)
    assert found.of_mean == pytest.approx(math.sqrt(2451.25 / 5))


def test_the_intervals_are_those_of_generalised_pivots():
    """Weerahandi (1993), by simulation: another way to nearly the same ends."""
    values = np.array(DYESTUFF, dtype=float)
    means = values.mean(axis=1)
    between, within = 5 * ((means - means.mean()) ** 2).sum(), ((values.T - means) ** 2).sum()
    rng = np.random.default_rng(1)
    own, others = within / rng.chisquare(24, 400_000), between / rng.chisquare(5, 400_000)
    pivots = np.sqrt(np.maximum(0.0, (others - own) / 5))
    found = variance_components(DYESTUFF)
    ends = np.quantile(pivots, [0.025, 0.975])
    assert (found.between.low, found.between.high) == pytest.approx(ends, rel=0.03)
    ends = np.sqrt(np.quantile(own, [0.025, 0.975]))
    assert (found.within.low, found.within.high) == pytest.approx(ends, rel=0.01)


def test_the_lower_end_is_above_zero_where_the_f_test_rejects():
    from scipy import stats

    rng = np.random.default_rng(2)
    agree = []
    for _ in range(200):
        groups = rng.normal(0, 0.6, (8, 1)) + rng.normal(0, 1, (8, 3))
        low = variance_components(list(groups), level=0.9).between.low
        agree.append((low > 0) == (stats.f_oneway(*groups).pvalue < 0.05))
    assert all(agree)


@pytest.mark.parametrize(("count", "sizes", "between"), [(12, (3,), 1.0), (24, (1, 2, 3), 0.4)])
def test_both_intervals_cover(count, sizes, between):
    rng, samples = np.random.default_rng(count), 600
    covered = np.zeros(2)
    for _ in range(samples):
        groups = [
            rng.normal(rng.normal(0.0, between), 1.0, sizes[place % len(sizes)])
            for place in range(count)
        ]
        found = variance_components(groups)
        covered += [
            found.between.low <= between <= found.between.high,
            found.within.low <= 1.0 <= found.within.high,
        ]
    error = math.sqrt(0.95 * 0.05 / samples)
    assert np.all(np.abs(covered / samples - 0.95) < 3.5 * error), covered / samples


def test_groups_that_differ_less_than_their_values_do_have_a_component_of_zero():
    found = variance_components([[0.0, 1.0], [1.0, 0.3], [0.4, 0.9]])
    assert (found.between.value, found.between.low) == (0.0, 0.0)
    assert found.between.high > 0.0


def test_what_cannot_be_taken_apart():
    assert variance_components([]) is None
    assert variance_components([[1.0, 2.0]]) is None
    assert variance_components([[1.0], [2.0], []]) is None
    with pytest.raises(ValueError, match="level"):
        variance_components([[1.0, 2.0], [1.0]], level=1.0)
