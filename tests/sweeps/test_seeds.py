"""Sweeps whose configs are trained with several seeds: what is planned, and what stays the same."""

import numpy as np
import pytest

from harness import Choice, LogUniform, Pairs, Sweep, SweepError
from harness.claims import lower_tail, mean_gain, spread, success_rate
from harness.judging.stored import question_hashes
from harness.records import Conditions, run_key
from harness.sweeps.plan import Selection, counted_runs, plan

ARMS = {"placebo": 1, "null": 2, "batch_size": Pairs(2, values=(4,))}
UNDER = Conditions("t", "1", "own", "float32", "cpu", "task", "1", "model")


def trainer(job, notify):
    raise AssertionError("nothing is trained here")


def make(**changes):
    space = {"learning_rate": LogUniform(1e-7, 1e-6), "batch_size": 8}
    usual = {"runs": 4, "steps": 10, "space": space, "arms": ARMS, "trainer": trainer}
    return Sweep(**{"name": "s", **usual, **changes})


def test_the_first_seeds_are_the_sweep_without_seeds():
    one, three = make().plan(), make(seeds=3).plan()
    assert three[: len(one)] == one
    assert [run_key(run, UNDER) for run in three[: len(one)]] == [run_key(r, UNDER) for r in one]
    assert make(seeds=3).declaration == make().declaration
    assert make(seeds=3).plan(seeds=1) == one
    assert make().plan(seeds=3) == three


def test_a_first_seed_is_pinned():
    """Another seed or key means that what is stored is trained again: never by accident."""
    first = make().plan()[0]
    assert (first.id, first.seed, first.repeat) == ("s-00-lr4.3e-07-bs8", 1846770608, 0)


def test_the_other_seeds_have_ids_and_seeds_of_their_own():
    runs = make(seeds=3).plan()
    assert len({run.id for run in runs}) == len(runs)
    assert len({run_key(run, UNDER) for run in runs}) == len(runs)
    main = [run for run in runs if run.arm == "main"]
    assert [run.repeat for run in main] == [0] * 4 + [1] * 4 + [2] * 4
    assert len({run.seed for run in main}) == 12
    assert main[5].id == f"{main[1].id}-r1"
    assert main[5].config == main[1].config


def test_arms_are_paired_seed_by_seed_and_a_placebo_has_one():
    runs = make(seeds=3).plan()
    mains = {run.id: run for run in runs if run.arm == "main"}
    arms = [run for run in runs if run.arm != "main"]
    for run in arms:
        assert (mains[run.pair].seed, mains[run.pair].repeat) == (run.seed, run.repeat)
    count = {arm: sum(run.arm == arm for run in arms) for arm in ARMS}
    assert count == {"placebo": 1, "null": 6, "batch_size": 6}


@pytest.mark.parametrize("given", [0, -1, 1.5, True, "3", None])
def test_bad_numbers_of_seeds_are_refused_in_one_line(given):
    with pytest.raises(SweepError, match=r"^sweep 's': seeds is .*; expected a whole number") as no:
        make(seeds=given)
    assert "\n" not in str(no.value)
    if given is not None:
        with pytest.raises(SweepError, match="seeds"):
            make().plan(seeds=given)


def test_numpy_numbers_of_seeds_are_taken():
    assert make(seeds=np.int64(2)).plan() == make(seeds=2).plan()


def planned(selection=None, **changes):
    return plan(make(**changes), selection or Selection(), trains=False)


def test_a_plan_counts_configs():
    whole = planned(seeds=3)
    assert (whole.configs, whole.size, whole.seeds, whole.is_scaled_down) == (4, 4, 3, False)
    assert len(whole.of_arms()) == 12
    assert [run.id for run in counted_runs(whole.runs.values()) if run.arm == "main"] == [
        run.id for run in make().plan(arms=())
    ]
    fewer = planned(Selection(seeds=1), seeds=3)
    assert (fewer.size, fewer.is_scaled_down) == (4, True)
    assert fewer.scale == "4 of 4 runs, 10 of 10 steps, 1 of 3 seeds"
    assert planned(Selection(runs=2), seeds=3).scale == "2 of 4 runs, 10 of 10 steps, 3 of 3 seeds"
    assert planned(Selection(runs=2)).scale == "2 of 4 runs, 10 of 10 steps"


def test_configs_that_are_drawn_twice_count_once_with_several_seeds():
    few = {"space": {"batch_size": Choice(4, 8)}, "runs": 6, "arms": {}}
    assert planned(**few).size == 6
    assert planned(**few, seeds=2).size == 2


def test_of_one_config_each_seed_counts():
    alone = planned(space={"batch_size": 8}, runs=1, arms={}, seeds=5)
    assert alone.size == 5
    assert len(counted_runs(alone.runs.values())) == 5


def test_seeds_change_the_questions_on_how_results_spread_and_no_others():
    questions = {
        "rate": success_rate.above(0.5),
        "spread": spread.below_baseline(),
        "tail": lower_tail.above_baseline(),
        "mean": mean_gain.above_baseline(),
    }
    one, three = (question_hashes(make(questions=questions, seeds=k)) for k in (1, 3))
    assert {id_ for id_ in questions if one[id_] != three[id_]} == {"rate", "spread", "tail"}
