import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness import statistics

RNG = np.random.default_rng


def at_most(rate, level, simulations):
    return rate <= level + 2.5 * math.sqrt(level * (1 - level) / simulations)


# ---- whether anything ---------------------------------------------------------------------------


def test_trend_is_spearmans():
    rng = RNG(0)
    x = rng.random(40)
    y = 2 * x + rng.normal(0, 0.5, 40)
    rho, p_value = statistics.trend(x, y, rng, resamples=9_999)
    expected = stats.spearmanr(x, y)
    assert rho == pytest.approx(expected.statistic)
    assert p_value == pytest.approx(expected.pvalue, abs=0.003)


def test_levels_are_compared_by_kruskal_and_wallis():
    rng = RNG(2)
    codes = rng.integers(0, 3, 45)
    y = rng.normal(0, 1, 45) + 0.3 * codes
    expected = stats.kruskal(*(y[codes == level] for level in range(3))).pvalue
    assert 0.02 < expected < 0.5
    p_value = statistics.levels_differ(codes, y, rng, resamples=9_999)
    assert p_value == pytest.approx(expected, abs=0.02)


def test_many_runs_use_the_limit():
    rng = RNG(0)
    codes, x = rng.integers(0, 3, 900), rng.random(900)
    y = rng.normal(size=900) + 0.1 * codes + 0.2 * x
    expected = stats.kruskal(*(y[codes == level] for level in range(3))).pvalue
    assert statistics.levels_differ(codes, y, rng) == pytest.approx(expected)
    expected = stats.spearmanr(x, y).pvalue
    assert statistics.trend(x, y, rng)[1] == pytest.approx(expected, rel=0.02)


def test_a_diverged_run_ranks_worst_however_bad():
    x, y = np.arange(12.0), np.arange(12.0)
    y[0] = -np.inf
    assert statistics.trend(x, y, RNG(0))[0] == pytest.approx(1.0)


def test_blocks_take_their_own_differences_away():
    rng = RNG(0)
    blocks = np.repeat([0, 1], 20)
    x = blocks + rng.random(40) * 0.5
    y = 5.0 * blocks + rng.normal(size=40)
    codes = np.concatenate([rng.permutation(20) < 4, rng.permutation(20) < 16]).astype(int)
    assert statistics.trend(x, y, rng)[1] < 0.01
    assert statistics.trend(x, y, rng, blocks)[1] > 0.05
    assert statistics.levels_differ(codes, y, rng) < 0.01
    assert statistics.levels_differ(codes, y, rng, blocks) > 0.05


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=12), st.integers(0, 3))
def test_nothing_is_told_where_nothing_varies(values, seed):
    y, same = np.array(values), np.zeros(len(values), dtype=int)
    assert statistics.trend(np.ones(y.size), y, RNG(seed), resamples=9)[1] == 1.0
    assert statistics.trend(y, np.ones(y.size), RNG(seed), resamples=9) == (0.0, 1.0)
    assert statistics.levels_differ(same, y, RNG(seed), resamples=9) == 1.0
    own = np.arange(y.size)
    assert statistics.levels_differ(own, y, RNG(seed), blocks=own, resamples=9) == 1.0


def test_outcomes_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="outcomes"):
        statistics.trend([1.0, 2.0], [1.0, math.nan], RNG(0))


# ---- how much -----------------------------------------------------------------------------------


def test_slope_is_that_of_least_squares():
    rng = RNG(0)
    x = rng.random(30)
    y = 0.4 * x + rng.normal(0, 0.1, 30)
    found, expected = statistics.slope(x, y), stats.linregress(x, y)
    assert found.value == pytest.approx(expected.slope)
    half = stats.t.ppf(0.975, 28) * expected.stderr
    assert found.high - found.low == pytest.approx(2 * half, rel=0.25)


