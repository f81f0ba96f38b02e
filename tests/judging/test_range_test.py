"""The range test's rule: where the ladder goes, what it picks, and how often that is luck."""

import numpy as np
import pytest

from harness.judging.range_test import (
    MOST_SEEDS,
    STEP,
    Limits,
    Rung,
    chance_of_luck,
    gains_more,
    most_runs,
    next_rate,
    read,
)
from harness.records import ItemScores, Outcome
from tests.factories import make_trace

ALPHA = 0.025
LIMITS = Limits(1e-6, 1e-8, 1e-2)


def rung(rate, gain, *, n=64, noise=0.2, seed=0, spread=None, clusters=()):
    """A run whose items gain ``gain`` on average, exactly; None for one that diverged."""
    if gain is None:
        return Rung(rate, Outcome("diverged", stopped_at=3))
    drawn = np.random.default_rng([seed, int(1e9 * rate)]).normal(size=n)
    drawn = noise * (drawn - drawn.mean()) if spread is None else spread
    return of_gains(rate, gain + drawn, clusters)


def of_gains(rate, gains, clusters=()):
    gains = np.asarray(gains)
    items = ItemScores(after=tuple(0.3 + gains), before=(0.3,) * len(gains), clusters=clusters)
    se = float(gains.std(ddof=1) / len(gains) ** 0.5)
    return Rung(
        rate, Outcome("completed", delta_perf=float(gains.mean()), delta_perf_se=se, items=items)
    )


def ladder(gain_of, limits=LIMITS, fresh=None):
    """Climb with runs whose gain is a function of the rate, and return the test."""
    rungs = []
    while (rate := next_rate(rungs, limits, ALPHA)) is not None:
        rungs.append(gain_of(rate))
        assert len(rungs) < 30
    test = read(rungs, ALPHA)
    while fresh is not None and test.wants_seed:
        test = test.with_fresh(fresh(test.rate))
    return test


def peak(best, *, height=0.15, noise=0.2, seed=0):
    """Gains that rise over two decades up to ``best`` and fall to a loss within one above it."""

    def gain(rate):
        x = np.log10(rate / best)
        true = height * np.exp(-(x**2) / 0.7) if x <= 0 else height - (height + 0.25) * x
        return None if x > 1.4 else rung(rate, max(true, -0.3), noise=noise, seed=seed)

    return lambda rate: rung(rate, None) if gain(rate) is None else gain(rate)


# ---- the ladder -------------------------------------------------------------------------------


def test_the_ladder_climbs_by_half_decades_until_a_run_diverges():
    test = ladder(lambda rate: rung(rate, None if rate > 2e-5 else 0.0))
    assert [r.rate for r in test.rungs] == [1e-6, 3.2e-6, 1e-5, 3.2e-5]
    assert (test.rate, test.standing) == (None, "none")


def test_it_ends_after_two_rates_in_a_row_that_are_worse_than_the_best():
    gains = {1e-6: 0.05, 3.2e-6: 0.1, 1e-5: 0.0, 3.2e-5: 0.1, 1e-4: 0.0, 3.2e-4: 0.0}
    tried = [r.rate for r in ladder(lambda rate: rung(rate, gains[rate], noise=0.05)).rungs]
    assert tried == [1e-6, 3.2e-6, 1e-5, 3.2e-5, 1e-4, 3.2e-4]


def test_it_ends_after_two_that_are_worse_than_no_training():
    test = ladder(lambda rate: rung(rate, -0.1 if rate > 5e-6 else 0.0))
    assert [r.rate for r in test.rungs] == [1e-6, 3.2e-6, 1e-5, 3.2e-5]


def test_it_goes_down_where_the_lowest_rate_may_be_best():
    gains = {3.2e-8: 0.0, 1e-7: 0.1, 3.2e-7: 0.2, 1e-6: 0.2}
    test = ladder(lambda rate: rung(rate, gains.get(rate, -0.1), noise=0.05))
    assert [r.rate for r in test.rungs][:2] == [1e-7, 3.2e-7]
    assert test.may_be_best == (3.2e-7, 1e-6)


def test_it_goes_down_where_the_lowest_rate_diverges_or_harms():
    for lost in (None, -0.2):
        test = ladder(lambda rate, lost=lost: rung(rate, lost if rate > 5e-7 else 0.0))
        assert test.rungs[0].rate == 3.2e-7


def test_it_does_not_go_down_where_nothing_happens():
    assert ladder(lambda rate: rung(rate, 0.0)).rungs[0].rate == 1e-6


def test_it_keeps_to_its_limits():
    limits = Limits(1e-6, 1e-6, 1e-5)
    test = ladder(lambda rate: rung(rate, 0.1), limits)
    assert [r.rate for r in test.rungs] == [1e-6, 3.2e-6, 1e-5]
    assert most_runs(limits) == 3 + MOST_SEEDS
    assert most_runs(LIMITS) == 1 + 8 + 4 + MOST_SEEDS


