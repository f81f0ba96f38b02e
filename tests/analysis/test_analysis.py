"""The patterns in a sweep: exact on the published counts, quiet on noise, clear on bad input."""

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.analysis import high_rule
from harness.metrics import DELTA_PERF, Metric
from tests import published_broad
from tests.analysis.analyses import (
    PUBLISHED,
    analysis_of,
    analyzed,
    conclusion,
    effect,
    one_of_two,
)
from tests.analysis.rates import BEST, TRUTHS, rates
from tests.factories import make_results

# ---- the published counts ------------------------------------------------------------------------


def test_the_ranges_of_the_published_sweep():
    rows = PUBLISHED.ranges.rows
    assert [(row.low, row.high) for row in rows] == [(1e-7, 3e-7), (3e-7, 1e-6), (1e-6, 2e-6)]
    assert [row.runs for row in rows] == [19, 19, 10]
    assert [row.successes for row in rows] == [6, 5, 5] == [row.positive for row in rows]
    assert [round(row.mean.value, 3) for row in rows] == [-0.132, -0.151, -0.189]
    assert [f"{row.success.value:.1%}" for row in rows] == ["31.6%", "26.3%", "50.0%"]
    ends = [(round(row.success.low, 3), round(row.success.high, 3)) for row in rows]
    assert ends == [(0.154, 0.540), (0.118, 0.488), (0.237, 0.763)]


def test_given_edges_are_those_ranges():
    edges = (1e-7, 3e-7, 1e-6, 2e-6)
    given = analysis_of(published_broad.results(), "broad", ranges=edges).ranges
    assert given.rows == PUBLISHED.ranges.rows
    assert given.given
    assert not PUBLISHED.ranges.given
    narrow = analysis_of(published_broad.results(), "broad", ranges=(1e-7, 3e-7)).ranges
    assert (narrow.rows, narrow.outside) == (given.rows[:1], 29)


def test_the_high_performers_of_the_published_sweep():
    assert (PUBLISHED.high.count, PUBLISHED.high.threshold, PUBLISHED.runs) == (16, 0.1, 48)
    assert conclusion(PUBLISHED, "learning_rate").pattern.values == (1.02e-7, 1.37e-6)
    counts = {level: high for level, high, _ in conclusion(PUBLISHED, "lr_schedule").counts}
    assert counts == {"advanced": 9, "cosine": 7}


def test_batch_size_8_is_evidence_by_the_margins_and_apart_from_generations():
    found = conclusion(PUBLISHED, "batch_size")
    assert found.standing == "evidence"
    eight = found.pattern
    assert (eight.values, eight.high, eight.runs) == ((8,), 16, 18)
    assert eight.p_equal == pytest.approx(2.3e-8, rel=0.02)
    assert eight.p_margins == pytest.approx(6.8e-11, rel=0.01)
    assert eight.p_within["generations"] < 1e-6
    assert eight.p_holm == pytest.approx(20 * max(eight.p_within.values()))


def test_generations_are_implied_by_batch_size_8():
    found = conclusion(PUBLISHED, "generations")
    assert found.standing == "not evidence"
    assert found.pattern.values == (16, 24, 32)
    assert (found.implied_by.parameter, found.implied_by.values) == ("batch_size", (8,))
    assert found.pattern.p_within == {"batch_size": None}


def test_nothing_else_of_the_published_sweep_is_evidence():
    standings = {one.parameter: one.standing for one in PUBLISHED.high.conclusions}
    assert [name for name, what in standings.items() if what == "evidence"] == ["batch_size"]
    shown = [one.parameter for one in PUBLISHED.effects if one.is_shown(PUBLISHED.alpha)]
    assert shown == ["batch_size"]
    assert PUBLISHED.interactions.shown == ()


def test_the_effects_of_the_published_sweep():
    rate, batch = effect(PUBLISHED, "learning_rate"), effect(PUBLISHED, "batch_size")
    assert rate.best.effect.shape is None
    assert rate.matters.verdict == "inconclusive"
    assert batch.best.answer.startswith("rises to about 8 and falls beyond it")
    best = max(batch.best.effect.levels, key=lambda level: level.mean)
    assert (best.level, best.runs) == (8, 18)
    shares = [one.share for one in PUBLISHED.effects]
    assert PUBLISHED.effects[0] == batch
    assert shares == sorted(shares, reverse=True)
    assert 0.3 < batch.share < 0.8


def test_what_is_asked_already_is_not_answered_twice():
    asked = (PUBLISHED.effects[0].matters, PUBLISHED.effects[3].best)
    asked = tuple(replace(one, answer="as it was", p_holm=0.123) for one in asked)
    found = analysis_of(published_broad.results(), "broad", asked=asked)
    again = effect(found, PUBLISHED.effects[0].parameter).matters
    assert (again.answer, again.p_holm) == ("as it was", 0.123)
    assert effect(found, PUBLISHED.effects[3].parameter).best.answer == "as it was"
    # The others are corrected for all questions, those asked among them.
    rate = effect(found, "learning_rate").matters
    assert rate.p_holm == effect(PUBLISHED, "learning_rate").matters.p_holm


