"""Shrinkage: published examples, the posterior by brute force, and what must hold of any results.

How biased it is, and how often its intervals cover, is in `test_selection_rates`.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.statistics import selection_interval, shrink

SCHOOLS = [28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18]
"""Effects of coaching in eight schools, with their standard errors: Rubin (1981)."""

HITS = np.array([18, 17, 16, 15, 14, 14, 13, 12, 11, 11, 10, 10, 10, 10, 10, 9, 8, 7]) / 45
"""Batting averages of 18 players after 45 at bats: Efron and Morris (1975)."""

SEASON = np.array(
    [.346, .298, .276, .222, .273, .270, .263, .210, .269, .230, .264, .256, .303, .264, .226,
     .286, .316, .200]
)  # fmt: skip
"""Their averages in the rest of the season."""


# ---- published and independently computed values ------------------------------------------------


def test_the_eight_schools_of_rubin():
    # Gelman and others (2013), table 5.3: medians of 200 draws with a flat prior of τ.
    found = shrink(*SCHOOLS)
    assert found.means == pytest.approx([10, 8, 7, 8, 5, 6, 10, 8], abs=1.4)
    assert found.best.argmax() == 0
    assert found.spread == pytest.approx(6.6, abs=0.4)


def test_the_batting_averages_of_efron_and_morris():
    # Efron (2010), Large-Scale Inference, table 1.1: the James-Stein estimates.
    published = [
        .294, .289, .285, .280, .275, .275, .270, .266, .261, .261, .256, .256, .256, .256, .256,
        .252, .247, .242,
    ]  # fmt: skip
    error = math.sqrt(HITS.mean() * (1 - HITS.mean()) / 45)
    found = shrink(HITS, error)
    assert found.means == pytest.approx(published, abs=0.0015)
    missed = ((found.means - SEASON) ** 2).sum(), ((HITS - SEASON) ** 2).sum()
    assert missed == pytest.approx((0.022, 0.077), abs=0.002)


def posterior(values, errors):
    """The posterior means and SDs on a grid of the centre and τ; τ and the centre as drawn."""
    y, s = np.array(values, dtype=float), np.array(errors, dtype=float)
    typical = 1 / math.sqrt(np.mean(s**-2.0))
    taus = np.linspace(1e-4, 60 * typical, 2_001)
    centres = np.linspace(y.mean() - 40 * typical, y.mean() + 40 * typical, 401)
    log = -np.log1p((taus / (5 * typical)) ** 2)[:, None] + np.zeros(centres.size)
    for one, error in zip(y, s, strict=True):
        log = log + stats.norm.logpdf(one, centres, np.hypot(taus, error)[:, None])
    weights = np.exp(log - log.max())
    weights /= weights.sum()
    means, squares = [], []
    for one, error in zip(y, s, strict=True):
        kept = (taus**2 / (taus**2 + error**2))[:, None]
        mean = centres + kept * (one - centres)
        means.append((weights * mean).sum())
        squares.append((weights * (mean**2 + kept * error**2)).sum())
    draws = np.random.default_rng(1).choice(weights.size, 100_000, p=weights.ravel())
    t, c = np.unravel_index(draws, weights.shape)
    kept = taus[t, None] ** 2 / (taus[t, None] ** 2 + s**2)
    theta = centres[c, None] + kept * (y - centres[c, None])
    theta += np.sqrt(kept) * s * np.random.default_rng(2).normal(size=theta.shape)
    best = np.bincount(theta.argmax(axis=1), minlength=y.size) / draws.size
    return np.array(means), np.sqrt(np.array(squares) - np.array(means) ** 2), best


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        SCHOOLS,
        ([0.4, 0.1, -0.2, 0.3, 0.9], [0.3] * 5),
        # None of them so far ahead that its shift is limited.
        ([1.0, 1.4, 0.2, 3.0, 0.9, 1.1], [0.5, 0.8, 0.4, 1.0, 0.9, 0.6]),
    ],
)
def test_the_posterior_is_that_of_a_grid(values, errors):
    means, sds, best = posterior(values, errors)
    found = shrink(values, errors)
    unit = float(np.median(errors))
    assert found.means == pytest.approx(means, abs=0.01 * unit)
    assert found.errors == pytest.approx(sds, abs=0.02 * unit)
    assert found.best == pytest.approx(best, abs=0.012)


def test_the_interval_is_that_of_the_largest_of_24():
    low, high = selection_interval(np.zeros(24), 1.0)
    assert (low[0], high[0]) == pytest.approx((-3.07, 1.96), abs=0.005)
    alone = selection_interval([0.0], 2.0)
    assert alone == (pytest.approx([-3.92], abs=0.001), pytest.approx([3.92], abs=0.001))


def test_an_estimated_error_takes_students_quantiles():
    low, high = selection_interval([0.0, 0.0], 1.0, [5.0, math.inf])
    assert high == pytest.approx([stats.t.ppf(0.975, 5), stats.norm.ppf(0.975)])
    root = math.sqrt(0.975)
    assert low == pytest.approx([-stats.t.ppf(root, 5), -stats.norm.ppf(root)])


# ---- edges ---------------------------------------------------------------------------------------


def test_equal_results_are_equally_likely_the_best():
    found = shrink([0.3] * 5, 0.1)
    assert found.best == pytest.approx([0.2] * 5)
    assert found.means == pytest.approx([0.3] * 5)


def test_noise_alone_is_shrunk_to_the_mean():
    values = 0.1 * np.linspace(-1, 1, 24)
    found = shrink(values, 1.0)
    assert np.abs(found.means).max() < 0.02
    assert found.best == pytest.approx([1 / 24] * 24, abs=0.01)


def test_what_is_known_well_stays():
    values = np.linspace(-1, 1, 24)
    found = shrink(values, 1e-4)
    assert found.means == pytest.approx(values, abs=1e-5)
    assert found.best[-1] > 0.999


def test_one_far_ahead_is_moved_no_further_than_its_interval():
    values = np.zeros(100)
    values[0] = 9.0
    found = shrink(values, 1.0)
    assert found.means[0] >= found.low[0]
    assert found.means[0] == pytest.approx(found.low[0], abs=0.1)
    assert found.best[0] > 0.99


def test_a_result_known_exactly_is_not_lost_among_others():
    found = shrink([0.0, 0.0, 0.0, 2.0], [1.0, 1.0, 1.0, 0.0])
    assert found.means[3] == pytest.approx(2.0, abs=0.01)
    assert found.best[3] > 0.8
    assert found.best.sum() == pytest.approx(1.0)


def test_thousands_of_results_can_be_read():
    values = np.random.default_rng(1).normal(size=20_000)
    found = shrink(values, 1.0)
    assert found.best.sum() == pytest.approx(1.0)
    assert found.spread < 0.3


@pytest.mark.parametrize(
    ("values", "errors", "said"),
    [
        ([1.0], 1.0, "1 values are no selection"),
        ([1.0, 2.0], [0.0, 0.0], "every standard error is 0"),
        ([1.0, 2.0], [1.0, -1.0], "negative or not finite"),
        ([1.0, 2.0], [1.0, math.nan], "negative or not finite"),
        ([1.0, math.nan], 1.0, "finite"),
    ],
)
def test_what_cannot_be_used_is_refused(values, errors, said):
    with pytest.raises(ValueError, match=said):
        shrink(values, errors)


# ---- what must hold of any results ---------------------------------------------------------------

VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=12)
ERRORS = st.floats(0.01, 50)


@given(VALUES, ERRORS)
def test_results_move_towards_the_centre_and_keep_their_order(values, error):
    found = shrink(values, error)
    y, slack = np.array(values), 1e-6 * (error + 100)
    lower, upper = np.minimum(y, found.centre), np.maximum(y, found.centre)
    assert ((lower - slack <= found.means) & (found.means <= upper + slack)).all()
    order = np.argsort(y, kind="stable")
    assert (np.diff(found.means[order]) >= -slack).all()
    assert (np.diff(found.best[order]) >= -1e-9).all()
    assert found.best.sum() == pytest.approx(1.0)
    assert found.low[order[-1]] - slack <= found.means[order[-1]] <= found.high[order[-1]]


@given(VALUES, st.data(), st.floats(0.01, 100), st.floats(-1000, 1000))
def test_neither_unit_nor_origin_nor_order_matters(values, data, unit, origin):
    size = len(values)
    errors = np.array(data.draw(st.lists(ERRORS, min_size=size, max_size=size)))
    order = np.array(data.draw(st.permutations(range(size))))
    y = np.array(values)
    found, other = shrink(y, errors), shrink((origin + unit * y)[order], (unit * errors)[order])
    slack = 1e-6 * (abs(origin) + unit * 150)
    for name in ("means", "low", "high"):
        expected = origin + unit * getattr(found, name)[order]
        assert getattr(other, name) == pytest.approx(expected, abs=slack)
    assert other.best == pytest.approx(found.best[order], abs=1e-5)
