import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness import statistics

FINITE = st.floats(-1.0, 1.0, allow_nan=False).map(lambda x: round(x, 6))
SAMPLES = st.lists(FINITE, min_size=2, max_size=30)
COUNTS = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(6, 19, 0.154, 0.540), (5, 19, 0.118, 0.488), (5, 10, 0.237, 0.763), (16, 48, 0.217, 0.475)],
)
def test_wilson_reference(successes, n, low, high):
    interval = statistics.wilson(successes, n)
    assert (round(interval.low, 3), round(interval.high, 3)) == (low, high)


def test_clopper_pearson_reference():
    interval = statistics.clopper_pearson(6, 19)
    assert (round(interval.low, 3), round(interval.high, 3)) == (0.126, 0.566)


def test_chance_of_one_batch_size_among_all_high_performers():
    assert f"{(1 / 3) ** 16:.1e}" == "2.3e-08"


@pytest.mark.parametrize("method", [statistics.wilson, statistics.clopper_pearson])
@given(counts=COUNTS, level=st.sampled_from([0.5, 0.9, 0.95]))
def test_intervals_of_proportions_hold_the_estimate(method, counts, level):
    interval = method(*counts, level)
    assert 0.0 <= interval.low <= interval.value <= interval.high <= 1.0


@pytest.mark.parametrize("method", [statistics.wilson, statistics.clopper_pearson])
def test_intervals_of_proportions_rise_with_successes(method):
    intervals = [method(k, 24) for k in range(25)]
    assert sorted(i.low for i in intervals) == [i.low for i in intervals]
    assert sorted(i.high for i in intervals) == [i.high for i in intervals]


@pytest.mark.parametrize("method", [statistics.wilson, statistics.clopper_pearson])
def test_nothing_is_known_of_no_runs(method):
    interval = method(0, 0)
    assert math.isnan(interval.value)
    assert (interval.low, interval.high) == (0.0, 1.0)


def test_counts_and_levels_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="between 0 and n, got 5 of 4"):
        statistics.wilson(5, 4)
    with pytest.raises(ValueError, match="level"):
        statistics.wilson(1, 4, 95)
    with pytest.raises(ValueError, match="finite"):
        statistics.cvar([0.1, math.nan])
    with pytest.raises(ValueError, match="share"):
        statistics.cvar([0.1], 0.0)


BOOTSTRAPS = pytest.mark.parametrize("method", [statistics.bca_mean, statistics.interquartile_mean])


@settings(max_examples=25, deadline=None)
@given(values=SAMPLES)
@BOOTSTRAPS
def test_bootstrap_intervals_hold_the_estimate(method, values):
    found = method(values, np.random.default_rng(5), resamples=199)
    assert found.low <= found.value <= found.high


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(8, 30),
    shift=FINITE,
    scale=st.floats(0.1, 50),
)
@BOOTSTRAPS
def test_bootstrap_intervals_move_with_the_data(method, seed, n, shift, scale):
    values = np.random.default_rng(seed).normal(size=n)
    one = method(values, np.random.default_rng(5), resamples=199)
    two = method(values * scale + shift, np.random.default_rng(5), resamples=199)
    assert two.value == pytest.approx(one.value * scale + shift)
    assert two.low == pytest.approx(one.low * scale + shift, rel=1e-5)
    assert two.high == pytest.approx(one.high * scale + shift, rel=1e-5)


@pytest.mark.parametrize("method", [statistics.bca_mean, statistics.interquartile_mean])
def test_an_equal_seed_gives_an_equal_interval(method):
    values = np.random.default_rng(0).normal(size=24)
    assert method(values, np.random.default_rng(1)) == method(values, np.random.default_rng(1))
    assert method(values, np.random.default_rng(1)) != method(values, np.random.default_rng(2))


@pytest.mark.parametrize("values", [[], [0.1], [0.1, 0.1, 0.1]])
def test_a_mean_without_spread_has_no_interval(values):
    interval = statistics.bca_mean(values, np.random.default_rng(0))
    assert (interval.low, interval.high) == (-math.inf, math.inf)


@pytest.mark.parametrize("n", range(4))
def test_no_mean_of_one_or_two_has_an_interval(n):
    values = [0.1, 0.4, 0.2][:n]
    found = [
        statistics.mean_interval(values),
        statistics.bca_mean(values, np.random.default_rng(0)),
        statistics.interquartile_mean(values, np.random.default_rng(0)),
    ]
    for one in found:
        assert math.isfinite(one.low) == math.isfinite(one.high) == (n >= 3)
        assert (one.n, math.isfinite(one.value)) == (n, n > 0)


