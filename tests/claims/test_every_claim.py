"""What holds for every claim, whatever it asks and whatever it is judged on."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.claims import (
    STANDARD_IDS,
    best_inside,
    judge_all,
    lower_tail,
    no_worse,
    still_improves,
    success_rate,
)
from harness.errors import SweepError
from harness.metrics import Metric
from harness.verdicts import Baseline, Counts, training
from tests.claims.cases import (
    BASELINE_IDS,
    CASES,
    QUESTIONS,
    VERSUS,
    check,
    judge,
    noise,
    spaced,
    with_arms,
    with_gains,
)
from tests.factories import PUBLISHED, make_evidence, make_result, make_results

# ---- verdicts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_each_verdict_of_each_claim(case):
    asked, expected = case
    verdict = judge(asked, CASES[case]())
    check(verdict)
    assert verdict.verdict == expected, verdict
    assert verdict.id == asked
    assert verdict.claim == QUESTIONS[asked].describe()


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_an_equal_seed_gives_an_equal_verdict(case):
    asked, _ = case
    assert judge(asked, CASES[case]()) == judge(asked, CASES[case]())


@pytest.mark.parametrize("id", ["mean_vs_baseline", "lower_tail_vs_baseline", "lr_sweet_spot"])
def test_another_seed_or_id_draws_anew(id):
    rng = np.random.default_rng(2)
    evidence = make_evidence(rng.normal(0.05, 0.05, 24), rng.normal(0, 0.06, 24))
    first, other = judge(id, evidence), judge(id, replace(evidence, seed=1))
    renamed = QUESTIONS[id].judge("another", evidence)
    drawn = {replace(verdict, id="") for verdict in (first, other, renamed)}
    assert len(drawn) == 3


@pytest.mark.parametrize("id", ["success_above_half", *BASELINE_IDS])
def test_the_interval_agrees_with_the_verdict(id):
    null = 0.5 if id == "success_above_half" else 0.0
    rng = np.random.default_rng(1)
    seen = set()
    for shift in (-0.1, -0.04, 0.0, 0.02, 0.04, 0.1):
        evidence = make_evidence(
            rng.normal(shift, 0.02 + abs(shift), 24), rng.normal(0, 0.06, 24), min_gain=0.08
        )
        verdict = judge(id, evidence)
        check(verdict)
        seen.add(verdict.verdict)
        better = verdict.high < null if id == "variance_vs_baseline" else verdict.low > null
        worse = verdict.low > null if id == "variance_vs_baseline" else verdict.high < null
        assert better == (verdict.verdict == "supported"), verdict
        if id != "success_above_half":
            assert worse == (verdict.verdict == "refuted"), verdict
    assert len(seen) > 1


def test_without_a_margin_nothing_is_shown():
    evidence = make_evidence(runs=with_gains(noise(0.05)), margin=None)
    verdict = still_improves(since=50).judge("plateau", evidence)
    check(replace(verdict, p_value=1.0))
    assert verdict.verdict == "inconclusive"
    assert "margin" in verdict.reason
    arms = replace(with_arms({4: noise(0), 12: noise(0, seed=2)}), margin=None)
    verdict = no_worse("batch_size", 8, than=(4, 12)).judge("batch_size", arms)
    check(verdict)
    assert verdict.verdict == "inconclusive"
    flat = make_evidence(noise(0.05, 0.002, 24), margin=None)
    assert best_inside("learning_rate").judge("x", flat).verdict == "inconclusive"


# ---- the baseline --------------------------------------------------------------------------------


@pytest.mark.parametrize("id", BASELINE_IDS)
def test_a_baseline_that_is_not_in_the_store(id):
    verdict = judge(id, make_evidence(spaced(0.05, 0.1)))
    check(verdict)
    assert verdict.verdict == "unanswerable"
    assert verdict.needs == (training("broad", "focused"),)
    assert verdict.p_value == 1.0


@pytest.mark.parametrize("id", BASELINE_IDS)
def test_a_baseline_that_was_never_declared(id):
    verdict = judge(id, make_evidence(spaced(0.05, 0.1), baseline_name=None))
    check(verdict)
    assert verdict.verdict == "unanswerable"
    assert verdict.p_value is None


@pytest.mark.parametrize("id", BASELINE_IDS)
def test_a_baseline_of_one_value_is_no_measurement(id):
    verdict = judge(id, make_evidence(spaced(0.05, 0.1), [0.1] * 12))
    check(verdict)
    assert verdict.verdict == "unanswerable"
    assert "+0.1 in every one of 12 runs" in verdict.answer


@pytest.mark.parametrize("id", BASELINE_IDS)
@pytest.mark.parametrize(
    "change",
    [
        {"steps": 50, "declared_steps": 50},
        {"model": "gpt2"},
        {"backend": "jax"},
        {"task": "sorting"},
    ],
)
def test_a_baseline_under_other_conditions_is_judged_and_said(id, change):
    baseline = Baseline("broad", make_results(spaced(-0.3, 0.0), prefix="broad", **change))
    verdict = judge(id, make_evidence(spaced(0.05, 0.1), baseline))
    check(verdict)
    assert verdict.answer.startswith("not like for like")


# ---- odd evidence --------------------------------------------------------------------------------


ODD = {
    "no runs": lambda: make_evidence([]),
    "one run": lambda: make_evidence([0.1]),
    "one run each": lambda: make_evidence([0.1], [0.2]),
    "two runs": lambda: make_evidence([0.1, 0.2], [0.1, 0.3]),
    "two equal runs": lambda: make_evidence([0.1, 0.1], [0.1, 0.3]),
    "all equal": lambda: make_evidence([0.2025] * 24, spaced(0, 0.1)),
    "all zero": lambda: make_evidence([0.0] * 24, spaced(0, 0.1)),
    "all diverged": lambda: make_evidence([None] * 24, spaced(0, 0.1)),
    "both all diverged": lambda: make_evidence([None] * 24, [None] * 24),
    "one left": lambda: make_evidence([None] * 23 + [0.1], [None] * 23 + [0.1]),
    "ties": lambda: make_evidence([0.0, 0.02, 0.04, 0.02] * 6, [0.0, 0.02] * 10),
    "two levels": lambda: make_evidence([0.0] * 20 + [0.1] * 4, [0.0] * 4 + [0.1] * 4),
    "no errors": lambda: make_evidence(
        runs=make_results(spaced(0, 0.1), se=None, curve=()), baseline=PUBLISHED
    ),
    "zero errors": lambda: make_evidence(runs=make_results(spaced(-0.1, 0.1), se=0.0)),
    "not a number": lambda: make_evidence(
        runs=make_results([*spaced(0, 0.1, 10), math.nan, math.inf])
    ),
    "nothing but failures": lambda: make_evidence(
        runs=tuple(make_result(id=str(i), status=s) for i, s in enumerate(("failed", "oom")))
    ),
    "an empty baseline": lambda: make_evidence(spaced(0, 0.1), Baseline("broad", ())),
    "no baseline runs": lambda: make_evidence(spaced(0, 0.1), Counts("p", 0, 0, "ΔPerf > 0", "")),
    "nothing recorded": lambda: make_evidence(
        runs=make_results(spaced(0, 0.1), before=None, prompts=None, samples=None)
    ),
    "another seed": lambda: make_evidence(spaced(0, 0.1), spaced(0, 0.2), seed=-3),
    "huge": lambda: make_evidence(
        runs=make_results(spaced(-1e9, 1e9), se=1e7), baseline=Baseline("b", make_results([1, 5.0]))
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_evidence_is_judged_without_a_fuss(name):
    evidence = ODD[name]()
    verdicts = judge_all(QUESTIONS, evidence)
    assert [verdict.id for verdict in verdicts] == list(STANDARD_IDS)
    for verdict in verdicts:
        check(verdict)


@pytest.mark.parametrize("name", ["all equal", "all zero", "two equal runs"])
def test_a_degenerate_metric_answers_nothing(name):
    verdicts = judge_all(QUESTIONS, ODD[name]())
    assert {verdict.verdict for verdict in verdicts} == {"unanswerable"}
    assert all("a constant is no measurement" in verdict.answer for verdict in verdicts)
    assert all(verdict.p_holm == 1.0 for verdict in verdicts)


@settings(max_examples=40, deadline=None)
@example(ours=[0.0, 2e-203], theirs=[0.0, 2e-203], se=None)  # whose variance is 0 and they are not
@given(
    ours=st.lists(st.none() | st.floats(-1, 1), max_size=14),
    theirs=st.lists(st.none() | st.floats(-1, 1), max_size=14),
    se=st.none() | st.floats(0, 0.1),
)
def test_any_evidence_is_judged(ours, theirs, se):
    evidence = make_evidence(
        runs=make_results(ours, se=se), baseline=Baseline("broad", make_results(theirs, se=se))
    )
    for verdict in judge_all(QUESTIONS, evidence):
        check(verdict)


# ---- the statements ------------------------------------------------------------------------------


def test_claims_that_cannot_be_are_refused():
    with pytest.raises(SweepError, match="other values"):
        no_worse("batch_size", 8, than=())
    with pytest.raises(SweepError, match="other values"):
        no_worse("batch_size", 8, than=(8, 12))
    with pytest.raises(SweepError, match="margin"):
        no_worse("batch_size", 8, than=(4,), margin=-1)
    with pytest.raises(SweepError, match="margin"):
        still_improves(margin=0.0)
    with pytest.raises(SweepError, match="since"):
        still_improves(since=-1)
    with pytest.raises(SweepError, match="within itself"):
        best_inside("learning_rate", within="learning_rate")
    with pytest.raises(SweepError, match="share"):
        lower_tail.above_baseline(0.0)


def test_claims_are_frozen_hashable_and_distinct():
    assert len({claim.describe() for claim in QUESTIONS.values()}) == len(QUESTIONS)
    assert len(set(QUESTIONS.values())) == len(QUESTIONS)
    with pytest.raises(FrozenInstanceError):
        success_rate.above(0.5).rate = 0.6


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (success_rate.above(0.5), success_rate.above(0.6)),
        (still_improves(50, 0.02), still_improves(50, 0.03)),
        (still_improves(50), still_improves(60)),
        (best_inside("a"), best_inside("a", within="b")),
        (best_inside("a"), best_inside("a", margin=0.1)),
        (no_worse("a", 8, than=(4,)), no_worse("a", 8, than=(4, 12))),
        (no_worse("a", 8, than=(4,), margin=0.1), no_worse("a", 8, than=(4,), margin=0.2)),
        (lower_tail.above_baseline(), lower_tail.above_baseline(0.1)),
    ],
)
def test_every_threshold_is_in_the_statement(one, two):
    assert one.describe() != two.describe()
    assert "\n" not in one.describe()


def test_the_questions_read_well():
    texts = [claim.question() for claim in QUESTIONS.values()]
    assert texts[0] == "Do more than 50% of the runs improve?"
    assert texts[-1] == "Is batch size 8 no worse than 4 and 12?"
    assert QUESTIONS["batch_size"].arms == ("batch_size",)
    assert QUESTIONS["lr_sweet_spot"].parameters == ("learning_rate",)


def test_a_sweep_file_loads_no_scipy():
    code = "import sys, harness.claims, harness.audit; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- units and names ----------------------------------------------------------------------------

UNITS = {
    "success_above_half": "share",
    "lr_sweet_spot": "parameter",
    "variance_vs_baseline": "difference",
    "success_vs_baseline": "difference",
}
"""The units of estimates that are no change of the metric."""


@pytest.mark.parametrize("case", [case for case in CASES if "able" not in case[1]], ids=" ".join)
def test_an_estimate_has_its_unit_whatever_the_verdict(case):
    asked, _ = case
    verdict = judge(asked, CASES[case]())
    assert verdict.unit == UNITS.get(asked, "change")
    if verdict.unit == "share":
        assert 0.0 <= verdict.estimate <= 1.0
    if verdict.unit == "parameter":
        assert 8e-8 <= verdict.estimate <= 4e-7


def words_of(verdict):
    """Return all that a verdict says."""
    named = (verdict.question, verdict.claim, verdict.answer, verdict.reason, verdict.method)
    return "\n".join((*named, *map(str, verdict.needs), *verdict.details))


NO_PROMPTS = {
    " of the held-out prompts": "",
    "an evaluation of more prompts": "a finer evaluation",
    "both sides scored again on the same prompts with as many samples": (
        "both sides evaluated again alike"
    ),
    "null arm (rewards permuted)": "null arm",
}
"""What is said of ΔPerf alone, and what is said of another metric in its place."""


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_a_verdict_on_another_metric_is_the_same_but_for_its_name(case):
    asked, _ = case
    evidence = CASES[case]()
    usual = judge(asked, evidence)
    other = judge(asked, replace(evidence, metric=Metric("Δscore")))
    said = words_of(usual).replace("ΔPerf", "Δscore")
    for prompts, plain in NO_PROMPTS.items():
        said = said.replace(prompts, plain)
    assert words_of(other) == said
    assert (other.verdict, other.p_value, other.estimate) == (
        usual.verdict,
        usual.p_value,
        usual.estimate,
    )


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_a_verdict_on_a_loss_is_the_same_and_told_in_values_of_the_loss(case):
    asked, _ = case
    evidence = CASES[case]()
    usual = judge(asked, evidence)
    other = judge(asked, replace(evidence, metric=Metric("Δloss", minimised=True)))
    assert (other.verdict, other.p_value, other.estimate) == (
        usual.verdict,
        usual.p_value,
        usual.estimate,
    )
    higher = {"higher than the baseline's": "lower than the baseline's", "ΔPerf": "Δloss"}
    asks = usual.question.replace("perf ", "loss ")
    for one, opposite in higher.items():
        asks = asks.replace(one, opposite)
    assert other.question == asks


@pytest.mark.parametrize("zero", ["no change", "target", "arbitrary"])
@pytest.mark.parametrize("asked", QUESTIONS)
def test_no_verdict_on_another_metric_says_delta_perf(asked, zero):
    metric = Metric("loss", zero, minimised=True)
    makers = [make for case, make in CASES.items() if case[0] == asked] + [*ODD.values()]
    found = [replace(make(), metric=metric) for make in makers]
    for place, one in enumerate(found):
        if isinstance(one.baseline, Counts):  # whose rule is quoted as it was declared
            found[place] = replace(one, baseline=replace(one.baseline, rule=""))
    said = [judge(asked, one) for one in found]
    told = "\n".join(map(words_of, said))
    if zero == "no change":
        told = told.replace(" and at least 6 prompts changed", "")  # a table may have that column
    assert not re.findall(".*(?:Perf|perf |prompt|reward).*", told)
    assert {verdict.question for verdict in said} == {QUESTIONS[asked].question(metric)}
    assert {verdict.claim for verdict in said} == {QUESTIONS[asked].describe(metric)}


@pytest.mark.parametrize("asked", VERSUS)
def test_a_claim_on_the_metric_names_it(asked):
    assert "val_loss" in QUESTIONS[asked].describe(Metric("val_loss"))
