"""Power against exact sums, published tables, and the tests themselves on simulated samples."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness import statistics
from harness.statistics import power

ALPHA = 0.05


def rng(seed=0):
    return np.random.default_rng(seed)


def simulated(rejects, simulations=800):
    """The rate of rejection by ``rejects(rng)``, and 3.5 times its standard error."""
    draw = rng(1)
    rate = float(np.mean([rejects(draw) for _ in range(simulations)]))
    return pytest.approx(rate, abs=3.5 * math.sqrt(max(rate * (1 - rate), 0.01) / simulations))


# ---- the smallest sample ------------------------------------------------------------------------


@given(enough=st.integers(1, 60), start=st.none() | st.integers(-3, 80), every=st.booleans())
def test_the_smallest_sample_is_found_from_wherever_it_starts(enough, start, every):
    found = statistics.runs_needed(
        lambda n: float(n >= enough), least=2, most=50, start=start, every=every
    )
    assert found == (max(enough, 2) if enough <= 50 else None)


def test_teeth_are_found_where_each_size_is_tried():
    teeth = {10: 0.81, 11: 0.79, 12: 0.82}
    assert statistics.runs_needed(lambda n: teeth.get(n, 0.0), every=True) == 10


def test_no_size_is_looked_at_twice_nor_beyond_the_most():
    looked = []
    statistics.runs_needed(lambda n: looked.append(n) or 0.1, least=4, most=100, start=24)
    assert looked == sorted(set(looked))
    assert (looked[0], looked[-1]) == (24, 100)


@pytest.mark.parametrize("effect", [0.2, 0.5, 1.0])
def test_few_sizes_are_looked_at(effect):
    looked = []

    def power(n):
        looked.append(n)
        return statistics.paired_power(effect, n)

    found = statistics.runs_needed(power, start=24)
    assert len(looked) == len(set(looked)) <= 6
    assert power(found - 1) < 0.8 <= power(found)


# ---- counts -------------------------------------------------------------------------------------


def test_the_reference_power_of_the_success_rate():
    assert statistics.binomial_power(24, 0.7) == pytest.approx(0.5647, abs=5e-5)
    assert statistics.binomial_power(24, 0.8) == pytest.approx(0.9108, abs=5e-5)


@pytest.mark.parametrize(("true_rate", "needed"), [(0.7, 37), (0.8, 18)])
def test_the_runs_that_a_success_rate_needs_by_adding_up(true_rate, needed):
    def added(n):
        """The power as a sum over all counts that the test rejects at."""
        return sum(
            math.comb(n, k) * true_rate**k * (1 - true_rate) ** (n - k)
            for k in range(n + 1)
            if sum(math.comb(n, j) for j in range(k, n + 1)) <= ALPHA * 2**n
        )

    found = statistics.runs_needed(lambda n: statistics.binomial_power(n, true_rate), every=True)
    assert found == needed
    assert added(needed) >= 0.8 > max(added(n) for n in range(2, needed))


def test_too_few_runs_have_no_power():
    assert statistics.binomial_power(4, 1.0) == 0.0
    assert statistics.binomial_power(5, 1.0) == 1.0
    assert statistics.at_least(None, 5, 1.0) == 0.0


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_is_a_rate(rate):
    with pytest.raises(ValueError, match="between 0 and 1"):
        statistics.binomial_power(24, rate)
    with pytest.raises(ValueError, match="between 0 and 1"):
        statistics.boschloo_power(24, 0.5, 24, rate)


@pytest.mark.parametrize(("n", "other_n"), [(24, 19), (8, 8), (12, 7), (5, 30), (3, 3), (1, 9)])
def test_the_thresholds_are_those_of_the_test(n, other_n):
    """SciPy takes the largest size over all rates by optimisation, this over a grid."""
    for other in range(other_n + 1):
        shows = [statistics.boschloo(k, n, other, other_n).p_greater <= ALPHA for k in range(n + 1)]
        expected = shows.index(True) if any(shows) else None
        assert statistics.boschloo_threshold(n, other, other_n) == expected, other


def test_the_reference_threshold_against_published_counts():
    assert statistics.boschloo_threshold(24, 6, 19) == 14
    assert statistics.boschloo_threshold(0, 6, 19) is None


def test_beyond_the_tables_taken_exactly_fishers_test_decides():
    n, other_n = 210, 200
    assert n * other_n > 40_000
    k = statistics.boschloo_threshold(n, 60, other_n)
    assert statistics.boschloo(k, n, 60, other_n).p_greater <= ALPHA
    assert statistics.boschloo(k - 1, n, 60, other_n).p_greater > ALPHA


def test_the_power_against_another_rate_by_adding_up():
    n, m, ours, theirs = 7, 6, 0.8, 0.2
    added = sum(
        stats.binom.pmf(k, n, ours) * stats.binom.pmf(j, m, theirs)
        for k in range(n + 1)
        for j in range(m + 1)
        if statistics.boschloo(k, n, j, m).p_greater <= ALPHA
    )
    assert statistics.boschloo_power(n, ours, m, theirs) == pytest.approx(added, abs=1e-12)
    assert statistics.boschloo_power(0, ours, m, theirs) == 0.0


def test_the_size_of_boschloos_test_is_kept_at_every_rate():
    sizes = [statistics.boschloo_power(24, rate, 48, rate) for rate in np.linspace(0, 1, 97)]
    assert 0.04 < max(sizes) <= ALPHA + 1e-6


# ---- means --------------------------------------------------------------------------------------


def test_the_power_of_t_tests_is_the_published_one():
    """G*Power 3.1: means of two groups, and of pairs; its manual's own example of 27 pairs."""
    assert statistics.welch_power(0.5, 64, 64, alpha=0.025) == pytest.approx(0.8014596, abs=1e-6)
    assert statistics.paired_power(0.5, 27) == pytest.approx(0.8118316, abs=1e-6)
    assert statistics.runs_needed(lambda n: statistics.paired_power(0.5, n)) == 27