def test_bca_leans_towards_the_long_tail():
    values = np.concatenate([np.full(20, 0.1), [-0.6, -0.5, -0.4], np.linspace(0.0, 0.2, 20)])
    interval = statistics.bca_mean(values, np.random.default_rng(0))
    assert interval.value - interval.low > interval.high - interval.value


def test_bca_of_many_runs_is_students():
    values = np.random.default_rng(0).normal(size=3000)
    interval = statistics.bca_mean(values, np.random.default_rng(0))
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_interquartile_mean_is_the_trimmed_mean():
    values = np.random.default_rng(0).normal(size=23)
    found = statistics.interquartile_mean(values, np.random.default_rng(0))
    assert found.value == pytest.approx(stats.trim_mean(values, 0.25))


def test_cvar_is_the_mean_of_the_worst_quarter():
    assert statistics.cvar(np.arange(8.0)) == pytest.approx(0.5)
    # Of ten runs 2.5 are a quarter: the third worst counts half.
    assert statistics.cvar(np.arange(10.0)) == pytest.approx((0 + 1 + 2 * 0.5) / 2.5)
    assert math.isnan(statistics.cvar([]))


@given(values=SAMPLES, share=st.sampled_from([0.1, 0.25, 0.5]), shift=FINITE)
def test_cvar_lies_between_worst_and_mean_and_moves_with_the_data(values, share, shift):
    values = np.array(values)
    found = statistics.cvar(values, share)
    assert values.min() - 1e-9 <= found <= values.mean() + 1e-9
    assert statistics.cvar(values[::-1] + shift, share) == pytest.approx(found + shift, abs=1e-9)


def test_cvar_standard_error_matches_what_repetition_shows():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(3000, 80))
    estimates = [statistics.cvar(row) for row in draws]
    errors = [statistics.cvar_standard_error(row) for row in draws[:300]]
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.1)


@pytest.mark.parametrize(
    ("n", "low", "high"), [(12, 0.85, 0.94), (24, 0.84, 0.93), (200, 0.92, 0.98)]
)
def test_cvar_interval_covers(n, low, high):
    rng = np.random.default_rng(0)
    # The mean of the worst quarter of a normal: −φ(z)/¼ at its quartile z.
    true = -stats.norm.pdf(stats.norm.ppf(0.25)) / 0.25
    found = [statistics.cvar_interval(rng.normal(size=n)) for _ in range(1000)]
    assert low < np.mean([interval.low <= true <= interval.high for interval in found]) < high


def test_cvar_interval_is_the_estimate_and_its_error():
    values = np.random.default_rng(0).normal(size=24)
    found = statistics.cvar_interval(values, 0.9)
    half = stats.t.ppf(0.95, 5) * statistics.cvar_standard_error(values)
    assert found.value == statistics.cvar(values)
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))
    assert (found.level, found.n) == (0.9, 24)


@pytest.mark.parametrize("values", [[], [0.1], range(8), [0.1] * 24, [0.0] * 7 + [1.0] * 17])
def test_a_worst_quarter_of_two_runs_or_one_value_has_no_interval(values):
    found = statistics.cvar_interval(values)
    assert found.value == pytest.approx(statistics.cvar(values), nan_ok=True)
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_a_worst_quarter_of_three_runs_has_an_interval():
    assert math.isfinite(statistics.cvar_interval(range(9)).low)


def test_sd_interval_of_an_example_by_hand():
    # s² = 3.5, trimmed mean 3.5, n Σ(x − 3.5)⁴ / (Σ(x − 3.5)²)² = 6 · 88.375 / 17.5².
    found = statistics.sd_interval([6, 2, 4, 1, 3, 5])
    z = stats.norm.ppf(0.975)
    c = 6 / (6 - z)
    half = z * c * math.sqrt((6 * 88.375 / 17.5**2 - 0.5) / 5)
    bounds = [math.sqrt(math.exp(math.log(c * 3.5) + end)) for end in (-half, half)]
    assert found.value == pytest.approx(math.sqrt(3.5))
    assert (found.low, found.high) == pytest.approx(bounds)


