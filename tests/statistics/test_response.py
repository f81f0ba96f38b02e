import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness import statistics


def hill(x, drop, rng):
    """A quadratic that falls by ``drop`` SDs from the centre to both ends, with noise."""
    return -drop * (2 * (x - 0.5)) ** 2 + rng.normal(size=x.size)


def test_a_hill_has_its_best_inside():
    rng = np.random.default_rng(0)
    x = rng.random(48)
    found = statistics.bracket(x, hill(x, 6, rng), rng)
    assert found.p_value <= 0.05
    assert 0.3 < found.peak < 0.7
    assert found.n == 48


@pytest.mark.parametrize(("sign", "edge"), [(1, "upper"), (-1, "lower")])
def test_a_slope_has_its_best_at_an_edge(sign, edge):
    rng = np.random.default_rng(0)
    x = rng.random(24)
    found = statistics.bracket(x, sign * 6 * x + rng.normal(size=24), rng)
    shown, not_shown = (
        (found.p_rising, found.p_falling) if edge == "upper" else (found.p_falling, found.p_rising)
    )
    assert shown <= 0.01
    assert not_shown > 0.05


def test_scores_are_kendalls():
    """The falling score of a suffix is −S of the runs in it, over its null deviation."""
    from harness.statistics.response import _Windows

    rng = np.random.default_rng(0)
    x, y = np.sort(rng.random(12)), rng.random(12)
    windows = _Windows.of(x, np.zeros(12, dtype=np.intp))
    rising, falling = windows.scores(stats.rankdata(y).astype(np.int16)[None, :])
    for index, end in enumerate(windows.ends):
        n = end + 1
        s = stats.kendalltau(x[:n], y[:n]).statistic * n * (n - 1) / 2
        assert rising[0, index] == pytest.approx(s / np.sqrt(n * (n - 1) * (2 * n + 5) / 18))
    for index, start in enumerate(windows.starts):
        n = 12 - start
        s = stats.kendalltau(x[start:], y[start:]).statistic * n * (n - 1) / 2
        assert falling[0, index] == pytest.approx(-s / np.sqrt(n * (n - 1) * (2 * n + 5) / 18))
    assert windows.ends.min() == 3
    assert windows.ends.max() == 10
    assert windows.starts.max() == 8
    assert windows.starts.min() == 1


def test_blocks_add_up_and_are_not_compared_with_each_other():
    from harness.statistics.response import _Windows

    rng = np.random.default_rng(0)
    x, y = np.sort(rng.random(12)), rng.random(12)
    block = np.array([0, 1] * 6)
    windows = _Windows.of(x, block)
    rising, _ = windows.scores(stats.rankdata(y).astype(np.int16)[None, :])
    end = windows.ends[-1] + 1
    total, variance = 0.0, 0.0
    for index in (0, 1):
        inside = block[:end] == index
        n = inside.sum()
        total += stats.kendalltau(x[:end][inside], y[:end][inside]).statistic * n * (n - 1) / 2
        variance += n * (n - 1) * (2 * n + 5) / 18
    assert rising[0, -1] == pytest.approx(total / np.sqrt(variance))


@pytest.mark.parametrize("n", [24, 127, 128, 300])
def test_small_integers_hold_the_ranks_of_that_many_runs(n):
    from harness.statistics.response import _ranks, _Windows

    rng = np.random.default_rng(n)
    windows = _Windows.of(np.arange(float(n)), np.zeros(n, dtype=np.intp))
    ranks = 1 + np.stack([np.arange(n), np.arange(n)[::-1], rng.permutation(n)])
    for small, large in zip(windows.scores(_ranks(ranks)), windows.scores(ranks), strict=True):
        np.testing.assert_array_equal(small, large)


@pytest.mark.parametrize(("n", "runs"), [(4, 4), (16, 4), (17, 5), (24, 6), (48, 12), (200, 50)])
def test_a_window_holds_a_quarter_of_the_runs_and_four_at_least(n, runs):
    assert statistics.smallest_window(n) == runs


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(5, 20))
def test_only_order_counts_and_runs_may_come_in_any(seed, n):
    rng = np.random.default_rng(seed)
    x, y = rng.random(n), rng.random(n)
    mixed = rng.permutation(n)
    one = statistics.bracket(x, y, np.random.default_rng(1), resamples=99)
    two = statistics.bracket(
        np.exp(9 * x[mixed]), y[mixed] ** 3, np.random.default_rng(1), resamples=99
    )
    assert (one.p_rising, one.p_falling) == (two.p_rising, two.p_falling)


