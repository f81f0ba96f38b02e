import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import observations
from tests.factories import make_arm, make_result, make_results, make_trace


def test_only_final_runs_are_observed():
    runs = (
        *make_results([0.1, None, 0.2]),
        make_result(id="a", status="failed"),
        make_result(id="b", status="interrupted"),
        make_result(id="c", delta=math.nan),
    )
    observed = observations.observe(runs)
    assert observed.delta.tolist() == [0.1, 0.2]
    assert len(observed.diverged) == 1
    assert observed.total == 3


@pytest.mark.parametrize(
    ("runs", "rule"),
    [
        (make_results([0.1, 0.2]), "shown"),
        (make_results([0.1, 0.2], se=None), "above zero"),
        (make_results([0.1]) + make_results([0.2], se=None), "shown"),
        (make_results([0.1, 0.2], se=math.nan), "above zero"),
        (make_results([0.1, 0.2], se=0.0, prompts_changed=None), "above zero"),
        (make_results([0.0, 0.0], se=0.0), "shown"),
        (make_results([None, None]), "shown"),
    ],
)
def test_the_rule_is_what_the_runs_allow(runs, rule):
    assert observations.observe(runs).rule == rule


@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=12), st.data())
def test_a_run_without_its_standard_error_is_shown_to_do_nothing(deltas, data):
    """Its gap changes nothing for the others, and never makes a success."""
    index = data.draw(st.integers(0, len(deltas) - 1))
    runs = list(make_results(deltas))
    whole = observations.count_successes(observations.observe(runs), 0.05)
    outcome = replace(runs[index].outcome, delta_perf_se=None)
    gap = [*runs[:index], replace(runs[index], outcome=outcome), *runs[index + 1 :]]
    count = observations.count_successes(observations.observe(gap), 0.05)
    assert (count.rule, count.runs) == ("shown", len(deltas))
    assert set(count.improved) == set(whole.improved) - {runs[index].run.id}
    assert whole.failures - 1 <= count.failures <= whole.failures


def test_successes_and_failures():
    observed = observations.observe(make_results([0.1, 0.0, 0.04, None]))
    count = observations.count_successes(observed, min_gain=0.05)
    assert (count.successes, count.failures, count.runs) == (2, 2, 4)
    assert count.improved == ("s-00", "s-02")
    by_sign = observations.count_successes(observed, 0.05, "above zero")
    assert (by_sign.successes, by_sign.failures, by_sign.rule) == (2, 2, "above zero")


def test_conditions_that_differ_are_named():
    ours = make_results([0.1], steps=100)
    theirs = make_results([0.1], steps=50, backend="jax", lr_transfer=12_000.0)
    assert observations.mismatched(ours, theirs) == (
        "100 steps against 50",
        "backend torch against jax",
        "lr transfer 1.0 against 12000.0",
    )
    assert observations.mismatched(ours, ours) == observations.mismatched(ours, ()) == ()
    assert observations.mixed((*ours, *theirs))[0] == "steps (50, 100)"


TABLE = dict.fromkeys(
    ("task", "task_version", "model", "backend", "precision", "trainer_version"), ""
)
"""What a table states of the conditions of its runs."""


def test_what_a_table_does_not_state_differs_in_nothing():
    ours = make_results([0.1], steps=100, lr_transfer=12_000.0)
    table = make_results([0.1, 0.2], prefix="t", steps=0, curve=(), **TABLE)
    for one, other in ((ours, table), (table, ours)):
        assert observations.mismatched(one, other) == ()
        sides = (observations.observe(one), observations.observe(other))
        assert observations.evaluated_differently(*sides) is None
    assert observations.unstated(table, ours) == ("task", "model", "backend", "precision")
    assert observations.unstated(ours, table) == observations.unstated(table, table) == ()
    some = make_results([0.1], prefix="u", steps=50, **TABLE)
    assert observations.mismatched(ours, (*table, *some)) == ("100 steps against 50",)
    assert observations.mixed((*table, *some)) == ()


def test_starting_weights_that_differ_are_named_where_they_are_known():
    def started(weights):
        (result,) = make_results([0.1])
        return (replace(result, outcome=replace(result.outcome, weights=weights)),)

    ours, theirs, unknown = started("a1"), started("b2"), started(None)
    assert observations.mismatched(ours, theirs) == ("starting weights a1 against b2",)
    assert observations.mismatched(ours, unknown) == observations.mismatched(unknown, ours) == ()
    assert observations.mixed((*ours, *theirs, *unknown)) == ("starting weights (a1, b2)",)
    assert observations.mixed((*ours, *unknown)) == ()


