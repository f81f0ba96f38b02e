"""What the claims that need the baseline's runs have in common."""

from __future__ import annotations

import numpy as np
import pytest

from harness.verdicts import Baseline, training
from tests.claims.cases import VERSUS, judge, spaced
from tests.claims.powers import price, runs_of, why
from tests.factories import PUBLISHED, make_evidence, make_results

# ---- judging -------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", VERSUS)
def test_published_counts_answer_no_more_than_counts(id):
    verdict = judge(id, make_evidence(spaced(0, 0.1), PUBLISHED))
    assert verdict.p_value is None
    assert verdict.needs == (training("broad", "focused"),)
    explicit = judge(id, make_evidence(spaced(0, 0.1), PUBLISHED, baseline_name="published"))
    assert "published," not in str(explicit.needs[0])


@pytest.mark.parametrize("change", [{"prompts": 256}, {"samples": 8}, {"task": "sorting"}])
def test_sides_evaluated_differently(change):
    baseline = Baseline("broad", make_results(spaced(-0.1, 0.0), prefix="broad", **change))
    evidence = make_evidence(spaced(0.05, 0.1), baseline)
    success = judge("success_vs_baseline", evidence)
    assert success.verdict == "inconclusive"
    assert "evaluated differently" in success.answer
    assert success.p_value == 1.0
    assert judge("variance_vs_baseline", evidence).verdict == "unanswerable"
    assert judge("lower_tail_vs_baseline", evidence).verdict == "unanswerable"
    assert judge("mean_vs_baseline", evidence).verdict == "supported"


def test_diverged_runs_are_left_out_of_mean_and_spread_and_rank_worst_in_the_tail():
    ours = [*spaced(0.05, 0.1, 18), None, None, None, None, None, None]
    evidence = make_evidence(ours, spaced(0.04, 0.1))
    mean, tail = judge("mean_vs_baseline", evidence), judge("lower_tail_vs_baseline", evidence)
    assert mean.n == 18 + 24
    assert any("6 diverged runs of this sweep left out" in line for line in mean.details)
    assert tail.verdict == "refuted"
    assert tail.n == 48
    assert any("rank worst, at −0.120" in line for line in tail.details)


# ---- power ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("asks", ["success_vs_baseline", *VERSUS])
def test_a_sweep_without_a_baseline_has_no_power_against_it(asks):
    assert why(asks, baseline=None) == "the sweep has no baseline"


@pytest.mark.parametrize("asks", VERSUS)
def test_published_counts_have_no_runs_to_compare(asks):
    assert why(asks, baseline=PUBLISHED) == "published counts have no ΔPerf of each run"


@pytest.mark.parametrize(("asks", "fewest"), [*zip(VERSUS, (2, 3, 16), strict=True)])
def test_too_few_runs_on_a_side_say_how_many_it_takes(asks, fewest):
    said = f"it needs {fewest} runs on each side, not {fewest - 1} against 48"
    assert why(asks, runs=fewest - 1, arms={}) == said
    said = f"it needs {fewest} runs on each side, not 24 against {fewest - 1}"
    assert why(asks, baseline_runs=fewest - 1) == said
    assert price(asks, runs=fewest, arms={})[0].power > 0.0


def test_stored_runs_give_effects_a_unit():
    deltas = np.random.default_rng(0).normal(0.0, 0.08, 48)
    deviation = float(np.std(deltas, ddof=1))
    one, two = price("mean_vs_baseline", runs_of("broad", deltas))
    assert (one.size, two.size) == pytest.approx((deviation / 2, deviation))
    assert one.effect == f"mean higher by {deviation / 2:.3f} (half an SD)"
    assert one.given.endswith(f"the SD of a run is {deviation:.3f}, of 48 stored runs of broad")
    # The sweep's own runs come first, and few runs tell nothing.
    both = (*runs_of("broad", deltas), *runs_of("s", deltas[:10] * 3))
    assert price("mean_vs_baseline", both)[0].given.endswith("of 10 stored runs of s")
    few = price("mean_vs_baseline", runs_of("broad", deltas[:7]))[0]
    assert few.given.endswith("the SD of a run is not known yet")
    assert (few.size, few.effect) == (0.5, "mean higher by half an SD")


def test_equal_runs_tell_no_sd():
    assert "not known yet" in price("mean_vs_baseline", runs_of("broad", [0.2025] * 48))[0].given
