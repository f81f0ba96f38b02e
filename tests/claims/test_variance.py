"""The runs differ less from each other than the baseline's: judging, nights."""

from __future__ import annotations

from tests.claims.cases import judge, spaced
from tests.factories import make_evidence
from tests.judging.nights import assert_regresses

# ---- judging -------------------------------------------------------------------------------------


def test_measurement_noise_is_taken_out_of_the_sd_ratio():
    evidence = make_evidence(spaced(0, 0.1), spaced(0, 0.3))
    assert any(
        "net of measurement noise" in line
        for line in judge("variance_vs_baseline", evidence).details
    )


# ---- from night to night -------------------------------------------------------------------------


def test_a_night_whose_runs_differ_more_has_regressed(reference):
    assert_regresses(reference, "spread", noise=0.2)