def test_an_equal_seed_gives_an_equal_analysis():
    assert analysis_of(published_broad.results(), "broad") == PUBLISHED
    assert analysis_of(published_broad.results(), "broad", seed=1) != PUBLISHED


# ---- what is evidence ----------------------------------------------------------------------------


def test_parameters_that_come_and_go_together_cannot_be_told_apart():
    columns = {
        "batch_size": [8 if i % 2 else 4 for i in range(40)],
        "generations": [16 if i % 2 else 20 for i in range(40)],
    }
    found = analyzed(one_of_two(), columns)
    for name, other in (("batch_size", "generations"), ("generations", "batch_size")):
        one = conclusion(found, name)
        assert (one.standing, one.confounded_with) == ("cannot be told apart", (other,))
        assert one.pattern.p_margins < 1e-9
        assert effect(found, name).matters.answer == (
            f"{name} is given by {other}: it never varies alone"
        )
        assert not effect(found, name).is_shown(0.05)


def test_a_parameter_is_evidence_where_it_holds_apart_from_what_it_goes_with():
    rng = np.random.default_rng(0)
    batch = [8 if i % 2 else 4 for i in range(40)]
    loosely = [size if rng.random() < 0.85 else 12 - size for size in batch]
    found = analyzed(one_of_two(), {"batch_size": batch, "loosely": loosely})
    assert list(conclusion(found, "batch_size").pattern.p_within) == ["loosely"]
    assert effect(found, "batch_size").is_shown(0.05)
    assert not effect(found, "loosely").is_shown(0.05)
    assert conclusion(found, "batch_size").standing == "evidence"
    assert conclusion(found, "loosely").standing == "cannot be told apart"


def test_what_the_space_declares_goes_together_whatever_the_sample():
    rng = np.random.default_rng(0)
    columns = {"a": rng.integers(0, 2, 40).tolist(), "b": rng.integers(0, 2, 40).tolist()}
    assert conclusion(analyzed(one_of_two(), columns), "b").pattern.p_within == {}
    bound = analyzed(one_of_two(), columns, given={"b": "a"})
    assert list(conclusion(bound, "b").pattern.p_within) == ["a"]


def test_a_narrow_range_is_evidence():
    rng = np.random.default_rng(0)
    rates = np.exp(rng.uniform(np.log(1e-7), np.log(2e-6), 48))
    found = analyzed(np.where(rates < 3e-7, 0.2, -0.1) + rng.normal(0, 0.05, 48), {
        "learning_rate": rates.tolist()
    })  # fmt: skip
    one = conclusion(found, "learning_rate")
    assert (one.standing, one.pattern.kind) == ("evidence", "range")
    assert one.pattern.values[1] < 3e-7
    assert effect(found, "learning_rate").is_shown(0.05)
    low, _, high = effect(found, "learning_rate").best.effect.levels
    assert low.low > high.high


def test_an_interaction_is_worth_a_look():
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 2, 48), rng.integers(0, 2, 48)
    columns = {"a": one.tolist(), "b": two.tolist(), "c": rng.integers(0, 3, 48).tolist()}
    found = analyzed(0.1 * (one == two) + rng.normal(0, 0.05, 48), columns).interactions
    assert [set(shown.parameters) for shown in found.shown] == [{"a", "b"}]
    assert found.pairs == 6
    best = found.shown[0]
    assert best.share > 0.2
    assert (best.beyond > 0) == (best.values[0] == best.values[1])


def at_most_alpha(rate, simulations, alpha=0.05):
    return rate <= alpha + 2.5 * math.sqrt(alpha * (1 - alpha) / simulations)


def test_noise_is_no_evidence():
    wrong, _ = rates(None, 60, 24, seed=1)
    assert wrong["conclusion"] <= 0.05
    assert all(at_most_alpha(rate, 60) for rate in wrong.values()), wrong


@pytest.mark.slow
@pytest.mark.parametrize("truth", TRUTHS)
def test_what_does_nothing_is_no_evidence(truth):
    """Noise, noise with 15% collapsed runs, and a parameter that others go with."""
    wrong, right = rates(truth, 60, 48, seed=2)
    assert wrong["conclusion"] <= 0.05
    assert all(at_most_alpha(rate, 60) for rate in wrong.values()), wrong
    if truth in BEST:
        assert right > 0.8


# ---- runs that count once, and runs that are lost ------------------------------------------------


