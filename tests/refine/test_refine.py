"""Refining: what is narrowed, what is not, and that the Python it writes declares just that."""

import ast
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import Choice, Constant, Counts, Given, LogUniform, Pairs, Sweep, Uniform
from harness.analysis import analyze
from harness.errors import UsageError
from harness.refine import python, refine
from harness.refine.ranges import decide_range
from harness.refine.sample import Criteria, rounded, sample_of
from harness.refine.source import WIDTH, distribution, literal
from harness.refine.space import distribution_of
from harness.sweeps.discovery import discover
from harness.verdicts import DELTA_PERF, Metric
from tests import published_broad
from tests.factories import make_arm, make_result

ROOT = Path(__file__).parents[2]
BROAD = discover([ROOT / "experiments"])["broad"]
FOCUSED = discover([ROOT / "experiments"])["focused"]


def sweep_of(space, runs=48, **changes):
    return Sweep("old", runs=runs, steps=100, space=space, **changes)


def runs_of(sweep, delta, rng, **common):
    """The main runs of ``sweep``: ΔPerf is ``delta(config)`` and noise; None is a diverged run."""
    made = []
    for run in sweep.plan(arms=()):
        value = delta(run.config)
        made.append(
            make_result(
                id=run.id,
                index=run.index,
                sweep=sweep.name,
                config=run.config,
                steps=sweep.steps,
                declared_steps=sweep.steps,
                delta=None if value is None else value + rng.normal(0, 0.02),
                status="diverged" if value is None else "completed",
                **{"curve": ()} | common,
            )
        )
    return made


def refined(sweep, delta, seed=0, **asked):
    rng = np.random.default_rng(seed)
    return refine(sweep.name, runs_of(sweep, delta, rng), rng=rng, sweep=sweep, **asked)


def revision(proposal, name):
    return next(found for found in proposal.revisions if found.parameter == name)


def position(rate):
    """Where in 1e-7 to 2e-6 a learning rate lies, from 0 to 1 on the logarithmic scale."""
    return float(np.log(rate / 1e-7) / np.log(20))


def load(text, folder, name="test_next"):
    """Import a file with this text and return the sweep that it declares."""
    file = folder / f"{name}.py"
    file.write_text(text)
    return next(iter(discover([file]).values()))


# ---- the published sweep ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published():
    return refine(
        "runs.csv",
        published_broad.results(),
        rng=np.random.default_rng(0),
        is_table=True,
        margin=0.02,
    )


def test_batch_size_8_comes_with_pairs_for_4_and_12(published):
    found = revision(published, "batch_size")
    assert (found.action, found.after) == ("fix", Constant(8))
    assert published.sweep.arms["batch_size"] == Pairs(12, values=(4, 12))
    assert "all 16 high performers (ΔPerf > 0.1) have 8, as 18 of 48 runs do" in found.why
    assert "generations (4: 20, 30, 40; 8: 16, 24, 32; 12: 16, 24, 32)" in found.why
    assert found.gives_up.startswith("batch size 4 and 12, but for the pairs of the arm")
    claim = published.sweep.questions["batch_size"]
    assert (claim.reference, claim.than, claim.margin) == (8, (4, 12), 0.02)


def test_generations_are_not_narrowed_on_what_the_batch_size_implies(published):
    found = revision(published, "generations")
    assert found.action == "keep"
    assert found.before == Given(
        "batch_size", {4: Choice(20, 30, 40), 8: Choice(16, 24, 32), 12: Choice(16, 24, 32)}
    )
    assert found.after == Choice(16, 24, 32)
    assert "is no evidence: batch size 8 allows no others" in found.why
    assert found.figure.needed == pytest.approx(0.05 / 12 / 3)  # three cases share a test
    assert not found.gives_up


