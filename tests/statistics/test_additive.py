"""The additive model beside independent computations: each from its definition, by brute force."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness import statistics


def centred(columns):
    return columns - columns.mean(axis=0)


def orthonormal(*columns):
    n = columns[0].shape[0]
    return np.linalg.qr(np.column_stack([np.ones(n), *columns]))[0]


def squared_error(y, design):
    weights, *_ = np.linalg.lstsq(design, y, rcond=None)
    return float(((y - design @ weights) ** 2).sum())


def table(seed, n, levels=3):
    """Ranks, the codes of a parameter, and two columns of another."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(n) % levels)
    other = rng.normal(size=(n, 2))
    y = rng.normal(size=n) + 0.6 * codes + other[:, 0]
    return y, codes, other


# ---- the partial F test -------------------------------------------------------------------------


def test_the_partial_f_is_that_of_two_least_squares_fits():
    y, codes, other = table(0, 40)
    ranks, tested = statistics.rank_shares(y), statistics.factor(None, codes).columns
    basis = orthonormal(other)
    small = squared_error(ranks, basis)
    large = squared_error(ranks, np.hstack([basis, np.eye(3)[codes]]))
    dof = 40 - 3 - 2
    f = (small - large) / 2 / (large / dof)
    total = float(((ranks - ranks.mean()) ** 2).sum())
    found = statistics.partial_test(ranks, tested, basis, np.random.default_rng(0), 99)
    assert (found.columns, found.dof) == (2, dof)
    assert found.f == pytest.approx(f)
    assert found.share == pytest.approx((small - large - 2 * large / dof) / total)


def test_of_many_runs_the_f_distribution_gives_the_p_value():
    y, codes, other = table(1, 501)
    ranks = statistics.rank_shares(np.random.default_rng(1).permutation(y))
    tested = statistics.factor(None, codes).columns
    found = statistics.partial_test(
        ranks, tested, orthonormal(other), np.random.default_rng(0), 1999
    )
    assert found.p_value == pytest.approx(stats.f.sf(found.f, 2, 501 - 3 - 2))


def exact(ranks, tested, basis, orders):
    """The share of arrangements of the rows of ``tested`` that explain as much."""

    def explained(rows):
        return squared_error(ranks, basis) - squared_error(ranks, np.hstack([basis, rows]))

    observed = explained(tested)
    return np.mean([explained(tested[list(order)]) >= observed - 1e-9 for order in orders])


def test_the_p_value_is_that_of_all_permutations():
    rng = np.random.default_rng(4)
    x, other, ranks = rng.normal(size=(6, 1)), rng.normal(size=(6, 1)), np.arange(6.0)
    basis, tested = orthonormal(other), centred(x)
    p = exact(ranks, tested, basis, permutations(range(6)))
    found = [
        statistics.partial_test(ranks, tested, basis, np.random.default_rng(seed), 1999).p_value
        for seed in range(40)
    ]
    assert 0.05 < p < 0.95
    # At 30 that reach it drawing stops: an error of p/√30 each.
    assert np.mean(found) == pytest.approx(p, abs=4 * p / math.sqrt(30 * 40))


def test_within_strata_rows_change_places_with_their_like_alone():
    ranks = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    tested = centred(np.array([[0.0], [0.0], [1.0], [0.0], [1.0], [1.0]]))
    strata = np.array([0, 0, 0, 1, 1, 1])
    basis = orthonormal((strata == 1)[:, None] * 1.0)
    inside = [(*one, *two) for one in permutations(range(3)) for two in permutations(range(3, 6))]
    p = exact(ranks, tested, basis, inside)
    found = [
        statistics.partial_test(
            ranks, tested, basis, np.random.default_rng(seed), 1999, strata=strata
        ).p_value
        for seed in range(40)
    ]
    assert np.mean(found) == pytest.approx(p, abs=4 * p / math.sqrt(30 * 40))


def test_what_was_not_drawn_is_tested_by_permuted_residuals():
    """Freedman and Lane: residuals of the reduced model are permuted and fitted anew."""
    rng = np.random.default_rng(5)
    x, other, ranks = rng.normal(size=(6, 1)), rng.normal(size=(6, 1)), np.arange(6.0)
    basis, tested = orthonormal(other), centred(x)
    residuals = ranks - basis @ (basis.T @ ranks)
    full = np.hstack([basis, tested])

    def f_of(values):
        large = squared_error(values, full)
        return (squared_error(values, basis) - large) / max(large, 1e-12)

    observed = f_of(ranks)
    fitted = ranks - residuals
    p = np.mean(
        [f_of(fitted + residuals[list(o)]) >= observed * (1 - 1e-9) for o in permutations(range(6))]
    )
    found = [
        statistics.partial_test(
            ranks, tested, basis, np.random.default_rng(seed), 1999, drawn=False
        ).p_value
        for seed in range(40)
    ]
    assert np.mean(found) == pytest.approx(p, abs=4 * p / math.sqrt(30 * 40) + 0.01)


