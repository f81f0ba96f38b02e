"""Runs of unequal steps: at which budget they are compared, and what is said of the others."""

import pytest

from harness.errors import UsageError
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
    assert [finding.brief for finding in reading.findings] == [f"3 runs of other {name} left out"]


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


def test_epochs_in_a_design_are_a_parameter_whatever_the_column_is_called(csv):
    rows = [(0.1 * i, (10, 20, 30)[i % 3], 0.5 + 0.01 * i) for i in range(1, 10)]
    assert read(csv, table("lr,epoch,acc", rows)).parameters == ("learning_rate", "epoch")


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
    assert [finding.code for finding in reading.findings] == ["mixed_conditions"]


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


def stopped(csv, ends, **asked):
    """Read ten runs whose curves end at ``ends``, all but those at 8 pruned."""
    curves = csv.with_name("curves.csv")
    points = [(f"r{i}", n, 0.01 * i + 0.1 * n) for i, end in enumerate(ends)
              for n in (1, 2, 4, 6, 8) if n <= end]  # fmt: skip
    curves.write_text(table("run,step,acc", points))
    rows = [(f"r{i}", "finished" if end == 8 else "pruned", i + 1, 0.01 * i + 0.1 * end)
            for i, end in enumerate(ends)]  # fmt: skip
    return read(csv, table("run,status,lr,acc", rows), curves=curves, **asked)


LATE, SOON = (8, 8, 6, 6, 6, 6, 6, 8, 6, 2), (8, 8, 6, 2, 2, 2, 2, 8, 2, 2)


def test_runs_that_were_stopped_late_are_compared_where_nearly_all_have_a_point(csv):
    reading = stopped(csv, LATE)
    assert statuses(reading) == ["completed"] * 9 + ["failed"]
    assert deltas(reading)[:9] == pytest.approx([0.6 + 0.01 * i for i in range(9)])
    assert {result.run.steps for result in reading.results} == {6}
    assert max(point.step for r in reading.results for point in r.outcome.curve) == 6
    assert reading.results[9].outcome.error == "no value at step 6 of its learning curve"
    assert (
        "compared at step 6 of the learning curves, which 9 of 10 runs have; 7 stopped early"
        in reading.notes
    )
    assert not any("counted as failed" in line for line in reading.notes)
    assert "beside it, at the full 8: 3 runs" in reading.notes
    assert reading.at_full.step == 8
    full = {r.run.id: r.outcome.delta_perf for r in reading.at_full.results}
    assert full == pytest.approx({"r0": 0.8, "r1": 0.81, "r7": 0.87})
    assert reading.adaptive is not None


def test_runs_that_were_stopped_soon_are_compared_at_the_end_unless_one_says_where(csv):
    reading = stopped(csv, SOON)
    assert statuses(reading).count("completed") == 3
    (said,) = [line for line in reading.notes if "--at" in line]
    assert said == (
        "10 of 10 runs have a value at step 2 of 8: --at 2 compares them there, which says little "
        "of the end"
    )
    there = stopped(csv, SOON, at=2)
    assert deltas(there) == pytest.approx([0.2 + 0.01 * i for i in range(10)])
    assert there.metric == reading.metric
    assert there.at_full.step == 8
    assert stopped(csv, SOON, at=8).at_full is None
    with pytest.raises(UsageError, match=r"--at 3: no run has that step.*most have step 1"):
        stopped(csv, SOON, at=3)


def test_a_loss_at_a_step_keeps_its_sign_and_a_change_needs_its_start(csv):
    curves = csv.with_name("curves.csv")
    curves.write_text("run,step,loss,se\na,0,0.9,\na,4,0.5,0.1\na,8,0.3,\nb,4,0.6,0.1\n")
    text = "run,lr,loss,delta_perf\na,1,0.3,0.1\nb,2,0.4,0.2\n"
    reading = read(csv, text, metric="loss", curves=curves, at=4, target=0.75)
    assert deltas(reading) == pytest.approx([0.25, 0.15])
    assert [r.outcome.delta_perf_se for r in reading.results] == [0.1, 0.1]
    curves.write_text("run,step,perf\na,0,0.2\na,4,0.5\nb,4,0.6\n")
    change = read(csv, text, curves=curves, at=4)
    assert deltas(change)[0] == pytest.approx(0.3)
    assert statuses(change) == ["completed", "failed"]


def test_runs_that_were_not_stopped_stay_at_their_ends(csv):
    curves = csv.with_name("curves.csv")
    curves.write_text("run,step,acc\na,4,0.5\na,8,0.7\nb,4,0.6\n")
    reading = read(csv, "run,lr,acc\na,1,0.7\nb,2,0.6\n", curves=curves)
    assert deltas(reading) == [0.7, 0.6]


def test_statuses_and_budgets_together(csv):
    rows = [("a", "finished", 9, 0.5, 1), ("b", "finished", 9, 0.6, 2), ("c", "crashed", 3, 0.1, 3)]
    reading = read(csv, table("run,status,training_iteration,acc,lr", rows))
    assert statuses(reading) == ["completed", "completed", "failed"]
    assert configs(reading)[2] == {"learning_rate": 3}
    assert reading.adaptive is None