def test_what_the_published_summary_does_not_show_is_kept(published):
    for name in ("learning_rate", "lr_schedule", "warmup_steps", "entropy_coef"):
        found = revision(published, name)
        assert (found.action, found.after) == ("keep", found.before), name
        assert "p = " in found.why, name
    assert isinstance(revision(published, "learning_rate").after, LogUniform)
    assert "advanced over cosine" in revision(published, "lr_schedule").why
    assert revision(published, "warmup_steps").before == Given(
        "lr_schedule", advanced=Choice(10, 20, 30), cosine=Choice(0, 10, 20)
    )


def test_a_table_is_compared_by_its_counts_alone(published):
    assert published.sweep.baseline == Counts(
        name="runs.csv",
        successes=16,
        runs=48,
        rule="ΔPerf > 0",
        source="48 finished runs of runs.csv",
    )
    asked = set(published.sweep.questions)
    assert {"success_vs_baseline", "plateau", "lr_sweet_spot"} <= asked
    assert not asked & {"mean_vs_baseline", "variance_vs_baseline", "lower_tail_vs_baseline"}
    assert any("success_vs_baseline alone" in line for line in published.notes)


def test_the_declared_sweep_is_refined_alike(published):
    """The declaration says what the table lets be inferred."""
    rng = np.random.default_rng(0)
    declared = refine("broad", published_broad.results(), rng=rng, sweep=BROAD)
    for ours, theirs in zip(declared.revisions, published.revisions, strict=True):
        assert ours.action == theirs.action
        if ours.parameter != "learning_rate":
            assert (ours.before, ours.after) == (theirs.before, theirs.after)
    assert declared.sweep.baseline == "broad"
    assert set(declared.sweep.questions) == {*FOCUSED.questions}
    assert declared.tests == published.tests == 12


# ---- noise and effects --------------------------------------------------------------------------


def lost(runs, draws, seed, margin=0.02):
    """How many of so many useless sweeps lose something; by margin 0 the tests are bare."""
    rng, count = np.random.default_rng(seed), Counter()
    noise = {
        "normal": lambda n: rng.normal(0, 0.07, n),
        "left": lambda n: np.where(rng.random(n) < 0.15, -0.4, 0.05) + rng.normal(0, 0.03, n),
        "right": lambda n: np.where(rng.random(n) < 0.15, 0.4, -0.05) + rng.normal(0, 0.03, n),
        "tied": lambda n: np.round(rng.normal(0, 0.07, n), 1),
    }
    for kind, draw in noise.items():
        for _ in range(draws):
            seed = int(rng.integers(2**31))
            sweep = Sweep("old", runs, 50, BROAD.space, seed=seed, margin=margin)
            made = [
                make_result(id=run.id, config=run.config, delta=float(delta), curve=())
                for run, delta in zip(sweep.plan(), draw(runs), strict=True)
            ]
            count[kind] += refine("old", made, rng=rng, sweep=sweep).narrows
    return count


def test_noise_is_seldom_narrowed():
    assert sum(lost(24, 12, seed=1).values()) <= 5


@pytest.mark.slow
@pytest.mark.parametrize("runs", [24, 48])
def test_noise_is_narrowed_in_a_twentieth_at_most(runs):
    most = 0.05 * 100 + 2.5 * (0.05 * 0.95 * 100) ** 0.5
    for kind, count in lost(runs, 100, seed=runs, margin=1e-9).items():
        assert count <= most, kind


def test_a_falling_response_is_cut_above_and_widened_below():
    found = revision(refined(BROAD, lambda c: -0.3 * position(c["learning_rate"])), "learning_rate")
    assert found.action == "move"
    assert found.after.high < 1.2e-6
    assert found.after.low < 1e-7
    assert found.figure.p_value <= found.figure.needed == 0.05 / 12
    assert found.figure.estimate < -0.02
    assert found.gives_up.startswith(f"learning rate above {literal(found.after.high)}: ")


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "least"), [(24, 2 / 3), (48, 0.9)])
def test_a_strong_fall_is_mostly_cut(runs, least):
    rng, cut = np.random.default_rng(runs), 0
    for _ in range(60):
        sweep = Sweep("old", runs, 50, BROAD.space, seed=int(rng.integers(2**31)))
        made = [
            make_result(
                id=run.id,
                config=run.config,
                delta=-0.3 * position(run.config["learning_rate"]) + rng.normal(0, 0.07),
                curve=(),
            )
            for run in sweep.plan()
        ]
        found = revision(refine("old", made, rng=rng, sweep=sweep), "learning_rate")
        cut += found.after.high < 2e-6
    assert cut / 60 >= least