def test_p_values_of_nothing_are_not_too_small_though_drawing_stops_early():
    """Besag and Clifford: at every level α at most α, at the least draws and at many."""
    rng = np.random.default_rng(7)
    tested = centred(np.eye(2)[np.arange(12) % 2])
    constant = np.ones((12, 1)) / math.sqrt(12)
    for draws in (199, 1999):
        found = np.array(
            [
                statistics.partial_test(
                    rng.permutation(np.arange(12.0)), tested, constant, rng, draws
                ).p_value
                for _ in range(600)
            ]
        )
        assert ((found > 0.0) & (found <= 1.0)).all()
        for alpha in (0.02, 0.05, 0.2, 0.5):
            allowed = alpha + 3 * math.sqrt(alpha * (1 - alpha) / found.size)
            assert np.mean(found <= alpha) <= allowed, (draws, alpha)


def test_nothing_is_left_of_a_parameter_that_the_model_holds():
    y, codes, _ = table(8, 24)
    tested = statistics.factor(None, codes).columns
    rng = np.random.default_rng(0)
    assert statistics.partial_test(y, tested, orthonormal(np.eye(3)[codes][:, 1:]), rng, 99) is None


# ---- columns ------------------------------------------------------------------------------------


def test_a_number_is_a_line_and_a_square_that_are_centred():
    numbers = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    columns = statistics.factor(numbers, np.arange(5)).columns
    assert columns.mean(axis=0) == pytest.approx(0.0)
    both = np.column_stack([np.ones(5), numbers, numbers**2])
    assert squared_error(columns[:, 1], both) == pytest.approx(0.0, abs=1e-20)
    assert statistics.factor(np.array([1.0, 2.0, 1.0]), np.array([0, 1, 0])).columns.shape == (3, 1)


def test_a_conditional_number_is_centred_in_its_branch_and_0_elsewhere():
    numbers = np.array([1.0, 3.0, np.nan, np.nan, 10.0, 14.0])
    branches = np.array([0, 0, 1, 1, 2, 2])
    columns = statistics.factor(numbers, np.arange(6), branches).columns
    assert columns[:, 0] == pytest.approx(np.array([-1.0, 1.0, 0.0, 0.0, -2.0, 2.0]) / 2.0)
    loose = statistics.factor(numbers, np.arange(6)).columns
    assert np.linalg.matrix_rank(loose) == 3  # whether it is set is a column


def test_bartlett_s_chi_square_is_that_of_the_canonical_correlations():
    rng = np.random.default_rng(11)
    n = 40
    x = rng.normal(size=n)
    codes = np.clip(np.round(x + rng.normal(size=n)), -1, 1).astype(np.intp) + 1
    one, two = statistics.factor(x, codes), statistics.factor(None, codes)
    left, right = (np.linalg.qr(f.columns[:, :2])[0] for f in (one, two))
    r = np.linalg.svd(left.T @ right, compute_uv=False)
    chi2 = -(n - 1 - (2 + 2 + 1) / 2) * np.log(1 - r**2).sum()
    found = statistics.p_associated([one, two])
    assert found[0, 1] == found[1, 0] == pytest.approx(stats.chi2.sf(chi2, 4))
    assert np.diag(found).tolist() == [1.0, 1.0]
    assert statistics.p_associated([two, two])[0, 1] == 0.0


def test_columns_of_which_none_is_left_are_associated_with_nothing():
    x = statistics.factor(np.arange(10.0), np.arange(10))
    assert statistics.p_associated([x]).tolist() == [[1.0]]


# ---- which terms enter --------------------------------------------------------------------------


def numbers_of(seed, n, m):
    rng = np.random.default_rng(seed)
    x = rng.random((m, n))
    return rng, x, [statistics.factor(row, np.arange(n)) for row in x]