@pytest.mark.parametrize(
    ("effect", "n", "other_n", "ratio"), [(0.5, 24, 48, 1.0), (1.0, 8, 8, 2.0), (1.0, 24, 8, 0.5)]
)
def test_the_power_of_welchs_test_is_how_often_it_rejects(effect, n, other_n, ratio):
    def rejects(draw):
        ours, theirs = draw.normal(effect, ratio, n), draw.normal(0, 1, other_n)
        return statistics.welch(ours, theirs).p_greater <= ALPHA

    assert statistics.welch_power(effect, n, other_n, ratio) == simulated(rejects, 1_500)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(2, 100), effect=st.floats(0.0, 2.0), more=st.floats(0.01, 1.0))
def test_more_is_shown_more_often(n, effect, more):
    for shown in (
        lambda n, effect: statistics.paired_power(effect, n),
        lambda n, effect: statistics.welch_power(effect, n, 24),
        lambda n, effect: statistics.gain_power(effect, n),
    ):
        assert 0.0 <= shown(n, effect) <= shown(n, effect + more) + 1e-9
        assert shown(n, effect) <= shown(n + 5, effect) + 1e-3


def test_without_an_effect_the_power_is_the_level():
    assert statistics.paired_power(0.0, 24) == pytest.approx(ALPHA)
    assert statistics.welch_power(0.0, 24, 48) == pytest.approx(ALPHA)
    assert statistics.gain_power(0.0, 24) == pytest.approx(ALPHA, abs=1e-3)


@pytest.mark.parametrize("effect", [0.3, 0.5, 1.0])
def test_a_gain_without_a_margin_is_a_paired_test(effect):
    exact = statistics.paired_power(effect, 24)
    assert statistics.gain_power(effect, 24) == pytest.approx(exact, abs=1e-3)


