"""Spending α over looks, and counts that what remains cannot change."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.statistics import (
    binomial,
    boschloo,
    boschloo_bounds,
    curtailed_binomial,
    curtailed_boschloo,
    look_levels,
    p_over_looks,
    spent,
)

LOOKS = (0.5, 0.75, 1.0)


def test_what_is_spent_at_the_looks_is_the_published_function():
    total = [spent(0.05, share) for share in LOOKS]
    assert np.round(np.diff([0.0, *total]), 4).tolist() == [0.0056, 0.0181, 0.0264]
    assert total[-1] == pytest.approx(0.05, abs=1e-12)


@pytest.mark.parametrize(
    ("alpha", "bounds"),
    [(0.05, (2.538, 2.016, 1.720)), (0.025, (2.963, 2.359, 2.014))],
)
def test_the_levels_are_those_of_the_published_boundaries(alpha, bounds):
    assert stats.norm.isf(look_levels(alpha, LOOKS)) == pytest.approx(bounds, abs=6e-4)


def test_one_look_takes_all_of_it():
    assert look_levels(0.05, (1.0,)) == pytest.approx((0.05,))


@pytest.mark.parametrize("shares", [LOOKS, (12 / 24, 18 / 24, 1.0), (0.6, 0.8, 1.0), (0.2, 1.0)])
def test_sums_of_independent_increments_spend_what_is_stated(shares):
    rng, draws = np.random.default_rng(5), 400_000
    steps = np.diff([0.0, *shares])
    sums = (rng.normal(size=(draws, len(shares))) * np.sqrt(steps)).cumsum(axis=1)
    reached = stats.norm.sf(sums / np.sqrt(shares)) <= look_levels(0.05, shares)
    first = np.where(reached.any(axis=1), reached.argmax(axis=1), -1)
    wanted = np.diff([0.0, *(spent(0.05, share) for share in shares)])
    for look, rate in enumerate(wanted):
        assert (first == look).mean() == pytest.approx(rate, abs=4 * np.sqrt(rate / draws))
    assert reached.any(axis=1).mean() == pytest.approx(0.05, abs=4 * np.sqrt(0.05 / draws))


def test_several_tests_spend_their_parts_at_looks():
    rng, draws, tests = np.random.default_rng(7), 200_000, 3
    shares = (0.5, 0.75, 1.0)
    steps = np.diff([0.0, *shares])
    sums = (rng.normal(size=(draws, tests, 3)) * np.sqrt(steps)).cumsum(axis=2)
    p_values = tests * stats.norm.sf(sums / np.sqrt(shares))
    levels = look_levels(0.05, shares, tests)
    rate = (p_values <= levels).any(axis=(1, 2)).mean()
    assert rate == pytest.approx(1 - (1 - 0.05 / 3) ** 3, abs=4 * np.sqrt(0.05 / draws))
    # The levels of a single test would spend more.
    singly = (p_values <= look_levels(0.05, shares)).any(axis=(1, 2)).mean()
    assert singly > rate + 0.002
    rejects = p_over_looks([0.2, levels[1], 0.9], shares, tests)
    assert rejects == pytest.approx(0.05, rel=1e-6)


def test_looks_with_more_in_common_spend_less():
    """A mean against a fixed baseline: its two looks share the baseline's error."""
    rng, draws = np.random.default_rng(6), 200_000
    shares, error = (0.5, 0.75, 1.0), 0.5
    steps = np.diff([0.0, *shares])
    sums = (rng.normal(size=(draws, 3)) * np.sqrt(steps)).cumsum(axis=1)
    means = sums / shares - error * rng.normal(size=(draws, 1))
    p_values = stats.norm.sf(means / np.sqrt(1 / np.array(shares) + error**2))
    rate = (p_values <= look_levels(0.05, shares)).any(axis=1).mean()
    assert 0.03 < rate <= 0.05


