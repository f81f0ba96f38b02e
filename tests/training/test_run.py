"""A training function of one parameter: scores go in, and what is stored comes out."""

from __future__ import annotations

import math
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness import Outcome
from harness.errors import BackendError, UsageError
from harness.executors.outcomes import sound, traceback_text
from harness.protocols import takes_run
from harness.records import Evaluation, Job
from harness.training.run import train
from tests.factories import make_result

LINE = r"^tests/training/test_run.py:\d+: "


@pytest.fixture
def job(make_job, tmp_path):
    """A job of 20 steps, evaluated every 5; anything about it can be given."""
    made = make_job(steps=20, evaluate_every=5, cache=tmp_path, learning_rate=0.5)
    return replace(
        made,
        folder=str(tmp_path / "runs" / "key"),
        checkpoint=str(tmp_path / "checkpoints" / "key"),
    )


@pytest.fixture
def outcome(job):
    """Return the outcome of a training function, and what it reported."""

    def of(function, told=None, **changes):
        of = replace(job, **changes)
        notify = (lambda progress: None) if told is None else told.append
        return sound(train(function, of, notify), of.metric)

    return of


# ---- scores --------------------------------------------------------------------------------------


def test_everything_is_derived_from_the_scores(outcome):
    told = []

    def trained(run):
        run.before([0, 1, 0, 0])
        for step in run.steps():
            if run.evaluates(step):
                run.log(step, [0, 1, 1, step / 20])
        run.after([[1, 0], [1, 1], [1, 1], [1, 1]], items=list("abcd"))

    found = outcome(trained, told)
    assert (found.status, found.perf_before, found.perf_after) == ("completed", 0.25, 0.875)
    assert found.delta_perf == 0.625
    assert found.delta_perf_se == pytest.approx(np.std([0.5, 0, 1, 1], ddof=1) / 2)
    assert (found.prompts, found.samples, found.prompts_changed) == (4, None, 3)
    assert [point.step for point in found.curve] == [0, 5, 10, 15, 20]
    assert [point.perf for point in found.curve] == [0.25, 0.5625, 0.625, 0.6875, 0.875]
    assert found.curve[1].se == pytest.approx(np.std([0, 1, 1, 0.25], ddof=1) / 2)
    assert found.items.before == (0, 1, 0, 0)
    assert found.items.after == (0.5, 1, 1, 1)
    assert found.items.ids == ("a", "b", "c", "d")
    assert found.seconds > 0
    steps = [progress.step for progress in told]
    assert steps == list(range(21)), "each step is reported once"
    assert [p.step for p in told if p.evaluation] == [0, 5, 10, 15, 20]


items = st.integers(2, 9).flatmap(
    lambda n: st.tuples(
        *(
            st.lists(
                st.lists(st.floats(0, 1, width=32), min_size=samples, max_size=samples),
                min_size=n,
                max_size=n,
            )
            for samples in (2, 2)
        ),
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
    )
)


@given(items)
def test_the_derived_numbers_are_those_of_a_plain_computation(drawn):
    before, after, clusters = drawn
    result = make_result(steps=20)
    plain = Job("key", result.run, result.conditions, cache="", log="")

    def trained(run):
        run.before(np.array(before), clusters=clusters)
        run.after(after)

    found = train(trained, plain, lambda progress: None)
    differences = np.array(after).mean(axis=1) - np.array(before).mean(axis=1)
    n, names = len(differences), sorted(set(clusters))
    centred = differences - differences.mean()
    square = sum(centred[np.array(clusters) == name].sum() ** 2 for name in names)
    assert found.delta_perf == pytest.approx(differences.mean(), abs=1e-12)
    if len(names) > 1:
        error = math.sqrt(len(names) / (len(names) - 1) * square) / n
        assert found.delta_perf_se == pytest.approx(error, abs=1e-9)
    else:
        assert found.delta_perf_se is None
    assert found.prompts_changed == np.count_nonzero(differences)
    assert (found.prompts, found.samples) == (n, 2)
    assert found.items.clusters == tuple(map(str, clusters))


