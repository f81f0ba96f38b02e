import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness import statistics

SAMPLES = st.lists(st.integers(-50, 50).map(lambda k: k / 100), min_size=2, max_size=15)
ALPHA = 0.05


def agrees(compared, null=0.0):
    """The interval lies above (below) the null value exactly when that is shown."""
    assert (compared.low > null) == (compared.p_greater <= ALPHA) or compared.low == null
    assert (compared.high < null) == (compared.p_less <= ALPHA) or compared.high == null
    assert 0.0 <= compared.p_greater <= 1.0
    assert 0.0 <= compared.p_less <= 1.0
    assert not math.isnan(compared.low)
    assert not math.isnan(compared.high)


def test_binomial_reference():
    assert statistics.binomial(13, 24).p_greater == pytest.approx(0.419, abs=5e-4)
    assert statistics.binomial_threshold(24) == 17
    assert statistics.binomial(17, 24).p_greater <= ALPHA < statistics.binomial(16, 24).p_greater
    assert statistics.binomial(13, 24, 6 / 19).p_greater < ALPHA


def test_power_of_the_binomial_reference():
    assert stats.binom.sf(16, 24, 0.7) == pytest.approx(0.565, abs=5e-4)
    assert stats.binom.sf(16, 24, 0.8) == pytest.approx(0.911, abs=5e-4)


@given(
    counts=st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    rate=st.sampled_from([0.2, 0.5, 0.75]),
)
def test_clopper_pearson_agrees_with_the_binomial(counts, rate):
    agrees(statistics.binomial(*counts, rate), rate)


@pytest.mark.parametrize("n", range(5))
def test_few_runs_cannot_show_more_than_half(n):
    assert statistics.binomial_threshold(n) is None
    assert statistics.binomial(n, n).p_greater > ALPHA


@pytest.mark.parametrize(
    ("successes", "p_value"), [(13, 0.080), (14, 0.047), (15, 0.024), (17, 0.006)]
)
def test_boschloo_reference(successes, p_value):
    found = statistics.boschloo(successes, 24, 6, 19)
    assert round(found.p_greater, 3) == p_value
    agrees(found)


@settings(max_examples=40, deadline=None)
@given(one=st.integers(0, 12), two=st.integers(0, 10))
def test_boschloo_interval_agrees_and_holds_the_estimate(one, two):
    found = statistics.boschloo(one, 12, two, 10)
    mirrored = statistics.boschloo(two, 10, one, 12)
    agrees(found)
    assert found.low <= found.estimate <= found.high
    assert found.p_greater == mirrored.p_less
    assert found.low == pytest.approx(-mirrored.high)


def test_boschloo_p_values_fall_with_successes():
    p_values = [statistics.boschloo(k, 24, 6, 19).p_greater for k in range(25)]
    assert all(two <= one + 1e-6 for one, two in pairwise(p_values))


def test_boschloo_of_large_tables_is_fishers():
    found = statistics.boschloo(160, 300, 130, 300)
    assert found.p_greater == pytest.approx(
        stats.fisher_exact([[160, 130], [140, 170]], alternative="greater").pvalue
    )
    assert found.method.startswith("Fisher")


@pytest.mark.parametrize("counts", [(0, 0, 3, 5), (0, 5, 0, 0), (0, 0, 0, 0)])
def test_boschloo_of_no_runs_says_nothing(counts):
    found = statistics.boschloo(*counts)
    assert (found.p_greater, found.p_less) == (1.0, 1.0)


def test_welch_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.1, 1, 12), rng.normal(0, 3, 30)
    found = statistics.welch(a, b)
    expected = stats.ttest_ind(a, b, equal_var=False, alternative="greater")
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.9)
    assert found.p_greater == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_brown_forsythe_is_levene_with_medians():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 13), rng.normal(0, 2, 30)
    found = statistics.brown_forsythe(a, b)
    assert 2 * found.p_less == pytest.approx(stats.levene(a, b, center="median").pvalue)
    assert found.p_less < 0.05 < found.p_greater


TWO_SAMPLES = [statistics.welch, statistics.brown_forsythe]


@pytest.mark.parametrize("method", TWO_SAMPLES)
@given(a=SAMPLES, b=SAMPLES, shift=st.floats(-1, 1), scale=st.floats(0.1, 50))
def test_comparisons_agree_and_move_with_the_data(method, a, b, shift, scale):
    a, b = np.array(a), np.array(b)
    found = method(a, b)
    moved = method(a[::-1] * scale + shift, b * scale + shift)
    mirrored = method(b, a)
    agrees(found)
    assert found.p_greater == pytest.approx(mirrored.p_less)
    if math.isfinite(found.low) and math.isfinite(moved.low):
        assert moved.p_greater == pytest.approx(found.p_greater, abs=1e-6)
        assert moved.low == pytest.approx(found.low * scale, abs=1e-6 * scale)


