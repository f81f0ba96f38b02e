"""Exports that the trackers themselves write, and one of W&B by hand.

What is missing here fails: the environment that runs the slow tests has the trackers.
"""

import math

import pytest

from harness.errors import UsageError
from harness.tables import ReadOptions, read_runs
from tests.tables.tables import WANDB, configs, deltas, statuses, write

pytestmark = [
    pytest.mark.slow,
    # Warnings of the trackers are theirs to mend.
    pytest.mark.filterwarnings("ignore"),
]

RATES = [1e-7, 2e-7, 4e-7, 8e-7]


def sorted_by_seed(reading):
    return [r.run.id for r in sorted(reading.results, key=lambda result: result.run.seed)]


def test_optuna(tmp_path):
    import optuna

    def objective(trial):
        rate = trial.suggest_float("lr", 1e-7, 1e-6, log=True)
        schedule = trial.suggest_categorical("lr_schedule", ["cosine", "linear"])
        if schedule == "cosine":
            trial.suggest_int("warmup_steps", 0, 20)
        trial.set_user_attr("seed", 7)
        trial.set_user_attr("delta_perf_se", 0.01)
        trial.report(0.0, 1)
        if trial.number == 2:
            raise ValueError
        if trial.number == 3:
            raise optuna.TrialPruned
        return math.log10(rate)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(seed=0),
        storage=f"sqlite:///{tmp_path}/study.db",
        study_name="one",
    )
    study.optimize(objective, n_trials=8, catch=(ValueError,))
    study.enqueue_trial({"lr": 1e-7})
    frame = study.trials_dataframe()
    frame.to_csv(tmp_path / "optuna.csv", index=False)
    frame.to_csv(tmp_path / "indexed.csv")
    frame.to_parquet(tmp_path / "optuna.parquet")
    asked = ReadOptions(metric="value", direction="min")
    reading = read_runs(tmp_path / "optuna.csv", asked)
    assert "an export of Optuna" in reading.notes[0]
    assert reading.parameters == ("learning_rate", "lr_schedule", "warmup_steps")
    assert statuses(reading) == ["completed"] * 2 + ["failed"] * 2 + ["completed"] * 4
    assert [result.run.id for result in reading.results] == [str(n) for n in range(8)]
    assert "not finished yet, left out: 1 row" in reading.notes
    for result in reading.results:
        config = result.run.config
        assert (config["warmup_steps"] is None) == (config["lr_schedule"] == "linear")
        if result.outcome.status == "completed":
            assert result.outcome.delta_perf == pytest.approx(-math.log10(config["learning_rate"]))
        assert result.run.seed == 7
    for other in ("indexed.csv", "optuna.parquet"):
        again = read_runs(tmp_path / other, asked)
        assert (configs(again), deltas(again)) == (configs(reading), deltas(reading))
    # Its own stores say the metric and its direction; the one value reported is not the last one.
    journal = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log"))
    )
    optuna.copy_study(
        from_study_name="one", from_storage=f"sqlite:///{tmp_path}/study.db", to_storage=journal
    )
    for store in ("study.db", "journal.log", "study.db#one"):
        again = read_runs(tmp_path / store)
        assert (configs(again), deltas(again)) == (configs(reading), deltas(reading))
        assert "outcome: value, less is better" in again.notes
        assert any("intermediate values are not those" in note for note in again.notes)
    address = f"sqlite:///{tmp_path}/study.db"
    assert deltas(read_runs(f"{address}#one")) == deltas(reading)
    optuna.create_study(storage=address, study_name="two").enqueue_trial({"lr": 1e-7})
    with pytest.raises(UsageError, match=r"2 studies: 'one' \(9 trials\), 'two' \(1 trial\)"):
        read_runs(address)


def test_optuna_s_intermediate_values_are_curves(tmp_path):
    import optuna

    def objective(trial):
        rate = trial.suggest_float("lr", 1e-7, 1e-6, log=True)
        for step in range(1, 6):
            trial.report(rate * step, step)
            if trial.number % 2 and step == 2:
                raise optuna.TrialPruned
        return rate * step

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=f"sqlite:///{tmp_path}/s.db", direction="maximize")
    study.optimize(objective, n_trials=6)
    reading = read_runs(tmp_path / "s.db")
    assert [len(result.outcome.curve) for result in reading.results] == [5, 2] * 3
    assert statuses(reading) == ["completed", "failed"] * 3
    last = [result.outcome.curve[-1].perf for result in reading.results[::2]]
    assert last == deltas(reading)[::2]
    two = optuna.create_study(
        storage=f"sqlite:///{tmp_path}/two.db", directions=["maximize", "minimize"]
    )
    two.set_metric_names(["acc", "size"])
    two.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 1.0), n_trials=3)
    reading = read_runs(tmp_path / "two.db", ReadOptions(metric="values_size"))
    assert "outcome: values_size, less is better" in reading.notes