def test_a_rising_response_is_cut_below():
    found = revision(refined(BROAD, lambda c: 0.3 * position(c["learning_rate"])), "learning_rate")
    assert found.after.low > 1.5e-7
    assert found.after.high > 2e-6
    assert "best runs lie at the upper edge" in found.why


def test_what_falls_from_its_middle_on_is_not_widened():
    """No fall to the lower end is shown, but the best runs do not lie there either."""

    def shelf(config):
        x = position(config["learning_rate"])
        return 0.008 * (0.3 < x < 0.55) - 0.4 * (x > 0.6)

    found = revision(refined(BROAD, shelf), "learning_rate")
    assert found.action == "narrow"
    assert found.after.low == 1e-7


@pytest.mark.parametrize(("level", "cut"), [(0.025, True), (1e-6, False)])
def test_a_range_is_cut_only_where_the_fall_passes_the_level_of_all_tests(level, cut):
    rng = np.random.default_rng(0)
    sweep = sweep_of({"learning_rate": LogUniform(1e-7, 2e-6)})
    results = runs_of(sweep, lambda c: -0.3 * (c["learning_rate"] > 6e-7), rng)
    terms = Criteria(level, 0.05, 0.02, DELTA_PERF, rng)
    sample = sample_of(results, DELTA_PERF)
    found = decide_range("learning_rate", LogUniform(1e-7, 2e-6), sample, terms)
    assert (found.after.high < 2e-6) == cut
    assert found.figure.p_value < 0.01


def test_what_the_best_share_must_be_more_than_chance():
    """Four of the best share a value that two thirds of all runs have."""
    results = [
        make_result(
            id=f"t-{index}",
            config={"kind": "ab"[index % 3 == 0], "rate": 1.0 + index / 7},
            delta=(0.15 if index in (1, 7, 13, 19) else 0.02) + 0.001 * (index % 5),
            curve=(),
        )
        for index in range(24)
    ]
    proposal = refine("t.csv", results, rng=np.random.default_rng(0), is_table=True, margin=0.02)
    assert revision(proposal, "kind").action == "keep"


def test_a_peak_is_cut_on_both_sides_and_not_widened():
    def peak(config):
        return -0.6 * abs(position(config["learning_rate"]) - 0.5)

    found = revision(refined(BROAD, peak), "learning_rate")
    assert found.action == "narrow"
    assert 1e-7 < found.after.low < 4.5e-7 < found.after.high < 2e-6
    assert "below" in found.gives_up
    assert "above" in found.gives_up


def test_diverged_runs_count_as_the_worst():
    def breaks(config):
        return None if config["learning_rate"] > 1e-6 else 0.1

    found = revision(refined(BROAD, breaks), "learning_rate")
    assert 1e-6 < found.after.high < 1.7e-6


def test_a_flat_response_with_a_slight_fall_is_kept():
    proposal = refined(BROAD, lambda c: -0.012 * position(c["learning_rate"]))
    assert revision(proposal, "learning_rate").after == LogUniform(1e-7, 2e-6)


def test_without_a_margin_nothing_is_left_out():
    sweep = sweep_of({"learning_rate": LogUniform(1e-7, 2e-6), "batch_size": Choice(4, 8)})

    def falls(config):
        return -0.3 * position(config["learning_rate"]) - 0.2 * (config["batch_size"] == 4)

    rng = np.random.default_rng(0)
    results = runs_of(sweep, falls, rng)
    proposal = refine("t.csv", results, rng=rng, is_table=True, metric=Metric("reward"))
    assert not proposal.narrows
    assert all("--margin" in found.why for found in proposal.revisions)
    assert any("no margin is stated for reward" in line for line in proposal.notes)
    assert refine("t.csv", results, rng=rng, is_table=True, margin=0.02).narrows


