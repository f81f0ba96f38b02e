"""How healthy the training of runs was, as their traces tell."""

from dataclasses import replace

import pytest

from harness.observations.health import (
    Trend,
    health,
    health_columns,
    nothing_to_learn,
    observe_health,
    run_health,
)
from harness.observations.sample import MOST_TRACED
from tests.factories import make_arm, make_result, make_results, make_trace


def trained(no_signal=0.2, *, moved=0.9, id="s-00", delta=0.05, before=0.2, **values):
    """A run of twenty steps with these measures at each; a pair is that of the start and the end.

    The first two steps are the start, and the last two the end.
    """
    measures = {"no_signal": no_signal, "truncated": 0.01, "length": 8.0, "entropy": 1.0} | values
    trace = [
        replace(
            step,
            **{
                name: value if not isinstance(value, tuple) else value[step.step > 10]
                for name, value in measures.items()
            },
        )
        for step in make_trace([1e-7] * 20, kl=None)
    ]
    return make_result(id=id, delta=delta, before=before, trace=tuple(trace), weights_moved=moved)


def test_start_and_end_are_tenths_of_the_steps():
    assert Trend.of([float(n) for n in range(30)]) == Trend(1.0, 28.0, 14.5)
    assert Trend.of([3.0, 5.0]) == Trend(3.0, 5.0, 4.0)


def test_the_measures_of_a_run():
    found = run_health(trained((0.2, 0.4), kl=(None, 0.02), moved=0.7))
    assert found.no_signal == Trend(0.2, 0.4, pytest.approx(0.3))
    assert found.kl == Trend(0.02, 0.02, pytest.approx(0.02))  # over the steps that have one
    assert (found.moved, found.learns) == (0.7, True)
    assert list(found.trends) == ["no_signal", "truncated", "length", "entropy", "kl"]
    assert run_health(trained()).kl is None


def test_a_trace_is_left_packed_unless_the_run_says_that_it_has_the_measures():
    class Trap(tuple):
        def __iter__(self):
            raise AssertionError("unpacked")

    assert run_health(make_result(trace=Trap([1]))) is None
    assert run_health(make_result(trace=make_trace([1e-7]), weights_moved=0.5)) is None
    assert run_health(make_result(weights_moved=0.5)) is None


GONE = {"delta": -0.2}


@pytest.mark.parametrize(
    ("run", "collapsed"),
    [
        # Has left where it began, and perf is gone; or nearly so.
        (trained(entropy=(1.0, 0.05), **GONE), True),
        (trained(kl=1.0, **GONE), True),
        (trained(kl=1.0, delta=-0.151), True),
        # Or completions are short, or groups are all alike, and perf is no better.
        (trained(kl=1.0, length=(8.0, 3.9), delta=-0.01), True),
        (trained((0.1, 0.96), kl=1.0, delta=0.0), True),
        # It has become sure of right answers, in short completions.
        (trained((0.1, 1.0), entropy=(1.0, 0.01), length=(8.0, 2.0), delta=0.7), False),
        # It is worse, and has not left where it began.
        (trained((0.1, 1.0), kl=0.99, entropy=(1.0, 0.11), length=(8.0, 1.0), **GONE), False),
        # It has left, and its answers are there.
        (trained((0.1, 0.94), kl=1.5, length=(8.0, 4.1), delta=-0.149), False),
    ],
)
def test_a_policy_collapses_that_leaves_and_loses_its_answers(run, collapsed):
    assert run_health(run).collapsed is collapsed


def test_a_diverged_run_is_not_one_that_collapsed():
    run = trained(kl=9.0)
    outcome = replace(run.outcome, status="diverged", perf_after=None, delta_perf=None)
    assert run_health(replace(run, outcome=outcome)).collapsed is False


@pytest.mark.parametrize(
    ("before", "prompts"), [(0.1, "easier"), (0.45, "easier"), (0.6, "harder")]
)
def test_there_is_nothing_to_learn_where_most_groups_are_equal(before, prompts):
    runs = (trained(0.65, before=before), trained(0.86, id="s-01", before=before))
    assert nothing_to_learn(runs) == (
        "in 76% of groups all rewards were equal: nothing to learn from; more generations or "
        f"{prompts} prompts"
    )


def test_there_is_something_to_learn_elsewhere():
    assert nothing_to_learn((trained(0.6), trained(0.86))) is None
    assert nothing_to_learn(make_results([0.1, 0.2])) is None


def test_seeds_count_one_by_one_and_many_runs_are_read_in_part():
    runs = [trained(0.01 * n, id=f"s-{n:02d}") for n in range(3)]
    merged = replace(make_result(), repeats=tuple(runs))
    assert [run.result for run in observe_health((merged,))] == runs
    every = tuple(runs * MOST_TRACED)
    assert len(observe_health(every)) == MOST_TRACED
    assert observe_health(every)[-1].result is runs[0]  # 1,497 of 0 to 1,499


def test_measures_over_runs_and_the_worst_of_them():
    runs = (
        trained((0.2, 0.4), truncated=0.3, length=9.0, entropy=(1.0, 0.5), kl=0.1, moved=0.9),
        trained((0.6, 0.1), length=(8.0, 9.5), entropy=(0.4, 0.6), kl=(0.9, 0.2), id="s-01"),
        trained(0.1, length=(20.0, 3.0), entropy=0.7, moved=0.4, id="s-02"),
    )
    found = health(runs)
    assert found.runs == 3
    assert {one.name: (one.worst, one.run.run.id) for one in found.measures} == {
        "no_signal": (pytest.approx(0.35), "s-01"),
        "truncated": (pytest.approx(0.3), "s-00"),
        "length": (3.0, "s-02"),
        "entropy": (0.5, "s-00"),
        "kl": (pytest.approx(0.2), "s-01"),
        "weights_moved": (0.4, "s-02"),
    }
    assert found["no_signal"].start == pytest.approx(0.3)
    assert found["no_signal"].end == pytest.approx(0.2)
    assert found["weights_moved"].mean == pytest.approx(2.2 / 3)
    assert (found["weights_moved"].start, found["weights_moved"].end) == (None, None)
    assert health(make_results([0.1])) is None


def test_columns_of_a_table():
    runs = [trained(), make_result(id="other"), trained(kl=0.5)]
    found = health_columns(runs)
    assert list(found) == [
        f"health.{name}"
        for name in ("no_signal", "truncated", "length", "entropy_start", "entropy_end", "kl_end",
                     "weights_moved")
    ]  # fmt: skip
    assert found["health.no_signal"] == [pytest.approx(0.2), None, pytest.approx(0.2)]
    assert found["health.kl_end"] == [None, None, 0.5]
    assert health_columns(make_arm("null", runs, [0.1])) == {}
