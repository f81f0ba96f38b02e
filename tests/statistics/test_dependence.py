import math

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
    assert statistics.go_together(codes, levels, rng, 1)[1] is False


def test_what_goes_together_is_strong_and_shown():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, 48), rng.integers(0, 4, 48)
    strength, together = statistics.go_together(a, np.where(rng.random(48) < 0.8, a, b), rng, 10)
    assert strength > 0.6
    assert together
    assert not statistics.go_together(a, b, rng, 10)[1]
    weak = np.where(rng.random(900) < 0.15, 0, rng.integers(0, 3, 900))
    strength, together = statistics.go_together(np.sort(weak), weak, rng, 1)
    assert strength < 0.3
    assert not together


@pytest.mark.parametrize(
    ("rate", "draws", "together"), [(0.0, 1_000, True), (0.01, 10_000, False), (0.04, 400, False)]
)
def test_tables_are_drawn_until_the_answer_is_clear(monkeypatch, rate, draws, together):
    """At a level of 0.01: a p far from it takes few, one near it all."""
    drawn = []

    def association(codes, others, rng, count):
        drawn.append(count)
        return 0.9, (1 + round(rate * count)) / (1 + count)

    monkeypatch.setattr("harness.statistics.dependence.association", association)
    codes = np.arange(24)
    found = statistics.go_together(codes, codes, np.random.default_rng(0), 1)
    assert found == (0.9, together)
    assert sum(drawn[1:]) == draws


def test_independent_columns_are_seldom_taken_to_go_together():
    rng, repeats = np.random.default_rng(0), 400
    found = sum(
        statistics.go_together(rng.integers(0, 3, 24), rng.integers(0, 4, 24), rng, 1)[1]
        for _ in range(repeats)
    )
    assert found / repeats <= 0.01 + 2.5 * math.sqrt(0.01 * 0.99 / repeats)


def test_a_constant_column_goes_with_nothing():
    rng = np.random.default_rng(0)
    assert statistics.association(np.zeros(9, int), np.arange(9), rng) == (0.0, 1.0)


def test_lattice_step():
    rng = np.random.default_rng(0)
    assert statistics.lattice_step(rng.integers(-5, 6, 24) * 0.02 + 0.003) == pytest.approx(0.02)
    assert statistics.lattice_step(rng.normal(size=24)) is None
    assert statistics.lattice_step([0.1, 0.1, 0.2]) is None
    assert statistics.lattice_step([]) is None
