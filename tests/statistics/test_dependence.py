import itertools
import math
import time

import numpy as np
import pytest
from scipy import stats

from harness import statistics


def test_a_column_that_implies_another_is_seen():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, 48)
    strength, p_value = statistics.association(a, (a == 0).astype(np.intp), rng)
    assert strength == pytest.approx(1.0)
    assert p_value == 1 / 2000


def test_strength_is_cramers_v():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, 60), rng.integers(0, 4, 60)
    table = stats.contingency.crosstab(a, b).count
    expected = stats.contingency.association(table, method="cramer")
    assert statistics.association(a, b, rng)[0] == pytest.approx(expected)


def test_few_rows_are_permuted():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, 30)
    b = np.where(rng.random(30) < 0.3, a, rng.integers(0, 4, 30))

    def v(order):
        table = stats.contingency.crosstab(a, b[order]).count
        return stats.contingency.association(table, method="cramer")

    observed, p_value = statistics.association(a, b, rng, 20_000)
    drawn = np.array([v(rng.permutation(30)) for _ in range(4_000)])
    expected = (drawn >= observed - 1e-9).mean()
    assert 0.02 < expected < 0.5
    assert p_value == pytest.approx(expected, abs=4 * math.sqrt(expected / 4_000))


def test_many_rows_use_the_distribution():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, 900), rng.integers(0, 4, 900)
    table = stats.contingency.crosstab(a, b).count
    expected = stats.chi2_contingency(table, correction=False).pvalue
    assert statistics.association(a, b, rng)[1] == pytest.approx(expected)


def test_levels_of_one_run_each_are_no_evidence():
    """Every permutation is as strong, and none is drawn."""
    codes, levels = np.arange(24), np.random.default_rng(0).integers(0, 3, 24)
    rng = np.random.default_rng(0)
    assert statistics.association(codes, levels, rng) == (pytest.approx(1.0), 1.0)
    assert rng.random() == np.random.default_rng(0).random()
    assert not pair(codes, levels, rng)[1]


def pair(a, b, rng, others=0):
    """Return the strength of two columns and whether they go together, beside other columns."""
    more = [rng.integers(0, 3, len(a)) for _ in range(others)]
    found = statistics.go_together([a, b, *more], rng)
    return found.strength[0, 1], found.shown[0, 1]


def test_what_goes_together_is_strong_and_shown():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, 48), rng.integers(0, 4, 48)
    strength, together = pair(a, np.where(rng.random(48) < 0.8, a, b), rng, others=3)
    assert strength > 0.6
    assert together
    assert not pair(a, b, rng, others=3)[1]
    weak = np.where(rng.random(900) < 0.15, 0, rng.integers(0, 3, 900))
    strength, together = pair(np.sort(weak), weak, rng)
    assert strength < 0.3
    assert not together


@pytest.mark.parametrize("n", [24, 40, 60, 300, 700])
def test_the_pairs_are_those_of_the_rule_as_it_is_written(n):
    """Few draws and shared null distributions change no answer, but where p is at its level."""
    rng, columns = np.random.default_rng(n), []
    common = rng.normal(size=n)
    for share, levels in itertools.product((0.0, 0.6, 0.97), (2, 3, 4)):
        mixed = share * common + math.sqrt(1 - share**2) * rng.normal(size=n)
        cuts = np.quantile(mixed, np.arange(1, levels) / levels)
        columns.append(np.searchsorted(cuts, mixed))
    found, level = statistics.go_together(columns, rng), 0.01 / 36
    apart = []
    for i, j in itertools.combinations(range(len(columns)), 2):
        strength, p_value = statistics.association(columns[i], columns[j], rng, 30_000)
        assert found.strength[i, j] == found.strength[j, i] == pytest.approx(strength)
        if found.shown[i, j] != (strength >= 0.3 and p_value <= level):
            apart.append(p_value / level)
    assert found.shown.any()
    assert not np.diag(found.shown).any()
    assert all(0.5 < ratio < 2 for ratio in apart), apart


def test_pairs_of_equal_margins_share_their_null_distribution(monkeypatch):
    drawn = []
    of = stats.random_table

    def random_table(rows, columns, seed):
        drawn.append((tuple(rows), tuple(columns)))
        return of(rows, columns, seed=seed)

    monkeypatch.setattr("harness.statistics.dependence.scipy.stats.random_table", random_table)
    rng = np.random.default_rng(0)
    common = rng.normal(size=60)
    columns = [np.argsort(np.argsort(common + rng.normal(size=60))) // 20 for _ in range(6)]
    found = statistics.go_together(columns, rng)
    assert (found.strength > 0.3).sum() > 10
    assert 0 < len(drawn) <= 9  # stages of one distribution, not of each pair


def test_weak_pairs_are_not_tested(monkeypatch):
    monkeypatch.setattr("harness.statistics.dependence.scipy.stats.random_table", None)
    rng = np.random.default_rng(0)
    columns = [np.arange(90) % 3, np.arange(90) // 30, np.arange(90) // 10 % 3]
    assert not statistics.go_together(columns, rng).shown.any()


@pytest.mark.parametrize(("rate", "draws", "together"), [(0.0, 400, True), (0.02, 1_999, False)])
def test_tables_are_drawn_until_the_answer_is_clear(monkeypatch, rate, draws, together):
    """At a level of 0.01 for one pair: a p far from it takes few draws."""
    asked = []

    def reached(self, table, most, rng):
        asked.append(most)
        return round(rate * most)

    monkeypatch.setattr("harness.statistics.dependence._Null.reached", reached)
    monkeypatch.setattr("harness.statistics.dependence._Null.tail", lambda *_: 0.01)
    codes = np.arange(24) // 8
    assert pair(codes, codes, np.random.default_rng(0)) == (pytest.approx(1.0), together)
    assert max(asked) <= 10 * draws


def test_independent_columns_are_seldom_taken_to_go_together():
    rng, repeats = np.random.default_rng(0), 400
    found = sum(
        pair(rng.integers(0, 3, 24), rng.integers(0, 4, 24), rng)[1] for _ in range(repeats)
    )
    assert found / repeats <= 0.01 + 2.5 * math.sqrt(0.01 * 0.99 / repeats)


def test_many_columns_take_no_time():
    """Forty columns of a thousand rows, and twenty of three hundred that go together."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(300, 1))
    tied = (common + 0.5 * rng.normal(size=(300, 20)) > 0).astype(np.intp).T
    begun = time.perf_counter()
    assert not statistics.go_together(list(rng.integers(0, 3, (40, 1_000))), rng).shown.any()
    assert statistics.go_together(list(tied), rng).shown.sum() == 20 * 19
    assert time.perf_counter() - begun < 5


def test_a_constant_column_goes_with_nothing():
    rng = np.random.default_rng(0)
    assert statistics.association(np.zeros(9, int), np.arange(9), rng) == (0.0, 1.0)


def test_lattice_step():
    rng = np.random.default_rng(0)
    assert statistics.lattice_step(rng.integers(-5, 6, 24) * 0.02 + 0.003) == pytest.approx(0.02)
    assert statistics.lattice_step(rng.normal(size=24)) is None
    assert statistics.lattice_step([0.1, 0.1, 0.2]) is None
    assert statistics.lattice_step([]) is None