def test_clusters_of_equal_size_give_the_error_of_their_means(outcome):
    """As does a cluster for each item, where it is the usual error."""
    values = np.random.default_rng(0).random(12)
    groups = np.repeat([0, 1, 2, 3], 3)

    def measured(clusters):
        def trained(run):
            run.before(np.zeros(12))
            run.after(values, clusters=clusters)

        return outcome(trained).delta_perf_se

    means = values.reshape(4, 3).mean(axis=1)
    assert measured(groups) == pytest.approx(means.std(ddof=1) / 2)
    assert measured(range(12)) == pytest.approx(values.std(ddof=1) / 12**0.5)
    assert measured(None) == pytest.approx(values.std(ddof=1) / 12**0.5)


def forms():
    import jax.numpy as jnp
    import torch

    numbers = [0.0, 1.0, 0.5]
    yield numbers
    yield tuple(numbers)
    yield iter(numbers)
    yield np.array(numbers, dtype=np.float16)
    yield [np.float64(one) for one in numbers]
    yield torch.tensor(numbers, requires_grad=True)
    yield torch.tensor(numbers, dtype=torch.bfloat16)
    yield [torch.tensor(one) for one in numbers]
    yield jnp.array(numbers)
    yield jnp.array(numbers, dtype=jnp.bfloat16)
    yield np.array([[0, 0], [1, 1], [True, False]])


@pytest.mark.torch
@pytest.mark.jax
def test_scores_may_be_of_any_library(outcome):
    for form in forms():

        def trained(run, form=form):
            run.before([False, True, False])
            run.after(form)

        assert outcome(trained).items.after == (0.0, 1.0, 0.5)


def test_one_number_may_have_a_standard_error(outcome):
    def trained(run):
        run.before(0.25, se=0.03)
        run.log(5, np.float32(0.5), 0.04)
        run.after(0.75, se=0.04)

    found = outcome(trained)
    assert (found.delta_perf, found.delta_perf_se) == (0.5, pytest.approx(0.05))
    assert (found.prompts, found.prompts_changed, found.items) == (None, None, None)
    assert found.curve[1] == Evaluation(5, 0.5, 0.04, 0.5)


def test_items_are_matched_by_their_ids(outcome):
    def trained(run):
        run.before([0, 0, 1], items=["a", "b", "c"], clusters=["x", "x", "y"])
        run.after([1, 1, 0], items=["c", "a", "b"])

    found = outcome(trained)
    assert found.items.after == (1, 0, 1)
    assert found.prompts_changed == 1
    assert (found.items.ids, found.items.clusters) == (("a", "b", "c"), ("x", "x", "y"))


def test_after_stands_in_for_a_log_at_the_last_step_and_a_log_for_it(outcome):
    def both(run):
        run.before([0, 0])
        run.log(20, [0, 1])
        run.after([1, 1])

    def log_alone(run):
        run.before([0, 0])
        run.log(20, [0, 1])

    assert [(p.step, p.perf) for p in outcome(both).curve] == [(0, 0.0), (20, 1.0)]
    assert outcome(both).delta_perf == 1.0
    assert outcome(log_alone).delta_perf == 0.5


def test_what_is_returned_beside_the_scores_is_left_alone(outcome):
    def trained(run):
        run.before([0, 0])
        run.after([0, 1])
        return object()

    assert outcome(trained).delta_perf == 0.5


def test_an_outcome_is_taken_as_it_is(outcome):
    made = Outcome("completed", perf_before=0.1, perf_after=0.2, delta_perf=0.1, seconds=1.0)
    assert outcome(lambda run: made) == made


def test_steps_warmups_and_evaluations_fit_the_run(outcome, job):
    half = replace(job.run, steps=10, declared_steps=20, evaluate_every=4)

    def trained(run):
        assert (len(run.steps()), list(run.steps())) == (10, list(range(1, 11)))
        assert [step for step in range(1, 11) if run.evaluates(step)] == [4, 8, 10]
        assert run.scaled(6) == 3
        run.progress(10, reward=0.5)
        return Outcome("diverged")

    outcome(trained, run=half)


