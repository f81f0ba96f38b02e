"""Whether two parameters add up."""

import math

import numpy as np
import pytest
from scipy import stats

from harness import statistics

RNG = np.random.default_rng


def at_most(rate, level, simulations):
    return rate <= level + 2.5 * math.sqrt(level * (1 - level) / simulations)


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


def test_what_a_range_does_within_its_parts_is_no_interaction():
    x = np.linspace(0.0, 3.0, 60, endpoint=False)
    codes = x.astype(int)
    # The other parameter goes with the lower half of a part, of the last with its upper half.
    others = (x % 1.0 < 0.5).astype(int) ^ (codes == 2)
    y = x + 0.05 * RNG(1).normal(size=60)
    inside = statistics.within_levels(x, codes)[:, None]
    assert statistics.interaction(codes, others, y, RNG(0))[1] < 0.01
    assert statistics.interaction(codes, others, y, RNG(0), beside=inside)[1] > 0.1


def test_a_plain_nothing_takes_few_permutations():
    one, two, y = np.tile([0, 1], 12), np.repeat([0, 1, 2], 8), RNG(4).normal(size=24)
    (_, few), (_, many) = (
        statistics.interaction(one, two, y, RNG(0), resamples) for resamples in (199, 19_999)
    )
    assert few == many > 0.2


def test_nested_parameters_leave_nothing_to_tell():
    one = np.repeat([0, 1], 12)
    two = one * 3 + np.tile([0, 1, 2], 8)
    assert statistics.interaction(one, two, RNG(0).normal(size=24), RNG(0)) == (0.0, 1.0)


def test_an_equal_generator_gives_an_equal_p_value():
    codes, y = np.arange(40) % 3, RNG(0).normal(size=40)
    one, two = (statistics.interaction(codes, codes[::-1].copy(), y, RNG(5)) for _ in range(2))
    assert one == two


@pytest.mark.parametrize("skewed", [False, True], ids=["normal", "collapsed"])
def test_an_interaction_is_seldom_found_in_noise(skewed):
    """Both parameters move the runs, and their effects add up."""
    rng, alpha, simulations = RNG(2), 0.05, 400
    hits = 0
    for _ in range(simulations):
        one = rng.integers(0, 3, 36)
        two = (one + rng.integers(0, 2, 36)) % 3
        y = rng.normal(size=36) + 2.0 * one + 1.5 * two
        if skewed:
            y -= 6.0 * (rng.random(36) < 0.15)
        hits += statistics.interaction(one, two, y, rng, resamples=199)[1] <= alpha
    assert at_most(hits / simulations, alpha, simulations)
    assert hits > 0.01 * simulations
