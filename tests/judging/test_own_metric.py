"""Stored runs of a sweep that is judged by a metric of its own, in place of ΔPerf."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from harness import Counts, LogUniform, Sweep
from harness.audit import audit
from harness.audit.plan import audit_plan
from harness.claims import judge_all, mean_gain, no_worse, spread, still_improves, success_rate
from harness.errors import UsageError
from harness.judging.baselines import named
from harness.judging.early import EarlyAnswers
from harness.judging.evidence import evidence_of, gathered, judged_by, resolve_baseline
from harness.judging.reference import load
from harness.judging.regressions import compare
from harness.judging.stored import judge_sweep, question_hashes
from harness.metrics import DELTA_PERF, Metric
from harness.records import Evaluation
from harness.report.model import build
from harness.report.renderers.as_json import as_data
from harness.store import Store
from harness.sweeps.baseline import PUBLISHED
from harness.sweeps.plan import ANSWERED, Selection, plan
from tests.factories import make_result
from tests.judging.early_runs import trainer
from tests.tables.tables import write_csv

LOSS = Metric.final("val_loss", "min")
SPACE = {"learning_rate": LogUniform(1e-5, 1e-1)}


def declared(name="s", runs=16, metric="val_loss", **changes):
    given = {"steps": 20, "trainer": trainer, "space": SPACE, "metric": metric, **changes}
    return Sweep(name, runs=runs, **given)


def planned_of(sweep, **selection):
    return plan(sweep, Selection(**selection), trains=False)


def kept(store, sweep, value):
    """Store the runs of a sweep; each ended with ``value`` of its run, and began with 2."""
    planned = planned_of(sweep)
    for key, run in planned.runs.items():
        end = value(run)
        points = (0, 2.0), (10, 1.0), (20, end)
        curve = tuple(Evaluation(step, at, math.nan, 0.0) for step, at in points)
        made = make_result(key=key, delta=None, before=None, status="completed", value=end)
        outcome = replace(made.outcome, curve=curve, train_delta_perf=None, prompts=None)
        store.save(replace(made, run=run, conditions=planned.conditions, outcome=outcome))
    return planned


@pytest.fixture
def store(tmp_path):
    with Store.open(str(tmp_path / "store.db")) as opened:
        yield opened


def around(level):
    return lambda run: level + 0.01 * (run.index * 7 % 16)


# ---- values and outcomes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "value", "outcome"),
    [
        (LOSS, 0.3, -0.3),
        (Metric.final("acc", "max"), 0.3, 0.3),
        (Metric.final("val_loss", "min", 0.5), 0.3, 0.2),
        (Metric.final("acc", "max", 0.5), 0.3, -0.2),
    ],
)
def test_more_is_better_and_what_is_shown_is_what_was_measured(metric, value, outcome):
    result = make_result(delta=None, status="completed", value=value, curve=(), prompts_changed=1)
    points = tuple(Evaluation(step, at, 0.01, 0.0) for step, at in ((0, 2.0), (20, value)))
    result = replace(result, outcome=replace(result.outcome, curve=points))
    (judged,) = judged_by(metric, [result])
    assert judged.outcome.delta_perf == pytest.approx(outcome)
    assert judged.outcome.value == value
    assert metric.level(judged.outcome.delta_perf) == pytest.approx(value)
    rises = judged.outcome.curve[1].perf - judged.outcome.curve[0].perf
    assert rises == metric.change(value - 2.0)
    ended = judged.outcome
    assert (ended.perf_before, ended.perf_after, ended.train_delta_perf) == (None, None, None)
    assert ended.prompts_changed is None  # it says what changed, not what passed a target


def test_a_run_that_did_not_complete_has_no_outcome():
    result = make_result(delta=None, status="diverged", value=0.3)
    assert judged_by(LOSS, [result])[0].outcome.delta_perf is None
    assert judged_by(DELTA_PERF, [result]) == (result,)


# ---- a sweep -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [("val_loss < 0.5", "supported"), ("", "supported"), ("val_loss < 0.4", "inconclusive"),
     ("ΔPerf > 0", "inconclusive")],
)  # fmt: skip
def test_counts_compare_with_a_sweep_of_their_own_rule_alone(store, rule, verdict):
    asked = {"rate": success_rate.above_baseline()}
    counts = Counts("paper", 6, 19, rule, "a paper")
    ours = declared(baseline=counts, target=0.5, questions=asked)
    found = gathered(kept(store, ours, around(0.3)), {"s": ours}, store)
    (judged,) = [v for v in judge_sweep(found).verdicts if v.id == "rate"]
    assert judged.verdict == verdict
    assert ("another rule" in judged.answer) == (verdict == "inconclusive")


QUESTIONS = {
    "half": success_rate.above(0.5),
    "mean": mean_gain.above_baseline(),
    "spread": spread.below_baseline(),
    "plateau": still_improves(),
}


def test_the_lower_loss_is_better_and_a_target_says_what_a_success_is(store):
    theirs = declared("base", target=0.5)
    ours = declared(baseline="base", target=0.5, margin=0.05, questions=QUESTIONS)
    kept(store, theirs, around(0.8))
    found = gathered(kept(store, ours, around(0.3)), {"s": ours, "base": theirs}, store)
    judged = judge_sweep(found)
    verdicts = {verdict.id: verdict for verdict in judged.verdicts}
    assert verdicts["half"].verdict == "supported"
    assert verdicts["half"].answer == "yes: 16 of 16 (100%) end below 0.5, more than 50%"
    assert verdicts["mean"].verdict == "supported"
    assert verdicts["mean"].answer == "yes: 0.375 against 0.875 on average"
    assert verdicts["mean"].estimate == pytest.approx(0.5)
    data = as_data(build(judged))
    assert data["metric"] == {
        "name": "val_loss", "direction": "min", "zero": "target", "target": 0.5
    }  # fmt: skip
    run = data["runs"][0]
    assert (run["value"], run["delta_perf"]) == (0.3, None)
    assert [point["perf"] for point in run["curve"]] == [2.0, 1.0, 0.3]


def test_without_target_and_margin_questions_say_which_to_declare(store):
    ours = declared(questions=QUESTIONS)
    found = judge_sweep(gathered(kept(store, ours, around(0.3)), {"s": ours}, store))
    verdicts = {verdict.id: verdict for verdict in found.verdicts}
    assert verdicts["half"].verdict == "unanswerable"
    assert "Sweep(…, target=X)" in str(verdicts["half"].needs[0])
    assert verdicts["plateau"].verdict == "inconclusive"
    assert "Sweep(…, margin=X)" in str(verdicts["plateau"].needs[0])
    assert found.evidence.margin is None
    codes = {finding.code for finding in found.findings}
    assert not codes & {"null_success_rule", "shared_before", "coarse_metric"}


def test_the_curve_of_a_run_that_failed_is_written_as_it_was_measured(store):
    ours = declared()
    planned = kept(store, ours, around(0.3))
    run = next(iter(store.of(planned.runs).values()))
    failed = replace(run, outcome=replace(run.outcome, status="failed", value=None))
    found = gathered(
        planned,
        {"s": ours},
        store,
        lookup=lambda keys: store.of(keys) | {k: failed for k in keys if k == run.key},
    )
    data = as_data(build(judge_sweep(found)))
    (written,) = [one for one in data["runs"] if one["status"] == "failed"]
    assert (written["value"], written["curve"][0]["perf"]) == (None, 2.0)


def test_early_answers_are_by_the_metric(store):
    ours = declared(target=0.5, runs=24, questions={"half": success_rate.above(0.5)})
    planned = kept(store, ours, around(0.3))
    results = list(store.of(planned.runs).values())
    early = EarlyAnswers(planned_of(ours, until=ANSWERED))
    evidence = evidence_of(ours, results[:20])
    assert early.all_answered(evidence)
    assert early.verdicts(evidence)["half"].verdict == "supported"


def test_questions_are_recorded_with_metric_direction_and_target():
    def hashes(**changes):
        return question_hashes(declared(questions=QUESTIONS, **changes))["mean"]

    usual = hashes()
    others = [hashes(metric="train_loss"), hashes(direction="max"), hashes(target=0.5)]
    assert len({usual, *others, hashes(margin=0.1)}) == 5
    plain = Sweep("s", runs=16, steps=20, trainer=trainer, space=SPACE, questions=QUESTIONS)
    assert question_hashes(plain)["mean"] != usual


# ---- baselines -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"metric": "train_loss"}, "train_loss (min)"),
        ({"metric": "val_loss", "direction": "max"}, "val_loss (max)"),
        ({"metric": "val_loss", "target": 0.25}, "val_loss (min, target 0.25)"),
        ({"metric": None}, "ΔPerf"),
    ],
)
def test_a_baseline_of_another_metric_is_one_line(store, other, said):
    theirs, ours = declared("base", **other), declared(baseline="base")
    with pytest.raises(UsageError) as caught:
        gathered(planned_of(ours), {"s": ours, "base": theirs}, store)
    assert str(caught.value) == (
        f"sweep 's' is judged by val_loss (min), and its baseline 'base' by {said}: a comparison "
        "needs one metric, direction and target"
    )


def test_published_counts_are_no_baseline_of_another_metric(store):
    ours = declared(target=0.5)
    with pytest.raises(UsageError, match="its baseline 'published' by ΔPerf"):
        gathered(planned_of(ours), {"s": ours}, store, baseline=PUBLISHED)


def test_stored_runs_that_nobody_declares_say_their_metric(store):
    kept(store, declared("old"), around(0.8))
    kept(store, declared("other", metric="train_loss"), around(0.8))
    ours = planned_of(declared(baseline="old", target=0.5))
    baseline, _ = resolve_baseline("old", {}, store, ours)
    assert Metric.of(baseline.results[0].conditions) == LOSS
    assert baseline.results[0].outcome.delta_perf == pytest.approx(0.5 - 0.8)
    with pytest.raises(UsageError, match=r"its baseline 'other' by train_loss \(min\)"):
        resolve_baseline("other", {}, store, ours)


def test_a_table_is_read_by_the_metric_of_the_sweep(store, tmp_path):
    rows = [{"lr": f"{i + 1}e-4", "acc": 0.5, "val_loss": 0.8 + 0.01 * i} for i in range(6)]
    path = str(write_csv(tmp_path / "old.csv", rows))
    metric = Metric.final("val_loss", "min", 0.5)
    found = named(path, {}, (), store, metrics=[metric])
    assert found.results[0].outcome.delta_perf == pytest.approx(-0.3)
    assert any("val_loss against the target 0.5, less is better" in line for line in found.notes)
    with pytest.raises(
        UsageError, match=r"several metrics, val_loss \(min\) and ΔPerf|ΔPerf and val_loss \(min\)"
    ):
        named(path, {}, (), store, metrics=[LOSS, DELTA_PERF])


def test_a_reference_is_read_as_it_was_written(store, tmp_path):
    ours = declared(target=0.5, questions={"half": success_rate.above(0.5)})
    found = gathered(kept(store, ours, around(0.3)), {"s": ours}, store)
    judged = judge_sweep(found)
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(as_data(build(judged))))
    reference = load(path, {"s": found.planned})
    assert [r.outcome.delta_perf for r in reference.evidence.runs] == [
        r.outcome.delta_perf for r in judged.evidence.runs
    ]
    worse = evidence_of(
        ours,
        [
            replace(r, outcome=replace(r.outcome, value=r.outcome.value + 0.4))
            for r in store.of(found.planned.runs).values()
        ],
    )
    now = judge_all(ours.questions, worse)
    (lost,) = compare(ours, reference, worse, now)
    assert (lost.now, lost.regressed) == ("refuted", True)
    other = planned_of(declared(target=0.4))
    with pytest.raises(UsageError, match=r"judged by val_loss \(min, target 0.5\), and this sweep"):
        load(path, {"s": other})


# ---- arms ----------------------------------------------------------------------------------------


def arm(name, ends, start=2.0):
    """Runs of an arm that began with ``start``, where that is known, and ended with ``ends``."""
    made = []
    for index, end in enumerate(ends):
        points = [] if start is None else [(0, start)]
        curve = tuple(Evaluation(step, at, math.nan, 0.0) for step, at in (*points, (20, end)))
        result = make_result(f"{name}-{index}", name, f"s-{index:02d}", delta=None,
                             status="completed", value=end)  # fmt: skip
        made.append(replace(result, outcome=replace(result.outcome, curve=curve)))
    return judged_by(LOSS, made)


@pytest.mark.parametrize(
    ("ends", "start", "moved"),
    [([2.0, 2.0], 2.0, None), ([2.0, 1.5], 2.0, "1 of 2"), ([2.0, 1.5], None, None)],
    ids=["stayed", "moved", "not known"],
)
def test_a_placebo_must_end_where_it_began_where_that_is_known(ends, start, moved):
    main = arm("main", np.linspace(0.3, 0.5, 12))
    evidence = replace(
        evidence_of(declared(), ()), runs=main, arms={"placebo": arm("placebo", ends, start)}
    )
    messages = [f.message for f in audit(evidence) if f.code == "placebo_moved"]
    if moved is None:
        assert messages == []
    else:
        (message,) = messages
        assert message.startswith(f"{moved} placebo runs")
        assert "(by up to -0.5)" in message
    (told,) = build_arms(evidence)
    assert (told.moved, told.known) == (0 if moved is None else 1, 0 if start is None else 2)


def build_arms(evidence):
    from harness.verdicts import Judgement

    return build(Judgement(evidence)).arms


def test_pairs_are_compared_by_the_metric(store):
    main = arm("main", np.linspace(0.3, 0.5, 12))
    main = tuple(replace(r, run=replace(r.run, id=f"s-{i:02d}")) for i, r in enumerate(main))
    worse = tuple(
        replace(r, run=replace(r.run, config=r.run.config.replace(batch_size=4)))
        for r in arm("batch_size", np.linspace(0.3, 0.5, 12) + 0.1 + 0.01 * np.arange(12) % 0.03)
    )
    evidence = replace(
        evidence_of(declared(margin=0.02), ()), runs=main, arms={"batch_size": worse}
    )
    (verdict,) = judge_all({"bs": no_worse("batch_size", 8, than=(4,))}, evidence)[:1]
    assert verdict.verdict == "supported"
    assert "8 against 4: 0.11" in verdict.answer.replace("batch size ", "")
    assert "better" in verdict.answer


@pytest.mark.parametrize(
    ("metric", "direction", "against"),
    [("val_loss", "max", True), ("val_loss", "min", False), ("acc", "min", True)],
)
def test_a_direction_against_the_name_is_warned_of_before_and_after(
    store, metric, direction, against
):
    sweep = declared(metric=metric, direction=direction)
    kept(store, sweep, around(0.3))
    found = judge_sweep(gathered(planned_of(sweep), {"s": sweep}, store)).findings
    for findings in (found, audit_plan(sweep, sweep.plan())):
        told = [one.message for one in findings if one.code == "against_the_name"]
        assert len(told) == against
        assert all(f'{metric} is judged with direction="{direction}"' in one for one in told)
