"""Where the noise of a chosen run is known from, and what is said of runs that lack it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from harness import statistics
from harness.observations.repeats import merge
from harness.observations.selection import selection
from tests.factories import make_result, make_results

DELTAS = [0.01, 0.05, -0.02, 0.03, 0.08, 0.00, 0.02, 0.04, -0.01, 0.06]


def drawn(n=24, seed=0, effect=0.0):
    """Runs without standard errors, of two parameters of which one has an effect."""
    rng = np.random.default_rng(seed)
    width = rng.choice([64, 256], n)
    deltas = rng.normal(0, 0.02, n) + effect * (width == 256)
    columns = {
        "learning_rate": np.exp(rng.uniform(-16, -14, n)).tolist(),
        "width": width.tolist(),
    }
    return make_results(deltas, parameters=columns, se=None)


def seeded(configs=6, seeds=3, sd=0.02, se=0.001, seed=0):
    """Runs of several seeds for each config."""
    rng = np.random.default_rng(seed)
    return tuple(
        make_result(
            id=f"s-{config:02d}-s{one}", delta=float(0.01 * config + rng.normal(0, sd)), se=se,
            config={"learning_rate": 1e-7 * (1 + config)}, seed=one, repeat=one,
        )
        for config in range(configs)
        for one in range(seeds)
    )  # fmt: skip


def test_standard_errors_are_used_where_there_are_some():
    runs = make_results(DELTAS, se=0.02, prompts=None)
    found = selection(runs)
    assert (found.noise, found.lack, found.error, found.count) == (
        "standard errors",
        None,
        0.02,
        10,
    )
    expected = statistics.shrink(DELTAS, 0.02)
    for place, run in enumerate(runs):
        worth = found.of[run.run.id]
        assert worth.shrunk == pytest.approx(expected.means[place])
        assert worth.best == pytest.approx(expected.best[place])
    assert found.top is runs[4]
    assert (found.of["s-04"].low, found.of["s-04"].high) == pytest.approx(
        (expected.low[4], expected.high[4])
    )


def test_few_prompts_make_the_interval_longer():
    few, many = (
        selection(make_results(DELTAS, se=0.02, prompts=prompts)).of["s-04"]
        for prompts in (5, 5_000)
    )
    assert few.low < many.low - 0.02
    assert few.high > many.high + 0.01


def test_a_run_below_the_middle_has_no_interval():
    found = selection(make_results(DELTAS, se=0.02))
    assert found.of["s-02"].low is None
    assert found.of["s-02"].high is None
    assert found.of["s-02"].shrunk > -0.02


def test_a_blank_error_is_not_zero():
    errors = [0.01, 0.02, 0.01, 0.01, None, 0.01, 0.01, 0.01, 0.01, 0.01]
    runs = tuple(
        replace(run, outcome=replace(run.outcome, delta_perf_se=se))
        for run, se in zip(make_results(DELTAS, prompts=None), errors, strict=True)
    )
    found = selection(runs)
    assert (found.noise, found.lacking, found.count) == ("standard errors", 1, 10)
    assert found.top is runs[4]
    assert "s-04" not in found.of
    # It may be the best all the same: the others' probabilities leave room for it.
    filled = statistics.shrink(DELTAS, [0.02 if se is None else se for se in errors])
    assert sum(worth.best for worth in found.of.values()) == pytest.approx(1 - filled.best[4])


def test_errors_of_few_runs_do_not_stand_for_the_rest():
    runs = [replace(run) for run in drawn()]
    runs[0] = replace(runs[0], outcome=replace(runs[0].outcome, delta_perf_se=1e-6))
    assert selection(runs).noise == "residual"


def test_errors_that_are_all_zero_are_no_noise():
    runs = make_results(DELTAS[:5], se=0.0)
    assert selection(runs).lack == "no noise"


def test_seeds_come_before_standard_errors_and_a_config_counts_once():
    runs = seeded()
    found = selection(runs)
    groups = [[run.outcome.delta_perf for run in runs[at : at + 3]] for at in range(0, 18, 3)]
    pooled = math.sqrt(np.mean([np.var(group, ddof=1) for group in groups]))
    assert found.noise == "seeds"
    assert found.count == 6
    assert found.error == pytest.approx(pooled / math.sqrt(3))
    means = [np.mean(group) for group in groups]
    expected = statistics.shrink(means, pooled / math.sqrt(3), 12)
    best = int(np.argmax(means))
    worth = found.of[f"s-{best:02d}-s0"]
    assert worth.shrunk == pytest.approx(expected.means[best])
    assert (worth.low, worth.high) == pytest.approx((expected.low[best], expected.high[best]))
    # All seeds of a config have what is said of it.
    assert found.of[f"s-{best:02d}-s2"] == worth
    # Merged before, as a sweep with several seeds is.
    assert selection(merge(runs).results).of == found.of


def test_a_config_with_fewer_seeds_has_a_larger_error():
    runs = [run for run in seeded(sd=0.005) if run.run.id not in ("s-05-s1", "s-05-s2")]
    found = selection(runs)
    alone, three = found.of["s-05-s0"], found.of["s-04-s0"]
    assert alone.high - alone.low == pytest.approx(math.sqrt(3) * (three.high - three.low))


def test_one_pair_that_is_there_by_chance_is_no_design_with_seeds():
    runs = drawn()
    twin = replace(
        runs[0],
        run=replace(runs[0].run, id="s-99"),
        outcome=replace(runs[0].outcome, delta_perf=runs[0].outcome.delta_perf + 1e-6),
    )
    found = selection([*runs, twin])
    assert found.noise == "residual"
    assert found.error == pytest.approx(0.02, rel=0.4)


def test_copies_are_no_seeds():
    runs = drawn(12)
    copies = [replace(run, run=replace(run.run, id=f"{run.run.id}-b")) for run in runs]
    assert selection([*runs, *copies]).noise == "residual"


def test_else_the_residual_of_the_additive_model_is_used():
    found = selection(drawn(effect=0.2))
    assert found.noise == "residual"
    # The effect of the width is no noise.
    assert found.error == pytest.approx(0.02, rel=0.35)
    best = found.of[found.top.run.id]
    assert best.best < 0.5
    assert 0.15 < best.shrunk < 0.3


def test_runs_that_differ_in_nothing_but_the_noise_are_shrunk_to_their_mean():
    found = selection(drawn())
    deltas = [run.outcome.delta_perf for run in found.results]
    shrunk = [found.of[run.run.id].shrunk for run in found.results]
    assert np.ptp(shrunk) < 0.4 * np.ptp(deltas)
    assert max(worth.best for worth in found.of.values()) < 0.3


@pytest.mark.parametrize("runs", [drawn(5), make_results(DELTAS[:6], se=None)])
def test_a_table_with_none_of_these_cannot_tell(runs):
    found = selection(runs)
    assert (found.lack, found.noise, found.of) == ("no noise", None, {})
    assert found.top is not None


def test_of_one_config_the_model_is_chosen_and_errors_come_first():
    one = {"learning_rate": [2e-7] * len(DELTAS)}
    assert selection(make_results(DELTAS, se=0.01, parameters=one)).noise == "standard errors"
    found = selection(make_results(DELTAS, se=None, parameters=one))
    assert (found.noise, found.error) == ("seeds", pytest.approx(np.std(DELTAS, ddof=1)))
    assert max(worth.best for worth in found.of.values()) < 0.35


def test_there_is_nothing_to_choose_from_one_run_or_equal_ones():
    assert selection(make_results([0.1])).lack == "one result"
    assert selection(make_results([0.1] * 5)).lack == "equal results"
    assert selection(()).top is None
    assert selection(make_results([None, None])).count == 0


def test_diverged_runs_could_not_be_chosen():
    some = selection(make_results([*DELTAS, None, None], se=0.02))
    assert some.count == 10
    assert some.of == selection(make_results(DELTAS, se=0.02)).of


def test_for_a_config_that_is_trained_again_the_noise_has_seeds_in_it():
    spread = tuple(
        replace(run, outcome=replace(run.outcome, delta_perf_se=0.001)) for run in drawn(seed=2)
    )
    once, again = selection(spread), selection(spread, again=True)
    assert (once.noise, again.noise) == ("standard errors", "residual")
    assert again.error > 10 * once.error
    few = spread[:4]
    assert selection(few, again=True).noise == "standard errors"
    runs = seeded()
    assert selection(runs, again=True).noise == selection(runs).noise == "seeds"
    same = tuple(make_results(DELTAS, parameters={"learning_rate": [1e-7] * 10}, se=0.02))
    assert selection(same, again=True).noise == "seeds"
