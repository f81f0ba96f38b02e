"""The gate's statistics: exact against brute force, and the same for the same nights."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.statistics import (
    FAR,
    ONE_IN,
    LastNights,
    autocorrelation,
    fewest_before,
    most_total,
    power_of_shift,
    rank_last,
    robust_z,
    slow_decline,
    usual_nights,
)
from harness.statistics import nights as module

LEAST = {1: 199, 2: 19, 3: 9, 4: 6}


def brute(values, m):
    """Return the rank of the last m nights and the number of choices, one choice after another."""
    z = robust_z(values)
    sums = [max(z[list(chosen)].sum(axis=0)) for chosen in combinations(range(len(z)), m)]
    return sum(one >= sums[-1] - 1e-9 for one in sums), len(sums)


@st.composite
def nights(draw, most=14, metrics=(1, 3)):
    """Draw nights on a coarse lattice, with ties, and how many of them are the last."""
    m = draw(st.sampled_from([3, 4]))
    n = draw(st.integers(m + LEAST[m], most))
    d = draw(st.integers(*metrics))
    values = draw(arrays(np.float64, (n, d), elements=st.integers(-20, 20).map(float)))
    assume((np.ptp(values, axis=0) > 0).all())
    return values, m


# ---- the rank -----------------------------------------------------------------------------------


@settings(deadline=None)
@given(nights())
def test_the_rank_is_that_of_all_choices_one_after_another(drawn):
    values, m = drawn
    found = rank_last(values, m)
    assert (found.rank, found.choices) == brute(values, m)
    assert found.pages == (found.rank / found.choices <= 1 / 200)


@pytest.mark.parametrize(
    ("rank", "choices", "pages"),
    [(1, 200, True), (1, 199, False), (8, 1771, True), (9, 1771, False), (2, 400, True)],
)
def test_a_page_is_a_rank_in_the_top_two_hundredth(rank, choices, pages):
    assert LastNights(rank, choices, 1.0, 0).pages is pages


@pytest.mark.parametrize(("m", "n"), [(1, 230), (2, 60), (3, 25), (4, 14)])
@pytest.mark.parametrize("chunk", [7, 10**6])
def test_the_rank_is_exact_for_each_number_of_nights(m, n, chunk, monkeypatch):
    pieces = module.chunks
    monkeypatch.setattr(module, "chunks", lambda total, width: pieces(total, width, chunk))
    values = np.random.default_rng(m).standard_t(2, (n, 4))
    values[-m:, 1] += 1.0
    found = rank_last(values, m)
    assert (found.rank, found.choices) == brute(values, m)
    assert 1 < found.rank < found.choices


@pytest.mark.parametrize("m", LEAST)
def test_every_choice_has_its_share_of_the_ranks(m):
    """Each night is as likely to be among the last: the ranks of all choices are 1, 2, 3, …"""
    n = LEAST[m] + m if m != 1 else 200
    values = np.random.default_rng(1).normal(size=(n, 2))
    some = list(combinations(range(n), m))[:: 1 + comb(n, m) // 300]
    ranks = []
    for chosen in some:
        rest = [i for i in range(n) if i not in chosen]
        ranks.append(rank_last(values[[*rest, *chosen]], m).rank)
    if len(some) == comb(n, m):
        assert sorted(ranks) == list(range(1, len(some) + 1))
    assert len(set(ranks)) == len(ranks)


@settings(deadline=None)
@given(nights(), st.randoms(use_true_random=False))
def test_the_order_of_the_nights_before_does_not_matter_nor_that_of_the_last(drawn, random):
    values, m = drawn
    before, last = list(range(len(values) - m)), list(range(len(values) - m, len(values)))
    random.shuffle(before)
    random.shuffle(last)
    assert rank_last(values[before + last], m).rank == rank_last(values, m).rank


@settings(deadline=None)
@given(nights(), st.sampled_from([2.0**-30, 0.25, 8.0, 2.0**40]), st.integers(-50, 50))
def test_the_unit_of_a_metric_and_its_zero_do_not_matter(drawn, scale, shift):
    values, m = drawn
    moved = values.copy()
    moved[:, 0] = (moved[:, 0] + shift) * scale
    assert rank_last(moved, m).rank == rank_last(values, m).rank


@settings(deadline=None)
@given(nights(metrics=(1, 1)), st.integers(1, 100))
def test_a_worse_night_never_ranks_lower(drawn, more):
    """Beyond more than half of the others, it moves neither the median nor their deviation."""
    values, m = drawn
    far = np.abs(values[:, 0] - np.median(values[:, 0]))
    assume(np.median(far) > 0 and values[-1, 0] > np.median(values[:, 0]))
    assume((far[:-1] <= far[-1]).sum() > len(far) // 2)
    worse = values.copy()
    worse[-1, 0] += more
    assert rank_last(worse, m).rank <= rank_last(values, m).rank


def test_ties_count_against_a_page():
    values = np.zeros((23, 1))
    values[[3, 4, 5]] = values[-3:] = 1.0
    assert rank_last(values, 3).rank == comb(6, 3)


def test_the_metric_with_the_largest_mean_is_named():
    values = np.random.default_rng(0).normal(size=(30, 5))
    values[-3:, 3] += 5
    found = rank_last(values, 3)
    assert (found.metric, found.pages) == (3, True)
    assert found.statistic == pytest.approx(robust_z(values)[-3:, 3].mean())
    assert found.p_value == found.rank / found.choices


# ---- robust z -----------------------------------------------------------------------------------


def test_z_has_mean_0_and_sd_1_and_the_order_of_the_values():
    x = np.random.default_rng(0).standard_t(2, (200, 3))
    z = robust_z(x)
    assert z.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    assert z.std(axis=0) == pytest.approx(np.ones(3))
    for one, other in zip(x.T, z.T, strict=True):
        assert (np.argsort(one) == np.argsort(other)).all()


def test_values_that_are_not_far_off_keep_their_distances():
    x = np.random.default_rng(0).uniform(5, 9, (50, 1))
    assert robust_z(x) == pytest.approx((x - x.mean()) / x.std())


@pytest.mark.parametrize("sign", [1, -1])
def test_a_past_accident_is_drawn_in(sign):
    x = sign * np.append(np.linspace(-1, 1, 21), 1e6)[:, None]
    z = robust_z(x)[:, 0]
    centre = np.median(x)
    scale = 1.4826 * np.median(abs(x - centre))
    by_hand = ((x - centre) / scale)[:, 0]
    by_hand[-1] = sign * (FAR + np.log1p(abs(by_hand[-1]) - FAR))
    assert z == pytest.approx((by_hand - by_hand.mean()) / by_hand.std())


def test_where_most_nights_are_equal_the_mean_deviation_is_the_scale():
    x = np.array([[0.0]] * 9 + [[1.0], [-30.0]])
    scale = 1.2533 * 31 / 11
    by_hand = np.array([0.0] * 9 + [1 / scale, -(FAR + np.log1p(30 / scale - FAR))])
    assert robust_z(x)[:, 0] == pytest.approx((by_hand - by_hand.mean()) / by_hand.std())


@pytest.mark.parametrize("bad", [np.ones((12, 1)), [[1.0], [np.nan]], [1.0, 2.0], np.empty((0, 2))])
def test_what_has_no_scale_or_shape_is_refused(bad):
    with pytest.raises(ValueError):
        robust_z(bad)


# ---- how many nights ----------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "least"), LEAST.items())
def test_the_fewest_nights_before_are_those_with_which_a_page_can_be(m, least):
    assert fewest_before(m) == least
    assert comb(least + m, m) >= ONE_IN > comb(least + m - 1, m)
    values = np.arange(least + m, dtype=float)[:, None]
    assert rank_last(values, m).pages
    with pytest.raises(ValueError, match=f"take {least} before"):
        rank_last(values[1:], m)


@pytest.mark.parametrize("m", [0, 5])
def test_no_other_numbers_of_nights_are_judged(m):
    with pytest.raises(ValueError, match="1 to 4"):
        rank_last(np.arange(50.0)[:, None], m)


@pytest.mark.parametrize(
    ("total", "m"), [(1, 4), (17, 4), (18, 3), (40, 3), (41, 2), (799, 2), (800, 1)]
)
def test_the_usual_number_of_nights_falls_as_the_history_grows(total, m):
    assert usual_nights(total) == m


def test_so_many_nights_are_counted_and_no_more(monkeypatch):
    monkeypatch.setattr(module, "MOST_CHOICES", 1000)
    assert [most_total(m) for m in (1, 2, 3, 4)] == [1000, 45, 19, 13]
    with pytest.raises(ValueError, match="at most 45"):
        rank_last(np.arange(46.0)[:, None], 2)


# ---- how often, by simulation -------------------------------------------------------------------


def normal(rng, n):
    return rng.normal(size=(n, 5))


def skewed(rng, n):
    return rng.exponential(size=(n, 5))


def heavy(rng, n):
    return rng.standard_t(3, (n, 5))


def alike(rng, n):
    return 0.8 * rng.normal(size=(n, 1)) + 0.6 * rng.normal(size=(n, 5))


@pytest.mark.parametrize("draw", [normal, skewed, heavy, alike])
@pytest.mark.parametrize(("k", "m"), [(10, 4), (20, 3), (40, 2)])
def test_unchanged_nights_page_once_in_two_hundred(draw, k, m):
    """The limit is exceeded once in a million by a rate of 1/200."""
    rng = np.random.default_rng([k, m])
    trials = 400
    pages = sum(rank_last(draw(rng, k + m), m).pages for _ in range(trials))
    assert pages <= 11


@pytest.mark.parametrize(("k", "m"), [(20, 3), (40, 2)])
def test_the_power_that_is_told_is_the_one_that_is_had(k, m):
    rng = np.random.default_rng([7, k])
    trials, told, had = 300, [], 0
    for trial in range(trials):
        values = rng.normal(size=(k + m, 5))
        if trial < 15:
            told.append(power_of_shift(values, m, 3.0, rng, draws=100))
        values[-m:, trial % 5] += 3.0
        had += rank_last(values, m).pages
    assert np.mean(told) == pytest.approx(had / trials, abs=0.12)
    assert 0.5 < had / trials < 0.95


def test_the_power_grows_with_the_shift_and_does_not_depend_on_the_last_nights():
    values = np.random.default_rng(5).normal(size=(23, 3))
    power = [power_of_shift(values, 3, s, np.random.default_rng(1)) for s in (0, 2, 3, 4, 30)]
    assert power == sorted(power)
    assert (power[0] < 0.03, power[-1]) == (True, 1.0)
    values[-3:] += 5.0
    again = power_of_shift(values, 3, 3, np.random.default_rng(1))
    assert again == pytest.approx(power[2], abs=1e-12)


def test_power_is_found_from_some_choices_where_there_are_many(monkeypatch):
    values = np.random.default_rng(5).normal(size=(60, 3))
    all_of_them = power_of_shift(values, 3, 2.0, np.random.default_rng(1))
    monkeypatch.setattr(module, "_DRAWN_CHOICES", 3000)
    assert power_of_shift(values, 3, 2.0, np.random.default_rng(1)) == pytest.approx(
        all_of_them, abs=0.15
    )


# ---- signs that all is not well -----------------------------------------------------------------


def autoregressive(rng, n, d, by):
    x = rng.normal(size=(n, d))
    for night in range(1, n):
        x[night] = by * x[night - 1] + np.sqrt(1 - by**2) * x[night]
    return x


def test_nights_that_resemble_the_ones_before_are_found_and_others_are_not():
    rng, trials = np.random.default_rng(2), 120
    found = {
        by: np.mean(
            [
                autocorrelation(autoregressive(rng, 40, 3, by), rng, 199).p_value <= 0.05
                for _ in range(trials)
            ]
        )
        for by in (0.0, 0.4, 0.7)
    }
    assert found[0.0] <= 0.13
    assert found[0.4] >= 0.5
    assert found[0.7] >= 0.95


def test_a_slow_decline_is_found_with_its_metric_and_begin():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(60, 3))
    values[30:, 1] += np.linspace(0, 3, 30)
    found = slow_decline(values, rng)
    assert (found.metric, found.p_value < 0.01) == (1, True)
    assert 20 <= found.since <= 45
    better = slow_decline(-values, rng)
    assert better.p_value > 0.05


def test_unchanged_nights_decline_as_seldom_as_is_said():
    rng = np.random.default_rng(4)
    p = [slow_decline(rng.standard_t(3, (25, 3)), rng, 199).p_value for _ in range(200)]
    assert np.mean(np.array(p) <= 0.05) <= 0.12
    assert np.mean(np.array(p) <= 0.5) == pytest.approx(0.5, abs=0.12)