# ---- what it shows ------------------------------------------------------------------------------


def test_a_clear_effect_is_found_with_its_bracket():
    test = ladder(peak(3e-5), fresh=lambda rate: rung(rate, 0.12))
    assert test.standing == "found"
    assert 1e-5 < test.rate < 1e-4
    assert test.low < 3e-5 < test.high
    assert test.low == pytest.approx(test.may_be_best[0] / STEP**0.5)


def seeded(*gains, **given):
    """A test that picked a rate, with fresh seeds of these gains."""
    return ladder(peak(3e-5)).with_fresh(*(rung(3e-5, gain, **given) for gain in gains))


@pytest.mark.parametrize(
    ("gains", "doubt"),
    [
        ((), "unfinished"),
        ((0.1, 0.1), "unfinished"),
        ((0.1, 0.12, 0.14), None),  # t is 10.4
        ((0.01, 0.1, 0.1), "unfinished"),  # t is 2.3
        ((0.01, 0.1, 0.1, 0.1), "unfinished"),  # t is 3.4, at which nobody looks
        ((0.01, 0.1, 0.1, 0.1, 0.02), None),  # each gains
        ((0.1, -0.001), "no gain"),
        ((0.01, 0.1, 0.1, -0.01), "no gain"),
        ((None,), "no gain"),
        ((0.001,) * 5, "items"),
    ],
)
def test_fresh_seeds_confirm_a_rate_together(gains, doubt):
    test = seeded(*gains)
    assert test.doubt == doubt
    assert test.wants_seed == (doubt == "unfinished")
    assert test.standing == ("unconfirmed" if doubt else "found")


def test_fresh_seeds_that_change_few_items_confirm_nothing():
    few = np.zeros(64)
    few[:5] = 1.0
    test = ladder(peak(3e-5)).with_fresh(*(of_gains(3e-5, few) for _ in range(3)))
    assert test.doubt == "unfinished"
    assert test.with_fresh(*test.fresh[:2]).doubt == "items"


def test_the_mean_of_fresh_seeds_has_the_error_between_them():
    test = seeded(0.1, 0.12, 0.14)
    assert test.again.value == pytest.approx(0.12)
    assert test.again_error == pytest.approx(0.02 / 3**0.5)
    # 4.30 standard errors: t(.975) of two degrees of freedom.
    assert test.again.low == pytest.approx(0.12 - 4.303 * 0.02 / 3**0.5, abs=1e-4)
    assert (seeded(0.1).again_error, seeded().again) == (None, None)


def test_a_ladder_that_picked_nothing_wants_no_seed():
    assert not ladder(lambda rate: rung(rate, 0.0)).wants_seed


def test_useless_training_is_confirmed_as_seldom_as_is_said():
    """However far seeds move perf: here a hundred times as far as it can be measured."""
    rng, picked = np.random.default_rng(17), ladder(peak(3e-5))
    noise, trials, found = rng.normal(0.0, 0.01, 64), 3000, 0
    for _ in range(trials):
        test = picked
        while test.wants_seed:
            test = test.with_fresh(of_gains(3e-5, rng.normal(0.0, 0.125) + noise))
        found += test.standing == "found"
    assert chance_of_luck(ALPHA) == pytest.approx(0.05)
    assert found / trials == pytest.approx(0.05, abs=0.012)  # three standard errors


def test_an_end_of_the_bracket_is_open_where_the_ladder_ends():
    test = ladder(lambda rate: rung(rate, 0.1), Limits(1e-6, 1e-6, 1e-5))
    assert (test.low, test.high) == (None, None)


def test_of_rates_that_cannot_be_told_apart_the_picked_one_lies_between():
    gains = {1e-6: 0.0, 3.2e-6: 0.1, 1e-5: 0.1, 3.2e-5: 0.1, 1e-4: None}
    test = ladder(lambda rate: rung(rate, gains[rate], noise=0.1))
    assert test.may_be_best == (3.2e-6, 1e-5, 3.2e-5)
    assert test.rate == 1e-5
    assert test.nearest.rate == 1e-5


def test_fewer_than_six_items_show_nothing():
    few = np.zeros(64)
    few[:5] = 1.0
    assert not gains_more(of_gains(1e-6, few), None, 0.2)
    few[5] = 1.0
    assert gains_more(of_gains(1e-6, few), None, 0.2)


def test_a_gain_in_few_clusters_shows_nothing():
    """As in the success rule: six must have changed, and clusters are what counts."""
    clusters = tuple(f"text {n // 8}" for n in range(64))
    for changed, shown in ((5, False), (6, True)):
        gains = np.where(np.arange(64) < 8 * changed, 1.0, 0.0)
        assert gains_more(of_gains(1e-6, gains, clusters), None, ALPHA) == shown
        assert gains_more(of_gains(1e-6, gains), None, ALPHA)


