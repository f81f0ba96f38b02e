"""Where the spread of results comes from."""

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.observations.budget import noise_budget
from harness.observations.repeats import merge, seed_spread
from tests.factories import make_result

N = 24


def sweep(rng, seeds=1, *, n=N, slope=2.0, own=0.0, seed=0.5, se=0.2, **common):
    """``n`` configs of a number and a level, each with so many seeds."""
    found = []
    for place in range(n):
        x, level = float(rng.uniform(1.0, 2.0)), "abc"[int(rng.integers(3))]
        mean = slope * x + own * rng.normal()
        for again in range(seeds):
            found.append(
                make_result(
                    id=f"r{place}-{again}",
                    index=place,
                    seed=10 * place + again,
                    config={"x": x, "level": level},
                    delta=float(mean + seed * rng.normal() + (se or 0.0) * rng.normal()),
                    se=se,
                    **common,
                )
            )
    return tuple(found)


def on(results, **devices):
    """The results, each trained on the device that a function of its place names."""
    where = devices["where"]
    return tuple(
        replace(r, outcome=replace(r.outcome, device=where(place)))
        for place, r in enumerate(results)
    )


def test_seeds_that_repeat_tell_config_seed_and_evaluation():
    runs = sweep(np.random.default_rng(1), seeds=3)
    found = noise_budget(runs, {})
    assert list(found.parts) == ["config", "seed", "evaluation"]
    assert found.lacks == {"machine": "one machine"}
    of = seed_spread(runs).components
    assert found.config == of.between
    assert found.evaluation.value == pytest.approx(0.2)
    # The evaluation is within seeds, and is not counted twice.
    assert found.seed.value == pytest.approx(math.sqrt(of.within.value**2 - 0.2**2))
    assert found.seed.low < 0.5 < found.seed.high
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert found.total**2 == pytest.approx(of.between.value**2 + of.within.value**2)
    assert (found.runs, found.configurations, found.each) == (72, 24, 3)


def test_means_of_repeats_give_what_the_runs_give():
    runs = sweep(np.random.default_rng(2), seeds=2)
    assert noise_budget(merge(runs).results, {}) == noise_budget(runs, {})


def test_without_errors_the_evaluation_is_in_the_seeds():
    runs = sweep(np.random.default_rng(1), seeds=3, se=None)
    found = noise_budget(runs, {})
    assert found.evaluation is None
    assert found.lacks["evaluation"] == "no standard errors"
    assert found.seed == seed_spread(runs).components.within


def test_single_seeds_bound_what_parameters_leave():
    runs = sweep(np.random.default_rng(3))
    found = noise_budget(runs, {})
    assert list(found.parts) == ["parameters", "together", "evaluation"]
    assert found.lacks["config"] == found.lacks["seed"] == "no repeats"
    assert not found.repeats
    assert found.together.low < 0.5 < found.together.high
    # All parts together are the variance of the results.
    values = [run.outcome.delta_perf for run in runs]
    assert found.total == pytest.approx(np.std(values, ddof=1))


def test_one_pair_that_is_there_by_chance_tells_no_seeds():
    rng = np.random.default_rng(4)
    runs = sweep(rng)
    again = replace(runs[0], run=replace(runs[0].run, id="again", seed=99))
    assert noise_budget((*runs, again), {}).lacks["seed"] == "no repeats"


def test_copies_of_runs_tell_no_seeds():
    runs = sweep(np.random.default_rng(4))
    copies = tuple(replace(r, run=replace(r.run, id=f"{r.run.id}b")) for r in runs)
    assert not noise_budget((*runs, *copies), {}).repeats


def test_a_part_is_never_negative():
    runs = sweep(np.random.default_rng(5), seeds=2, seed=0.0, se=0.4, slope=0.0)
    errors = tuple(replace(r, outcome=replace(r.outcome, delta_perf_se=0.8)) for r in runs)
    found = noise_budget(errors, {})
    assert found.seed.value == found.seed.low == 0.0


def test_one_config_has_seeds_and_no_configs():
    found = noise_budget(sweep(np.random.default_rng(6), seeds=9, n=1), {})
    assert list(found.parts) == ["seed", "evaluation"]
    assert found.lacks["config"] == "one configuration"


def test_too_few_and_equal_results_have_no_budget():
    assert not noise_budget(()).parts
    (one,) = sweep(np.random.default_rng(7), n=1)
    assert noise_budget([one]).lacks["config"] == "few results"
    same = [make_result(id=f"r{n}", delta=0.1, config={"x": float(n)}) for n in range(9)]
    assert noise_budget(same).lacks["config"] == "equal results"
    assert noise_budget(same).spread() is None
    assert noise_budget(same).shares == {}


