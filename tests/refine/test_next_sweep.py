"""The next sweep: its sizes, its seed, and what it rests on."""

from dataclasses import replace

import numpy as np
import pytest

from harness import Choice, Given, LogUniform, Sweep
from harness.claims import mean_gain
from harness.errors import UsageError
from harness.metrics import DELTA_PERF, Metric
from harness.records import Config
from harness.refine import python, refine
from tests import published_broad
from tests.analysis.analyses import analysis_of
from tests.factories import make_result
from tests.refine.sweeps import BROAD, position, refined, revision, runs_of, sweep_of

# ---- the next sweep ------------------------------------------------------------------------------


def test_the_next_sweep_has_the_sizes_of_the_last_and_another_seed():
    proposal = refined(BROAD, lambda _: 0.0)
    sweep = proposal.sweep
    assert (sweep.name, sweep.runs, sweep.steps) == ("broad_refined", 48, 50)
    assert sweep.seed != BROAD.seed
    assert sweep.arms == {"placebo": 2, "null": 8, "half": 12}
    assert sweep.questions["gain_over_null"] == mean_gain.above_arm("null", margin=0.02)
    assert "gain_over_random" not in sweep.questions
    assert proposal.sizes[0].startswith("48 runs, as many as broad has: ")
    assert "with probability 0.84" in proposal.sizes[0]


def test_other_sizes_are_told_by_their_power():
    proposal = refined(BROAD, lambda _: 0.0, name="next", runs=24, steps=10)
    assert (proposal.sweep.name, proposal.sweep.runs, proposal.sweep.steps) == ("next", 24, 10)
    assert "with probability 0.56, with 48 0.84" in proposal.sizes[0]
    assert proposal.sizes[1].startswith("10 steps, where there were 50")
    assert "half" not in proposal.sweep.arms  # evaluated at the end alone
    assert "plateau" not in proposal.sweep.questions


def test_pairs_need_their_runs():
    sweep = sweep_of({"batch_size": Choice(4, 8)}, runs=11, seed=1)
    proposal = refined(sweep, lambda c: 0.3 * (c["batch_size"] == 8), seed=2)
    assert proposal.sweep.runs == 12
    assert "for 12 pairs" in proposal.sizes[0]
    with pytest.raises(UsageError, match=r"--runs 8 is fewer than the 12 pairs.*batch size"):
        refined(sweep, lambda c: 0.3 * (c["batch_size"] == 8), seed=2, runs=8)


def test_learning_curves_say_what_steps_are_worth():
    results = runs_of(BROAD, lambda _: 0.2, np.random.default_rng(0), curve=None)
    proposal = refine("broad", results, rng=np.random.default_rng(0), sweep=BROAD)
    assert "still improving: +0.08" in proposal.sizes[1]
    assert proposal.sizes[1].endswith("more steps may pay (--steps)")


def test_repeats_of_a_configuration_count_once():
    """Forty runs of six configurations are no forty draws of the batch size."""
    rng = np.random.default_rng(0)
    results = []
    for config in range(6):
        luck, size = rng.normal(0, 0.2), 4 + 4 * (config % 2)
        for _ in range(8):
            delta = luck + rng.normal(0, 0.01) + 0.1 * (size == 8)
            changes = {"batch_size": size, "learning_rate": 1e-7 * (config + 1)}
            made = make_result(id=f"t-{len(results)}", config=changes, delta=delta, curve=())
            results.append(made)
    proposal = refine("t.csv", results, rng=rng, is_table=True, margin=0.02)
    assert not proposal.narrows
    assert "too few configurations to compare" in revision(proposal, "batch_size").why


def test_a_constant_metric_narrows_nothing():
    results = published_broad.results()
    same = [replace(r, outcome=replace(r.outcome, delta_perf=0.2025)) for r in results]
    proposal = refine("t.csv", same, rng=np.random.default_rng(0), is_table=True, margin=0.02)
    assert not proposal.narrows
    assert proposal.tests == 0
    assert proposal.sweep.baseline is None
    assert all("+0.2025 in every one of 48 runs" in found.why for found in proposal.revisions)


def test_a_single_run_is_too_few_to_tell():
    only = make_result(config={"learning_rate": 1e-7, "batch_size": 8, "generations": 16})
    proposal = refine("t.csv", [only], rng=np.random.default_rng(0), is_table=True, margin=0.02)
    assert not proposal.narrows
    assert proposal.sweep.runs == 24


def test_no_finished_run_is_a_usage_error():
    failed = make_result(status="failed")
    with pytest.raises(UsageError, match=r"no run of t\.csv has finished"):
        refine("t.csv", [failed], rng=np.random.default_rng(0), is_table=True)