def test_what_explains_the_metric_enters_and_most_else_does_not():
    entered = 0
    for seed in range(30):
        rng, x, others = numbers_of(seed, 48, 5)
        ranks = statistics.rank_shares(4 * x[2] + rng.normal(size=48))
        basis, number = statistics.nuisance(ranks, [], others)
        left = others[2].columns - basis @ (basis.T @ others[2].columns)
        assert np.abs(left).max() < 1e-9
        entered += number - 1
    # Four others at .05 each, and ten products at .05 together.
    assert entered / 30 <= 4 * 0.05 + 0.05 + 0.25


def test_a_product_enters_where_it_is_strong():
    rng, x, others = numbers_of(1, 60, 3)
    product = (x[0] - 0.5) * (x[1] - 0.5)
    ranks = statistics.rank_shares(product * 40 + rng.normal(size=60))
    basis, _ = statistics.nuisance(ranks, [], others)
    left = product - basis @ (basis.T @ product)
    assert (left @ left) < 0.1 * float(((product - product.mean()) ** 2).sum())


def test_products_pay_for_their_number():
    """Of 12 parameters there are 66 products; uncorrected, some nearly always enter."""
    entered = []
    for seed in range(12):
        rng, _, always = numbers_of(seed, 80, 12)
        ranks = statistics.rank_shares(rng.random(80))
        entered.append(statistics.nuisance(ranks, always, [])[1] > 0)
    assert np.mean(entered) < 0.4


def test_the_model_has_at_most_a_quarter_of_the_runs_beside_what_always_stays():
    rng, x, others = numbers_of(2, 40, 20)
    ranks = statistics.rank_shares(x.sum(axis=0) * 10 + 0.01 * rng.normal(size=40))
    basis, _ = statistics.nuisance(ranks, others[:2], others[2:])
    assert 5 < basis.shape[1] <= 1 + 4 + 10
    assert basis.T @ basis == pytest.approx(np.eye(basis.shape[1]), abs=1e-9)
    spared, _ = statistics.nuisance(ranks, others[:2], others[2:], spare=33)
    assert 40 - spared.shape[1] >= 33
    for one in others[:2]:
        assert np.abs(one.columns - spared @ (spared.T @ one.columns)).max() < 1e-9


# ---- adjusted means -----------------------------------------------------------------------------


def levels_by_hand(y, codes, other):
    """Means, HC2 covariances and Bell and McCaffrey's degrees of freedom, each from definition."""
    k, n = codes.max() + 1, y.size
    design = np.hstack([np.eye(k)[codes], centred(other)])
    inverse = np.linalg.inv(design.T @ design)
    hat = design @ inverse @ design.T
    residuals = y - hat @ y

    def of(contrast):
        weights = (design @ inverse)[:, :k] @ contrast
        variance = np.sum(weights**2 * residuals**2 / (1 - np.diag(hat)))
        makers = (np.eye(n) - hat) * (weights / np.sqrt(1 - np.diag(hat)))
        inner = makers.T @ makers
        return math.sqrt(variance), np.trace(inner) ** 2 / np.trace(inner @ inner)

    return (inverse @ design.T @ y)[:k], of


@pytest.mark.parametrize("seed", range(3))
def test_means_and_intervals_are_those_of_hc2_and_bell_and_mccaffrey(seed):
    y, codes, other = table(seed, 24)
    found = statistics.adjusted_levels(y, codes, orthonormal(other))
    means, of = levels_by_hand(y, codes, other)
    assert found.means == pytest.approx(means)
    lows, highs = found.intervals()
    for level in range(3):
        error, dof = of(np.eye(3)[level])
        half = stats.t.ppf(1 - 0.05 / 6, dof) * error
        assert (lows[level], highs[level]) == pytest.approx(
            (means[level] - half, means[level] + half)
        )
    error, dof = of(np.array([1.0, 0.0, -1.0]))
    half = stats.t.ppf(1 - 0.05 / 6, dof) * error
    apart = means[0] - means[2]
    assert found.difference(0, 2) == pytest.approx((apart - half, apart + half))
    assert found.difference(2, 0) == pytest.approx((-apart - half, -apart + half))


@pytest.mark.parametrize("seed", range(3))
def test_each_level_is_compared_with_the_best_of_the_others(seed):
    y, codes, other = table(seed, 30, levels=4)
    found = statistics.adjusted_levels(y, codes, orthonormal(other)).not_best()
    means, of = levels_by_hand(y, codes, other)
    for i in range(4):
        p_values = []
        for j in set(range(4)) - {i}:
            error, dof = of(np.eye(4)[j] - np.eye(4)[i])
            p_values.append(stats.t.sf((means[j] - means[i]) / error, dof))
        assert found[i] == pytest.approx(min(1.0, 3 * min(p_values)))


