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


def test_a_constant_column_goes_with_nothing():
    rng = np.random.default_rng(0)
    assert statistics.association(np.zeros(9, int), np.arange(9), rng) == (0.0, 1.0)


def test_lattice_step():
    rng = np.random.default_rng(0)
    assert statistics.lattice_step(rng.integers(-5, 6, 24) * 0.02 + 0.003) == pytest.approx(0.02)
    assert statistics.lattice_step(rng.normal(size=24)) is None
    assert statistics.lattice_step([0.1, 0.1, 0.2]) is None
    assert statistics.lattice_step([]) is None
