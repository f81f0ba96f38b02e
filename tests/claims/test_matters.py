"""The claim that a parameter matters: its verdicts, what it is compared within, what it says."""

from dataclasses import replace

import numpy as np
import pytest

from harness.claims import best_value, matters
from harness.errors import SweepError
from harness.observations.adjusted import beside_others
from harness.records import Config, Outcome, Span
from tests.claims.cases import check
from tests.claims.test_every_claim import ODD
from tests.factories import make_evidence, make_results

DIVERGED = Outcome("diverged")


def runs(n, seed, effect, **columns):
    """Return runs whose ΔPerf is ``effect`` of their config, plus noise of SD 0.01."""
    rng = np.random.default_rng(seed)
    values = {name: draw(rng, n) for name, draw in columns.items()}
    configs = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    deltas = [0.05 + effect(config) + 0.01 * rng.normal() for config in configs]
    return make_results(deltas, parameters=values)


def choice(*options):
    return lambda rng, n: [options[i] for i in rng.integers(len(options), size=n)]


def rates(rng, n):
    return (10 ** rng.uniform(-7, -6, n)).tolist()


def judged(claim, found, **fields):
    verdict = claim.judge("asked", make_evidence(runs=found, **fields))
    check(verdict)
    return verdict


def test_a_parameter_that_matters_is_shown_beside_one_that_matters_more():
    def effect(config):
        return 0.1 * (config["batch_size"] == 12) + 0.02 * (config["lr_schedule"] == "cosine")

    found = runs(
        48, 1, effect, learning_rate=rates, batch_size=choice(4, 8, 12),
        lr_schedule=choice("advanced", "cosine"),
    )  # fmt: skip
    verdict = judged(matters("lr_schedule"), found)
    assert verdict.verdict == "supported"
    assert verdict.answer.startswith(
        "yes, it changes the level: cosine is ahead of advanced by 0.0"
    )
    assert 0.0 < verdict.low < verdict.estimate < verdict.high < 0.05
    assert verdict.unit == "change"
    levels = {level.level: level for level in verdict.effect.levels}
    assert levels["cosine"].mean - levels["advanced"].mean == pytest.approx(verdict.estimate)
    assert judged(matters("learning_rate"), found).verdict != "supported"


def test_equal_levels_are_refuted_within_the_margin_and_not_without_one():
    found = runs(96, 2, lambda _: 0.0, learning_rate=rates, lr_schedule=choice("a", "b"))
    assert judged(matters("lr_schedule", margin=0.02), found).verdict == "refuted"
    assert judged(matters("learning_rate", margin=0.02), found).verdict == "refuted"
    without = judged(matters("lr_schedule"), found, margin=None)
    assert without.verdict == "inconclusive"
    assert "no margin" in without.reason


def test_divergence_decides_and_is_left_out_of_the_means():
    found = runs(40, 3, lambda _: 0.0, lr_schedule=choice("a", "b"))
    lost = [
        replace(one, outcome=replace(one.outcome, status="diverged", delta_perf=None))
        if one.run.config["lr_schedule"] == "b" and place % 3
        else one
        for place, one in enumerate(found)
    ]
    verdict = judged(matters("lr_schedule", margin=0.5), tuple(lost))
    assert verdict.verdict == "supported"
    assert any("ranked worst" in line for line in verdict.details)
    # Without the rank of what diverged, equal means would be "refuted" within this margin.
    assert judged(matters("lr_schedule", margin=0.5), found).verdict == "refuted"


def test_a_range_is_compared_by_its_thirds():
    found = runs(48, 4, lambda c: -0.05 * (np.log10(c["learning_rate"]) + 7), learning_rate=rates)
    verdict = judged(matters("learning_rate"), found)
    assert [type(level.level) for level in verdict.effect.levels] == [Span] * 3
    assert verdict.effect.levels[0].mean > verdict.effect.levels[2].mean
    assert verdict.effect.share > 0.5


def test_an_outlier_that_turns_the_means_round_is_told():
    found = runs(
        40, 3, lambda config: 0.02 * (config["norm"] == "layer"), norm=choice("batch", "layer")
    )
    stray = next(i for i, one in enumerate(found) if one.run.config["norm"] == "layer")
    lost = replace(found[stray].outcome, delta_perf=-50.0)
    found = (*found[:stray], replace(found[stray], outcome=lost), *found[stray + 1 :])
    verdict = judged(matters("norm"), found, margin=None)
    assert verdict.verdict == "supported"
    assert verdict.effect.by_ranks == ("layer", "batch")
    assert (
        "by ranks layer is ahead of batch, but by means batch is ahead of layer" in verdict.answer
    )
    assert judged(best_value("norm"), found, margin=None).effect.by_ranks == ("layer", "batch")
    kept = found[:stray] + found[stray + 1 :]
    assert judged(matters("norm"), kept, margin=None).effect.by_ranks is None


