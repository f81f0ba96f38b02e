"""A sweep beside a stored report of it: what is more than noise, and what a reference must be."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from harness import LogUniform, Pairs, Sweep, UsageError
from harness.claims import (
    best_inside,
    judge_all,
    lower_tail,
    mean_gain,
    no_worse,
    spread,
    still_improves,
    success_rate,
)
from harness.claims.nights import fell, more_diverged
from harness.judging.reference import load, references
from harness.judging.regressions import FALSE_ALARMS, compare
from harness.records import MAIN
from harness.report.renderers import as_json
from harness.report.renderers.write import write_reference
from harness.sweeps.plan import Selection, plan
from harness.verdicts import Baseline, Evidence
from tests.factories import make_curve, make_result, make_results, report_of

QUESTIONS = {
    "half": success_rate.above(0.5),
    "success": success_rate.above_baseline(),
    "mean": mean_gain.above_baseline(),
    "spread": spread.below_baseline(),
    "tail": lower_tail.above_baseline(),
    "plateau": still_improves(since=50, margin=0.01),
    "best": best_inside("learning_rate"),
    "batch_size": no_worse("batch_size", 8, than=(4,), margin=0.02),
}


def trainer(job, notify):
    raise AssertionError("nothing is trained here")


SWEEP = Sweep(
    "s",
    runs=24,
    steps=100,
    seed=3,
    trainer=trainer,
    space={"learning_rate": LogUniform(1e-7, 1e-6), "batch_size": 8},
    arms={"batch_size": Pairs(12, (4,))},
    questions=QUESTIONS,
)
PLANNED = plan(SWEEP, Selection(), trains=False)
PLANS = {"s": PLANNED}
BASE = Baseline(
    "b",
    tuple(
        replace(result, conditions=PLANNED.conditions)
        for result in make_results(np.random.default_rng(1).normal(0, 0.1, 48), prefix="b")
    ),
)


RNG = np.random.default_rng(4)


def peaked(run):
    """ΔPerf of about +0.1, best in the middle of the range, equal in both arms."""
    return 0.13 - 0.5 * (np.log10(run.config["learning_rate"]) + 6.5) ** 2


def evidence(truth=peaked, noise=0.02, seed=0, late=1.0, prompts=512, **conditions):
    """A whole sweep: ``truth`` of a run (None: diverged) and noise; ``late`` scales the curve."""
    rng, arms = np.random.default_rng(seed), {}
    for key, run in PLANNED.runs.items():
        true = truth(run)
        delta = None if true is None else float(true + noise * rng.normal())
        curve = None if delta is None else make_curve(0.12, delta, 100)
        if curve and late != 1.0:
            half = 0.12 + delta * (1 - late / 2)
            curve = tuple(p._replace(perf=half) if p.step == 50 else p for p in curve)
        status = "completed" if delta is not None else "diverged"
        made = make_result(delta=delta, status=status, key=key, curve=curve or (), prompts=prompts)
        under = replace(PLANNED.conditions, **conditions)
        arms.setdefault(run.arm, []).append(replace(made, run=run, conditions=under))
    main = arms.pop(MAIN)
    return Evidence("s", tuple(main), {arm: tuple(r) for arm, r in arms.items()}, BASE, "b")


def verdicts(seen):
    return judge_all(QUESTIONS, seen)


@pytest.fixture
def kept(tmp_path):
    """Return a function that keeps evidence as a reference and reads it back."""

    def keep(seen, **changes):
        report = report_of(seen, verdicts(seen), (), conditions=PLANNED.conditions, steps=100)
        path = write_reference(report, tmp_path)
        if changes:
            path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return load(path, PLANS)

    return keep


@pytest.fixture
def reference(kept):
    return kept(evidence())


def found(reference, seen):
    return {one.id: one for one in compare(SWEEP, reference, seen, verdicts(seen))}


def lost(reference, seen):
    return {id_ for id_, one in found(reference, seen).items() if one.regressed}


# ---- what is more than noise --------------------------------------------------------------------


def test_a_reference_reads_back_as_it_was(reference):
    seen = evidence()
    assert reference.supported.keys() == QUESTIONS.keys()
    for ours, theirs in zip(seen.runs, reference.evidence.runs, strict=True):
        assert (ours.run.id, ours.run.seed, ours.run.config) == (
            theirs.run.id,
            theirs.run.seed,
            theirs.run.config,
        )
        for name in ("status", "delta_perf", "delta_perf_se", "prompts", "prompts_changed"):
            assert getattr(ours.outcome, name) == getattr(theirs.outcome, name)
        assert ours.outcome.curve[3].perf == theirs.outcome.curve[3].perf
    assert len(reference.evidence.arms["batch_size"]) == 12
    again = {v.id: v.verdict for v in verdicts(replace(reference.evidence, baseline=BASE))}
    assert again == {v.id: v.verdict for v in verdicts(seen)}


def test_the_same_results_and_fresh_ones_of_the_same_truth_have_not_regressed(reference):
    same = found(reference, evidence())
    assert {one.answer for one in same.values()} == {"still supported"}
    for seed in range(1, 4):
        assert not lost(reference, evidence(seed=seed))


def test_training_that_does_nothing_any_more_has_regressed(reference):
    gone = found(reference, evidence(lambda run: 0.0, seed=1))
    assert {id_ for id_, one in gone.items() if one.regressed} >= {"half", "success", "mean"}
    one = gone["half"]
    assert one.now in ("refuted", "inconclusive")
    assert one.p_value <= one.level == pytest.approx(FALSE_ALARMS / 8)
    assert one.answer.startswith("the reference supports it (yes: ")
    assert "more than their noise in " in one.answer


@pytest.mark.parametrize(
    ("id", "worse"),
    [
        ("tail", {"truth": lambda run: peaked(run) - 0.6 * (run.index % 2 == 0)}),
        ("spread", {"noise": 0.2}),
        ("plateau", {"late": 0.0}),
        ("best", {"truth": lambda run: 0.3 - peaked(run)}),
        (
            "batch_size",
            {"truth": lambda run: peaked(run) + 0.1 * (run.arm == "batch_size")},
        ),
        ("half", {"truth": lambda run: None if run.index % 2 else peaked(run)}),
    ],
)
def test_each_question_can_regress_by_what_it_rests_on(reference, id, worse):
    regression = found(reference, evidence(seed=1, **worse))[id]
    assert regression.regressed, regression.answer
    assert regression.p_value <= regression.level


def differences(claim, now, then, was):
    return (*claim.worse(now, then, was), *more_diverged(now, then))


def test_a_diverged_run_has_lost_what_was_ever_lost_and_is_counted(reference):
    """A third diverges, and the others gain what they did."""
    seen = evidence(lambda run: None if run.index % 3 == 0 else peaked(run), seed=1)
    sides = QUESTIONS["mean"], seen, reference.evidence, reference.supported["mean"]
    tests = {one.what: one.p_value for one in differences(*sides)}
    assert tests.keys() == {"mean ΔPerf", "diverged runs"}
    assert tests["mean ΔPerf"] < 0.01
    assert tests["diverged runs"] < 0.01
    whole = replace(seen, runs=tuple(r for r in seen.runs if r.outcome.status == "completed"))
    assert differences(sides[0], whole, *sides[2:])[0].p_value > 0.1


def test_several_tests_of_a_question_are_corrected_for_their_number(reference):
    seen = evidence(lambda run: 0.02, noise=0.03, seed=1)
    for id_ in ("half", "best", "mean"):
        tests = differences(QUESTIONS[id_], seen, reference.evidence, reference.supported[id_])
        assert len(tests) == (1 if id_ == "mean" else 2)
        regression = found(reference, seen)[id_]
        smallest = min(one.p_value for one in tests)
        if regression.p_value is not None:
            assert regression.p_value == pytest.approx(min(1.0, len(tests) * smallest))
    assert found(reference, seen)["half"].p_value is not None


def test_what_only_just_misses_is_noise_and_says_so(kept):
    def some(count):
        return lambda run: 0.1 if run.index < count else 0.0

    reference = kept(evidence(some(17), noise=0.001))
    assert "half" in reference.supported
    regression = found(reference, evidence(some(16), noise=0.001, seed=1))["half"]
    assert regression.now == "inconclusive"
    assert not regression.regressed
    assert regression.p_value > regression.level
    assert "no more than their noise" in regression.answer


def test_runs_that_all_diverge_have_regressed_whatever_is_asked(reference):
    gone = found(reference, evidence(lambda run: None, seed=1))
    assert {id_ for id_, one in gone.items() if one.regressed} >= {"half", "mean", "plateau"}


def test_other_configurations_are_compared_as_samples(kept):
    """Without a common run there are no pairs, and a smaller difference is still shown."""
    reference = kept(evidence())
    moved = evidence(lambda run: -0.1, seed=1)
    seen = replace(
        moved, runs=tuple(replace(r, run=replace(r.run, seed=r.run.seed + 1)) for r in moved.runs)
    )
    assert {"half", "mean"} <= lost(reference, seen)


def test_pairs_see_through_what_configurations_differ_by():
    rng = np.random.default_rng(2)
    apart, noise = rng.normal(0, 0.3, 20), rng.normal(0, 0.01, 20)
    then = {str(i): float(value) for i, value in enumerate(apart)}
    now = {str(i): float(value) for i, value in enumerate(apart - 0.05 + noise)}
    assert fell(now, then, RNG) < 1e-6
    assert fell({f"x{name}": value for name, value in now.items()}, then, RNG) > 0.1
    assert fell(then, now, RNG) > 0.99


def test_a_difference_that_is_the_same_in_every_pair_is_no_certainty_and_no_ignorance():
    then = {str(i): 0.01 * i for i in range(12)}
    assert fell(then, then, RNG) == 1.0
    assert fell({name: value - 5.0 for name, value in then.items()}, then, RNG) < 0.0005
    assert fell({name: value - 0.001 for name, value in then.items()}, then, RNG) > 0.3


def test_what_was_not_supported_cannot_regress(kept):
    reference = kept(evidence(lambda run: 0.0))
    assert "mean" not in reference.supported
    assert "mean" not in found(reference, evidence(lambda run: -0.2, seed=1))


def test_a_question_that_changed_is_not_compared(reference):
    changed = replace_questions(half=success_rate.above(0.6))
    seen = evidence(lambda run: 0.0, seed=1)
    judged = judge_all(changed.questions, seen)
    ids = {one.id: one for one in compare(changed, reference, seen, judged)}
    assert "another claim" in ids["half"].answer
    assert not ids["half"].regressed
    assert ids["mean"].regressed
    dropped = {k: v for k, v in QUESTIONS.items() if k != "half"}
    less = Sweep("s", runs=24, steps=100, space=SWEEP.space, trainer=trainer, questions=dropped)
    ids = {one.id: one for one in compare(less, reference, seen, judge_all(dropped, seen))}
    assert "no longer asked" in ids["half"].answer


def replace_questions(**changes):
    return Sweep(
        "s", runs=24, steps=100, space=SWEEP.space, trainer=trainer, questions=QUESTIONS | changes
    )


def test_another_evaluation_is_not_compared(reference):
    one = found(reference, evidence(lambda run: 0.0, seed=1, prompts=64))["mean"]
    assert not one.regressed
    assert "evaluated differently (64 prompts against 512)" in one.answer


def test_another_backend_is_compared_and_said(reference):
    seen = evidence(lambda run: -0.1, seed=1, backend="jax")
    one = found(reference, seen)["mean"]
    assert one.regressed
    assert "not like for like: backend jax against" in one.answer


# ---- how often it pages -------------------------------------------------------------------------


@pytest.mark.parametrize("height", [0.03, 0.1], ids=["hardly supported", "clearly supported"])
def test_nights_on_which_nothing_changed_hardly_ever_page(kept, height):
    """A lucky reference, and nights of the same truth: the rate of a page over all questions."""

    def truth(run):
        return height - 0.4 * (np.log10(run.config["learning_rate"]) + 6.5) ** 2

    references = [kept(evidence(truth, 0.06, seed=seed)) for seed in range(4)]
    nights = [evidence(truth, 0.06, seed=100 + seed) for seed in range(20)]
    judged = [judge_all(QUESTIONS, night) for night in nights]
    pages = sum(
        any(one.regressed for one in compare(SWEEP, reference, night, said))
        for reference in references
        for night, said in zip(nights, judged, strict=True)
    )
    assert pages <= 3, "under 1% of 80 nights: more than 3 happen once in a hundred"


# ---- what a reference must be -------------------------------------------------------------------


def text_of(seen):
    report = report_of(seen, verdicts(seen), (), conditions=PLANNED.conditions, steps=100)
    return json.loads(as_json.render(report))


@pytest.fixture(scope="module")
def data():
    return text_of(evidence())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "is a report of schema 2, and this version reads 1"),
        ({"sweep": "other"}, "is of sweep 'other'; expected one of s"),
        ({"sweep": None}, "is of sweep None; expected one of s"),
        ({"complete": False}, "is of an unfinished sweep"),
        ({"conditions": None}, "is of None steps, and this sweep trains 100"),
        ({"conditions": {"steps": 20}}, "is of 20 steps, and this sweep trains 100"),
        (
            {"conditions": {"steps": 100, "task": "sums"}},
            "is of task sums, and this sweep's is own",
        ),
        ({"runs": 3}, "is no report that can be compared with"),
        ({"runs": [{}]}, "lacks 'status'"),
        ({"runs": [{"status": "great"}]}, "is damaged (status 'great')"),
        ({"questions": [{"id": "half"}]}, "lacks 'verdict'"),
        ({"questions": [3]}, "is damaged"),
    ],
)
def test_a_report_that_cannot_be_compared_with_is_one_line(tmp_path, data, change, said):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(data | change))
    with pytest.raises(UsageError) as error:
        load(path, PLANS)
    assert said in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_number_that_is_none_is_named(tmp_path, data):
    path = tmp_path / "r.json"
    runs = [{**data["runs"][0], "delta_perf": "much"}]
    path.write_text(json.dumps(data | {"runs": runs}))
    with pytest.raises(UsageError, match="'much' is no number"):
        load(path, PLANS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no reference"),
        (b"", "is no JSON"),
        (b"\xff\xfe\x00", "cannot be read: it is no text"),
        (b"[1]", "is JSON, but no report of a sweep"),
        (b"{}", "is JSON, but no report of a sweep"),
    ],
)
def test_a_file_that_is_no_report_is_one_line(tmp_path, content, said):
    path = tmp_path / "r.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        load(path, PLANS)
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load(tmp_path, PLANS)


def test_references_are_found_where_they_are_kept(tmp_path, data):
    folders = {"s": tmp_path / "s"}
    assert references(PLANS, folders) == {}
    with pytest.raises(UsageError, match="sweep report s --save-reference"):
        references(PLANS, folders, required=True)
    folders["s"].mkdir()
    (folders["s"] / "reference.json").write_text(json.dumps(data))
    assert references(PLANS, folders, required=True).keys() == {"s"}
    assert references(PLANS, folders) == {}
    other = tmp_path / "other.json"
    other.write_text(json.dumps(data))
    assert references(PLANS, folders, [other])["s"].path == other
    with pytest.raises(UsageError, match="are both of sweep 's'"):
        references(PLANS, folders, [other, folders["s"] / "reference.json"])


def test_a_sweep_without_questions_needs_no_reference(tmp_path):
    silent = Sweep("t", runs=2, steps=100, space=SWEEP.space, trainer=trainer)
    plans = {"t": plan(silent, Selection(), trains=False)}
    assert references(plans, {"t": tmp_path}, required=True) == {}


def test_an_unfinished_sweep_is_no_reference(tmp_path):
    seen = evidence()
    report = report_of(seen, verdicts(seen), (), missing=("4 of 24 runs missing",))
    with pytest.raises(UsageError, match=r"no reference yet \(4 of 24 runs missing\)"):
        write_reference(report, tmp_path)
    assert list(tmp_path.iterdir()) == []
