"""Which part of a design is shown to be worse: cautious on noise and beside a cliff."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.statistics import FEWEST_COMPARED, all_of_one, rank_sum, welch, worse_by, worse_end

outcomes = arrays(np.float64, st.integers(0, 12), elements=st.floats(-1, 1, width=32))


def along(n=24):
    return np.linspace(0.0, 1.0, n)


# ---- worse by more than a margin ----------------------------------------------------------------


def test_worse_is_by_means_and_by_ranks():
    """Many runs a little better do not outvote a few great ones, nor the other way round."""
    steady = np.linspace(0.0, 0.01, 30)
    great = np.concatenate([np.linspace(-0.02, -0.01, 20), np.linspace(0.5, 0.6, 10)])
    assert rank_sum(great, steady)[1] < 0.1
    assert welch(steady, great).p_less < 0.01
    assert worse_by(great, steady, 0.0).p_value > 0.9
    assert worse_by(steady, great, 0.0).p_value > 0.5


def test_the_margin_counts():
    low, high = np.linspace(0.0, 0.02, 12), np.linspace(0.05, 0.07, 12)
    assert worse_by(low, high, 0.02).p_value < 0.001
    assert worse_by(low, high, 0.06).p_value > 0.9
    assert worse_by(low, high, 0.02).estimate == pytest.approx(-0.05)


def test_fewer_than_four_show_nothing():
    few, many = np.zeros(FEWEST_COMPARED - 1), np.linspace(1.0, 2.0, 30)
    assert worse_by(few, many, 0.0).p_value == 1.0
    assert worse_by(many - 5.0, few, 0.0).p_value == 1.0
    assert worse_by(np.append(few, 0.1), many, 0.0).p_value < 0.01


def test_a_margin_below_zero_is_refused():
    with pytest.raises(ValueError, match=r"-0\.1"):
        worse_by([0.0], [1.0], -0.1)


@given(outcomes, outcomes, st.floats(0, 0.5))
def test_two_samples_are_never_both_worse(one, other, margin):
    worse, back = worse_by(one, other, margin), worse_by(other, one, margin)
    assert 0.0 <= worse.p_value <= 1.0
    assert max(worse.p_value, back.p_value) >= 0.49


# ---- the end of a range -------------------------------------------------------------------------


def test_a_cliff_is_cut_at_and_not_before():
    x = along(48)
    y = np.where(x > 0.6, -0.3, 0.0) + np.random.default_rng(0).normal(0, 0.02, 48)
    found = worse_end(x, y, 0.02, upper=True)
    assert 0.6 <= found.kept_to <= 0.75
    assert found.removed == (x > found.kept_to).sum()
    assert found.inside[1] < 0.6
    assert worse_end(x, y, 0.02, upper=False) is None


def test_either_end_is_found_alike():
    x = along(32)
    y = np.where(x > 0.6, -0.3, 0.0) + np.random.default_rng(1).normal(0, 0.02, 32)
    upper, lower = worse_end(x, y, 0.02, upper=True), worse_end(-x, y, 0.02, upper=False)
    assert lower.kept_to == -upper.kept_to
    assert lower.removed == upper.removed
    assert lower.inside == (-upper.inside[1], -upper.inside[0])


def test_the_choice_of_a_quarter_is_paid_for():
    """Four runs worse than four others: 1 in 70 by ranks, and three quarters were looked at."""
    x = np.arange(16.0)
    y = np.where(x >= 12, -1.0, 0.0) + 0.001 * np.arange(16)[::-1] % 0.0047
    found = worse_end(x, y, 0.0, upper=True, alpha=0.045)
    assert found.removed == 1
    assert found.compared.p_value == pytest.approx(3 / 70)
    assert worse_end(x, y, 0.0, upper=True, alpha=0.04) is None


def test_a_fall_within_the_margin_is_not_cut():
    x = along(48)
    y = -0.015 * x + np.random.default_rng(2).normal(0, 0.001, 48)
    assert worse_end(x, y, 0.02, upper=True) is None
    assert worse_end(x, y, 0.002, upper=True) is not None


def test_equal_values_are_not_parted():
    x = np.repeat([1.0, 2.0, 3.0, 4.0], 10)
    y = np.where(x > 2.0, -0.3, 0.0) + np.random.default_rng(3).normal(0, 0.02, 40)
    found = worse_end(x, y, 0.02, upper=True)
    assert (found.kept_to, found.removed) in ((2.0, 20), (3.0, 10))


@pytest.mark.parametrize("n", [0, 1, 4, 7])
def test_few_runs_are_not_cut(n):
    assert worse_end(along(n), -10.0 * along(n), 0.0, upper=True) is None


def test_outcomes_must_match():
    with pytest.raises(ValueError, match="3 numbers"):
        worse_end([1.0, 2.0, 3.0], [1.0], 0.0, upper=True)


def overcut(n, draws, seed):
    """How often more goes than lies beyond a cliff at 0.6, over ``draws`` samples."""
    rng, over = np.random.default_rng(seed), 0
    for _ in range(draws):
        x = np.sort(rng.random(n))
        found = worse_end(x, rng.normal(0, 0.07, n) - 0.3 * (x > 0.6), 0.02, upper=True)
        over += found is not None and found.kept_to < x[x <= 0.6].max()
    return over / draws


def test_what_is_as_good_is_seldom_cut():
    assert overcut(48, 60, seed=4) <= 0.10


@pytest.mark.slow
@pytest.mark.parametrize("n", [16, 24, 48, 100])
def test_what_is_as_good_is_cut_in_a_twentieth_at_most(n):
    assert overcut(n, 250, seed=n) <= 0.05 + 2.5 * (0.05 * 0.95 / 250) ** 0.5


# ---- all of one kind ----------------------------------------------------------------------------


def test_the_chance_that_all_are_of_one_kind():
    assert all_of_one(2, 3, 6) == pytest.approx(3 / 15)
    assert all_of_one(16, 18, 48) == pytest.approx(6.785e-11, rel=1e-3)
    assert all_of_one(4, 3, 9) == 0.0
    assert all_of_one(5, 5, 5) == 1.0
    assert all_of_one(0, 3, 9) == 1.0