@pytest.mark.parametrize(("n", "most"), [(48, 0.0520), (24, 0.0530), (12, 0.0550)])
def test_t_tests_at_looks_are_hardly_more_often_wrong(n, most):
    """Their statistics have independent increments in the limit only."""
    rng, draws = np.random.default_rng(7), 100_000
    looks = (n // 2, 3 * n // 4, n)
    values, wrong = rng.normal(size=(draws, n)), np.zeros(draws, dtype=bool)
    for count, level in zip(looks, look_levels(0.05, LOOKS), strict=True):
        taken = values[:, :count]
        t = taken.mean(axis=1) / taken.std(axis=1, ddof=1) * np.sqrt(count)
        wrong |= stats.t.sf(t, count - 1) <= level
    assert 0.045 < wrong.mean() <= most + 2 * np.sqrt(0.05 * 0.95 / draws)


@pytest.mark.parametrize(
    ("alpha", "shares"), [(0.05, (0.75, 0.5)), (0.05, (0.5, 1.5)), (0.0, LOOKS), (1.0, LOOKS)]
)
def test_levels_of_nonsense_are_refused(alpha, shares):
    with pytest.raises(ValueError, match=r"alpha|share"):
        look_levels(alpha, shares)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=3), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_p_value_over_looks_agrees_with_the_test(p_values, alpha):
    levels = look_levels(alpha, LOOKS)
    rejects = any(p <= level for p, level in zip(p_values, levels, strict=False))
    over = p_over_looks(p_values, LOOKS)
    if abs(over - alpha) > 1e-6:
        assert (over <= alpha) == rejects
    assert over >= min(p_values) - 1e-9
    assert p_over_looks([*p_values[:2], 1.0][:3], LOOKS) <= 1.0


def test_p_values_over_looks_stay_within_bounds():
    assert p_over_looks([0.0], LOOKS) == 1e-9
    assert p_over_looks([1.0, 1.0, 1.0], LOOKS) == 1.0
    assert p_over_looks([], LOOKS) == 1.0
    assert p_over_looks([0.03], (1.0,)) == pytest.approx(0.03)


# ---- curtailment --------------------------------------------------------------------------------


@pytest.mark.parametrize(("total", "rate"), [(8, 0.5), (13, 0.5), (11, 0.3), (4, 0.5)])
def test_a_binomial_is_decided_exactly_when_no_remainder_changes_it(total, rate):
    counts = range(total + 1)
    more = [binomial(count, total, rate).p_greater <= 0.05 for count in counts]
    fewer = [binomial(count, total, 1 - rate).p_greater <= 0.05 for count in counts]

    def says(successes, failures):
        return "greater" if more[successes] else "less" if fewer[failures] else "neither"

    seen = set()
    for n, successes, failures in itertools.product(counts, repeat=3):
        left = total - n
        if successes + failures > n:
            continue
        ways = [(good, bad) for good in range(left + 1) for bad in range(left + 1 - good)]
        said = {says(successes + good, failures + bad) for good, bad in ways}
        found = curtailed_binomial(successes, failures, n, total, rate=rate)
        assert found == (said.pop() if len(said) == 1 else None)
        seen.add(found)
    assert seen >= {"neither", "less", "greater"} if total > 4 else seen == {"neither"}


@pytest.mark.parametrize("others", [(6, 19), (0, 10), (10, 10), (24, 48)])
@pytest.mark.parametrize("above", [None, 0.5])
def test_boschloo_is_decided_exactly_when_no_remainder_changes_it(others, above):
    total = 12

    def says(successes):
        compared = boschloo(successes, total, *others)
        null = 0.0 if above is None else binomial(successes, total, above).p_greater
        if max(compared.p_greater, null) <= 0.05:
            return "greater"
        return "less" if compared.p_less <= 0.05 else "neither"

    whole = [says(successes) for successes in range(total + 1)]
    for n in range(total + 1):
        for successes in range(n + 1):
            said = set(whole[successes : successes + total - n + 1])
            found = curtailed_boschloo(successes, n, total, others, above=above)
            assert found == (said.pop() if len(said) == 1 else None)


def test_the_bounds_of_boschloo_are_the_reference_counts():
    assert boschloo_bounds(24, (6, 19)) == (14, 2)
    assert boschloo_bounds(2, (1, 2)) == (3, -1)


def test_17_of_24_decide_and_so_does_what_leaves_16():
    assert curtailed_binomial(17, 0, 17, 24) == "greater"
    assert curtailed_binomial(16, 0, 16, 24) is None
    assert curtailed_binomial(0, 17, 17, 24) == "less"
    assert curtailed_binomial(8, 8, 16, 24) == "neither"
