"""A sweep beside a stored report of it: what is more than noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness import Sweep, Verdict, best_value, matters
from harness.claims import judge_all, success_rate
from harness.judging.regressions import FALSE_ALARMS, compare
from tests.judging.nights import (
    BASE,
    QUESTIONS,
    SWEEP,
    differences,
    evidence,
    found,
    lost,
    trainer,
    verdicts,
)


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


def test_a_reference_keeps_the_clusters_of_its_errors(kept):
    first, *others = evidence().runs
    grouped = replace(first, outcome=replace(first.outcome, clusters=9.5, clusters_changed=7))
    found = kept(replace(evidence(), runs=(grouped, *others))).evidence.runs[0].outcome
    assert (found.clusters, found.clusters_changed) == (9.5, 7)


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
    assert " is beyond the gate's level (p = " in one.answer


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
    assert (
        "the difference in mean ΔPerf is not beyond the gate's level (p = 0." in regression.answer
    )
    assert regression.answer.endswith(f", level {regression.level:.2g})")


def test_a_likely_loss_within_the_gate_s_level_is_not_called_noise(kept):
    reference = kept(evidence())
    answers = []
    for loss in np.linspace(0.0, 0.1, 41):
        seen = evidence(lambda run, loss=loss: 0.1 - loss, noise=0.08, seed=1)
        answers += [one for one in found(reference, seen).values() if one.p_value is not None]
    near = [one for one in answers if one.level < one.p_value < 0.01]
    assert near
    for one in near:
        assert "not beyond the gate's level" in one.answer
        assert f"p = {one.p_value:.2g}, level {one.level:.2g}" in one.answer
        assert "noise" not in one.answer


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


def test_what_was_not_supported_cannot_regress(kept):
    reference = kept(evidence(lambda run: 0.0))
    assert "mean" not in reference.supported
    assert "mean" not in found(reference, evidence(lambda run: -0.2, seed=1))


def replace_questions(**changes):
    return Sweep(
        "s", runs=24, steps=100, space=SWEEP.space, trainer=trainer, questions=QUESTIONS | changes
    )


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


def test_another_evaluation_is_not_compared(reference):
    one = found(reference, evidence(lambda run: 0.0, seed=1, prompts=64))["mean"]
    assert not one.regressed
    assert "evaluated differently (64 prompts against 512)" in one.answer


def test_another_backend_is_compared_and_said(reference):
    seen = evidence(lambda run: -0.1, seed=1, backend="jax")
    one = found(reference, seen)["mean"]
    assert one.regressed
    assert "not like for like: backend jax against" in one.answer


# ---- how often it pages --------------------------------------------------------------------------


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


# ---- the effect of one parameter -----------------------------------------------------------------


def sloped(run):
    return 0.2 * (np.log10(run.config["learning_rate"]) + 6.5)


@pytest.mark.parametrize("claim", [matters("learning_rate"), best_value("learning_rate")])
def test_an_effect_that_vanishes_is_worse_and_a_loss_of_all_runs_is_not(claim):
    then = evidence(sloped, noise=0.03)
    was = claim.judge("q", then)
    (gone,) = claim.worse(evidence(lambda run: 0.0, noise=0.03, seed=1), then, was)
    assert gone.what == "effect of learning rate on ΔPerf"
    assert gone.p_value < 1e-3
    (lower,) = claim.worse(evidence(lambda run: sloped(run) - 0.2, 0.03, seed=1), then, was)
    assert lower.p_value > 0.05
    (same,) = claim.worse(then, then, was)
    assert same.p_value == 1.0


def test_without_common_runs_means_are_compared():
    then, now = evidence(sloped), evidence(lambda run: -0.3, seed=1)
    other = tuple(replace(r, run=replace(r.run, seed=r.run.seed + 1)) for r in now.runs)
    claim = matters("learning_rate")
    (moved,) = claim.worse(replace(now, runs=other), then, claim.judge("q", then))
    assert moved.what == "mean ΔPerf"
    assert moved.p_value < 0.001


@pytest.mark.slow
@pytest.mark.parametrize("collapse", [0.0, 0.15], ids=["normal", "collapsed"])
def test_an_effect_that_is_unchanged_is_seldom_called_changed(collapse):
    """A test of the change in each run: where nothing has changed it holds its level."""
    claim, rng, hits, nights = matters("learning_rate"), np.random.default_rng(7), 0, 150

    def truth(run):
        return None if rng.random() < collapse else sloped(run)

    for seed in range(nights):
        then, now = (evidence(truth, noise=0.05, seed=1000 * side + seed) for side in (1, 2))
        (found,) = claim.worse(now, then, Verdict("q", "", "", "supported", ""))
        hits += found.p_value <= 0.05
    assert hits / nights <= 0.05 + 2.5 * (0.05 * 0.95 / nights) ** 0.5
    assert hits
