"""Large samples are compared with the normal distribution, small ones by permuting."""

import numpy as np
import pytest

from harness import statistics
from harness.statistics import permutation


def test_both_ways_agree_where_they_meet(monkeypatch):
    rng = np.random.default_rng(5)
    a, b = rng.standard_t(4, 600) + 0.05, 1.5 * rng.standard_t(4, 900)
    permuted = statistics.cvar_permutation(a, b, np.random.default_rng(1))
    monkeypatch.setattr(permutation, "NORMAL_FROM", 1_000)
    normal = statistics.cvar_permutation(a, b, np.random.default_rng(1))
    assert normal.estimate == permuted.estimate
    assert normal.low == pytest.approx(permuted.low, rel=0.1)
    assert normal.high == pytest.approx(permuted.high, rel=0.1)
    assert normal.p_greater == pytest.approx(permuted.p_greater, abs=0.02)


def test_a_large_sample_is_not_permuted():
    class Refused:
        def permuted(self, *_, **__):
            raise AssertionError

    rng = np.random.default_rng(6)
    found = statistics.cvar_permutation(rng.normal(size=6_000), rng.normal(size=6_000), Refused())
    assert -0.1 < found.low < found.high < 0.1
