"""The worst runs do better than the baseline's worst: judging, power, nights."""

from __future__ import annotations

from harness.claims import lower_tail
from tests.claims.cases import judge, spaced
from tests.claims.powers import price
from tests.factories import make_evidence
from tests.judging.nights import assert_regresses, peaked

# ---- judging -------------------------------------------------------------------------------------


def test_the_size_of_the_tail_test_stands_beside_it():
    beside = judge("lower_tail_vs_baseline", make_evidence(spaced(0, 0.1), spaced(0, 0.3))).details
    assert any("up to .11" in line for line in beside)


# ---- power ---------------------------------------------------------------------------------------


def test_the_share_of_the_worst_runs_is_the_claim_s(everything):
    found = price(None, questions={"q": lower_tail.above_baseline(0.5)})[0]
    assert found.effect == "worst 50% better by half an SD"
    quarter = next(power for power in everything if power.question == "lower_tail_vs_baseline")
    assert found.power > quarter.power


# ---- from night to night -------------------------------------------------------------------------


def test_a_night_whose_worst_runs_are_worse_has_regressed(reference):
    assert_regresses(reference, "tail", truth=lambda run: peaked(run) - 0.6 * (run.index % 2 == 0))
