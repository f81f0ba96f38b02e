"""Several things compared at once: Bonferroni's intervals, and which may be the best."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from harness.statistics import gain_power, matched, matched_each, not_best

SAMPLES = arrays.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(4, 12)),
                        elements=st.floats(-1, 1).map(lambda x: round(x, 3)))  # fmt: skip


def test_each_is_a_t_test_at_the_share_of_the_level():
    rng = np.random.default_rng(1)
    samples = [rng.normal(mean, 1.0, n) for mean, n in ((1.0, 8), (0.0, 6), (0.5, 8))]
    found = matched_each(samples, 0.9)
    for one, sample in zip(found, samples, strict=True):
        test = stats.ttest_1samp(sample, 0.0, alternative="greater")
        half = stats.t.isf(0.05 / 3, sample.size - 1) * stats.sem(sample)
        assert one.p_greater == pytest.approx(min(1.0, 3 * test.pvalue))
        ends = (sample.mean() - half, sample.mean() + half)
        assert (one.low, one.high) == pytest.approx(ends)
        assert (one.level, one.n) == (0.9, sample.size)


@settings(max_examples=80, deadline=None)
@given(samples=SAMPLES)
def test_an_interval_and_its_p_value_agree_and_more_samples_widen_it(samples):
    for one, sample in zip(matched_each(list(samples), 0.9), samples, strict=True):
        alone = matched(sample, level=0.9)
        assert (one.low > 0.0) == (one.p_greater <= 0.05)
        assert (one.high < 0.0) == (one.p_less <= 0.05)
        assert one.low <= alone.low
        assert one.high >= alone.high
        assert one.estimate == pytest.approx(alone.estimate, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(samples=SAMPLES, turned=st.randoms())
def test_the_order_of_the_samples_changes_nothing(samples, turned):
    order = list(range(len(samples)))
    turned.shuffle(order)
    found = matched_each(list(samples))
    assert matched_each([samples[at] for at in order]) == tuple(found[at] for at in order)


def test_one_sample_is_compared_as_ever():
    sample = np.random.default_rng(0).normal(0.3, 1.0, 20)
    (found,) = matched_each([sample])
    one = matched(sample)
    assert (found.p_greater, found.low, found.high) == pytest.approx(
        (one.p_greater, one.low, one.high)
    )
    assert matched_each([]) == ()


@pytest.mark.parametrize("level", [0.0, 1.0, 2.0])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(ValueError, match="level"):
        matched_each([[0.1, 0.2]], level)


def test_simultaneous_intervals_hold_together_whatever_they_share():
    """All lower ends below the truth in 95% at least; one by one at .05 they are not."""
    rng, sweeps = np.random.default_rng(2), 400
    together = alone = 0
    for _ in range(sweeps):
        reference = rng.normal(0, 1, 8)
        each = [rng.normal(0, 1, 8) - reference for _ in range(3)]
        together += all(one.low <= 0.0 for one in matched_each(each))
        alone += all(matched(one).low <= 0.0 for one in each)
    assert together / sweeps >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / sweeps)
    assert alone / sweeps < 0.92


def test_what_another_is_better_than_is_not_the_best():
    better = [[1.0, 0.004, 0.3], [0.99, 1.0, 0.9], [0.7, 0.02, 1.0]]
    assert not_best(better) == pytest.approx([1.0, 0.008, 0.6])
    assert not_best([[0.0]]) == pytest.approx([1.0]), "alone it is the best"
    with pytest.raises(ValueError, match="square"):
        not_best([[0.1, 0.2]])


@settings(max_examples=60, deadline=None)
@given(
    p=arrays.arrays(np.float64, st.integers(2, 6).map(lambda k: (k, k)), elements=st.floats(0, 1))
)
def test_the_p_value_is_that_of_the_clearest_better_one(p):
    k = len(p)
    for j, found in enumerate(not_best(p)):
        least = min(p[i, j] for i in range(k) if i != j)
        assert found == pytest.approx(min(1.0, (k - 1) * least))


def test_the_truly_best_is_seldom_left_out():
    rng, sweeps, out = np.random.default_rng(3), 400, 0
    for _ in range(sweeps):
        values = rng.normal(0, 1, (3, 8))
        better = [[matched(a - b).p_greater if a is not b else 1.0 for b in values] for a in values]
        out += not_best(better)[0] <= 0.05
    assert out / sweeps <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / sweeps)


@pytest.mark.parametrize(("effect", "n", "several"), [(1.0, 8, 3), (2.0, 4, 3), (0.7, 8, 1)])
def test_the_power_of_one_of_several_is_that_of_the_noncentral_t(effect, n, several):
    critical = stats.t.isf(0.05 / several, n - 1)
    exact = stats.nct.sf(critical, n - 1, effect * np.sqrt(n))
    assert gain_power(effect, n, several=several) == pytest.approx(exact, abs=2e-3)


def test_a_margin_beyond_the_upper_end_is_not_shown():
    """The upper end is at α whatever the number, so that a wide margin asks the same of one."""
    rng = np.random.default_rng(4)
    samples = rng.normal(0.8, 1.0, (4_000, 8))
    error = samples.std(axis=1, ddof=1) / np.sqrt(8)
    low = samples.mean(axis=1) - stats.t.isf(0.05 / 3, 7) * error
    high = samples.mean(axis=1) + stats.t.isf(0.05, 7) * error
    shown = ((low > 0.0) & (high >= 1.5)).mean()
    assert gain_power(0.8, 8, 1.5, several=3) == pytest.approx(shown, abs=0.03)
