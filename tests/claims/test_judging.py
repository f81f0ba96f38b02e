"""All questions of a sweep, judged together."""

from __future__ import annotations

import pytest

from harness.claims import STANDARD_IDS, judge_all, mean_gain, with_holm
from harness.protocols import Claim
from tests.claims.cases import QUESTIONS, judge, spaced
from tests.factories import PUBLISHED, make_evidence, make_results, make_trace


def test_questions_that_are_not_asked_appear():
    verdicts = judge_all({"own": mean_gain.above_baseline()}, make_evidence([0.1, 0.2, 0.3]))
    assert [verdict.id for verdict in verdicts] == ["own", *STANDARD_IDS]
    for verdict in verdicts[1:]:
        assert verdict.verdict == "unanswerable"
        assert verdict.answer == "this sweep does not ask this question"
        assert verdict.p_holm is None
        assert verdict.question.endswith("?")


def test_holm_counts_what_the_data_do_not_answer_and_not_what_the_design_rules_out():
    claims = {name: QUESTIONS[name] for name in ("success_above_half", "mean_vs_baseline")}
    deltas = spaced(0.05, 0.2)
    by_data = judge_all(claims, make_evidence(deltas))
    by_design = judge_all(claims, make_evidence(deltas, PUBLISHED))
    assert by_data[0].p_holm == pytest.approx(2 * by_data[0].p_value)
    assert by_data[1].p_holm == 1.0
    assert by_design[0].p_holm == by_design[0].p_value
    assert by_design[1].p_holm is None


def test_holm_over_groups():
    verdict = judge("success_above_half", make_evidence(spaced(0.05, 0.1, 17) + [0.0] * 7))
    corrected = with_holm([verdict] * 4)
    assert [v.p_holm for v in corrected] == [pytest.approx(4 * verdict.p_value)] * 4


NOTE = (
    "in 81% of groups all rewards were equal: nothing to learn from; more generations or easier "
    "prompts"
)
ON_GAINS = {
    "success_above_half",
    "success_vs_baseline",
    "mean_vs_baseline",
    "lower_tail_vs_baseline",
    "plateau",
}


def silent(deltas, no_signal=0.81):
    """Evidence of runs in which this share of groups had equal rewards."""
    trace = make_trace([1e-7] * 4, no_signal=no_signal, truncated=0.0, length=5.0)
    runs = make_results(deltas, trace=trace, weights_moved=0.9)
    return make_evidence(runs=runs, baseline=spaced(0.1, 0.2), baseline_name="broad")


def test_the_standard_questions_on_gains():
    assert {id_ for id_ in STANDARD_IDS if QUESTIONS[id_].on_gains} == ON_GAINS


@pytest.mark.parametrize("asked", STANDARD_IDS)
def test_what_is_not_supported_says_that_there_was_nothing_to_learn_from(asked):
    claims = {asked: QUESTIONS[asked]}
    (found, *_), (heard, *_) = (
        judge_all(claims, silent(spaced(0.0, 0.05), share)) for share in (0.81, 0.3)
    )
    assert found.verdict == heard.verdict
    noted = asked in ON_GAINS and found.verdict in ("refuted", "inconclusive")
    assert (found.details[:1] == (NOTE,)) is noted
    assert NOTE not in heard.details


def test_what_is_supported_has_no_excuse():
    (found, *_) = judge_all({"q": QUESTIONS["success_above_half"]}, silent(spaced(0.2, 0.1)))
    assert found.verdict == "supported"
    assert NOTE not in found.details


def test_gains_that_are_all_the_same_are_explained_too():
    (found, *_) = judge_all({"q": QUESTIONS["success_above_half"]}, silent([0.0] * 8))
    assert (found.verdict, found.details) == ("unanswerable", (NOTE,))


def test_a_claim_of_one_s_own_says_whether_it_is_on_gains():
    """No class decides: what has the members of a claim is one."""
    whole = QUESTIONS["plateau"]
    members = {name: getattr(whole, name) for name in dir(Claim) if not name.startswith("_")}
    evidence = silent(spaced(0.0, 0.05))
    for on_gains in (True, False):
        own = type("Homemade", (), members | {"on_gains": on_gains})()
        (found, *_) = judge_all({"q": own}, evidence)
        assert (NOTE in found.details) is on_gains
