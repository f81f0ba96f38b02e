"""What the name of a column says, and whose export a table is."""

import pytest

from harness import words
from harness.tables import trackers
from harness.tables.naming import parsed
from harness.words import canonical
from tests.tables.tables import WANDB


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lr", "learning_rate"),
        ("LR", "learning_rate"),
        ("learningRate", "learning_rate"),
        ("learning-rate", "learning_rate"),
        ("Learning Rate", "learning_rate"),
        ("bs", "batch_size"),
        ("Batch_Size", "batch_size"),
        ("num_generations", "generations"),
        ("scheduler", "lr_schedule"),
        ("warmup", "warmup_steps"),
        ("ent_coef", "entropy_coef"),
        ("KLCoef", "kl_coef"),
        ("model/depth", "model.depth"),
        ("model.hiddenSize", "model.hidden_size"),
        ("optimizer.lr", "optimizer.learning_rate"),
        ("ΔPerf", "delta_perf"),
        ("∆Perf", "delta_perf"),
        ("Delta Perf", "delta_perf"),
        ("_step", "_step"),
        ("topK2", "top_k2"),
        ("β", "β"),
        ("%", "%"),
        ("a__b", "a_b"),
    ],
)
def test_a_parameter_has_one_name_however_it_is_written(name, expected):
    assert canonical(name) == expected
    assert canonical(expected) == expected


@pytest.mark.parametrize(
    ("name", "bare", "kind"),
    [
        ("config.lr", "lr", "parameter"),
        ("config/model/depth", "model/depth", "parameter"),
        ("params.lr", "lr", "parameter"),
        ("hparams.lr", "lr", "parameter"),
        ("hparams/lr", "lr", "parameter"),
        ("Param lr", "lr", "parameter"),
        ("metrics.val/loss", "val/loss", "measurement"),
        ("summary.acc", "acc", "measurement"),
        ("user_attrs_seed", "seed", "attribute"),
        ("user_attrs_config.depth", "config.depth", "attribute"),
        ("UserAttribute seed", "seed", "attribute"),
        ("system_attrs_fixed_params.lr", "fixed_params.lr", "bookkeeping"),
        ("tags.mlflow.user", "mlflow.user", "bookkeeping"),
        ("lr", "lr", "plain"),
        ("configuration", "configuration", "plain"),
        ("param count", "param count", "plain"),
        ("model.depth", "model.depth", "plain"),
    ],
)
def test_a_prefix_says_whose_column_it_is(name, bare, kind):
    found = parsed([name])[name]
    assert (found.raw, found.bare, found.kind) == (name, bare, kind)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["params_depth", "datetime_start"], "parameter"),
        (["param_C", "mean_test_score"], "parameter"),
        (["params_depth", "params_lr"], "parameter"),
        (["params_zeta", "params_total"], "plain"),
        (["param_count"], "plain"),
    ],
)
def test_params_with_an_underscore_is_a_prefix_in_the_exports_that_write_it(names, kind):
    assert parsed(names)[names[0]].kind == kind


WANDB_NAMES = [name.strip('"') for name in WANDB.splitlines()[0].split(",")]


@pytest.mark.parametrize(
    ("names", "tracker"),
    [
        (WANDB_NAMES, "W&B"),
        (["run_id", "experiment_id", "artifact_uri", "params.lr"], "MLflow"),
        (["run_id", "experiment_id", "metrics.acc"], "MLflow"),
        (["Start Time", "Duration", "Run ID", "Name", "Source Type", "lr"],
         "MLflow (from its web page)"),
        (["number", "value", "datetime_start", "params_lr", "state"], "Optuna"),
        (["number", "values_0", "values_1", "state"], "Optuna"),
        (["Number", "State", "Value", "Param lr", "UserAttribute seed"], "Optuna"),
        (["delta_perf", "trial_id", "training_iteration", "config/lr"], "Ray Tune"),
        (["run", "lr", "delta_perf"], None),
        (["name", "state", "lr"], None),
        (["run_id", "lr", "acc"], None),
        (["number", "state", "lr"], None),
        (["trial_id", "lr", "acc"], None),
    ],
)  # fmt: skip
def test_a_tracker_is_known_by_its_columns(names, tracker):
    found = trackers.recognised(parsed(names))
    assert (found.name if found else None) == tracker


@pytest.mark.parametrize(
    "name", ["run_id", "pid", "hostname", "created_at", "output_dir", "data_path", "start_time",
             "wall_time", "_timestamp", "log_url", "epoch_seconds", "user", "git.commit", "date"]
)  # fmt: skip
def test_bookkeeping_of_any_table(name):
    assert trackers.is_bookkeeping(parsed([name])[name], None)


@pytest.mark.parametrize("name", ["rank", "model", "tokens", "lr", "time_embedding", "seedling"])
def test_what_is_not_bookkeeping(name):
    assert not trackers.is_bookkeeping(parsed([name])[name], None)


def test_a_tracker_s_own_columns_are_its_bookkeeping_and_no_other_table_s():
    name = parsed(["Group"])["Group"]
    assert trackers.is_bookkeeping(name, trackers.WANDB)
    assert not trackers.is_bookkeeping(name, None)
    assert not trackers.is_bookkeeping(parsed(["group"])["group"], trackers.WANDB)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("completed", "completed"), ("FINISHED", "completed"), ("COMPLETE", "completed"),
        ("finished", "completed"), ("TERMINATED", "completed"), ("done", "completed"),
        ("TrialState.COMPLETE", "completed"),
        ("diverged", "diverged"), ("FAILED", "failed"), ("FAIL", "failed"), ("crashed", "failed"),
        ("ERROR", "failed"), ("killed", "failed"), ("KILLED", "failed"), ("timeout", "timeout"),
        ("Timed out", "timeout"), ("out of memory", "oom"), ("PRUNED", "pruned"),
        ("RUNNING", "unfinished"), ("WAITING", "unfinished"), ("running", "unfinished"),
        ("PENDING", "unfinished"), ("Ohio", None), ("", None),
    ],
)  # fmt: skip
def test_the_states_of_trackers(word, expected):
    assert trackers.state(word) == expected


def test_every_name_that_is_known_is_its_own_canonical_name():
    for name in words.KNOWN:
        assert canonical(name) == name
    assert not words.KNOWN & trackers.BOOKKEEPING