def test_levels_agree_where_every_pair_passes_two_one_sided_tests():
    y, codes, other = table(4, 30)
    levels = statistics.adjusted_levels(y, codes, orthonormal(other))
    means, of = levels_by_hand(y, codes, other)
    needed = max(
        abs(means[i] - means[j]) + stats.t.ppf(0.95, dof) * error
        for i, j in ((0, 1), (0, 2), (1, 2))
        for error, dof in [of(np.eye(3)[i] - np.eye(3)[j])]
    )
    assert levels.all_within(needed + 1e-9)
    assert not levels.all_within(needed - 1e-9)


def test_of_many_runs_the_degrees_of_freedom_rest_on_leverages_alone():
    y, codes, other = table(5, 900)
    few = statistics.adjusted_levels(y[:500], codes[:500], orthonormal(other[:500]))
    many = statistics.adjusted_levels(y, codes, orthonormal(other))
    assert few.shared is not None
    assert many.shared is None
    _, of = levels_by_hand(y, codes, other)
    error, dof = of(np.array([1.0, -1.0, 0.0]))
    half = stats.t.ppf(1 - 0.05 / 6, dof) * error
    low, high = many.difference(0, 1)
    assert (high - low) / 2 == pytest.approx(half, rel=0.01)


def test_a_level_of_one_run_has_no_interval_and_excludes_no_other():
    y = np.array([0.0, 1.0, 2.0, 3.0, 9.0])
    codes = np.array([0, 0, 1, 1, 2])
    levels = statistics.adjusted_levels(y, codes, np.ones((5, 1)) / math.sqrt(5))
    lows, highs = levels.intervals()
    assert (lows[2], highs[2]) == (-math.inf, math.inf)
    assert np.isfinite(lows[:2]).all()
    assert levels.difference(0, 2) == (-math.inf, math.inf)
    assert levels.not_best()[2] == 1.0


def test_adjusted_means_hold_another_parameter_equal():
    rng = np.random.default_rng(12)
    other = rng.random((200, 1))
    codes = (other[:, 0] + rng.normal(0, 0.2, 200) > 0.5).astype(np.intp)
    y = 10 * other[:, 0] + 1.0 * codes
    levels = statistics.adjusted_levels(y, codes, orthonormal(other))
    assert levels.means[1] - levels.means[0] == pytest.approx(1.0)
    assert y[codes == 1].mean() - y[codes == 0].mean() > 2.0


def test_what_a_range_does_within_its_thirds_is_not_taken_for_another():
    """Both go together at .97: thirds of one leave most of its line to the other."""
    rng = np.random.default_rng(13)
    x = rng.normal(size=300)
    other = x + rng.normal(0, 0.25, 300)
    thirds = np.searchsorted(np.quantile(x, [1 / 3, 2 / 3]), x)
    truth = x[thirds == 2].mean() - x[thirds == 0].mean()
    basis = orthonormal(other[:, None])
    inside = np.column_stack([basis, statistics.within_levels(x, thirds)])
    apart = [
        levels.means[2] - levels.means[0]
        for levels in (statistics.adjusted_levels(x, thirds, one) for one in (basis, inside))
    ]
    assert apart[0] < 0.6 * truth
    assert apart[1] == pytest.approx(truth)


# ---- what must not matter -----------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 40), st.integers(2, 4))
def test_order_labels_and_scale_change_nothing(seed, n, k):
    rng = np.random.default_rng(seed)
    codes, x = rng.permutation(np.arange(n) % k), rng.random(n) + 1.0
    y = rng.normal(size=n) + x
    ranks = statistics.rank_shares(y)

    def tested(ranks, codes, x, draws=49):
        basis, _ = statistics.nuisance(ranks, [], [statistics.factor(x, codes)])
        columns = statistics.factor(None, codes).columns
        found = statistics.partial_test(ranks, columns, basis, np.random.default_rng(1), draws)
        return None if found is None else (found.f, found.dof, found.p_value)

    plain = tested(ranks, codes, x)
    if plain is None:
        return
    assert 0.0 < plain[2] <= 1.0
    assert np.array_equal(statistics.rank_shares(np.exp(y)), ranks)
    assert tested(ranks, (k - 1 - codes), x) == pytest.approx(plain)
    assert tested(ranks, codes, 1000 * x - 3) == pytest.approx(plain)
    order = rng.permutation(n)
    assert tested(ranks[order], codes[order], x[order])[:2] == pytest.approx(plain[:2])
