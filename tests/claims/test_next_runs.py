"""What further runs buy: each way to spend them, and the power that a question gains."""

import math

import numpy as np
import pytest

from harness import Choice, Sweep, Uniform, best_value, matters, statistics
from harness.claims import mean_gain, success_rate
from harness.claims.next_runs import MOST_CONFIGS, next_runs
from harness.claims.power import design_of
from harness.observations.budget import noise_budget
from tests.factories import make_result

QUESTIONS = {
    "x": matters("x"),
    "mean": mean_gain.above_baseline(),
    "rate": success_rate.above(0.5),
}


def sweep_of(runs=24, **fields):
    declared = {
        "steps": 100,
        "space": {"x": Uniform(1.0, 2.0), "level": Choice("a", "b", "c")},
        "questions": QUESTIONS,
        "baseline": "b",
        "seed": 5,
    }
    return Sweep("s", runs=runs, **{**declared, **fields})


def stored(sweep, seeds=2, *, config=1.0, seed=0.5, se=0.2):
    rng = np.random.default_rng(1)
    own = config * rng.normal(size=sweep.runs)
    return [
        make_result(
            id=run.id,
            index=run.index,
            config=dict(run.config),
            seed=run.seed,
            repeat=run.repeat,
            delta=float(own[run.index] + seed * rng.normal() + (se or 0.0) * rng.normal()),
            se=se,
        )
        for run in sweep.plan(seeds=seeds)
    ]


def look(seeds=2, runs=None, sweep=None, planned=None, **fields):
    sweep = sweep or sweep_of()
    results = stored(sweep, seeds, **fields)
    design = design_of(sweep, results, runs=sweep.plan(seeds=planned or seeds), baseline_runs=48)
    return next_runs(sweep.questions, design, runs), design


def test_the_ways_to_spend_as_many_runs_again():
    found, _ = look()
    assert (found.runs, found.configs, found.seeds) == (48, 24, 2)
    told = [(p.kind, p.runs, p.configs, p.seeds, p.items) for p in found.purchases]
    assert told == [
        ("configs", 48, 48, 2, 1.0),
        ("seeds", 48, 24, 4, 1.0),
        ("deeper", 48, 40, 3, 1.0),
        ("items", 0, 24, 2, 2.0),
        ("items", 0, 24, 2, 4.0),
    ]


def test_fewer_runs_and_no_errors_leave_fewer_ways():
    found, _ = look(runs=6, se=None)
    assert [(p.kind, p.runs, p.configs) for p in found.purchases] == [
        ("configs", 6, 27),
        ("deeper", 6, 26),
    ]


def test_each_sd_is_that_of_the_budget():
    found, design = look()
    by_kind = {(p.kind, p.items): p.sd for p in found.purchases}
    noise = design.noise
    assert by_kind["configs", 1.0] == noise.spread(2)
    assert by_kind["seeds", 1.0] == noise.spread(4)
    assert by_kind["items", 4.0] == noise.spread(2, 4.0)
    # 24 configs of 2 seeds and 16 of 3: the mean of their variances.
    mixed = math.sqrt(0.6 * noise.spread(2)[0] ** 2 + 0.4 * noise.spread(3)[0] ** 2)
    assert by_kind["deeper", 1.0][0] == pytest.approx(mixed)


def test_only_claims_whose_power_follows_from_an_sd_have_a_part():
    found, _ = look()
    assert [one.question for one in found.questions] == ["x", "mean"]


def test_the_power_now_is_that_of_the_plan():
    found, design = look()
    for one in found.questions:
        priced = QUESTIONS[one.question].power(design)
        (effect,) = [effect for effect in priced.effects if effect.words == one.effect]
        assert one.now == effect.power(24)


def test_more_seeds_shrink_the_noise_of_the_sweep_and_not_of_the_baseline():
    found, design = look()
    mean = next(one for one in found.questions if one.question == "mean")
    now, then = design.noise.spread(2)[1], design.noise.spread(4)[1]
    both = math.sqrt((then**2 / 24 + now**2 / 48) / (1 / 24 + 1 / 48))
    (size,) = [e.sds for e in QUESTIONS["mean"].power(design).effects if e.words == mean.effect]
    expected = statistics.welch_power(size * now / both, 24, 48)
    assert mean.after[1] == (expected, expected)
    assert mean.now < expected < mean.after[0][0]


def test_without_repeats_the_power_of_more_seeds_is_a_range():
    found, _ = look(1)
    x = next(one for one in found.questions if one.question == "x")
    configs, seeds = x.after[0], x.after[1]
    assert configs[0] == configs[1]
    assert x.now <= seeds[0] < seeds[1]


def test_pairs_gain_from_runs_of_their_arm_alone():
    sweep = sweep_of(
        arms={"null": 8}, questions={"gain": mean_gain.above_arm("null"), "x": matters("x")}
    )
    found, design = look(sweep=sweep, seeds=1)
    gain = next(one for one in found.questions if one.question == "gain")
    (effect,) = [e for e in sweep.questions["gain"].power(design).effects if e.words == gain.effect]
    # 16 main runs have no pair yet, and the 8 other runs are 4 new pairs.
    assert gain.after[0][0] == effect.power(8 + 16 + 4)
    assert gain.after[1:] == (None,) * 4
    assert found.most_of_pairs == gain
    assert found.most.question == "x"


def test_of_little_and_of_much_nothing_is_said():
    sweep = sweep_of(runs=24)
    assert next_runs(QUESTIONS, design_of(sweep)) is None
    few = stored(sweep)[:7]
    assert next_runs(QUESTIONS, design_of(sweep, few)) is None
    large = sweep_of(runs=MOST_CONFIGS + 1, questions={})
    budget = noise_budget(stored(sweep), {})
    assert next_runs({}, design_of(large, budget=budget)) is None


def test_what_is_simulated_has_no_part_in_large_sweeps():
    sweep = sweep_of(runs=70, questions={"best": best_value("level"), "x": matters("x")})
    found, _ = look(sweep=sweep, seeds=1)
    assert [one.question for one in found.questions] == ["x"]