def test_a_gain_must_leave_its_margin_possible():
    def rejects(draw):
        gained = statistics.paired(draw.normal(0.4, 1.0, 24))
        return gained.low > 0.0 and gained.high >= 0.5

    assert statistics.gain_power(0.4, 24, margin=0.5) == simulated(rejects, 1_500)
    # At a true gain of the margin the interval ends below it α of the time, whatever the size.
    assert statistics.gain_power(0.5, 1_000, margin=0.5) == pytest.approx(0.95, abs=2e-3)


def test_one_value_is_no_test():
    assert statistics.paired_power(9.0, 1) == 0.0
    assert statistics.gain_power(9.0, 1) == 0.0
    assert statistics.welch_power(9.0, 1, 48) == 0.0
    assert statistics.brown_forsythe_power(0.1, 1, 48, rng()) == 0.0
    assert statistics.cvar_power(9.0, 1, 48, rng()) == 0.0
    assert statistics.non_inferiority_power(9.0, 1, 2, rng()) == 0.0


# ---- a reference that is no worse ---------------------------------------------------------------

MARGIN = 0.02 / 0.016


def test_the_reference_power_of_two_arms_is_that_of_runs_which_share_their_reference():
    """.82 with 12 pairs: an SD of .016 a *run*, and both arms paired with the same main runs."""
    both = statistics.non_inferiority_power(MARGIN, 12, 2, rng(), simulations=40_000)
    assert both == pytest.approx(0.82, abs=0.01)
    one = statistics.paired_power(MARGIN / math.sqrt(2), 12)
    assert one == pytest.approx(0.889, abs=5e-4)
    # Neither arms that share nothing, nor .016 as the SD of a difference.
    assert one**2 == pytest.approx(0.790, abs=5e-4)
    assert statistics.paired_power(MARGIN, 12) ** 2 == pytest.approx(0.984, abs=5e-4)


def test_one_arm_is_exact_and_more_arms_are_harder():
    one = statistics.non_inferiority_power(MARGIN, 12, 1, rng())
    assert one == statistics.paired_power(MARGIN / math.sqrt(2), 12)
    two, three = (statistics.non_inferiority_power(MARGIN, 12, arms, rng()) for arms in (2, 3))
    assert one > two > three


def test_the_power_of_no_worse_is_how_often_every_arm_is_shown():
    def rejects(draw):
        reference = draw.normal(0, 0.016, 15)
        arms = (reference - draw.normal(0, 0.016, 15) for _ in range(2))
        return all(statistics.non_inferiority(arm, 0.02).p_greater <= ALPHA for arm in arms)

    assert statistics.non_inferiority_power(MARGIN, 15, 2, rng()) == simulated(rejects)


# ---- simulated tests ----------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "n", "other_n"), [(0.75, 24, 48), (0.5, 24, 24), (0.4, 8, 12)])
def test_the_power_of_the_spread_is_how_often_its_test_rejects(ratio, n, other_n):
    def rejects(draw):
        ours, theirs = draw.normal(0, ratio, n), draw.normal(0, 1, other_n)
        return statistics.brown_forsythe(ours, theirs).p_less <= ALPHA

    found = statistics.brown_forsythe_power(ratio, n, other_n, rng(), simulations=20_000)
    assert found == simulated(rejects, 1_500)


@pytest.mark.parametrize(("effect", "n", "other_n"), [(1.0, 24, 48), (2.0, 8, 8)])
def test_the_power_of_the_lower_tail_is_how_often_its_test_rejects(effect, n, other_n):
    def rejects(draw):
        ours, theirs = draw.normal(effect, 1, n), draw.normal(0, 1, other_n)
        found = statistics.compare_tails(ours, theirs, draw, resamples=399)
        return found.p_greater <= ALPHA

    found = statistics.cvar_power(effect, n, other_n, rng())
    # 99 permutations in the place of more: at most .02 less.
    assert found + 0.01 == simulated(rejects, 400)


def test_the_share_of_the_lower_tail_counts():
    quarter = statistics.cvar_power(0.7, 24, 48, rng())
    assert statistics.cvar_power(0.7, 24, 48, rng(), share=0.5) > quarter + 0.05