def test_mirrored_data_give_mirrored_windows():
    rng = np.random.default_rng(3)
    x, y = rng.random(24), rng.random(24)
    one = statistics.bracket(x, y, np.random.default_rng(1), resamples=9_999)
    two = statistics.bracket(-x, y, np.random.default_rng(1), resamples=9_999)
    assert one.p_rising == pytest.approx(two.p_falling, abs=0.02)
    assert one.rising_to == -two.falling_from


def test_an_equal_seed_gives_an_equal_result():
    rng = np.random.default_rng(0)
    x, y = rng.random(24), rng.random(24)
    first, again, other = (
        statistics.bracket(x, y, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_blocks_take_a_parameter_out():
    rng = np.random.default_rng(0)
    x = rng.random(48)
    block = np.arange(48) % 3
    y = hill(x, 6, rng) + 20.0 * block
    assert statistics.bracket(x, y, np.random.default_rng(0)).p_value > 0.05
    blocked = statistics.bracket(x, y, np.random.default_rng(0), list(block))
    assert blocked.p_value <= 0.05


def test_blocks_of_single_runs_show_nothing():
    found = statistics.bracket(
        np.arange(12.0), np.arange(12.0), np.random.default_rng(0), list(range(12))
    )
    assert (found.p_rising, found.p_falling) == (1.0, 1.0)


def test_runs_of_equal_value_are_never_parted():
    x = np.repeat([1.0, 2.0, 3.0, 4.0], 6)
    y = np.array([0, 3, 4, 1] * 6).reshape(6, 4).T.ravel() + np.random.default_rng(0).random(24)
    one = statistics.bracket(x, y, np.random.default_rng(1))
    order = np.random.default_rng(5).permutation(24)
    two = statistics.bracket(x[order], y[order], np.random.default_rng(1))
    assert one.p_value <= 0.05
    assert one.p_value == pytest.approx(two.p_value, abs=0.02)


@pytest.mark.parametrize("n", range(8))
def test_a_handful_of_runs_is_no_error(n):
    found = statistics.bracket(np.arange(n * 1.0), np.zeros(n), np.random.default_rng(0))
    assert (found.p_rising, found.p_falling) == (1.0, 1.0)


def test_diverged_runs_rank_worst_and_ties_are_no_error():
    y = np.array([-np.inf] * 4 + [0.1] * 8 + [-np.inf] * 4)
    found = statistics.bracket(np.arange(16.0), y, np.random.default_rng(0))
    assert found.p_value <= 0.05
    assert not statistics.flat(np.arange(16.0), y, 0.02)


def test_bad_input_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="outcomes"):
        statistics.bracket([1.0, 2.0], [1.0, np.nan], rng)
    with pytest.raises(ValueError, match="blocks"):
        statistics.bracket([1.0, 2.0], [1.0, 2.0], rng, ["a"])
    with pytest.raises(ValueError, match="margin"):
        statistics.flat(np.arange(9.0), np.zeros(9), 0.0)


def test_flat_is_shown_not_assumed():
    rng = np.random.default_rng(0)
    x = rng.random(48)
    assert statistics.flat(x, rng.normal(0, 0.01, 48), 0.02)
    assert not statistics.flat(x, rng.normal(0, 0.2, 48), 0.02)
    assert not statistics.flat(x, rng.normal(0, 0.01, 48) + 0.1 * x, 0.02)
    assert not statistics.flat(x[:5], np.zeros(5), 0.02)
    assert not statistics.flat(x, np.zeros(48), 0.02)


@pytest.mark.parametrize("n", [24, 48])
def test_it_is_quick(n):
    rng = np.random.default_rng(0)
    x, y = rng.random(n), rng.random(n)
    statistics.bracket(x, y, rng)
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        statistics.bracket(x, y, rng)
        taken.append(time.perf_counter() - started)
    assert min(taken) < 0.3


def test_many_runs_are_thinned_not_refused():
    rng = np.random.default_rng(0)
    x = rng.random(20_000)
    assert statistics.bracket(x, hill(x, 3, rng), rng, resamples=99).p_value <= 0.05