def test_the_mean_rewards_of_the_steps_give_the_training_gain(outcome):
    def trained(run):
        run.before([0, 1])
        for step in run.steps():
            run.progress(step, reward=step / 20)
        run.after([0, 1])

    assert outcome(trained).train_delta_perf == pytest.approx(0.75)


# ---- the sweep's own metric ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "final", [3.5, np.float32(3.5), {"val_loss": 3.5, "accuracy": 0.1}, np.array(3.5)]
)
def test_a_returned_number_or_mapping_is_the_metric(outcome, final):
    found = outcome(lambda run: final, metric="val_loss")
    assert (found.status, found.value, found.delta_perf) == ("completed", 3.5, None)
    assert (found.delta_perf_se, found.items) == (None, None)


def test_the_metric_may_be_measured_by_item_in_any_unit(outcome):
    def trained(run):
        run.log(10, [40.0, 50.0])
        run.after([20.0, 30.0])
        return 25.0

    found = outcome(trained, metric="val_loss")
    assert (found.value, found.perf_after) == (25.0, None)
    assert found.delta_perf_se == pytest.approx(5.0)
    assert (found.prompts, found.items.after) == (2, (20.0, 30.0))
    assert [(p.step, p.perf) for p in found.curve] == [(10, 45.0), (20, 25.0)]


@pytest.mark.parametrize(
    ("final", "said"),
    [
        (None, "returned nothing and logged no val_loss at the last step; return its final value"),
        ({"loss": 1.0}, "returned loss, without val_loss"),
        ({}, "returned an empty mapping, without val_loss"),
        ("3.5", "returned '3.5'; expected val_loss as a number, or a mapping that has it"),
        (True, "returned True; expected val_loss as a number"),
    ],
)
def test_a_metric_that_is_none_is_said_with_the_line_of_the_function(outcome, final, said):
    with pytest.raises(UsageError, match=LINE) as raised:
        outcome(lambda run: final, metric="val_loss")
    assert said in str(raised.value)


def test_a_returned_metric_comes_before_a_log_at_the_last_step(outcome):
    """As the best of all steps may be the final one."""

    def trained(run):
        run.log(20, [3.0, 5.0])
        return 2.0

    found = outcome(trained, metric="val_loss")
    assert (found.value, found.delta_perf_se, found.items) == (2.0, None, None)
    assert [(p.step, p.perf) for p in found.curve] == [(20, 4.0)]


@pytest.mark.parametrize("give", ["return", "after"])
def test_the_final_value_ends_a_curve_that_stops_short(outcome, give):
    told = []

    def trained(run):
        run.before(4.0)
        run.log(10, 3.0)
        return 2.0 if give == "return" else run.after(2.0)

    found = outcome(trained, told, metric="val_loss")
    assert [(p.step, p.perf) for p in found.curve] == [(0, 4.0), (10, 3.0), (20, 2.0)]
    assert [p.evaluation.step for p in told if p.evaluation] == [0, 10, 20]
    assert math.isnan(found.curve[-1].se)


def test_a_final_value_that_is_not_finite_ends_no_curve(outcome):
    def trained(run):
        run.log(10, 3.0)
        return math.inf

    found = outcome(trained, metric="val_loss")
    assert (found.status, len(found.curve)) == ("diverged", 1)


def test_a_metric_is_given_once(outcome):
    def trained(run):
        run.after(2.0)
        return 3.0

    with pytest.raises(UsageError, match=r"returned 3, but val_loss was 2 in run.after"):
        outcome(trained, metric="val_loss")


# ---- divergence ----------------------------------------------------------------------------------


def test_a_score_that_is_not_finite_ends_the_run_as_diverged(outcome):
    reached = []

    def trained(run):
        run.before([0, 1])
        run.log(5, [1, 1])
        run.log(10, [1, math.nan])
        reached.append(run)

    found = outcome(trained)
    assert (found.status, found.stopped_at, found.perf_before) == ("diverged", 10, 0.5)
    assert found.error == "the mean score is nan in run.log at step 10 of 20"
    assert [point.step for point in found.curve] == [0, 5]
    assert not reached