@pytest.mark.parametrize(
    ("drop", "n", "expected"), [(3, 24, 0.47), (4, 24, 0.68), (5.3, 24, 0.83), (4, 48, 0.98)]
)
def test_the_reference_power_of_the_bracket_test(drop, n, expected):
    """Over learning rates drawn at random; single samples of 24 of them are .17 (SD) apart."""
    draw, designs = rng(3), 200 if n == 24 else 50
    found = [
        statistics.bracket_power(draw.random(n), drop, draw, simulations=60) for _ in range(designs)
    ]
    assert np.mean(found) == pytest.approx(expected, abs=0.04)


def test_even_positions_show_more_than_random_ones():
    assert statistics.bracket_power(np.linspace(0, 1, 24), 4.0, rng()) > 0.9


def test_the_power_of_the_bracket_test_is_how_often_it_rejects():
    positions = rng(5).random(16)

    def rejects(draw):
        outcomes = -5.0 * (2 * positions - 1) ** 2 + draw.normal(size=16)
        return statistics.bracket(positions, outcomes, draw, resamples=499).p_value <= ALPHA

    found = statistics.bracket_power(positions, 5.0, rng())
    assert 0.1 < found < 0.9
    assert found == simulated(rejects, 300)


@pytest.mark.parametrize("blocks", [None, [0, 1, 2] * 8])
def test_the_p_values_of_many_outcomes_are_those_of_each(blocks):
    draw = rng(2)
    x = draw.random(24)
    outcomes = draw.normal(size=(12, 24)) - 2.0 * (2 * x - 1) ** 2
    together = statistics.bracket_p_values(x, outcomes, draw, blocks)
    alone = [statistics.bracket(x, row, draw, blocks) for row in outcomes]
    for found, one in zip(together, alone, strict=True):
        assert found == pytest.approx([one.p_rising, one.p_falling], abs=0.05)


def test_outcomes_that_no_window_fits_have_a_p_value_of_one():
    found = statistics.bracket_p_values([1.0, 1.0, 2.0], np.zeros((2, 3)), rng())
    assert (found == 1.0).all()
    assert statistics.bracket_power([0.0, 0.5, 1.0], 9.0, rng()) == 0.0
    with pytest.raises(ValueError, match="rows of 3 numbers"):
        statistics.bracket_p_values([1.0, 2.0, 3.0], np.zeros((2, 4)), rng())


def test_blocks_cost_power():
    positions = np.linspace(0, 1, 24)
    blocks = [i % 6 for i in range(24)]
    pooled = statistics.bracket_power(positions, 3.0, rng())
    assert statistics.bracket_power(positions, 3.0, rng(), blocks) < pooled


@pytest.mark.parametrize(
    "simulate",
    [
        lambda draw: statistics.brown_forsythe_power(0.7, 24, 48, draw),
        lambda draw: statistics.cvar_power(0.7, 12, 12, draw, simulations=200),
        lambda draw: statistics.bracket_power(np.linspace(0, 1, 12), 3.0, draw, simulations=200),
        lambda draw: statistics.non_inferiority_power(1.0, 12, 2, draw),
    ],
)
def test_an_equal_generator_gives_an_equal_power(simulate):
    assert simulate(rng(7)) == simulate(rng(7))
    assert 0.0 < simulate(rng(7)) < 1.0


def test_the_target_is_the_usual_one():
    assert power.TARGET == 0.8


def test_the_best_of_two_is_named_no_more_often_than_two_are_told_apart():
    """A one-sided test alone would name it at .1: that levels differ must be shown as well."""
    rng = np.random.default_rng(0)
    named = statistics.best_power([12, 12], 1.0, rng, 22)
    apart = statistics.partial_power(24 / 4 * 1.0, 1, 22)
    assert named == pytest.approx(apart, abs=0.035)
    assert statistics.best_power([12, 12], 0.0, rng, 22) <= 0.05