def test_repeats_of_a_configuration_count_once():
    rng = np.random.default_rng(0)
    rates, batch = np.repeat(rng.random(8), 6), np.repeat([4, 4, 8, 8, 8, 4, 8, 4], 6)
    deltas = np.repeat(rng.normal(0, 0.2, 8), 6) + rng.normal(0, 0.01, 48)
    found = analyzed(deltas, {"learning_rate": rates.tolist(), "batch_size": batch.tolist()})
    assert (found.runs, found.units, found.merged) == (48, 8, True)
    assert sum(level.runs for level in effect(found, "batch_size").best.effect.levels) == 8
    assert sum(row.runs for row in found.ranges.rows) == 8
    assert effect(found, "batch_size").matters.p_value > 0.02  # of 8 configurations, not of 48 runs


def test_all_combinations_are_runs_however_often_they_are_repeated():
    rng = np.random.default_rng(0)
    columns = {"learning_rate": [1e-7] * 48, "a": [0, 1] * 24, "b": [0] * 24 + [1] * 24}
    found = analyzed(0.1 * np.array(columns["a"]) + rng.normal(0, 0.03, 48), columns, high=0.05)
    assert (found.units, found.merged) == (48, False)
    assert conclusion(found, "a").standing == "evidence"


def test_diverged_runs_rank_worst_and_have_no_part_in_means():
    deltas = [0.2, 0.15, 0.12, 0.11, None, None, None, -0.01]
    columns = {"learning_rate": [float(f"{i + 1}e-7") for i in range(8)], "a": [0, 1] * 4}
    found = analyzed(deltas, columns)
    assert (found.runs, found.diverged, found.high.count) == (8, 3, 4)
    assert effect(found, "learning_rate").matters.verdict == "supported"
    assert sum(level.runs for level in effect(found, "a").best.effect.levels) == 5
    row = next(row for row in found.ranges.rows if row.low == 3e-7)
    assert (row.runs, row.diverged, row.successes) == (6, 3, 2)
    assert row.success.n == 6


def test_the_arms_of_useless_training_are_counted_beside():
    null = make_results([0.2, 0.0, -0.1], prefix="null")
    random = make_results([0.2, 0.3, 0.0, -0.1], prefix="random")
    half = make_results([0.2], prefix="half")
    arms = {"null": null, "random": random, "half": half}
    found = analyzed(one_of_two(), {"a": [0, 1] * 20}, arms=arms)
    assert found.high.useless == {"null": (1, 3), "random": (2, 4)}
    assert PUBLISHED.high.useless == {}


# ---- other metrics -------------------------------------------------------------------------------


def test_by_another_metric_the_best_third_are_high_performers():
    accuracy = Metric("accuracy", "arbitrary")
    deltas = [0.5 + 0.01 * i for i in range(24)]
    found = analyzed(deltas, metric=accuracy)
    assert (found.high.rule, found.high.count, found.high.threshold) == ("best third", 8, 0.66)
    assert analyzed(deltas, metric=accuracy, high=0.6).high.count == 13
    change = Metric("Δscore", "no change")  # of who knows what scale
    assert analyzed(deltas, metric=change).high.rule == "best third"


def test_no_or_only_high_performers_have_no_pattern():
    for found in (analyzed(one_of_two(), high=1.0), analyzed(one_of_two(), high=-1.0)):
        assert found.high.patterns == found.high.conclusions == ()
        assert found.effects


def test_measured_runs_succeed_by_their_standard_error():
    results = make_results([0.004, 0.1, -0.1, 0.2, 0.003, -0.002], se=0.01)
    found = analysis_of(results)
    assert not found.unmeasured
    assert PUBLISHED.unmeasured
    assert found.ranges.rule == "shown"
    assert sum(row.successes for row in found.ranges.rows) == 2
    assert sum(row.positive for row in found.ranges.rows) == 4


# ---- high performers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "given", "kind", "high"),
    [
        (DELTA_PERF, None, "above", [4, 5]),
        (DELTA_PERF, 0.3, "above", [5]),
        (Metric("Δaccuracy", "no change"), None, "best third", [4, 5]),
        (Metric("ΔPerf", "no change", minimised=True), None, "best third", [4, 5]),
        (Metric("ΔPerf − 0.2", "target"), None, "best third", [4, 5]),
        (Metric("accuracy", "arbitrary"), None, "best third", [4, 5]),
        (Metric("accuracy", "arbitrary"), 0.0, "above", [3, 4, 5]),
    ],
)
def test_the_rule_for_high_performers(metric, given, kind, high):
    outcomes = np.array([-np.inf, -0.2, 0.0, 0.1, 0.2, 0.4, -np.inf])
    rule = high_rule(outcomes, metric, given)
    assert rule.kind == kind
    assert np.flatnonzero(rule.of(outcomes)).tolist() == high


def test_a_diverged_run_is_never_a_high_performer():
    for metric in (DELTA_PERF, Metric("accuracy", "arbitrary")):
        outcomes = np.array([0.9, *[-np.inf] * 8])
        assert high_rule(outcomes, metric).of(outcomes).tolist() == [True, *[False] * 8]
        lost = np.full(5, -np.inf)
        assert not high_rule(lost, metric).of(lost).any()
