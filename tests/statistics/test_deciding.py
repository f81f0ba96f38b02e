"""The chance that further runs decide something, against the test itself and known figures."""

import math

import numpy as np
import pytest
from scipy import stats

from harness import statistics


def rng(seed=0):
    return np.random.default_rng(seed)


def test_one_leader_is_a_paired_t_test():
    found = statistics.beats_power([1.5], 6, rng(), alpha=0.05)
    assert found == pytest.approx(statistics.paired_power(1.5 / math.sqrt(2), 6, 0.05), abs=0.002)


def test_it_is_the_rate_at_which_the_test_itself_rejects():
    leads, n, draw, shown = np.array([1.2, 0.8, 0.0]), 5, rng(1), 0
    for _ in range(2_000):
        reference = draw.normal(0, 1, n)
        p_values = [
            stats.ttest_rel(lead + draw.normal(0, 1, n), reference, alternative="greater").pvalue
            for lead in leads
        ]
        shown += min(p_values) <= 0.05 / 3
    found = statistics.beats_power(leads, n, rng(2))
    assert found == pytest.approx(shown / 2_000, abs=0.035)


@pytest.mark.parametrize("leads", [[0.5], [0.5, 0.5]])
def test_a_lead_that_is_shown_to_be_below_the_margin_does_not_count(leads):
    free, kept = (statistics.beats_power(leads, 40, rng(), margin=m) for m in (0.0, 1.2))
    assert free > 0.6
    assert kept < 0.2


def test_leaders_share_the_runs_of_the_reference():
    leads, n, draw, size = np.full(5, 0.6), 12, rng(3), 20_000
    reference = draw.standard_normal((size, 1, n))
    ahead = leads[:, None] + draw.standard_normal((size, 5, n)) - reference
    p_values = stats.ttest_1samp(ahead, 0, axis=2, alternative="greater").pvalue
    expected = float((p_values.min(axis=1) <= 0.01).mean())
    assert statistics.beats_power(leads, n, rng()) == pytest.approx(expected, abs=0.025)
    assert expected < 0.5  # .56 if each had a reference of its own


def test_leaders_that_lead_by_nothing_are_seldom_shown_to_lead():
    found = statistics.beats_power([0.0, 0.0, 0.0], 8, rng(), simulations=40_000)
    assert 0.03 < found <= 0.05


def test_no_leader_or_a_single_seed_shows_nothing():
    assert statistics.beats_power([], 8, rng()) == 0.0
    assert statistics.beats_power([9.0, 9.0], 1, rng()) == 0.0


def test_an_sd_of_24_degrees_is_within_a_fifth_five_times_in_six():
    assert statistics.sd_within(0.2, 24) == pytest.approx(5 / 6, abs=0.005)
    sds = rng().standard_normal((20_000, 6)).std(axis=1, ddof=1)
    assert statistics.sd_within(0.2, 5) == pytest.approx(
        float((np.abs(sds - 1) <= 0.2).mean()), abs=0.012
    )
    assert statistics.sd_within(0.2, 0) == 0.0