@pytest.mark.parametrize("method", TWO_SAMPLES)
@pytest.mark.parametrize("samples", [([], []), ([1.0], [2.0, 3.0]), ([1.0, 1.0], [0.0, 0.0])])
def test_without_spread_or_runs_nothing_is_shown(method, samples):
    found = method(*samples)
    assert (found.p_greater, found.p_less) == (1.0, 1.0)
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_sd_ratio_takes_the_noise_out():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 0.03, 4000), rng.normal(0, 0.03, 4000) + rng.normal(0, 0.04, 4000)
    raw = statistics.sd_ratio(a, b)
    net = statistics.sd_ratio(a, b, np.zeros(4000), np.full(4000, 0.04))
    assert raw == pytest.approx(0.6, rel=0.05)
    assert net == pytest.approx(1.0, rel=0.05)
    assert math.isnan(statistics.sd_ratio([0.1, 0.2], [0.0, 0.0]))


@settings(max_examples=30, deadline=None)
@given(a=SAMPLES, b=SAMPLES, shift=st.floats(-1, 1), scale=st.floats(0.1, 50))
def test_the_permutation_interval_agrees_and_moves_with_the_data(a, b, shift, scale):
    a, b = np.array(a), np.array(b)
    found = statistics.cvar_permutation(a, b, np.random.default_rng(3), resamples=199)
    moved = statistics.cvar_permutation(
        a * scale + shift, b * scale + shift, np.random.default_rng(3), resamples=199
    )
    agrees(found)
    assert moved.estimate == pytest.approx(found.estimate * scale, abs=1e-6 * scale)
    assert moved.p_greater == pytest.approx(found.p_greater, abs=0.011)


def test_the_permutation_test_sees_a_better_tail_and_repeats_itself():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.05, 0.02, 24), rng.normal(0.05, 0.08, 24)
    found = statistics.cvar_permutation(a, b, np.random.default_rng(1))
    again = statistics.cvar_permutation(a, b, np.random.default_rng(1))
    other = statistics.cvar_permutation(a, b, np.random.default_rng(2))
    assert found == again != other
    assert found.p_greater < 0.05
    assert found.low > 0
    assert statistics.cvar_permutation(b, a, np.random.default_rng(1)).p_less < 0.05


def test_a_tail_of_equal_values_is_no_error():
    rng = np.random.default_rng(1)
    found = statistics.cvar_permutation([0.1] * 12, [-0.1] * 12, rng)
    assert found.p_greater < ALPHA
    assert found.low == 0.0
    assert found.high == math.inf
    same = statistics.cvar_permutation([0.1] * 12, [0.1] * 12, rng)
    assert (same.p_greater, same.p_less) == (1.0, 1.0)


def test_paired_is_scipys():
    differences = np.random.default_rng(0).normal(0.2, 1, 15)
    found = statistics.paired(differences)
    expected = stats.ttest_1samp(differences, 0.0, alternative="greater")
    assert found.p_greater == pytest.approx(expected.pvalue)
    assert statistics.paired(differences, null=0.3).p_less == pytest.approx(
        stats.ttest_1samp(differences, 0.3, alternative="less").pvalue
    )


@given(differences=SAMPLES, margin=st.floats(0.01, 0.4))
def test_non_inferiority_agrees_with_its_interval(differences, margin):
    agrees(statistics.non_inferiority(differences, margin), -margin)


def test_a_margin_must_be_positive():
    with pytest.raises(ValueError, match="margin"):
        statistics.non_inferiority([0.1, 0.2], 0.0)


def test_equivalence_is_shown_not_assumed():
    rng = np.random.default_rng(0)
    tight, wide = rng.normal(0, 0.01, (2, 30)), rng.normal(0, 0.2, (2, 6))
    assert statistics.equivalent(*tight, margin=0.02)
    assert not statistics.equivalent(*wide, margin=0.02)
    assert not statistics.equivalent(tight[0], tight[1] + 0.05, margin=0.02)