def test_few_runs_without_repeats_have_no_model():
    found = noise_budget(sweep(np.random.default_rng(8), n=6), {})
    assert list(found.parts) == ["together", "evaluation"]
    assert found.lacks["parameters"] == "no model"
    assert found.spread(beside=True) is None


def test_diverged_runs_are_left_out():
    runs = sweep(np.random.default_rng(9))
    lost = make_result(id="lost", status="diverged", config={"x": 1.5, "level": "a"})
    found = noise_budget((*runs, lost), {})
    assert (found.runs, found.diverged) == (N, 1)


def blank(runs, where):
    """The results, without a standard error where a function of the place says so."""
    return [
        replace(r, outcome=replace(r.outcome, delta_perf_se=None)) if where(place) else r
        for place, r in enumerate(runs)
    ]


def test_blanks_among_the_errors():
    runs = sweep(np.random.default_rng(10))
    few, most = blank(runs, lambda place: not place % 3), blank(runs, lambda place: place % 3)
    assert noise_budget(few, {}).evaluation.value == pytest.approx(0.2)
    assert noise_budget(most, {}).evaluation is None


# ---- machines ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_machine_is_told_from_the_rest(seeds):
    rng = np.random.default_rng(11)
    runs = sweep(rng, seeds, n=48 // seeds, seed=0.3)
    runs = on(runs, where=lambda place: f"{'cpu' if place % 2 else 'cuda'}:{place % 4}")
    shifted = tuple(
        replace(r, outcome=replace(r.outcome, delta_perf=r.outcome.delta_perf + 2.0 * (place % 2)))
        for place, r in enumerate(runs)
    )
    found, plain = noise_budget(shifted, {}), noise_budget(runs, {})
    assert found.kind == "device"
    assert found.machine.value == pytest.approx(math.sqrt(2.0), rel=0.25)
    assert plain.machine.value < 0.4
    rest = "seed" if seeds > 1 else "together"
    # What the machine does is not counted as the seeds'.
    assert found.parts[rest].value == pytest.approx(plain.parts[rest].value, rel=0.05)


def test_machines_with_configs_of_their_own_are_not_told():
    runs = on(sweep(np.random.default_rng(12), seeds=2), where=lambda p: "a" if p < N else "b")
    assert noise_budget(runs, {}).lacks["machine"] == "goes with configurations"


# ---- the SD to expect ----------------------------------------------------------------------------


def test_more_seeds_and_items_take_their_part_of_the_noise():
    found = noise_budget(sweep(np.random.default_rng(13), seeds=3, own=0.5), {})
    config, seed, evaluation = (one.value**2 for one in found.parts.values())
    assert found.spread() == (found.total, found.total)
    low, high = found.spread(3, 4.0)
    assert low == high == pytest.approx(math.sqrt(config + (seed + evaluation / 4) / 3))
    beside = found.spread(beside=True)
    assert beside[1] < found.total
    assert found.spread(2, beside=True)[1] < beside[1]


def test_without_repeats_more_seeds_bring_a_range():
    found = noise_budget(sweep(np.random.default_rng(14), own=0.3), {})
    parameters, together, evaluation = (one.value**2 for one in found.parts.values())
    low, high = found.spread(4)
    assert low == pytest.approx(math.sqrt(parameters + (together + evaluation) / 4))
    assert high == pytest.approx(math.sqrt(parameters + together + evaluation / 4))
    assert found.spread(1)[0] == found.spread(1)[1]


def test_the_source_that_dominates():
    assert (
        noise_budget(sweep(np.random.default_rng(15), seeds=3, slope=20.0)).dominating == "config"
    )
    noisy = sweep(np.random.default_rng(15), seeds=3, slope=0.0, seed=1.0)
    assert noise_budget(noisy).dominating == "seed"
    mixed = sweep(np.random.default_rng(16), seeds=3, seed=0.6, se=0.5)
    assert noise_budget(mixed).dominating is None


def test_nothing_dominates_where_no_model_says_what_parameters_do():
    few = noise_budget(sweep(np.random.default_rng(17), n=8))
    assert few.shares["together"] > 0.9
    assert few.dominating is None
    flat = noise_budget(sweep(np.random.default_rng(17), slope=0.0))
    assert flat.dominating == "together"