def test_sd_interval_centres_the_fourth_moment_on_the_trimmed_mean():
    # Of 24 two are cut at each end: ⌊24 / 2√20⌋.
    x = np.random.default_rng(0).exponential(size=24)
    trimmed = stats.trim_mean(x, 2 / 24)
    kurtosis = 24 * ((x - trimmed) ** 4).sum() / ((x - x.mean()) ** 2).sum() ** 2
    z = stats.norm.ppf(0.95)
    c = 24 / (24 - z)
    half = z * c * math.sqrt((kurtosis - 21 / 24) / 23)
    bounds = [math.sqrt(c * x.var(ddof=1) * math.exp(end)) for end in (-half, half)]
    found = statistics.sd_interval(x, 0.9)
    assert (found.low, found.high) == pytest.approx(bounds)


@pytest.mark.parametrize(
    ("draw", "true", "low", "high"),
    [
        (lambda rng: rng.normal(size=24), 1.0, 0.93, 0.97),
        (lambda rng: rng.gamma(4, size=24), 2.0, 0.90, 0.95),
        (lambda rng: rng.exponential(size=24), 1.0, 0.86, 0.92),
    ],
)
def test_sd_interval_covers_under_normal_and_skewed_data(draw, true, low, high):
    rng = np.random.default_rng(0)
    found = [statistics.sd_interval(draw(rng)) for _ in range(2000)]
    assert low < np.mean([interval.low <= true <= interval.high for interval in found]) < high


@given(
    values=st.lists(FINITE, min_size=6, max_size=30),
    level=st.sampled_from([0.1, 0.9, 0.95, 0.999]),
    shift=FINITE,
    scale=st.floats(0.1, 50),
)
def test_sd_interval_holds_the_sd_and_scales_with_it(values, level, shift, scale):
    one = statistics.sd_interval(values, level)
    assert one.low <= one.value <= one.high
    if math.isfinite(one.high):
        assert one.low > 0.0
        two = statistics.sd_interval(np.array(values[::-1]) * scale + shift, level)
        wanted = [scale * end for end in (one.value, one.low, one.high)]
        assert [two.value, two.low, two.high] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("values", [[], [0.1], range(5), [0.1] * 24])
def test_an_sd_of_few_or_equal_values_has_no_interval(values):
    found = statistics.sd_interval(values)
    assert found.value == pytest.approx(
        np.std(values, ddof=1) if len(values) > 1 else math.nan, abs=1e-12, nan_ok=True
    )
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert found.n == len(values)


def test_net_sd_takes_the_noise_out():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.03, 4000) + rng.normal(0, 0.04, 4000)
    assert statistics.net_sd(values, np.full(4000, 0.04)) == pytest.approx(0.03, rel=0.1)
    assert statistics.net_sd([0.0, 0.01], [0.5, 0.5]) == 0.0
    assert math.isnan(statistics.net_sd([0.1], [0.1]))


def test_success_needs_the_lower_end_above_zero_and_six_prompts():
    quantile = stats.t.ppf(0.975, 511)
    delta = np.array([0.0201, 0.0199, 0.5, 0.5, 0.0, -0.2])
    se = np.array([0.02, 0.02, 0.01, 0.01, 0.0, 0.01])
    delta[:2] = [quantile * 0.02 + 1e-6, quantile * 0.02 - 1e-6]
    changed = np.array([100, 100, 5, 6, 0, 100])
    found = statistics.shown_to_improve(delta, se, np.full(6, 512), changed)
    assert found.tolist() == [True, False, False, True, False, False]


def test_where_prompts_are_not_counted_there_are_taken_to_be_many():
    unknown = np.array([math.nan])
    assert statistics.shown_to_improve([1.961], [1.0], unknown, unknown).tolist() == [True]
    assert statistics.shown_to_improve([1.959], [1.0], unknown, unknown).tolist() == [False]
    assert statistics.shown_to_improve([1.0], [0.1], [1], unknown).tolist() == [False]


@given(
    delta=st.lists(FINITE, min_size=1, max_size=20),
    se=st.floats(0.001, 0.2),
    min_gain=st.floats(0.001, 0.3),
)
def test_no_run_is_shown_both_to_improve_and_to_fail(delta, se, min_gain):
    known = (delta, np.full(len(delta), se), np.full(len(delta), 512.0), np.full(len(delta), 99.0))
    improved = statistics.shown_to_improve(*known)
    failed = statistics.shown_to_fail(*known, min_gain)
    assert not (improved & failed).any()


