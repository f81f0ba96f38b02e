"""Variance within and between groups: published figures, an independent method, and coverage."""

import math

import numpy as np
import pytest

from harness.statistics import (
    beyond,
    crossed,
    explained,
    residual_sd,
    root_mean_square,
    variance_components,
)

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


# ---- parts of variances --------------------------------------------------------------------------


def test_an_sd_with_its_interval():
    # R: sqrt(20 * 4 / qchisq(c(.975, .025), 20)).
    found = residual_sd(2.0, 20)
    assert (found.low, found.high) == pytest.approx((1.5301, 2.8881), abs=1e-4)
    assert (found.value, found.n, residual_sd(2.0, 20, n=24).n) == (2.0, 21, 24)


def test_a_root_mean_square_counts_each_group_once():
    found = root_mean_square([[3.0, 3.0, 3.0], [1.0], []])
    assert found.value == pytest.approx(math.sqrt(5.0))
    assert found.n == 4
    assert 0.0 < found.low < found.value < found.high
    alone = root_mean_square([[2.0]])
    assert (alone.value, alone.low, alone.high) == (2.0, 0.0, math.inf)
    assert root_mean_square([[2.0], [2.0], [2.0]]).high == 2.0
    assert root_mean_square([[0.0, 0.0]]).high == 0.0
    with pytest.raises(ValueError, match="at least one value"):
        root_mean_square([[]])


def test_what_is_beyond_a_part():
    whole, part = residual_sd(5.0, 30), residual_sd(3.0, 1000)
    found = beyond(whole, part)
    assert found.value == pytest.approx(4.0)
    assert found.low < 4.0 < found.high
    # With a part that is known, the interval is that of the whole.
    known = beyond(whole, root_mean_square([[3.0], [3.0]]))
    assert known.low == pytest.approx(math.sqrt(whole.low**2 - 9.0))
    assert known.high == pytest.approx(math.sqrt(whole.high**2 - 9.0))
    nothing = beyond(residual_sd(1.0, 30), residual_sd(3.0, 30))
    assert (nothing.value, nothing.low, nothing.high) == (0.0, 0.0, 0.0)


def test_what_a_model_explains_covers():
    rng, samples, n = np.random.default_rng(4), 400, 24
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 3))])
    basis, _ = np.linalg.qr(x)
    mean = x @ np.array([0.0, 0.8, -0.5, 0.0])
    truth, covered = float(np.std(mean, ddof=1)), 0
    for _ in range(samples):
        y = mean + rng.normal(size=n)
        left = y - basis @ (basis.T @ y)
        sd = math.sqrt(float(left @ left) / 20)
        found = explained(float(((y - y.mean()) ** 2).sum()), sd, 20, n)
        covered += found.low <= truth <= found.high
    # With the residual SD as it is, it is wide rather than narrow.
    assert covered / samples >= 0.93


def test_a_model_that_explains_all_or_nothing():
    assert explained(10.0, 0.0, 8, 11).value == explained(10.0, 0.0, 8, 11).high == 1.0
    nothing = explained(10.0, 1.0, 10, 11)
    assert (nothing.value, nothing.low, nothing.high) == (0.0, 0.0, math.inf)
    assert explained(9.0, 1.0, 9, 11).low == 0.0


def test_a_crossed_factor_is_told_from_what_is_beside_it():
    """Of a balanced design the estimate is that of the analysis of variance."""
    rng = np.random.default_rng(5)
    rows, levels = 12, 3
    effects = np.array([-1.0, 0.0, 1.0])
    table = rng.normal(0, 2, (rows, 1)) + effects + rng.normal(0, 0.5, (rows, levels))
    left = (table - table.mean(axis=1, keepdims=True)).ravel()
    columns = np.tile(np.eye(levels) - 1 / levels, (rows, 1))
    found, fitted, rank = crossed(left, columns, rows * (levels - 1))
    between = rows * table.mean(axis=0).var(ddof=1)
    rest = ((left.reshape(rows, levels) - left.reshape(rows, levels).mean(axis=0)) ** 2).sum()
    rest /= (rows - 1) * (levels - 1)
    assert rank == levels - 1
    assert found.value**2 == pytest.approx((between - rest) / rows)
    assert found.low < 1.0 < found.high
    assert fitted == pytest.approx(table.mean(axis=0) - table.mean())
    # Rows that have a level of their own cannot be told from it.
    assert crossed(left, np.zeros_like(columns), rows * (levels - 1)) is None