def test_the_standard_error_of_the_slope_is_hc3():
    rng = RNG(0)
    x = rng.random(12)
    y = x + rng.normal(size=12) * x
    design = np.column_stack([np.ones(12), x])
    bread = np.linalg.inv(design.T @ design)
    hat = np.einsum("ij,jk,ik->i", design, bread, design)
    residuals = (y - design @ (bread @ (design.T @ y))) / (1 - hat)
    error = math.sqrt((bread @ (design.T * residuals**2) @ design @ bread)[1, 1])
    found = statistics.slope(x, y)
    assert (found.high - found.low) / 2 == pytest.approx(stats.t.ppf(0.975, 10) * error)


@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_the_interval_of_the_slope_covers_it_where_noise_grows(spread):
    rng, hits = RNG(1), 0
    for _ in range(400):
        x = rng.random(24)
        found = statistics.slope(x, rng.normal(size=24) * (0.2 + spread * x))
        hits += found.low <= 0.0 <= found.high
    assert 0.92 <= hits / 400 <= 0.985


@pytest.mark.parametrize("x", [[], [1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 2.0], [1.0, 2.0, 2.0, 1.0]])
def test_a_slope_that_cannot_be_told_has_no_interval(x):
    found = statistics.slope(x, np.arange(len(x), dtype=float))
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_variance_share():
    codes = np.repeat([0, 1, 2], 30)
    rng = RNG(0)
    useless = [statistics.variance_share(codes, rng.normal(size=90)) for _ in range(200)]
    assert np.mean(useless) < 0.015  # floored at 0, or it would be 0 on average
    y = codes + rng.normal(0, math.sqrt(2 / 3), 90)
    assert statistics.variance_share(codes, y) == pytest.approx(0.5, abs=0.1)
    assert statistics.variance_share(codes, 1.0 * codes) == 1.0
    assert math.isnan(statistics.variance_share(np.arange(4), np.arange(4.0)))
    assert math.isnan(statistics.variance_share(codes, np.ones(90)))


# ---- importance ---------------------------------------------------------------------------------


def test_importance_is_twice_the_share_of_variance_that_a_parameter_moves():
    rng = RNG(0)
    one, two, idle = (rng.integers(0, 2, 600) for _ in range(3))
    y = 2.0 * one + 1.0 * two + rng.normal(0, 0.5, 600)
    worth, predicted = statistics.permutation_importance([one, two, idle], y, rng)
    parts = np.array([1.0, 0.25, 0.0]) / y.var()
    assert worth == pytest.approx(2 * parts, abs=0.05)
    assert predicted == pytest.approx(1 - 0.25 / y.var(), abs=0.02)


def test_nothing_is_important_to_noise():
    rng = RNG(0)
    columns = [rng.integers(0, 3, 48) for _ in range(5)]
    found = [
        statistics.permutation_importance(columns, rng.normal(size=48), rng, repeats=2)
        for _ in range(40)
    ]
    assert np.abs(np.mean([worth for worth, _ in found], axis=0)).max() < 0.05
    assert np.mean([predicted for _, predicted in found]) < 0.0


def test_parameters_that_are_one_share_their_worth():
    rng = RNG(0)
    one = rng.integers(0, 2, 200)
    y = one + rng.normal(0, 0.3, 200)
    (alone,), _ = statistics.permutation_importance([one], y, rng)
    worth, _ = statistics.permutation_importance([one, one], y, rng)
    assert worth[0] == pytest.approx(worth[1])
    assert 0.2 * alone < worth[0] < 0.8 * alone


def test_importance_needs_runs_to_hold_out():
    few = statistics.permutation_importance([np.arange(9) % 2], np.arange(9.0), RNG(0))
    assert all(math.isnan(number) for number in (*few[0], few[1]))
    same = statistics.permutation_importance([np.arange(20) % 2], np.ones(20), RNG(0))
    assert math.isnan(same[0][0])
    assert statistics.permutation_importance([], np.arange(20.0), RNG(0))[0].size == 0