def test_a_function_may_say_that_its_run_has_diverged(outcome):
    def trained(run):
        run.before([0, 1])
        for step in run.steps():
            try:
                if step == 7:
                    run.diverged(why="the loss is inf")
            except Exception:  # noqa: BLE001  as a careless loop has it
                continue

    found = outcome(trained)
    assert (found.status, found.stopped_at) == ("diverged", 7)
    assert found.error == "the loss is inf at step 7 of 20"


def test_a_metric_that_is_not_finite_has_diverged(outcome):
    found = outcome(lambda run: math.inf, metric="val_loss")
    assert (found.status, found.value) == ("diverged", None)
    assert found.error == "val_loss is inf at step 20 of 20"


# ---- mistakes ------------------------------------------------------------------------------------


def after_alone(run):
    run.after([1, 0])


def fewer_items(run):
    run.before([0, 1, 1])
    run.after([0, 1])


def other_items(run):
    run.before([0, 1], items=["a", "b"])
    run.after([0, 1], items=["a", "c"])


def other_clusters(run):
    run.before([0, 1], clusters=["a", "b"])
    run.after([0, 1], clusters=["a", "a"])


def backwards(run):
    run.before([0, 1])
    run.log(10, [0, 1])
    run.log(10, [0, 1])


def twice_after(run):
    run.before([0, 1])
    run.after([0, 1])
    run.after([0, 1])


def twice_before(run):
    run.before([0, 1])
    run.before([0, 1])


def late_before(run):
    for step in run.steps():
        if step == 3:
            run.before([0, 1])


def before_after_a_log(run):
    run.log(5, [0, 1])
    run.before([0, 1])


def log_after_after(run):
    run.before([0, 1])
    run.after([0, 1])
    run.log(20, [0, 1])


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (after_alone, "run.after: there is no run.before, and ΔPerf is the difference of the two"),
        (fewer_items, "run.after: 2 items, but there were 3 at first; score the same items"),
        (other_items, "run.after: items= has no 'b', which was scored at first"),
        (other_clusters, "run.after: clusters= differs from what was given at first"),
        (backwards, "run.log: step 10 comes after step 10; log each step once, in order"),
        (twice_after, "run.after: there are scores from after training already"),
        (twice_before, "run.before: there are scores from before training already"),
        (late_before, "run.before: it comes at step 3; call it before the first step"),
        (before_after_a_log, "run.before: it comes at step 5; call it before the first step"),
        (log_after_after, "run.log: step 20 comes after run.after"),
        (lambda run: run.log(21, [1]), "run.log: step 21; expected a whole number from 1 to 20"),
        (lambda run: run.log(0, [1]), "step 0; expected a whole number from 1 to 20, the steps of"),
        (lambda run: run.log(2.0, [1]), "run.log: step 2.0; expected a whole number"),
        (lambda run: run.before("0.5"), "run.before: got a str; expected a score for each held"),
        (lambda run: run.before(["a"]), "run.before: 'a' is no number"),
        (lambda run: run.before([0.1, None]), "run.before: None is no number"),
        (lambda run: run.before([[1], [1, 2]]), "run.before: rows of unequal length"),
        (lambda run: run.before(None), "run.before: None is no number"),
        (lambda run: run.before({"a": 1}), "run.before: got a dict"),
        (lambda run: run.before({0.5, 1.0}), "run.before: got a set, which has no order"),
        (
            lambda run: run.before(np.ma.array([0.5, 1], mask=[0, 1])),
            "run.before: some scores are masked",
        ),
        (lambda run: run.before(10**400), "run.before: 100000000000000000...00000"),
        (lambda run: run.before(0.5, se=math.inf), "run.before: se=inf; expected the standard"),
        (
            lambda run: run.before([0, 1], items=[1, math.nan]),
            "run.before: items= has nan; expected a name for each item",
        ),
        (
            lambda run: run.before([0, 1], clusters=np.array(["a", None])),
            "run.before: clusters= has None; expected a name for each item",
        ),
        (
            lambda run: run.before([0, 1], items={"a", "b"}),
            "run.before: items={'a', 'b'}; expected a list",
        ),
        (lambda run: run.before([]), "run.before: no scores"),
        (lambda run: run.before(np.zeros((2, 2, 2))), "run.before: scores of shape [2, 2, 2]"),
        (lambda run: run.before([0.5, 45.6]), "got the score 45.6; expected scores from 0 to 1"),
        (lambda run: run.before([-0.1, 1]), "got the score -0.1; expected scores from 0 to 1"),
        (lambda run: run.before([0, 1], se=0.1), "run.before: se= goes with one number"),
        (lambda run: run.before(0.5, se=-0.1), "run.before: se=-0.1; expected the standard error"),
        (lambda run: run.before(0.5, items="a"), "items= names items, but the score is one number"),
        (lambda run: run.before([0, 1], items=[1]), "items= has 1 entry for 2 items"),
        (lambda run: run.before([0, 1], items=[1, 1]), "items= has '1' twice"),
        (lambda run: run.before([0, 1], clusters="ab c"), "clusters='ab c'; expected a list"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_the_line_of_the_users_file(outcome, function, said):
    with pytest.raises(UsageError, match=LINE) as raised:
        outcome(function)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    line = int(str(raised.value).split(":")[1])
    code = function.__code__
    assert code.co_firstlineno <= line <= max(at[2] or 0 for at in code.co_lines())


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda run: None, "returned nothing and logged nothing; call run.before(scores) and run."),
        (lambda run: 0.5, "returned 0.5 and logged nothing; call run.before(scores) and run.after"),
        (lambda run: run.log(20, 0.5), "returned nothing and called no run.before; call run"),
        (lambda run: run.before(0.5), "and never called run.after, nor run.log at the last step"),
        (lambda run: object, "returned <class 'object'> and logged nothing"),
    ],
)  # fmt: skip
def test_a_function_that_measured_nothing_is_told_what_to_call(outcome, function, said):
    with pytest.raises(UsageError, match=LINE) as raised:
        outcome(function)
    assert said in str(raised.value)
    assert f":{function.__code__.co_firstlineno}: " in str(raised.value)


