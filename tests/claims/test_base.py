"""A claim of a user's own: guarded, judged early and compared as the others are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.claims import BaseClaim, judge_all
from harness.claims.base import other_evaluation, unjudgeable
from harness.claims.power import sweep_power
from harness.metrics import DELTA_PERF, Metric
from harness.protocols import Claim
from harness.verdicts import training
from tests.claims.powers import make_sweep, only
from tests.factories import make_evidence
from tests.judging.early_runs import after, planned_of

LOSS = Metric("Δloss", minimised=True)


class Positive(BaseClaim):
    """A claim of a user's own, that looks at nothing but the sign and takes its level."""

    def question(self, metric=DELTA_PERF):
        return f"Is the mean {metric.name} above zero?"

    def describe(self, metric=DELTA_PERF):
        return f"mean {metric.name} > 0"

    def decide(self, id, evidence):
        values = [r.outcome.delta_perf for r in evidence.runs]
        p_value = float(stats.ttest_1samp(values, 0, alternative="greater").pvalue)
        name = "supported" if p_value <= evidence.alpha else "inconclusive"
        return self.verdict(id, evidence, name, name, p_value=p_value, n=len(values))


def test_a_claim_of_ones_own_is_guarded_against_a_constant():
    class Always(BaseClaim):
        def question(self, metric=None):
            return "Is it so?"

        def describe(self, metric=None):
            return "always"

        def judge(self, id, evidence):
            return self.verdict(id, evidence, "supported", "yes", p_value=0.01)

    assert judge_all({"x": Always()}, make_evidence([0.1, 0.2]))[0].verdict == "supported"
    assert judge_all({"x": Always()}, make_evidence([0.2, 0.2]))[0].verdict == "unanswerable"


def test_a_claim_of_the_user_s_own_says_nothing_of_its_power():
    class Own(BaseClaim):
        def describe(self, metric=None):
            return "it is"

    found = only(sweep_power(make_sweep(questions={"own": Own()})))
    assert (found.power, found.says) == (None, "this claim does not say its power")


def test_a_claim_of_one_s_own_is_judged_at_looks_and_not_on_a_constant():
    planned = planned_of(questions={"own": Positive()})
    count, verdicts = after(planned, lambda run: 0.2 + 0.001 * run.index)
    assert (count, verdicts["own"].verdict, verdicts["own"].decided.look) == (12, "supported", 1)
    count, verdicts = after(planned, lambda run: 0.2)
    assert (count, verdicts["own"].verdict) == (None, "unanswerable")


@pytest.mark.parametrize(
    ("deltas", "answer", "need"),
    [
        ([], "no run of this sweep has finished", training("focused")),
        (
            [0.2] * 24,
            "Δloss is −0.2 in every one of 24 runs: a constant is no measurement of training",
            other_evaluation(LOSS),
        ),
    ],
    ids=["no run", "constant"],
)
def test_what_cannot_be_judged_is_said_in_the_words_of_the_claim(deltas, answer, need):
    evidence = make_evidence(deltas, metric=LOSS)
    verdict = unjudgeable(Positive(), "own", evidence)
    assert (verdict.id, verdict.verdict) == ("own", "unanswerable")
    assert verdict.question == "Is the mean Δloss above zero?"
    assert verdict.claim == "mean Δloss > 0"
    assert (verdict.answer, verdict.reason) == (answer, answer)
    assert verdict.needs == (need,)
    assert (verdict.p_value, verdict.n) == (1.0, len(deltas))
    assert Positive().judge("own", evidence) == verdict


@pytest.mark.parametrize("deltas", [[0.2], [0.1, 0.2], [None] * 3, [0.1, None]])
def test_anything_else_is_the_claim_s_own_to_judge(deltas):
    assert unjudgeable(Positive(), "own", make_evidence(deltas)) is None


def test_a_claim_of_one_s_own_has_all_that_the_protocol_asks_for():
    own, (run, *_) = Positive(), planned_of().runs.values()
    assert isinstance(own, Claim)
    assert (own.parameters, own.within, own.arms) == ((), None, ())
    assert (own.uses_baseline, own.by_counts, own.fewest) == (False, False, 2)
    assert own.curtailed("own", make_evidence([0.1, 0.2]), 24) is None
    assert own.window(run) is None


@pytest.mark.parametrize("shift", [-0.1, 0.1])
def test_a_claim_of_one_s_own_is_compared_by_its_mean_either_way(shift):
    deltas = np.random.default_rng(0).normal(0.1, 0.02, 24)
    then, now = (make_evidence(side, metric=LOSS) for side in (deltas, deltas + shift))
    was = Positive().judge("own", then)
    (moved,) = Positive().worse(now, then, was)
    (same,) = Positive().worse(then, then, was)
    assert moved.what == "mean Δloss"
    assert moved.p_value < 0.001 < same.p_value


def test_the_estimate_of_a_claim_of_one_s_own_has_the_unit_that_it_gives():
    evidence = make_evidence([0.1, 0.2])
    for given in ({}, {"unit": "level"}, {"unit": "share"}):
        verdict = Positive().verdict("own", evidence, "supported", "yes", estimate=0.5, **given)
        assert verdict.unit == given.get("unit", "change")
