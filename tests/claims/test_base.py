"""A claim of a user's own, and what every claim is spared."""

from __future__ import annotations

from scipy import stats

from harness.claims import BaseClaim, judge_all
from harness.claims.power import sweep_power
from tests.claims.powers import make_sweep, only
from tests.factories import make_evidence
from tests.judging.early_runs import after, planned_of


class Positive(BaseClaim):
    """A claim of a user's own, that looks at nothing but the sign and takes its level."""

    def question(self, metric=None):
        return "Is the mean above zero?"

    def describe(self, metric=None):
        return "mean > 0"

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
