"""All questions of a sweep, judged together."""

from __future__ import annotations

import pytest

from harness.claims import STANDARD_IDS, judge_all, mean_gain, with_holm
from tests.claims.cases import QUESTIONS, judge, spaced
from tests.factories import PUBLISHED, make_evidence


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