def test_mlflow(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    import mlflow

    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    mlflow.set_experiment("sweep")
    with mlflow.start_run():  # the parent of the others, which is no run of the sweep
        for seed, rate in enumerate(RATES):
            with mlflow.start_run(nested=True) as run:
                settings = {"lr": rate, "bs": 8, "clip": None, "amp": True, "seed": seed}
                mlflow.log_params(settings)
                mlflow.log_metric("perf/before", 0.25)
                mlflow.log_metric("perf/after", 0.25 + rate * 1e6)
                mlflow.log_metric("val/loss", 2.0, step=1)
            if seed == 3:
                mlflow.MlflowClient().set_terminated(run.info.run_id, "FAILED")
    mlflow.search_runs().to_csv(tmp_path / "mlflow.csv", index=False)
    reading = read_runs(
        tmp_path / "mlflow.csv", ReadOptions(before="perf/before", after="metrics.perf/after")
    )
    assert "an export of MLflow" in reading.notes[0]
    assert set(reading.parameters) == {"learning_rate", "batch_size", "amp"}
    assert any("parents of other runs, left out: 1 run" in note for note in reading.notes)
    assert sorted(statuses(reading)) == ["completed"] * 3 + ["failed"]
    stored = read_runs(
        tmp_path / "mlruns", ReadOptions(before="perf/before", after="metrics.perf/after")
    )
    assert [r.run.id for r in stored.results] == sorted_by_seed(reading)
    assert sorted(map(str, deltas(stored))) == sorted(map(str, deltas(reading)))
    for result in (*reading.results, *stored.results):
        assert result.run.config["learning_rate"] == RATES[result.run.seed]
        assert (result.run.config["batch_size"], result.run.config["amp"]) == (8, True)
        if result.outcome.status == "completed":
            expected = result.run.config["learning_rate"] * 1e6
            assert result.outcome.delta_perf == pytest.approx(expected)
            assert result.outcome.perf_before == 0.25


def test_ray_tune(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray
    from ray import tune

    def train(config):
        for step in range(1, 1 + config["model"]["depth"]):
            tune.report({"delta_perf": config["lr"] * step, "val_loss": 1.0})

    ray.init(
        "local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
    )
    try:
        space = {"lr": tune.grid_search(RATES), "model": {"depth": 2}, "flag": True, "none": None}
        where = tune.RunConfig(storage_path=str(tmp_path / "ray"), verbose=0)
        grid = tune.Tuner(train, param_space=space, run_config=where).fit()
        grid.get_dataframe().to_csv(tmp_path / "ray.csv", index=False)
    finally:
        ray.shutdown()
    reading = read_runs(tmp_path / "ray.csv")
    (experiment,) = (tmp_path / "ray").iterdir()
    stored = read_runs(experiment)
    assert sorted(deltas(stored)) == sorted(deltas(reading))
    for result in stored.results:
        rate = result.run.config["learning_rate"]
        assert [point.perf for point in result.outcome.curve] == [rate, 2 * rate]
        assert [point.step for point in result.outcome.curve] == [1, 2]
    assert "an export of Ray Tune" in reading.notes[0]
    assert reading.parameters == ("learning_rate", "model.depth", "flag")
    assert sorted(config["learning_rate"] for config in configs(reading)) == RATES
    for result in reading.results:
        assert result.outcome.delta_perf == 2 * result.run.config["learning_rate"]
        assert result.run.steps == 2


def test_wandb_by_hand(tmp_path):
    reading = read_runs(
        write(tmp_path / "wandb.csv", WANDB), ReadOptions(metric="val/accuracy", direction="max")
    )
    assert "an export of W&B" in reading.notes[0]
    assert deltas(reading) == [0.71, 0.73, None]
    assert reading.parameters == ("batch_size", "epochs", "learning_rate", "optimizer")