def test_items_of_a_cluster_count_as_one():
    gains = np.repeat(np.random.default_rng(4).normal(0.06, 0.2, 12), 8)
    clusters = tuple(np.repeat([f"text {n}" for n in range(12)], 8))
    assert gains_more(of_gains(1e-6, gains), None, ALPHA)
    assert not gains_more(of_gains(1e-6, gains, clusters), None, ALPHA)


def test_rates_are_compared_item_by_item():
    # What is noise in each run alone is the same in both: the items are.
    same = np.random.default_rng(5).normal(0.0, 0.5, 64)
    better = of_gains(1e-5, same + 0.03 + np.random.default_rng(6).normal(0.0, 0.02, 64))
    assert gains_more(better, of_gains(1e-6, same), ALPHA)
    assert not gains_more(better, of_gains(1e-6, same[::-1]), ALPHA)


def test_runs_without_scores_by_item_are_unmeasured():
    plain = Rung(1e-6, Outcome("completed", delta_perf=0.2, delta_perf_se=0.01))
    assert read([plain], ALPHA).standing == "unmeasured"


def test_the_more_rates_there_are_the_more_it_takes_to_be_worse_than_the_best():
    drawn = np.random.default_rng(7).normal(size=64)
    wave = (drawn - drawn.mean()) / drawn.std(ddof=1)
    worse = rung(1e-6, 0.2, noise=0.02)
    gap = wave * 0.08 + 2.3 * 0.08 / 8  # 2.3 standard errors
    best = of_gains(1e-5, np.asarray(worse.gains) + gap)
    others = [rung(rate, -0.2) for rate in (1e-4, 3e-4, 1e-3)]
    assert read([worse, best], ALPHA).may_be_best == (1e-5,)
    assert read([worse, best, *others], ALPHA).may_be_best == (1e-6, 1e-5)


def test_kl_entropy_and_signal_come_from_the_trace():
    trace = make_trace([1e-6, 1e-6], kl=0.2, entropy=1.5, no_signal=0.25)
    of = Rung(1e-6, Outcome("completed", trace=trace))
    assert (of.kl, of.entropy, of.no_signal) == (0.2, (1.5, 1.5), 0.25)


# ---- how often it is luck -----------------------------------------------------------------------


def simulated(rng, gain, *, spread=0.0, n=64, noise=0.25):
    """Return a function from rate to a run: its seed moves all items by ``spread``."""

    def run(rate):
        shift = rng.normal(0.0, spread) if spread else 0.0
        return of_gains(rate, gain(rate) + shift + rng.normal(0.0, noise, n))

    return run


def named(rng, gain, trials, **settings):
    """Return the tests, of ``trials``, that name a rate."""
    run = simulated(rng, gain, **settings)
    limits = Limits(1e-6, 1e-6, 1e-3)
    tests = (ladder(run, limits, fresh=run) for _ in range(trials))
    return [test for test in tests if test.standing == "found"]


@pytest.mark.slow
@pytest.mark.parametrize("n", [64, 512])
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.05])
def test_where_nothing_helps_a_rate_is_hardly_ever_named(spread, n):
    """The truth is at most 5% of the tests in which a rate is picked, which may be all of them."""
    rng, trials = np.random.default_rng(18), 1000
    found = named(rng, lambda rate: 0.0, trials, spread=spread, n=n)
    assert len(found) / trials <= (0.05 if spread else 0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("errors", "spread", "least"), [(4, 0.0, 0.9), (4, 0.02, 0.6), (8, 0.05, 0.5)]
)
def test_a_plain_optimum_is_found_in_most_tests(errors, spread, least):
    """Of 512 held-out prompts; the gain is flat over half a decade before the policy collapses."""
    height = errors * 0.25 / 512**0.5

    def gain(rate):
        x = np.log10(rate / 3e-5)
        if x < 0:
            return height * np.exp(-(x**2) / 0.7)
        return height - (height + 0.25) / (1 + np.exp(-(x - 0.8) / 0.15))

    rng, trials = np.random.default_rng(20), 300
    assert len(named(rng, gain, trials, spread=spread, n=512)) / trials > least


@pytest.mark.slow
def test_a_clear_effect_is_nearly_always_named_near_its_best_and_in_the_bracket():
    def gain(rate):
        x = np.log10(rate / 3e-5)
        return 0.15 * np.exp(-(x**2) / 0.7) if x < 0 else 0.15 - 0.4 * min(x, 1.0)

    rng, trials = np.random.default_rng(19), 300
    found = named(rng, gain, trials)
    assert len(found) / trials > 0.95
    reached = [gain(test.rate) / 0.15 for test in found]
    assert np.mean(reached) > 0.85
    inside = [(t.low or 0) < 3e-5 < (t.high or 1) for t in found]
    assert np.mean(inside) > 0.95
