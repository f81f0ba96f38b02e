"""Which values go and which stay, of choices and of parameters that were fixed."""

from dataclasses import replace

import numpy as np
import pytest

from harness import Choice, Constant, Evidence, Given, LogUniform, Pairs
from harness.analysis.effects import find_effects
from harness.refine import refine
from tests.factories import make_arm, make_result
from tests.refine.sweeps import refined, revision, runs_of, sweep_of

# ---- levels --------------------------------------------------------------------------------------


def test_a_level_that_is_worse_goes_and_the_others_keep_their_weights():
    sweep = sweep_of({"lr_schedule": Choice("a", "b", "c", weights=(50, 20, 30))}, runs=60)
    found = revision(refined(sweep, lambda c: -0.2 * (c["lr_schedule"] == "b")), "lr_schedule")
    assert (found.action, found.after) == ("narrow", Choice("a", "c", weights=(50, 30)))
    assert "b is worse than" in found.why
    assert "lr schedule b: " in found.gives_up
    assert " after selection)" in found.gives_up


def test_what_is_worse_by_less_than_the_margin_stays():
    sweep = sweep_of({"lr_schedule": Choice("a", "b")}, runs=60)
    found = revision(refined(sweep, lambda c: -0.018 * (c["lr_schedule"] == "b")), "lr_schedule")
    assert found.action == "keep"
    assert found.why.endswith("both kept")


def test_one_value_alone_stays_only_with_pairs():
    sweep = sweep_of({"batch_size": Choice(4, 8, 12)}, runs=60)
    proposal = refined(sweep, lambda c: 0.2 * (c["batch_size"] == 12))
    found = revision(proposal, "batch_size")
    assert (found.action, found.after, found.pairs) == ("fix", Constant(12), Pairs(12, (4, 8)))
    assert found.why.endswith("nothing above 12 was tried")
    assert proposal.sweep.arms["batch_size"] == Pairs(12, (4, 8))
    assert ("batch_size", "tests the fixed batch size 12 against 4 and 8") in proposal.arms


def test_within_a_case_no_value_is_left_alone():
    """Pairs of one case would be of other cases too, in which those values do not occur."""
    space = {"opt": Choice("a", "b"), "warmup": Given("opt", a=Choice(0, 10), b=Choice(20, 30))}
    found = revision(refined(sweep_of(space, 80), lambda c: 0.2 * (c["warmup"] == 10)), "warmup")
    assert (found.action, found.after) == ("keep", found.before)
    assert found.figure.p_value <= found.figure.needed
    assert "one value would be left, which only pairs of runs could test" in found.why
    kept = {"opt": "a", "warmup": Given("opt", a=Choice(0, 10))}
    found = revision(refined(sweep_of(kept, 80), lambda c: 0.2 * (c["warmup"] == 10)), "warmup")
    assert (found.action, found.after) == ("fix", Constant(10))


def test_a_case_is_narrowed_by_its_own_runs():
    space = {
        "opt": Choice("a", "b"),
        "warmup": Given("opt", a=Choice(0, 10, 20), b=Choice(0, 10, 20)),
    }

    def late(config):
        return -0.3 * (config["opt"] == "a" and config["warmup"] == 20)

    found = revision(refined(sweep_of(space, 120), late), "warmup")
    assert found.after == Given("opt", a=Choice(0, 10), b=Choice(0, 10, 20))
    assert "within opt a: 20 is worse" in found.why
    assert "within opt b nothing is shown to be worse (smallest p = " in found.why


def test_what_goes_together_is_kept():
    """Both are crossed, and still one tells the other: neither is narrowed."""
    rng = np.random.default_rng(0)
    results = []
    for index in range(80):
        one = int(rng.integers(2))
        other = one if rng.random() < 0.85 else 1 - one
        config = {"one": one, "other": "xy"[other]}
        delta = 0.2 * one + rng.normal(0, 0.02)
        results.append(make_result(id=f"t-{index}", config=config, delta=delta, curve=()))
    proposal = refine("t.csv", results, rng=rng, is_table=True, margin=0.02)
    assert not proposal.narrows
    assert "goes with other in the runs" in revision(proposal, "one").why
    assert proposal.tests == 0


