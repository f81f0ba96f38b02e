"""The mean is higher than the baseline's: judging, power, nights."""

from __future__ import annotations

import pytest

from harness import statistics
from harness.claims import mean_gain
from tests.claims.cases import judge, spaced
from tests.claims.powers import price
from tests.factories import make_evidence
from tests.judging.early_runs import normal, rate_of_support

# ---- judging -------------------------------------------------------------------------------------


def test_intervals_stand_beside_the_mean():
    beside = " ".join(
        judge("mean_vs_baseline", make_evidence(spaced(0, 0.1), spaced(0, 0.3))).details
    )
    assert beside.count("BCa") == 2
    assert beside.count("IQM") == 2


# ---- power ---------------------------------------------------------------------------------------


def test_the_runs_of_the_baseline_count():
    assert price("mean_vs_baseline")[0].power == statistics.welch_power(0.5, 24, 48)
    assert price("mean_vs_baseline", baseline_runs=None)[0].power == statistics.welch_power(
        0.5, 24, 24
    )


# ---- before all runs are in ----------------------------------------------------------------------


@pytest.mark.slow
def test_a_real_effect_is_shown_as_often_with_fewer_runs():
    """By Welch's test at once .99, by the noncentral t distribution."""
    early, taken = rate_of_support(mean_gain.above_baseline(), normal(0.05), normal(), 100, seed=12)
    assert early > 0.94
    assert taken < 17
