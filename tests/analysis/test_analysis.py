"""The patterns in a sweep: exact on the published counts, quiet on noise, clear on bad input."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from harness.analysis import analyze, high_rule
from harness.analysis.columns import find_associations, read_columns
from harness.analysis.ranges import round_edges
from harness.errors import UsageError
from harness.records import Config
from harness.report.documents.analysis import document
from harness.report.renderers.document_json import analysis_data as as_data
from harness.report.renderers.terminal import render_document
from harness.verdicts import DELTA_PERF, Metric
from tests import published_broad
from tests.analysis.rates import BEST, TRUTHS, rates
from tests.factories import make_result, make_results

PUBLISHED = analyze("broad", published_broad.results())


def analyzed(deltas, columns=None, **options):
    """The analysis of runs with these outcomes and parameters, without standard errors."""
    results = make_results(deltas, parameters=columns, curve=(), se=None)
    return analyze("s", results, **options)


def conclusion(found, parameter):
    return next(one for one in found.high.conclusions if one.parameter == parameter)


def effect(found, parameter):
    return next(one for one in found.effects if one.parameter == parameter)


def pattern(found, parameter, *values):
    return next(
        one for one in found.high.patterns if (one.parameter, one.values) == (parameter, values)
    )


# ---- the published counts -----------------------------------------------------------------------


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
    given = analyze("broad", published_broad.results(), ranges=edges).ranges
    assert given.rows == PUBLISHED.ranges.rows
    assert given.given
    assert not PUBLISHED.ranges.given
    narrow = analyze("broad", published_broad.results(), ranges=(1e-7, 3e-7)).ranges
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
    assert [one.parameter for one in PUBLISHED.effects if one.p_holm <= 0.05] == ["batch_size"]
    assert PUBLISHED.interactions.shown == ()


def test_the_effects_of_the_published_sweep():
    rate = effect(PUBLISHED, "learning_rate")
    assert rate.is_log
    assert rate.slope.low < 0 < rate.slope.high
    batch = effect(PUBLISHED, "batch_size")
    best = max(batch.levels, key=lambda level: level.mean.value)
    assert (best.value, best.runs) == (8, 18)
    assert best.difference.low > 0
    assert batch.importance == max(one.importance for one in PUBLISHED.effects)
    assert [bond.parameter for bond in batch.goes_with] == ["generations"]
    assert [bond.parameter for bond in effect(PUBLISHED, "warmup_steps").goes_with] == [
        "lr_schedule"
    ]


def test_an_equal_seed_gives_an_equal_analysis():
    assert analyze("broad", published_broad.results()) == PUBLISHED
    assert analyze("broad", published_broad.results(), seed=1) != PUBLISHED


# ---- what is evidence ---------------------------------------------------------------------------


def one_of_two(n=40):
    """Twenty good runs and twenty bad ones, apart by far."""
    return [0.2 + 0.001 * i if i % 2 else -0.2 - 0.001 * i for i in range(n)]


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
        assert effect(found, name).p_value < 0.01
        assert effect(found, name).p_holm == 1.0


def test_a_parameter_is_evidence_where_it_holds_apart_from_what_it_goes_with():
    rng = np.random.default_rng(0)
    batch = [8 if i % 2 else 4 for i in range(40)]
    loosely = [size if rng.random() < 0.85 else 12 - size for size in batch]
    found = analyzed(one_of_two(), {"batch_size": batch, "loosely": loosely})
    assert [bond.parameter for bond in effect(found, "batch_size").goes_with] == ["loosely"]
    assert conclusion(found, "batch_size").standing == "evidence"
    assert conclusion(found, "loosely").standing == "cannot be told apart"


def test_what_the_space_declares_goes_together_whatever_the_sample():
    rng = np.random.default_rng(0)
    columns = {"a": rng.integers(0, 2, 40).tolist(), "b": rng.integers(0, 2, 40).tolist()}
    assert effect(analyzed(one_of_two(), columns), "b").goes_with == ()
    (bond,) = effect(analyzed(one_of_two(), columns, given={"b": "a"}), "b").goes_with
    assert (bond.parameter, bond.by_design) == ("a", True)


def test_a_narrow_range_is_evidence():
    rng = np.random.default_rng(0)
    rates = np.exp(rng.uniform(np.log(1e-7), np.log(2e-6), 48))
    found = analyzed(np.where(rates < 3e-7, 0.2, -0.1) + rng.normal(0, 0.05, 48), {
        "learning_rate": rates.tolist()
    })  # fmt: skip
    one = conclusion(found, "learning_rate")
    assert (one.standing, one.pattern.kind) == ("evidence", "range")
    assert one.pattern.values[1] < 3e-7
    assert effect(found, "learning_rate").slope.high < 0


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
    wrong, right = rates(truth, 100, 48, seed=2)
    assert wrong["conclusion"] <= 0.05
    assert all(at_most_alpha(rate, 100) for rate in wrong.values()), wrong
    if truth in BEST:
        assert right > 0.8


# ---- runs that count once, and runs that are lost -----------------------------------------------


def test_repeats_of_a_configuration_count_once():
    rng = np.random.default_rng(0)
    rates, batch = np.repeat(rng.random(8), 6), np.repeat([4, 4, 8, 8, 8, 4, 8, 4], 6)
    deltas = np.repeat(rng.normal(0, 0.2, 8), 6) + rng.normal(0, 0.01, 48)
    found = analyzed(deltas, {"learning_rate": rates.tolist(), "batch_size": batch.tolist()})
    assert (found.runs, found.units, found.merged) == (48, 8, True)
    assert sum(level.runs for level in effect(found, "batch_size").levels) == 8
    assert sum(row.runs for row in found.ranges.rows) == 8
    assert effect(found, "batch_size").p_value > 0.02  # of 8 configurations, not of 48 runs


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
    assert effect(found, "learning_rate").rho < -0.8
    assert sum(level.runs for level in effect(found, "a").levels) == 5
    row = next(row for row in found.ranges.rows if row.low == 3e-7)
    assert (row.runs, row.diverged, row.successes) == (6, 3, 2)
    assert row.success.n == 6


def test_the_null_arm_is_counted_beside():
    null = make_results([0.2, 0.0, -0.1], prefix="null")
    found = analyzed(one_of_two(), {"a": [0, 1] * 20}, arms={"null": null})
    assert found.high.null == (1, 3)
    assert PUBLISHED.high.null is None


# ---- other metrics ------------------------------------------------------------------------------


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
    found = analyze("s", results)
    assert not found.unmeasured
    assert PUBLISHED.unmeasured
    assert found.ranges.rule == "shown"
    assert sum(row.successes for row in found.ranges.rows) == 2
    assert sum(row.positive for row in found.ranges.rows) == 4


# ---- parameters and ranges ----------------------------------------------------------------------


def columns_of(**values):
    rows = zip(*values.values(), strict=True)
    return read_columns([Config(dict(zip(values, row, strict=True))) for row in rows])


def test_parameters_as_columns():
    found, left_out = columns_of(
        rate=[10.0**-i for i in range(2, 14)],
        dropout=[i / 20 for i in range(12)],
        size=[4, 8, 12] * 4,
        blank=[None, 1, 2] * 4,
        often=[None, *range(1, 12)],
        flag=[True, False] * 6,
        same=["x"] * 12,
        tag=[f"t{i}" for i in range(12)],
    )
    assert list(found) == ["rate", "dropout", "size", "blank", "often", "flag"]
    assert (found["rate"].is_log, found["dropout"].is_log) == (True, False)
    assert found["rate"].levels[2] == (1e-5, 1e-2)
    assert found["size"].levels == (4, 8, 12)
    assert found["blank"].levels == (1, 2, None)
    assert found["often"].levels[-1] is None
    assert np.isnan(found["often"].numbers).sum() == 1
    assert found["flag"].levels == (False, True)
    assert not found["flag"].is_numeric
    assert {name: str(why) for name, why in left_out.items()} == {
        "same": "the same in every run",
        "tag": "12 values in 12 runs, too many to compare",
    }


def test_bonds_are_seldom_seen_where_there_are_none():
    rng, seen = np.random.default_rng(3), 0
    for _ in range(150):
        columns, _ = columns_of(
            a=rng.integers(0, 3, 40).tolist(),
            b=rng.integers(0, 3, 40).tolist(),
            c=rng.random(40).tolist(),
        )
        seen += any(find_associations(columns, {}, rng).values())
    assert seen / 150 <= 0.04


@pytest.mark.parametrize(
    ("low", "high", "is_log", "edges"),
    [
        (1.02e-7, 1.48e-6, True, [1e-7, 3e-7, 1e-6, 2e-6]),
        (8.3e-8, 3.9e-7, True, [8e-8, 1e-7, 3e-7, 4e-7]),
        (1e-7, 1e-6, True, [1e-7, 3e-7, 1e-6]),
        (2.1e-7, 2.8e-7, True, [2e-7, 3e-7]),
        (1e-9, 1.0, True, [float(f"1e{i}") for i in range(-9, 1)]),
        (0.0, 0.5, False, [0.0, 0.2, 0.4, 0.6]),
        (-3.0, 97.0, False, [-50.0, 0.0, 50.0, 100.0]),
        (10.0, 18.0, False, [10.0, 12.0, 14.0, 16.0, 18.0]),
    ],
)
def test_round_edges(low, high, is_log, edges):
    assert round_edges(np.array([low, high]), is_log=is_log) == pytest.approx(edges)


@given(
    st.floats(1e-12, 1e12), st.floats(1.001, 1e15), st.booleans(), st.floats(0, 1, exclude_max=True)
)
def test_edges_rise_and_hold_every_value(low, factor, is_log, between):
    values = np.array([low, low * (1 + between * (factor - 1)), low * factor])
    edges = round_edges(values, is_log=is_log)
    assert all(np.diff(edges) > 0)
    assert edges[0] <= values.min() * (1 + 1e-9)
    assert values.max() <= edges[-1] * (1 + 1e-9)
    assert 1 <= len(edges) - 1 <= 30


def test_the_ranges_are_of_the_learning_rate_or_of_what_spans_most():
    n = 24
    columns = {
        "learning_rate": [1e-7] * n,
        "decay": np.geomspace(1e-6, 1e-2, n).tolist(),
        "dropout": np.linspace(0, 0.5, n).tolist(),
        "size": [4, 8] * 12,
    }
    deltas = one_of_two(n)
    assert analyzed(deltas, columns).ranges.parameter == "decay"
    varied = columns | {"learning_rate": np.geomspace(1e-7, 2e-7, n).tolist()}
    assert analyzed(deltas, varied).ranges.parameter == "learning_rate"
    by_value = analyzed(deltas, columns, parameter="size").ranges
    assert [(row.low, row.high, row.runs) for row in by_value.rows] == [(4, 4, 12), (8, 8, 12)]
    only = {"learning_rate": [1e-7] * n, "size": [4, 8] * 12}
    assert analyzed(deltas, only).ranges is None


# ---- bad input ----------------------------------------------------------------------------------


RATES = {"learning_rate": [1e-7, 2e-7, 3e-7, 4e-7, 5e-7], "kind": ["a", "b", "a", "b", "a"]}


@pytest.mark.parametrize(
    ("deltas", "columns", "options", "said"),
    [
        ([], None, {}, "no runs of s have finished with a ΔPerf; a pattern takes at least 4"),
        ([0.1], None, {}, "1 run of s has finished with a ΔPerf; a pattern takes at least 4"),
        ([0.2025] * 24, None, {}, r"ΔPerf is \+0.2025 in every one of 24 runs of s: a constant"),
        ([None] * 5, None, {}, "all 5 runs of s diverged: there is no ΔPerf to analyse"),
        ([-0.1] * 5, None, {}, "ΔPerf is −0.1 in every one of 5 runs"),
        (
            [0.1, 0.2, 0.3, 0.4],
            {"learning_rate": [1e-7] * 4},
            {},
            "no parameter of s can be compared: learning_rate: the same in every run; batch_size",
        ),
        (
            [0.1, 0.2, 0.3, 0.4, 0.5],
            RATES,
            {"parameter": "batch_size"},
            "--parameter batch_size: the same in every run; those with numbers that vary are "
            "learning_rate",
        ),
        (
            [0.1, 0.2, 0.3, 0.4, 0.5],
            RATES,
            {"parameter": "learning_rat"},
            "--parameter learning_rat: no such parameter; .*; did you mean 'learning_rate'?",
        ),
        (
            [0.1, 0.2, 0.3, 0.4, 0.5],
            RATES,
            {"parameter": "kind"},
            r"--parameter kind: its values are no numbers \(a, b\)",
        ),
        ([0.1] * 5, RATES, {"ranges": (1.0,)}, "--ranges 1: two edges make a range"),
        ([0.1] * 5, RATES, {"ranges": (1.0, 3.0, 2.0)}, "--ranges 1,3,2: 2 does not lie above 3"),
        ([0.1] * 5, RATES, {"ranges": (1.0, math.inf)}, "every edge must be a finite number"),
        (
            [0.1, 0.2, 0.3, 0.4, 0.5],
            RATES,
            {"ranges": (1.0, 2.0), "parameter": "learning_rate"},
            "--ranges 1,2: no run lies in them; learning_rate goes from 1e-07 to 5e-07",
        ),
        (
            [0.1, 0.2, 0.3, 0.4],
            {"learning_rate": [1e-7] * 4, "kind": ["a", "b", "a", "b"]},
            {"ranges": (1.0, 2.0)},
            "--ranges: no parameter of s has a range; name one by --parameter",
        ),
    ],
)
def test_bad_input_is_one_clear_line(deltas, columns, options, said):
    with pytest.raises(UsageError, match=said) as caught:
        analyzed(deltas, columns, **options)
    assert "\n" not in str(caught.value)


def test_runs_that_did_not_finish_do_not_count():
    results = published_broad.results()
    failed = tuple(
        replace(one, outcome=replace(one.outcome, status="failed", delta_perf=None))
        for one in results[:10]
    )
    assert analyze("broad", (*failed, *results[10:])).runs == 38
    again = results[0].run.config
    lost = [make_result(id=f"{i}", delta=d, config=again) for i, d in enumerate((math.nan, None))]
    assert analyze("broad", (*lost, *results)) == PUBLISHED


values = st.one_of(
    st.sampled_from([4, 8, 12]),
    st.sampled_from(["a", "b", None, True]),
    st.floats(1e-8, 1e3),
    st.integers(-5, 5),
)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(4, 14).flatmap(
        lambda n: st.tuples(
            st.lists(st.one_of(st.none(), st.floats(-1, 1)), min_size=n, max_size=n),
            st.lists(st.lists(values, min_size=n, max_size=n), min_size=1, max_size=3),
        )
    )
)
def test_any_table_is_analysed_or_refused_in_one_line(table):
    deltas, columns = table
    try:
        found = analyzed(deltas, {f"p{i}": column for i, column in enumerate(columns)})
    except UsageError as error:
        event(re.sub(r"\d|p\d.*", "", str(error)))
        return
    json.dumps(as_data(found), allow_nan=False)
    for width in (40, 80):
        text = render_document(document(found), width)
        assert max(map(len, text.splitlines())) <= width
        assert "nan" not in text


# ---- high performers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "given", "kind", "high"),
    [
        (DELTA_PERF, None, "above", [4, 5]),
        (DELTA_PERF, 0.3, "above", [5]),
        (Metric("Δaccuracy", "no change"), None, "best third", [4, 5]),
        (Metric("−ΔPerf", "no change", minimised=True), None, "best third", [4, 5]),
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
