"""Runs of unequal steps: at which budget they are compared, and what is said of the others."""

import pytest

from harness.observations.repeats import merge
from tests.tables.tables import configs, deltas, read, statuses


@pytest.fixture
def csv(tmp_path):
    return tmp_path / "runs.csv"


def table(header, rows):
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


FEW = [("a", 1e-3, n, 60 - n / 200) for n in (1000, 2000, 4000, 8000)] + [
    ("bcde"[i], rate, 8000, 23 + i) for i, rate in enumerate((3e-4, 1e-4, 3e-3, 1e-2))
]


@pytest.mark.parametrize("name", ["train_steps", "steps", "max_steps", "epochs", "num_epochs"])
def test_few_runs_of_other_steps_are_left_out_and_said(csv, name):
    reading = read(csv, table(f"size,lr,{name},ppl", FEW).replace("bcde", "a"))
    assert len(reading.results) == 5
    assert {r.run.config["learning_rate"] for r in reading.results} == {
        1e-3,
        3e-4,
        1e-4,
        3e-3,
        1e-2,
    }
    assert max(deltas(reading)) == -20.0
    (said,) = [line for line in reading.notes if line.startswith("compared at")]
    assert f"{name} 8,000, which 5 of 5 configurations have; left out: 3 runs at 1,000" in said
    assert merge(reading.results).configurations == 5


def test_steps_that_the_user_names_as_a_parameter_or_groups_by_leave_no_run_out(csv):
    text = table("size,lr,train_steps,ppl", FEW)
    named = read(csv, text, params=("size", "lr", "train_steps"))
    assert len(named.results) == 8
    assert "train_steps" in named.parameters
    assert len(read(csv, text, by=("train_steps",)).results) == 8
    apart = read(csv, text, params=("lr",), every_budget=True)
    assert merge(apart.results).configurations == 8  # never repeats of each other


def test_steps_that_are_crossed_with_the_settings_are_a_parameter(csv):
    rows = [(lr, steps, 0.5 + lr) for lr in (0.1, 0.2, 0.3) for steps in (100, 200)]
    reading = read(csv, table("lr,steps,acc", rows))
    assert reading.parameters == ("learning_rate", "steps")
    assert len(reading.results) == 6
    assert {result.run.steps for result in reading.results} == {0}


def test_steps_of_every_run_s_own_are_a_parameter(csv):
    rows = [(0.1 * i, 100 + 7 * i, 0.5 + 0.01 * i) for i in range(1, 8)]
    assert "steps" in read(csv, table("lr,steps,acc", rows)).parameters


def test_equal_steps_are_the_runs(csv):
    reading = read(csv, table("lr,steps,acc", [(0.1, 50, 0.5), (0.2, 50, 0.6)]))
    assert {result.run.steps for result in reading.results} == {50}
    assert reading.parameters == ("learning_rate",)


ASHA = [
    (f"t{i}", (1, 1, 1, 4, 16)[i % 5], 0.001 * (i + 1), 0.4 + 0.02 * (i % 5)) for i in range(20)
]


def test_trials_that_were_stopped_early_are_compared_at_the_full_budget(csv):
    reading = read(csv, table("trial_id,training_iteration,config/lr,val_acc", ASHA))
    assert [r.run.id for r in reading.results if r.outcome.status == "completed"] == [
        "t4", "t9", "t14", "t19"
    ]  # fmt: skip
    assert {result.run.steps for result in reading.results} == {16}
    assert reading.results[0].outcome.error == "stopped at training_iteration 1 of 16"
    assert "compared at training_iteration 16: 4 runs" in reading.notes
    (said,) = [line for line in reading.notes if line.startswith("stopped before")]
    assert "16 runs (12 at 1 and 4 at 4), counted as not completed" in said
    assert reading.adaptive is not None
    assert "16 of 20 runs were stopped before training_iteration 16" in reading.adaptive


def test_rows_of_one_trial_at_many_budgets_are_one_run(csv):
    rows = [
        (f"r{i}", 0.1 * i, epoch, 0.1 * i + 0.01 * epoch) for i in (1, 2, 3) for epoch in (1, 2, 3)
    ]
    reading = read(csv, table("run,lr,epoch,val_acc", rows))
    assert [result.run.id for result in reading.results] == ["r1", "r2", "r3"]
    assert deltas(reading) == pytest.approx([0.13, 0.23, 0.33])
    assert any("left out: 6 rows at other budgets (--by epoch" in line for line in reading.notes)


def test_successive_halving_is_compared_where_all_are(csv):
    rows = [(0, 20, c, 0.5 + c / 100) for c in range(1, 7)] + [(1, 60, 5, 0.8), (1, 60, 6, 0.9)]
    reading = read(csv, table("iter,n_resources,param_C,mean_test_score", rows))
    assert len(reading.results) == 6
    assert max(deltas(reading)) == 0.56
    assert reading.adaptive == "configurations were dropped by their results so far"


def test_runs_that_ended_anywhere_are_all_compared_with_a_warning(csv):
    rows = [(0.1 * i, 20 + 7 * i, 0.5) for i in range(1, 8)]
    reading = read(csv, table("lr,epoch,acc", rows))
    assert len(reading.results) == 7
    assert reading.parameters == ("learning_rate",)
    assert any("runs got unequally far, epoch 27 to 69" in line for line in reading.notes)


def test_arms_of_half_the_steps_stay(csv):
    text = "run,arm,lr,steps,delta_perf\na,main,1,100,0.1\nb,main,2,100,0.2\nc,half,1,50,0.1\n"
    assert len(read(csv, text).results) == 3


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("number,state,value,params_lr\n0,COMPLETE,0.5,1\n1,COMPLETE,0.4,2\n", "Optuna's samplers"),
        ("number,state,value,params_lr,system_attrs_grid_id\n0,COMPLETE,0.5,1,0\n1,COMPLETE,0.4,2,1\n",
         None),
        ("number,state,value,params_lr\n0,COMPLETE,0.5,1\n1,PRUNED,0.4,2\n",
         "1 run of 2 were pruned"),
        ("trial_id,training_iteration,config/lr,value\na,3,1,0.5\nb,3,2,0.4\n", None),
        ("lr,value\n1,0.5\n2,0.4\n", None),
    ],
)  # fmt: skip
def test_a_sample_that_depended_on_earlier_results_is_known_where_the_table_says_so(csv, text, why):
    reading = read(csv, text, metric="value", direction="max")
    assert (reading.adaptive or "").startswith(why or "")
    assert (reading.adaptive is None) == (why is None)


def test_statuses_and_budgets_together(csv):
    rows = [("a", "finished", 9, 0.5, 1), ("b", "finished", 9, 0.6, 2), ("c", "crashed", 3, 0.1, 3)]
    reading = read(csv, table("run,status,training_iteration,acc,lr", rows))
    assert statuses(reading) == ["completed", "completed", "failed"]
    assert configs(reading)[2] == {"learning_rate": 3}
    assert reading.adaptive is None
