"""Verdicts on counts that the runs still to come cannot change."""

from __future__ import annotations

import itertools
import random

import pytest

from harness.claims import success_rate
from tests.factories import make_evidence
from tests.judging.early_runs import HALF


@pytest.mark.parametrize("claim", [HALF, success_rate.above(0.3), success_rate.above_baseline()])
def test_what_curtailment_says_is_what_every_remainder_says(claim):
    rng, runs = random.Random(2), 8
    baseline = [0.1, 0.11, -0.1, -0.1, 0.1, *[-0.1 - 0.001 * i for i in range(9)]]
    kinds = (0.1, -0.1, 0.03, None)  # a success, a failure, neither, and diverged

    def evidence(drawn):
        values = [None if kind is None else kind + 1e-4 * i for i, kind in enumerate(drawn)]
        return make_evidence(values, baseline)

    decided = set()
    for weights in ((1, 0, 0, 0), (0, 1, 0, 0), (6, 1, 1, 0), (1, 1, 6, 1), (6, 4, 0, 0)):
        drawn = rng.choices(kinds, weights, k=runs)
        for n in range(runs - 3, runs):
            found = claim.curtailed("q", evidence(drawn[:n]), runs)
            said = [
                claim.judge("q", evidence([*drawn[:n], *rest]))
                for rest in itertools.combinations_with_replacement(kinds, runs - n)
            ]
            names = {verdict.verdict for verdict in said}
            assert (found is not None) == (len(names) == 1), (drawn, n)
            if found is not None:
                decided |= names
                assert {found.verdict} == names
                assert found.p_value == pytest.approx(max(v.p_value for v in said))
                assert found.low == pytest.approx(min(v.low for v in said))
                assert found.high == pytest.approx(max(v.high for v in said))
    assert len(decided) > 1