@pytest.mark.parametrize("arm", ["null", "random"])
def test_useless_training_whose_rewards_nobody_replaces_would_learn(outcome, job, arm):
    def trained(run, minds=lambda run: None):
        minds(run)
        run.before([0, 1])
        run.after([1, 1])

    useless = replace(job.run, arm=arm)
    with pytest.raises(UsageError, match=rf"{LINE}trains the arm {arm} like the main runs; wrap"):
        outcome(trained, run=useless)
    for minds in (
        lambda run: run.rewards(lambda rewards: rewards),
        lambda run: run.arm,
        lambda run: run.command([sys.executable, "-c", ""]),
    ):
        found = outcome(lambda run, minds=minds: trained(run, minds), run=useless)
        assert found.status == "completed"
    assert outcome(trained).status == "completed"


def test_a_mistake_in_a_library_names_the_users_own_line(outcome, monkeypatch, tmp_path):
    library = tmp_path / "site-packages" / "library.py"
    library.parent.mkdir()
    library.write_text("def call(function):\n    function([1])\n")
    monkeypatch.syspath_prepend(library.parent)
    import library as installed

    def trained(run):
        installed.call(run.after)

    with pytest.raises(UsageError, match=LINE):
        outcome(trained)


def test_a_function_says_by_its_parameters_what_it_takes():
    def with_default(run, verbose=False): ...

    def old(job, notify): ...

    assert takes_run(with_default)
    assert not takes_run(old)


async def asynchronous(run): ...


def generating(run):
    yield 1


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda: None, "takes nothing; write it as def"),
        (lambda a, b, c: None, "takes a, b, c; write it as def"),
        (lambda *, run: None, "takes run; write it as def"),
        (asynchronous, "trainer asynchronous is async or has a yield; write it as a plain def"),
        (generating, "trainer generating is async or has a yield"),
    ],
)
def test_a_function_that_takes_anything_else_is_refused(function, said):
    with pytest.raises(UsageError, match=r"^trainer ") as raised:
        takes_run(function)
    assert said in str(raised.value)