def test_a_range_within_zero_to_one_stays_there():
    sweep = sweep_of({"dropout": Uniform(0.0, 0.5), "momentum": Uniform(0.6, 0.95)})
    proposal = refined(sweep, lambda c: -0.6 * c["dropout"] + c["momentum"])
    assert revision(proposal, "dropout").after.low == 0.0
    assert revision(proposal, "dropout").after.high < 0.5
    assert revision(proposal, "momentum").after.high == 1.0


def test_a_choice_of_many_numbers_is_cut_like_a_range():
    options = tuple(range(10, 130, 10))
    sweep = sweep_of({"width": Choice(*options, weights=range(1, 13))}, runs=60)
    found = revision(refined(sweep, lambda c: 0.3 * (c["width"] < 70)), "width")
    assert found.action == "narrow"
    assert found.after.options == options[: len(found.after.options)]
    assert found.after.weights == tuple(range(1, 13))[: len(found.after.options)]
    assert 6 <= len(found.after.options) < 12
    assert "nothing below it was tried" in found.why or "edge" not in found.why


# ---- levels -------------------------------------------------------------------------------------


def test_a_level_that_is_worse_goes_and_the_others_keep_their_weights():
    sweep = sweep_of({"lr_schedule": Choice("a", "b", "c", weights=(50, 20, 30))}, runs=60)
    found = revision(refined(sweep, lambda c: -0.2 * (c["lr_schedule"] == "b")), "lr_schedule")
    assert (found.action, found.after) == ("narrow", Choice("a", "c", weights=(50, 30)))
    assert "b is worse than" in found.why
    assert "lr schedule b: " in found.gives_up


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


# ---- a parameter that was fixed -----------------------------------------------------------------


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


# ---- the next sweep -----------------------------------------------------------------------------


def test_the_next_sweep_has_the_sizes_of_the_last_and_another_seed():
    proposal = refined(BROAD, lambda _: 0.0)
    sweep = proposal.sweep
    assert (sweep.name, sweep.runs, sweep.steps) == ("broad_refined", 48, 50)
    assert sweep.seed != BROAD.seed
    assert sweep.arms == {"placebo": 2, "null": 8, "half": 12}
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
    assert "too few runs to compare" in revision(proposal, "batch_size").why


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


# ---- what a table lets be inferred --------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([8] * 9, Constant(8)),
        ([8, 4, 8, 12], Choice(4, 8, 12)),
        (["b", "a", None], Choice("a", "b", None)),
        ([True, False, True], Choice(False, True)),
        ([1.2e-5, 1.3e-4, 0.00123, 0.0111, 0.5, 0.6], LogUniform(1.2e-5, 0.6)),
        ([0.101, 0.2, 0.3, 0.4004, 0.5], Uniform(0.101, 0.5)),
        ([*range(0, 300, 3)], Choice(0, 27, 54, 81, 108, 135, 162, 189, 216, 243, 270, 297)),
        ([-1.0, -0.5, 0.25, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], Uniform(-1.0, 7.0)),
    ],
    ids=repr,
)
def test_what_values_may_be_drawn_from(values, drawn):
    assert distribution_of("p", values) == drawn


def test_a_learning_rate_is_always_on_a_logarithmic_scale():
    values = [float(v) for v in np.linspace(8.01e-8, 3.99e-7, 9)]
    assert distribution_of("learning_rate", values) == LogUniform(8.01e-8, 3.99e-7)
    assert isinstance(distribution_of("p", values), Uniform)