def test_an_equal_seed_gives_equal_numbers():
    rng = RNG(0)
    codes, y = rng.integers(0, 3, 40), rng.normal(size=40)
    for draw in (
        lambda rng: statistics.permutation_importance([codes], y, rng),
        lambda rng: statistics.trend(y, codes, rng),
        lambda rng: statistics.interaction(codes, codes[::-1].copy(), y, rng),
    ):
        assert draw(RNG(5)) == draw(RNG(5))


# ---- with which other ---------------------------------------------------------------------------


def test_an_interaction_is_the_f_test_of_the_cells():
    rng = RNG(3)
    one, two = np.tile([0, 1], 30), np.repeat([0, 1, 2], 20)
    y = rng.normal(size=60) + 0.5 * one + two + 1.8 * (one * (two == 2))
    design = np.column_stack([one == 0, one == 1, two == 0, two == 1]).astype(float)
    cells = np.eye(6)[one * 3 + two]
    rest = [((y - d @ np.linalg.lstsq(d, y, rcond=None)[0]) ** 2).sum() for d in (design, cells)]
    f = (rest[0] - rest[1]) / 2 / (rest[1] / 54)
    expected = stats.f.sf(f, 2, 54)
    share, p_value = statistics.interaction(one, two, y, rng, resamples=9_999)
    assert p_value == pytest.approx(expected, abs=0.01)
    assert share == pytest.approx((rest[0] - rest[1] - 2 * rest[1] / 54) / (60 * y.var()))


def test_many_runs_have_an_interaction_by_the_limit():
    rng = RNG(3)
    one, two = rng.integers(0, 2, 2_000), rng.integers(0, 3, 2_000)
    y = rng.normal(size=2_000) + 0.3 * one * two
    assert statistics.interaction(one, two, y, rng)[1] < 1e-4


def test_what_adds_up_is_no_interaction():
    one, two = np.tile([0, 1], 12), np.repeat([0, 1, 2], 8)
    share, p_value = statistics.interaction(one, two, 1.0 * one + 2.0 * two, RNG(0))
    assert (share, p_value) == (0.0, 1.0)


def test_nested_parameters_leave_nothing_to_tell():
    one = np.repeat([0, 1], 12)
    two = one * 3 + np.tile([0, 1, 2], 8)
    assert statistics.interaction(one, two, RNG(0).normal(size=24), RNG(0)) == (0.0, 1.0)


# ---- how often they are wrong -------------------------------------------------------------------


@pytest.mark.parametrize("skewed", [False, True], ids=["normal", "collapsed"])
def test_the_tests_are_seldom_wrong_on_noise(skewed):
    """Runs that no parameter moves but the blocks, and for the interaction both parameters."""
    rng, alpha, simulations = RNG(2), 0.05, 400
    hits = np.zeros(5)
    for _ in range(simulations):
        blocks, x = rng.integers(0, 3, 36), rng.random(36)
        codes = (blocks + rng.integers(0, 2, 36)) % 3
        noise = rng.normal(size=36)
        if skewed:
            noise -= 6.0 * (rng.random(36) < 0.15)
        moved = noise + 2.0 * blocks
        hits[0] += statistics.trend(x, noise, rng, resamples=199)[1] <= alpha
        hits[1] += statistics.levels_differ(codes, noise, rng, resamples=199) <= alpha
        hits[2] += statistics.trend(x + blocks, moved, rng, blocks, resamples=199)[1] <= alpha
        hits[3] += statistics.levels_differ(codes, moved, rng, blocks, resamples=199) <= alpha
        added = moved + 1.5 * codes
        hits[4] += statistics.interaction(codes, blocks, added, rng, resamples=199)[1] <= alpha
    assert all(at_most(hit / simulations, alpha, simulations) for hit in hits), hits / simulations
    assert hits.min() > 0.01 * simulations