# ---- through interruptions -----------------------------------------------------------------------


class KilledError(Exception):
    """Stands for what ends a run in the middle."""


def walk(run, end=None):
    """Walk at random; measure "before" at the start alone."""
    draws, place = np.random.default_rng(run.seed), np.zeros(3)
    state = run.restored()
    if state is None:
        run.before(1 / (1 + place**2), items=list("xyz"), clusters=[1, 1, 2])
    else:
        place = state["place"]
        draws.bit_generator.state = state["draws"]
    for step in run.steps():
        place += draws.normal(size=3)
        if run.evaluates(step):
            run.log(step, 1 / (1 + place**2))
        if run.saves(step):
            run.save({"place": place, "draws": draws.bit_generator.state})
        run.progress(step, reward=float(place.sum()))
        if step == end:
            raise KilledError
    run.after(1 / (1 + place**2))


def test_an_interrupted_run_ends_as_it_would_have(outcome, tmp_path, capsys):
    whole = replace(outcome(walk), seconds=None)
    told = []
    with pytest.raises(KilledError):
        outcome(lambda run: (time.sleep(0.1), walk(run, end=14)), checkpoint_every=3)
    resumed = outcome(walk, told, checkpoint_every=3)
    assert resumed.seconds > 0.1, "the time of both attempts"
    assert "has 12 of 20 steps; training continues" in capsys.readouterr().out
    assert replace(resumed, seconds=None) == whole
    assert [p.step for p in told if p.evaluation] == [0, 5, 10, 15, 20]
    assert not (tmp_path / "checkpoints" / "key").exists()


def test_a_before_that_is_given_again_is_ignored_where_the_run_continues(outcome):
    def trained(run, end=None):
        state = run.restored() or {"done": 0}
        run.before([state["done"] / 20, 0])
        for step in run.steps():
            run.save({"done": step})
            if step == end:
                raise KilledError
        run.after([1, 1])

    with pytest.raises(KilledError):
        outcome(lambda run: trained(run, end=10), checkpoint_every=5)
    assert outcome(trained, checkpoint_every=5).perf_before == 0.0


def test_a_function_that_starts_over_measures_again(outcome):
    """It saves, and never asks for what it has saved."""

    def trained(run, end=None):
        run.before([0, 0])
        for step in run.steps():
            run.log(step, [0, step / 20])
            run.save({})
            if step == end:
                raise KilledError
        run.after([1, 1])

    with pytest.raises(KilledError):
        outcome(lambda run: trained(run, end=10), checkpoint_every=5)
    assert [p.step for p in outcome(trained, checkpoint_every=5).curve] == [*range(21)]


def test_nothing_is_saved_unless_it_is_asked_for(outcome, tmp_path):
    def trained(run):
        assert run.restored() is None
        run.before([0, 1])
        assert not any(map(run.saves, run.steps()))
        run.save({"a function": walk})
        run.after([0, 1])

    outcome(trained)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda run: run.save({"a": {"b": [walk]}}), "run.save: ['a']['b'][0] is a function, whi"),
        (lambda run: run.save({"o": np.array([None])}), "run.save: ['o'] is a ndarray, which a ch"),
        (lambda run: (run.before([0, 1]), run.restored()), "run.restored: call it first, ahead of"),
        (lambda run: ([*run.steps()], run.restored()), "run.restored: call it first, ahead of"),
    ],
)
def test_a_mistake_with_a_checkpoint_is_one_line(outcome, function, said):
    with pytest.raises(UsageError, match=LINE) as raised:
        outcome(function, checkpoint_every=5)
    assert said in str(raised.value)


def test_the_folder_is_the_runs_own_and_stays(outcome, tmp_path):
    def trained(run):
        (run.folder / "model.bin").write_bytes(b"weights")
        raise KilledError

    assert not (tmp_path / "runs").exists()
    with pytest.raises(KilledError):
        outcome(trained)
    assert (tmp_path / "runs" / "key" / "model.bin").read_bytes() == b"weights"