def test_evaluations_that_differ_are_named():
    ours = observations.observe(make_results([0.1]))
    for change, said in (
        ({"prompts": 256}, "512 prompts against 256"),
        ({"samples": 8}, "4 samples against 8"),
        ({"task_version": "2"}, "held-out prompts of task version 1 against 2"),
    ):
        theirs = observations.observe(make_results([0.1], **change))
        assert observations.evaluated_differently(ours, theirs) == said
    assert observations.evaluated_differently(ours, ours) is None
    # Recorded as alike, they are alike, whatever their standard errors.
    noisy = observations.observe(make_results([0.1], se=0.05))
    assert observations.evaluated_differently(ours, noisy) is None


def test_pairs_are_matched_by_id():
    main = make_results([0.1, 0.2, None, 0.4])
    arm = make_arm("half", main, [0.0, None, 0.0, 0.1])
    differences = observations.paired_differences(
        observations.observe(main), observations.observe(arm[::-1])
    )
    assert sorted(differences.tolist()) == pytest.approx([0.1, 0.3])


def test_a_run_is_never_paired_with_one_of_another_backend():
    main = make_results([0.1, 0.2]) + make_results([0.5], backend="jax")
    arm = make_arm("half", main[:2], [0.0, 0.0]) + make_arm("half", main[:2], [0.1], backend="jax")
    ours, theirs = observations.observe(main), observations.observe(arm)
    differences = observations.paired_differences(ours, theirs)
    assert sorted(differences.tolist()) == pytest.approx([0.1, 0.2, 0.4])
    other = observations.observe(make_arm("half", main[:2], [0.0, 0.0], backend="jax"))
    torch_only = observations.observe(main[:2])
    assert observations.paired_differences(torch_only, other).size == 0


def test_the_worst_value_is_all_of_perf_or_worse():
    sample = observations.observe(make_results([-0.05, None], before=0.12))
    assert observations.worst_value(sample) == -0.12
    assert observations.worst_value(observations.observe(make_results([-0.5, None]))) == -0.5
    assert observations.worst_value(observations.observe(())) == 0.0


def test_the_window_scales_with_the_steps():
    assert observations.window_of(make_result().run, 50) == (50, 100)
    assert observations.window_of(make_result(steps=20, declared_steps=100).run, 50) == (10, 20)
    assert observations.window_of(make_result(steps=20, declared_steps=100).run, None) == (10, 20)


def test_a_sample_is_read_once():
    results = tuple(make_results([0.1, 0.2, None]))
    assert observations.observe(results) is observations.observe(results)
    again = observations.observe(list(results))
    assert again is not observations.observe(results)
    assert again.delta.tolist() == [0.1, 0.2]
    with pytest.raises(ValueError, match="read-only"):
        again.delta[0] = 1.0


def test_some_traces_tell_the_learning_rates_of_very_many_runs(monkeypatch):
    monkeypatch.setattr(observations.sample, "MOST_TRACED", 3)
    results = make_results([0.1] * 7)
    results = [
        replace(r, outcome=replace(r.outcome, trace=make_trace([float(number)])))
        for number, r in enumerate(results)
    ]
    found = observations.learning_rates(results)
    assert [rates[0] for _, rates in found] == [0.0, 2.0, 4.0]
    assert len(observations.learning_rates(results[:3])) == 3
    assert observations.learning_rates([]) == []


def test_clusters_are_what_a_standard_error_counts():
    """The t quantile and the least number of changes are those of clusters, where there are any."""
    as_prompts = {"se": 0.01, "prompts": 512, "prompts_changed": 200}
    runs = [
        make_result(id="prompts", delta=0.03, **as_prompts),
        make_result(id="clusters", delta=0.03, **as_prompts, clusters=30.5, clusters_changed=12),
        make_result(id="few", delta=0.03, **as_prompts, clusters=3.5, clusters_changed=6),
        make_result(id="same", delta=0.03, **as_prompts, clusters=30.5, clusters_changed=5),
    ]
    count = observations.count_successes(observations.observe(runs), min_gain=0.05)
    assert count.improved == ("prompts", "clusters")