def test_what_is_declared_given_is_compared_within_what_gives_it():
    def warmup(rng, n):
        schedules = ["advanced", "cosine"] * (n // 2)
        return [
            int(rng.choice([10, 20, 30] if s == "advanced" else [0, 10, 20])) for s in schedules
        ]

    found = runs(
        48, 5, lambda c: 0.004 * c["warmup_steps"],
        lr_schedule=lambda _, n: ["advanced", "cosine"] * (n // 2), warmup_steps=warmup,
    )  # fmt: skip
    given = {"warmup_steps": "lr_schedule"}
    schedule = judged(matters("lr_schedule"), found, given=given)
    assert schedule.verdict != "supported"
    assert "otherwise alike" in schedule.method
    assert any("beside warmup_steps" in line for line in schedule.details)
    assert judged(matters("warmup_steps"), found, given=given).verdict == "supported"
    apart = judged(matters("lr_schedule"), found)
    assert "Freedman" in apart.method
    assert apart.verdict != "supported"


def test_what_is_set_at_some_levels_alone_is_part_of_them():
    def momentum(rng, n):
        return [float(rng.uniform(0.5, 0.99)) if i % 2 else None for i in range(n)]

    found = runs(
        60, 6, lambda c: 0.03 * (c["optimizer"] == "sgd"),
        optimizer=lambda _, n: ["adam", "sgd"] * (n // 2), momentum=momentum,
    )  # fmt: skip
    assert judged(matters("optimizer"), found).verdict == "supported"
    momentum_ = judged(matters("momentum"), found)
    # Of its values only: whether it is set is the optimizer's doing.
    assert momentum_.verdict == "refuted"
    assert None not in [level.level for level in momentum_.effect.levels]
    assert any("beside optimizer" in line for line in momentum_.details)


@pytest.mark.parametrize(
    ("columns", "parameter", "said", "by_design"),
    [
        ({"learning_rate": rates}, "batch_size", "the same in every run", True),
        ({"learning_rate": rates}, "momentum", "no run has a value for momentum", True),
        (
            {"a": lambda _, n: ["x", "y"] * (n // 2), "b": lambda _, n: [1, 2] * (n // 2)},
            "a",
            "a is given by b: it never varies alone",
            True,
        ),
        (
            {"name": lambda _, n: [f"run number {i}" for i in range(n)]},
            "name",
            "too many to compare",
            True,
        ),
    ],
)
def test_what_cannot_be_told_apart_is_unanswerable(columns, parameter, said, by_design):
    found = runs(24, 7, lambda _: 0.0, **columns)
    for claim in (matters(parameter), best_value(parameter)):
        verdict = judged(claim, found)
        assert verdict.verdict == "unanswerable"
        assert said in verdict.answer
        assert (verdict.p_value is None) == by_design
        assert verdict.effect.levels == ()
        assert verdict.effect.parameter == parameter


def test_few_runs_are_too_few_and_are_told_how_many():
    found = runs(7, 8, lambda _: 0.0, learning_rate=rates)
    verdict = judged(matters("learning_rate"), found)
    assert verdict.verdict == "unanswerable"
    assert "7 runs leave 5 residual degrees of freedom for learning_rate; it takes 6" in (
        verdict.answer
    )
    assert "at least 8 runs" in str(verdict.needs[0])
    more = runs(8, 8, lambda c: -0.2 * (np.log10(c["learning_rate"]) + 7), learning_rate=rates)
    assert judged(matters("learning_rate"), more).verdict == "supported"


def test_repeats_of_random_configurations_count_once_and_those_of_a_grid_are_runs():
    once = runs(12, 9, lambda _: 0.0, learning_rate=rates, weight_decay=rates)
    repeated = tuple(
        replace(one, run=replace(one.run, id=f"{one.run.id}-{k}", seed=k), key=f"{one.key}-{k}")
        for one in once
        for k in range(3)
    )
    verdict = judged(matters("learning_rate"), repeated)
    assert verdict.n == 12
    assert any("counts once" in line for line in verdict.details)
    grid = runs(
        24, 9, lambda _: 0.0, learning_rate=lambda _, n: ([1e-7, 2e-7] * n)[:n],
        batch_size=lambda _, n: [4] * (n // 2) + [8] * (n // 2),
    )  # fmt: skip
    assert judged(matters("learning_rate"), grid).n == 24


def test_a_place_in_time_is_beside_an_adaptive_sample():
    def drift(config):
        return 0.004 * config["trial"]

    found = runs(
        40, 10, drift, learning_rate=lambda rng, n: (1e-7 * (1 + np.arange(n) / n)).tolist(),
        trial=lambda _, n: list(range(n)),
    )  # fmt: skip
    found = tuple(
        replace(one, run=replace(one.run, config=one.run.config.without("trial"))) for one in found
    )
    assert judged(matters("learning_rate"), found).verdict == "supported"
    adaptive = judged(matters("learning_rate"), found, adaptive="sampled by TPE")
    assert adaptive.verdict in ("inconclusive", "unanswerable")


def test_runs_that_all_diverged_need_others_that_do_not():
    found = make_results([None] * 12, parameters={"norm": ["a", "b"] * 6, "depth": [1, 2, 3] * 4})
    verdict = judged(matters("norm"), found)
    assert verdict.verdict == "unanswerable"
    assert [str(need) for need in verdict.needs] == ["runs that do not diverge"]


def test_merged_repeats_are_counted_as_configurations():
    values = {"model": ["a"] * 20 + ["b"], "norm": ["sgd"] * 17 + ["adam"] * 4}
    values["learning_rate"] = [1e-7] * 21
    found = make_results([0.1 * index for index in range(21)], parameters=values)
    verdict = judged(matters("model"), found)
    assert verdict.reason.startswith("3 configurations leave 1 residual degree of freedom for")
    assert str(verdict.needs[0]).startswith("at least 8 configurations")


def test_there_are_permutations_enough_to_pass_the_correction():
    found = runs(24, 11, lambda c: 0.2 * (c["a"] == "x"), a=choice("x", "y"))
    one = judged(matters("a"), found)
    many = judged(matters("a"), found, questions=100)
    assert one.p_value < 0.0005
    assert 100 * many.p_value < 0.05


@pytest.mark.parametrize("name", ODD)
def test_odd_evidence_is_judged_without_a_fuss(name):
    for claim in (matters("learning_rate"), best_value("learning_rate"), best_value("batch_size")):
        check(claim.judge("asked", ODD[name]()))


def test_a_claim_names_its_parameter_and_margin():
    assert matters("a").parameters == ("a",)
    assert matters("a").question() == "Does a matter, the other parameters held equal?"
    statements = {
        matters("a").describe(),
        matters("b").describe(),
        matters("a", margin=1).describe(),
    }
    assert len(statements) == 3
    for wrong in ("", 3):
        with pytest.raises(SweepError, match="matters"):
            matters(wrong)
    with pytest.raises(SweepError, match="margin"):
        best_value("a", margin=0)


def nested(n, seed, effect):
    """Return runs of an optimizer, momentum of sgd alone, and nesterov where momentum is high."""

    def momentum(rng, n):
        return [float(rng.choice([0.0, 0.5, 0.9])) if i % 3 == 0 else None for i in range(n)]

    found = runs(
        n, seed, effect, optimizer=lambda _, n: ["sgd", "adam", "lion"] * (n // 3),
        momentum=momentum, a=lambda rng, n: rng.uniform(1, 2, n).tolist(),
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    deep = []
    for result in found:
        config = dict(result.run.config)
        high = config["momentum"] == 0.9
        config["nesterov"] = bool(rng.integers(2)) if high else None
        gone = {name: value for name, value in config.items() if value is not None}
        deep.append(replace(result, run=replace(result.run, config=Config(gone))))
    return tuple(deep)


@pytest.mark.parametrize(
    "given", [None, {"momentum": "optimizer", "nesterov": "momentum"}], ids=["table", "declared"]
)
def test_what_lies_below_what_a_parameter_decides_is_not_in_the_model(given):
    """Whether nesterov is set tells of sgd with high momentum: beside it sgd would look worse."""
    found = nested(60, 11, lambda c: 0.03 * (c["momentum"] == 0.9))
    beside = beside_others(found, "optimizer", given)
    assert beside.linked == ()
    below = beside_others(found, "nesterov", given)
    assert set(below.linked) == {"optimizer", "momentum"}
    assert below.named == (False, True)
    assert below.compared.sum() == sum("nesterov" in r.run.config for r in found)


def test_a_value_with_which_alone_runs_do_not_diverge_is_told():
    found = runs(30, 12, lambda _: 0.0, optimizer=choice("adam", "sgd", "lion"), a=rates)
    lost = tuple(
        one if one.run.config["optimizer"] == "sgd" else replace(one, outcome=DIVERGED)
        for one in found
    )
    verdict = judged(matters("optimizer"), lost)
    assert (verdict.verdict, verdict.estimate, verdict.low) == ("supported", None, None)
    assert "every run with another value than sgd diverged" in verdict.answer
    assert judged(best_value("optimizer"), lost).answer == "sgd is best"


def test_a_step_of_a_parameter_that_goes_with_it_is_not_taken_for_its_own():
    """16 generations are better, and come with batches of 8 and 12 alone. Nobody declared it."""
    cases = {4: (20, 30, 40), 8: (16, 24, 32), 12: (16, 24, 32)}
    shown = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        batches = rng.choice([4, 8, 12], 48).tolist()
        generations = [int(rng.choice(cases[batch])) for batch in batches]
        deltas = rng.normal(0.0, 0.01, 48) + 0.03 * (np.array(generations) == 16)
        found = make_results(deltas, parameters={"batch_size": batches, "generations": generations})
        shown += judged(matters("batch_size"), found, margin=None).verdict == "supported"
    assert shown <= 15