def test_a_table_must_say_its_steps_or_be_told():
    results = [
        replace(result, run=replace(result.run, steps=0, declared_steps=0))
        for result in published_broad.results()
    ]
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match=r"runs\.csv does not say how many steps.*--steps N"):
        refine("runs.csv", results, rng=rng, is_table=True, margin=0.02)
    told = refine("runs.csv", results, rng=rng, is_table=True, margin=0.02, steps=70)
    assert told.sweep.steps == 70


@pytest.mark.parametrize(("known", "steps"), [((), 1), ((4, 16, 4, 4), 16), ((0, 8, 0, 0), 8)])
def test_a_table_of_another_training_is_refined_at_the_full_budget(known, steps):
    runs = zip(published_broad.results(), (known or (0,)) * 48, strict=False)
    results = []
    for i, (result, n) in enumerate(runs):
        run = replace(result.run, config=Config({"rate": 0.1 * (1 + i % 9)}), steps=n)
        results.append(replace(result, run=run))
    rng = np.random.default_rng(0)
    proposal = refine("runs.csv", results, rng=rng, is_table=True, margin=0.02)
    assert proposal.stub
    assert proposal.sweep.steps == steps
    said = "1 step, a whole training: runs.csv says nothing of steps"
    assert proposal.sizes[1].startswith(said if not known else f"{steps} steps, as before")


class Odd:
    """A distribution of a user's own."""

    def quantile(self, u, given):
        return u

    def values(self):
        return (0.0, 1.0)

    def describe(self):
        return "odd"


def test_a_distribution_of_ones_own_is_refused():
    with pytest.raises(UsageError, match="temperature is drawn from Odd"):
        refined(sweep_of({"temperature": Odd()}), lambda _: 0.0)


def test_an_equal_seed_gives_an_equal_proposal():
    one, other = (refined(BROAD, lambda c: -0.1 * position(c["learning_rate"])) for _ in "ab")
    assert one.revisions == other.revisions
    assert python(one, command="c") == python(other, command="c")


# ---- high performers -----------------------------------------------------------------------------


def shared_runs():
    """24 runs of which the 8 with kind a are the best, 5 of them above 0.1, and 3 diverged."""
    made = []
    for index in range(24):
        delta = 0.17 - 0.015 * index if index < 8 else 0.04 - 0.01 * index
        made.append(
            make_result(
                id=f"t-{index:02d}",
                index=index,
                config={"kind": "a" if index < 8 else "b", "rate": 1.0 + index % 5},
                delta=None if index > 20 else delta,
                status="diverged" if index > 20 else "completed",
                before=None,
                curve=(),
            )
        )
    return made


KINDS = Sweep("old", 24, 100, {"kind": Choice("a", "b"), "rate": Choice(1.0, 2.0, 3.0, 4.0, 5.0)})


@pytest.mark.parametrize(
    ("declared", "metric", "count", "means"),
    [
        (KINDS, DELTA_PERF, 5, "ΔPerf > 0.1"),
        (None, DELTA_PERF, 5, "ΔPerf > 0.1"),
        (None, Metric("Δaccuracy", "no change"), 8, "the best third"),
        (None, Metric("ΔPerf", "no change", minimised=True), 8, "the best third"),
        (None, Metric("accuracy − 0.5", "target"), 8, "the best third"),
        (None, Metric("accuracy", "arbitrary"), 8, "the best third"),
    ],
)
def test_analyze_and_refine_agree_on_the_high_performers(declared, metric, count, means):
    results, rng = shared_runs(), np.random.default_rng(0)
    assert analysis_of(results, metric=metric).high.count == count
    proposal = refine("t", results, rng=rng, sweep=declared, metric=metric, margin=0.02)
    why = revision(proposal, "kind").why
    assert f"all {count} high performers ({means}) have a, as 8 of 24 runs do" in why


def test_the_questions_on_a_parameter_are_those_that_the_next_sweep_can_answer():
    """Where each schedule has a warmup of its own, nothing tells the two apart."""
    space = {
        "learning_rate": LogUniform(1e-7, 2e-6),
        "lr_schedule": Choice("a", "b"),
        "warmup": Given("lr_schedule", a=Choice(10, 20), b=Choice(0, 5)),
        "batch_size": 8,
    }
    asked = set(refined(sweep_of(space), lambda _: 0.0).sweep.questions)
    assert {"matters_learning_rate", "matters_warmup", "best_warmup"} <= asked
    assert not asked & {"best_learning_rate", "matters_lr_schedule", "matters_batch_size"}