@given(differences=SAMPLES, margin=st.floats(0.01, 0.6), level=st.sampled_from([0.8, 0.9, 0.98]))
def test_paired_equivalence_agrees_with_its_interval(differences, margin, level):
    found = statistics.paired_equivalence(differences, margin, level)
    alpha = (1 - level) / 2
    # Where an end of the interval is the margin, rounding decides.
    clear = min(abs(abs(end) - margin) for end in (found.low, found.high)) > 1e-9
    if clear:
        assert (found.p_within <= alpha) == (-margin < found.low and found.high < margin)
    if clear and found.p_beyond <= alpha:
        assert found.low > margin or found.high < -margin
    mirrored = statistics.paired_equivalence([-d for d in differences], margin, level)
    assert (found.p_within, found.p_beyond) == (mirrored.p_within, mirrored.p_beyond)
    assert 0.0 <= found.p_within <= 1.0
    assert 0.0 <= found.p_beyond <= 1.0


def test_paired_equivalence_is_two_one_sided_tests():
    differences = np.random.default_rng(0).normal(0.01, 0.02, 12)
    found = statistics.paired_equivalence(differences, 0.02)
    above = stats.ttest_1samp(differences, -0.02, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, 0.02, alternative="less").pvalue
    assert found.p_within == pytest.approx(max(above, below))
    interval = stats.ttest_1samp(differences, 0.0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_beyond_a_wide_margin_is_one_sided_and_beyond_none_two_sided():
    differences = np.random.default_rng(0).normal(0.05, 0.01, 8)
    wide = statistics.paired_equivalence(differences, 0.04)
    assert wide.p_beyond == pytest.approx(
        stats.ttest_1samp(differences, 0.04, alternative="greater").pvalue, rel=1e-4
    )
    none = statistics.paired_equivalence(differences - 0.045, 1e-12)
    assert none.p_beyond == pytest.approx(stats.ttest_1samp(differences, 0.045).pvalue)


@pytest.mark.parametrize("differences", [[], [0.01], [0.01, 0.01, 0.01]])
def test_of_noise_that_was_not_seen_no_equivalence_is_known(differences):
    found = statistics.paired_equivalence(differences, 0.02)
    assert (found.p_within, found.p_beyond) == (1.0, 1.0)
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert statistics.pairs_to_decide(differences, 0.02) is None


def test_pairs_to_decide_are_few_where_the_answer_is_plain():
    noise = np.random.default_rng(0).normal(0, 1, 8)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    sizes = [statistics.pairs_to_decide(mean + 0.03 * noise, 0.02) for mean in (0.0, 0.01, 0.017)]
    assert sizes == sorted(sizes)
    assert statistics.pairs_to_decide(0.02 + 0.03 * noise, 0.02) is None
    far = [statistics.pairs_to_decide(mean + 0.03 * noise, 0.02) for mean in (0.03, 0.06, 0.3)]
    assert far == sorted(far, reverse=True)
    assert far[-1] == 2


@pytest.mark.parametrize(("mean", "spread"), [(0.0, 0.03), (0.01, 0.02), (0.05, 0.05)])
def test_pairs_to_decide_decide_four_times_in_five(mean, spread):
    rng = np.random.default_rng(1)
    noise = np.array([-1.0, 1.0, -1.0, 1.0]) * math.sqrt(3 / 4)
    n = statistics.pairs_to_decide(mean + spread * noise, 0.02)
    found = [statistics.paired_equivalence(rng.normal(mean, spread, n), 0.02) for _ in range(400)]
    right = [f.p_within if mean < 0.02 else f.p_beyond for f in found]
    assert float(np.mean([p <= ALPHA for p in right])) == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize("rule", [statistics.paired_equivalence, statistics.pairs_to_decide])
def test_a_margin_of_equivalence_must_be_positive(rule):
    with pytest.raises(ValueError, match="margin"):
        rule([0.1, 0.2], 0.0)


def test_holm_reference():
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([]) == []
    with pytest.raises(ValueError, match="between 0 and 1"):
        statistics.holm([1.5])


@given(p_values=st.lists(st.floats(0, 1), max_size=10))
def test_holm_corrects_upwards_and_keeps_the_order(p_values):
    corrected = statistics.holm(p_values)
    assert all(p <= q <= 1.0 for p, q in zip(p_values, corrected, strict=True))
    for i, p in enumerate(p_values):
        for j, q in enumerate(p_values):
            assert not (p < q and corrected[i] > corrected[j])


def test_rank_sum():
    higher, lower = statistics.rank_sum([5.0, 6.0, 7.0, 8.0], [1.0, 2.0, 3.0, 4.0])
    assert higher < 0.05 < lower
    assert statistics.rank_sum([], [1.0]) == (1.0, 1.0)
    assert statistics.rank_sum([1.0], [1.0]) == (1.0, 1.0)