# ---- a parameter that was fixed ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shift", "action", "after", "pairs"),
    [
        (-0.1, "keep", Constant(8), None),
        (0.1, "reopen", Choice(8, 4), None),
        (0.02, "keep", Constant(8), Pairs(12, (4,))),
    ],
    ids=["no worse", "worse", "undecided"],
)
def test_what_the_pairs_have_shown(shift, action, after, pairs):
    sweep = sweep_of({"learning_rate": LogUniform(1e-7, 2e-6), "batch_size": 8}, runs=24)
    rng = np.random.default_rng(5)
    main = runs_of(sweep, lambda _: 0.1, rng)
    noise = 0.03 * np.tile([1, -1], 6)
    deltas = [run.outcome.delta_perf + shift + e for run, e in zip(main, noise, strict=False)]
    arm = make_arm("batch_size", main, deltas, {"batch_size": 4})
    proposal = refine("old", [*main, *arm], rng=rng, sweep=sweep)
    found = revision(proposal, "batch_size")
    assert (found.action, found.after, found.pairs) == (action, after, pairs)
    assert ("batch_size" in proposal.sweep.questions) == (pairs is not None)
    assert "against 4" in found.why


# ---- what the questions on a parameter show ------------------------------------------------------


def crossed_with_noise(other, seed=0):
    """Runs in which a value is worse by its own means, and something else explains all of it."""
    rng = np.random.default_rng(seed)
    results = []
    for index in range(60):
        kind, rate = "ab"[index % 2], float(rng.uniform(0.0, 1.0))
        delta = other(kind, rate) + rng.normal(0, 0.02)
        config = {"kind": kind, "rate": rate}
        results.append(make_result(id=f"t-{index}", config=config, delta=delta, curve=()))
    return results


def asked_of(results, answer):
    """The verdicts of a report on these runs, each ``answer``-ed for one parameter."""
    evidence = Evidence("t.csv", tuple(results))
    found = find_effects(evidence, ("kind", "rate"))
    for one in found:
        yield from (answer(one.matters), answer(one.best))


@pytest.mark.parametrize("shown", [True, False])
def test_what_the_report_does_not_show_to_matter_is_kept(shown):
    """Refine has no answer of its own: the report's decides whether a parameter matters."""
    results = crossed_with_noise(lambda kind, rate: 0.3 * (kind == "a"))
    rng = np.random.default_rng(0)

    def answer(verdict):
        of_kind = verdict.effect.asks == "matters" and verdict.effect.parameter == "kind"
        return verdict if shown or not of_kind else replace(verdict, p_holm=0.21)

    asked = tuple(asked_of(results, answer))
    proposal = refine("t.csv", results, rng=rng, is_table=True, margin=0.02, asked=asked)
    found = revision(proposal, "kind")
    assert found.action == ("fix" if shown else "keep")
    said = "but kind is not shown to matter, the others held equal (p = 0.21 over all questions)"
    assert (said in found.why) != shown


def test_only_a_value_that_is_named_as_the_best_is_left_alone():
    results = crossed_with_noise(lambda kind, rate: 0.3 * (kind == "a"))

    def answer(verdict):
        if verdict.effect.asks != "best":
            return verdict
        may = tuple(replace(level, may_be_best=True) for level in verdict.effect.levels)
        return replace(
            verdict, verdict="inconclusive", effect=replace(verdict.effect, levels=may, shape=None)
        )

    asked = tuple(asked_of(results, answer))
    rng = np.random.default_rng(0)
    found = revision(
        refine("t.csv", results, rng=rng, is_table=True, margin=0.02, asked=asked), "kind"
    )
    assert found.action == "keep"
    assert "which is not named as the best, the other parameters held equal" in found.why


def test_a_range_is_widened_only_where_its_shape_is_shown():
    results = crossed_with_noise(lambda kind, rate: 0.4 * rate)

    def shapeless(verdict):
        return replace(verdict, effect=replace(verdict.effect, shape=None))

    for answer, wider in ((lambda verdict: verdict, True), (shapeless, False)):
        asked = tuple(asked_of(results, answer))
        rng = np.random.default_rng(0)
        proposal = refine("t.csv", results, rng=rng, is_table=True, margin=0.02, asked=asked)
        found = revision(proposal, "rate")
        assert (found.after.high > found.before.high) == wider
        assert found.after.low > found.before.low