def test_shown_to_fail_is_more_than_not_shown_to_improve():
    known = ([0.0, 0.0], [0.01, 0.04], [512, 512], [99, 99])
    assert statistics.shown_to_improve(*known).tolist() == [False, False]
    assert statistics.shown_to_fail(*known, 0.05).tolist() == [True, False]


def test_detectable_gain():
    assert statistics.detectable_gain([0.01, 0.02, 0.01]) == pytest.approx(0.028)
    # The factor is what a two-sided test at .05 detects four times in five.
    assert stats.norm.ppf(0.975) + stats.norm.ppf(0.8) == pytest.approx(2.8, abs=0.01)


def test_the_interval_of_a_large_sample_s_middle_half_is_the_bootstrap_s_for_less():
    rng = np.random.default_rng(4)
    sample = rng.standard_t(3, 2_000)
    bootstrapped = statistics.interquartile_mean(sample, rng)
    doubled = statistics.interquartile_mean(np.repeat(sample, 2), rng)
    assert doubled.value == pytest.approx(bootstrapped.value)
    width = (bootstrapped.high - bootstrapped.low) / math.sqrt(2)
    assert doubled.high - doubled.low == pytest.approx(width, rel=0.05)
    assert "winsorised" in doubled.method


def test_clustered_error_of_a_hand_made_example():
    """Clusters (1, 2), (3), (6, 8) of mean 4: sums of deviations −5, −1 and 6; 62·(3/2)/5²."""
    found = statistics.clustered_error([1, 6, 2, 3, 8], ["a", "c", "a", "b", "c"])
    assert found.se == pytest.approx(math.sqrt(62 * 3 / 2) / 5)
    assert (found.clusters, found.changed) == (pytest.approx(25 / 9), 3)


@given(values=SAMPLES)
def test_clustered_error_where_each_item_is_its_own_cluster_is_the_usual_one(values):
    found = statistics.clustered_error(values, range(len(values)))
    assert found.se == pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)), abs=1e-12)
    assert found.clusters == pytest.approx(len(values))
    assert found.changed == np.count_nonzero(values)


@given(values=SAMPLES, copies=st.integers(2, 5))
def test_clustered_error_is_the_same_for_copies_of_each_item(values, copies):
    once = statistics.clustered_error(values, range(len(values)))
    again = statistics.clustered_error(
        np.repeat(values, copies), np.repeat(np.arange(len(values)), copies)
    )
    assert again.se == pytest.approx(once.se, abs=1e-12)
    assert again.clusters == pytest.approx(once.clusters)


def test_clustered_error_of_one_cluster_is_not_known():
    assert math.isnan(statistics.clustered_error([0.1, 0.3], ["text", "text"]).se)
    with pytest.raises(ValueError, match="a cluster for each of 2 values, got 1"):
        statistics.clustered_error([0.1, 0.3], ["text"])


def test_clusters_whose_changes_cancel_did_not_change():
    values = [0.1, 0.2, -0.3, 0.5, 0.0]
    assert statistics.clustered_error(values, ["a", "a", "a", "b", "c"]).changed == 1


@pytest.mark.parametrize(
    ("sizes", "usual"),
    [([8] * 5, 0.6), ([8] * 20, 0.67), ([1, 2, 4, 8, 16, 32], 0.38), ([50] + [5] * 10, 0.34)],
    ids=["five", "twenty", "doubling", "one-holds-half"],
)
def test_clustered_intervals_cover_and_the_usual_ones_do_not(sizes, usual):
    """An item shares half of its variance with its cluster; the truth is 0."""
    rng, repeats = np.random.default_rng(5), 1_000
    labels = np.repeat(np.arange(len(sizes)), sizes)
    shared = rng.standard_normal((repeats, len(sizes)))[:, labels]
    rows = math.sqrt(0.5) * (shared + rng.standard_normal((repeats, labels.size)))
    found = [statistics.clustered_error(row, labels) for row in rows]
    errors = np.array([one.se for one in found])
    covered = np.abs(rows.mean(axis=1)) <= errors * stats.t.ppf(0.975, found[0].clusters - 1)
    assert 0.93 <= covered.mean() <= 0.985
    plain = 1.96 * rows.std(axis=1, ddof=1) / math.sqrt(labels.size)
    assert (np.abs(rows.mean(axis=1)) <= plain).mean() < usual + 0.03