@pytest.mark.torch
def test_the_device_is_what_was_asked_for_and_is_here(outcome, job, monkeypatch):
    from harness.training import device_torch

    def device(asked, *here):
        found = []
        monkeypatch.setattr(device_torch, "available_devices", lambda: ("cpu", *here))

        def trained(run):
            found.append(run.device)
            return Outcome("diverged")

        outcome(trained, conditions=replace(job.conditions, device=asked))
        return found[0]

    assert device("cpu", "cuda:0") == device("auto") == "cpu"
    assert device("auto", "cuda:0", "cuda:1") == device("cuda", "cuda:0") == "cuda:0"
    with pytest.raises(BackendError, match="device 'cuda' is not here; this machine has cpu"):
        device("cuda")


# ---- what is shown of a mistake ------------------------------------------------------------------


def test_a_traceback_begins_at_the_user_s_own_code(outcome):
    with pytest.raises(KeyError, match=r"no parameter 'lr'; there are: .*learning_rate") as caught:
        outcome(lambda run: run.config["lr"])
    first, at, *_ = traceback_text(caught.value).splitlines()
    assert first == "Traceback (most recent call last):"
    assert __file__ in at
    with pytest.raises(AttributeError, match=r"write config\['learning_rate'\]"):
        outcome(lambda run: run.config.learning_rate)


def test_a_mistake_that_is_explained_shows_no_line_of_the_harness(outcome):
    with pytest.raises(UsageError) as caught:
        outcome(lambda run: run.after([1.0]))
    said = traceback_text(caught.value)
    assert "there is no run.before" in said
    assert __file__ in said
    assert str(Path(harness.__file__).parent) not in said


@pytest.mark.slow  # that is where pandas is there
def test_a_column_of_pandas_is_read_as_a_list_is(outcome):
    import pandas as pd

    def trained(run):
        run.before(pd.Series([0, 0.5], dtype=object))
        run.after(pd.Series([1, 0.5]))

    assert outcome(trained).delta_perf == 0.5
    with pytest.raises(UsageError, match="clusters= has <NA>; expected a name for each item"):
        outcome(lambda run: run.before([0, 1], clusters=pd.array(["a", None])))


def test_scores_in_an_array_of_objects_are_numbers_too(outcome):
    def trained(run):
        run.before(np.array([0, 0.5], dtype=object))
        run.after(np.array([1, 0.5], dtype=object))

    assert outcome(trained).delta_perf == 0.5


def test_of_a_hundred_thousand_items_one_that_comes_twice_is_found_at_once(outcome):
    names = [*range(100_000), 99_999]
    began = time.perf_counter()
    with pytest.raises(UsageError, match="items= has '99999' twice"):
        outcome(lambda run: run.before([0.5] * len(names), items=names))
    assert time.perf_counter() - began < 5  # each compared with all others took four minutes


# ---- a run that is used elsewhere ----------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda run: run.before([0, 1]),
        lambda run: run.log(5, [0, 1]),
        lambda run: run.after([0, 1]),
        lambda run: run.progress(5),
        lambda run: run.save({}),
        lambda run: run.restored(),
        lambda run: run.command(["true"]),
        lambda run: list(run.steps()),
    ],
)
def test_a_run_that_has_ended_takes_nothing_more(outcome, use, tmp_path):
    kept, told = [], []

    def trained(run):
        kept.append(run)
        run.before([0, 1])
        run.after([1, 1])

    outcome(trained, told, checkpoint_every=5)
    there, count = sorted(tmp_path.rglob("*")), len(told)
    with pytest.raises(UsageError, match=r"run\.\w+: the run \S+ has ended; it takes nothing more"):
        use(kept[0])
    assert sorted(tmp_path.rglob("*")) == there
    assert len(told) == count


def test_a_copy_of_the_run_in_another_process_is_told_to_hand_the_scores_back(outcome, monkeypatch):
    def trained(run):
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(os, "getpid", lambda: 1)
            run.before([0, 1])

    here = os.getpid()
    with pytest.raises(UsageError, match=rf"process 1, .* process {here}; hand the scores back"):
        outcome(trained)