def test_a_range_that_another_parameter_decides_is_given():
    rng = np.random.default_rng(0)
    results = []
    for index in range(60):
        adam = bool(rng.integers(2))
        low, high = (1e-5, 1e-3) if adam else (1e-2, 1.0)
        config = {
            "learning_rate": float(np.exp(rng.uniform(np.log(low), np.log(high)))),
            "optimizer": "adam" if adam else "sgd",
            "momentum": None if adam else float(rng.choice([0.8, 0.9])),
        }
        delta = rng.normal(0, 0.05)
        results.append(make_result(id=f"t-{index}", config=config, delta=delta, curve=()))
    proposal = refine("t.csv", results, rng=rng, is_table=True, margin=0.02)
    rate, momentum = (revision(proposal, n).after for n in ("learning_rate", "momentum"))
    assert (rate.parameter, set(rate.cases)) == ("optimizer", {"adam", "sgd"})
    assert rate.cases["adam"].high < 1.1e-3 < 9e-3 < rate.cases["sgd"].low
    assert momentum == Given("optimizer", adam=None, sgd=Choice(0.8, 0.9))
    assert proposal.stub


def test_too_many_words_cannot_be_drawn_from():
    with pytest.raises(UsageError, match=r"parameter 'note' has 101 values.*--params"):
        distribution_of("note", [f"note {index}" for index in range(101)])


@given(st.floats(1e-12, 1e12), st.integers(1, 6))
def test_rounding_goes_the_way_it_is_told(value, digits):
    below, above = (rounded(value, up=up, digits=digits) for up in (False, True))
    assert below <= value * (1 + 1e-6)
    assert above >= value * (1 - 1e-6)
    assert above - below <= 1.001 * 10.0 ** (np.floor(np.log10(value)) + 1 - digits)


# ---- the Python ---------------------------------------------------------------------------------

plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)


@given(plain)
def test_a_value_is_read_back_as_it_was_written(value):
    read = ast.literal_eval(literal(value))
    assert (read, type(read)) == (value, type(value))


def distinct(values):
    return len(set(values)) == len(values)


choices = st.lists(plain, min_size=1, max_size=6).filter(distinct).map(lambda o: Choice(*o))
ranges = st.tuples(st.floats(1e-9, 1.0), st.floats(1.5, 1e6)).map(lambda ends: LogUniform(*ends))
given_ = st.dictionaries(
    st.one_of(st.text("abcdef _", min_size=1, max_size=8), st.integers(0, 99)),
    st.one_of(choices, ranges, plain),
    min_size=1,
    max_size=4,
).map(lambda cases: Given("parent", cases))


@settings(max_examples=60)
@given(st.one_of(choices, ranges, given_, plain.map(Constant)))
def test_a_distribution_is_read_back_as_it_was_written(drawn):
    names = {"Choice": Choice, "LogUniform": LogUniform, "Given": Given}
    read = eval(distribution(drawn, depth=2, room=10), names)
    assert (read if not isinstance(drawn, Constant) else Constant(read)) == drawn


def test_weights_are_read_back():
    drawn = Choice("advanced", "cosine", weights=(65, 35))
    text = distribution(drawn, depth=0)
    assert text == 'Choice("advanced", "cosine", weights=(65, 35))'
    assert eval(text, {"Choice": Choice}) == drawn


PROPOSALS = {
    "published": lambda: refine(
        "runs.csv",
        published_broad.results(),
        rng=np.random.default_rng(0),
        is_table=True,
        margin=0.02,
    ),
    "falling": lambda: refined(BROAD, lambda c: -0.3 * position(c["learning_rate"])),
    "weighted": lambda: refined(FOCUSED, lambda _: 0.1),
    "odd": lambda: refine(
        'a "table".csv',
        [
            make_result(
                id=f"t-{index}",
                config={
                    "hidden size": [32, 64][index % 2],
                    "a/very.long-name of a parameter": 'say "it\'s"\\'[: 3 + index % 4],
                    "class": None if index % 3 else True,
                },
                delta=0.3 * (index % 2) + 0.01 * (index % 7),
                curve=(),
            )
            for index in range(48)
        ],
        rng=np.random.default_rng(0),
        is_table=True,
        margin=0.02,
        name="7th.try",
    ),
}


@pytest.fixture(params=PROPOSALS, scope="module")
def written(request):
    """A proposal with the Python that declares it."""
    proposal = PROPOSALS[request.param]()
    power = {name: f"with so many runs, {name} is shown" for name in proposal.sweep.questions}
    return proposal, python(proposal, command="sweep refine x", cost=["Cost: 1."], power=power)


def test_the_python_declares_what_was_proposed(written, tmp_path):
    proposal, text = written
    ours, theirs = load(text, tmp_path), proposal.sweep
    for name in ("name", "runs", "steps", "seed", "baseline", "evaluate_every", "margin", "alpha"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert dict(ours.arms) == dict(theirs.arms)
    assert list(ours.questions) == list(theirs.questions)
    for name, claim in ours.questions.items():
        assert claim == theirs.questions[name], name
    assert ours.parameters.distributions == theirs.parameters.distributions
    if not proposal.stub:
        assert ours.plan() == theirs.plan()


def test_the_python_says_why(written):
    proposal, text = written
    said = " ".join(line.strip().removeprefix("# ") for line in text.splitlines())
    for found in proposal.revisions:
        assert " ".join(f"{found.action}: {found.why}.".split()) in said
        if found.gives_up:
            assert " ".join(f"Gives up {found.gives_up}.".split()) in said
    for name in proposal.sweep.questions:
        assert f"With so many runs, {name} is shown." in said
    assert "Cost: 1." in said


def test_no_line_is_too_long(written):
    assert max(map(len, written[1].splitlines())) <= WIDTH


@pytest.mark.parametrize("width", ["88", "100"])
def test_the_python_is_clean_and_formatted(written, width, tmp_path):
    (tmp_path / "test_next.py").write_text(written[1])
    for command in (["check", "--select", "E,F,W,I,UP,B,C4"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", width, "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_training_function_is_imported_from_its_file(tmp_path, monkeypatch):
    (tmp_path / "my_training.py").write_text("def train(job, notify):\n    ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    text = (
        "from harness import LogUniform, Sweep\nfrom my_training import train\n"
        "old = Sweep('old', runs=24, steps=40, trainer=train, task='mine',\n"
        "            space=dict(learning_rate=LogUniform(1e-7, 1e-6)))\n"
    )
    old = load(text, tmp_path, "test_old")
    proposal = refined(old, lambda _: 0.0)
    assert proposal.sweep.trainer is old.trainer
    assert "null" not in proposal.sweep.arms
    assert any("no null arm" in line for line in proposal.notes)
    new = load(python(proposal, command="c"), tmp_path)
    assert new.trainer is old.trainer
    assert new.task == "mine"


def test_a_training_function_that_is_not_known_is_a_stub(tmp_path):
    proposal = PROPOSALS["odd"]()
    assert proposal.stub
    assert any("is a stub" in line for line in proposal.notes)
    new = load(python(proposal, command="c"), tmp_path)
    assert new.name == "7th.try"
    with pytest.raises(NotImplementedError, match="train a run"):
        new.trainer(None, None)


# ---- high performers ----------------------------------------------------------------------------


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
        (None, Metric("−ΔPerf", "no change", minimised=True), 8, "the best third"),
        (None, Metric("accuracy − 0.5", "target"), 8, "the best third"),
        (None, Metric("accuracy", "arbitrary"), 8, "the best third"),
    ],
)
def test_analyze_and_refine_agree_on_the_high_performers(declared, metric, count, means):
    results, rng = shared_runs(), np.random.default_rng(0)
    assert analyze("t", results, metric=metric).high.count == count
    proposal = refine("t", results, rng=rng, sweep=declared, metric=metric, margin=0.02)
    why = revision(proposal, "kind").why
    assert f"all {count} high performers ({means}) have a, as 8 of 24 runs do" in why
