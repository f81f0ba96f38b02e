"""What was written to a tracker judges as the sweep itself does, by `sweep judge` on the store."""

import json

import pytest

pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SWEEP = """
sweep = toy(runs=12, margin=0.02, questions=dict(
    success_above_half=success_rate.above(0.5),
    plateau=still_improves(since=10, margin=0.02),
    lr_sweet_spot=best_inside("learning_rate"),
    batch_size=no_worse("batch_size", 8, than=(4,), margin=0.02),
), arms=dict(placebo=1, half=3, batch_size=Pairs(8, values=(4,))))
"""
close = pytest.approx
FIGURES = ("verdict", "estimate", "low", "high", "n")
STORES = {"mlflow": "runs.db", "optuna": "study.db", "wandb": "logs/wandb"}


@pytest.fixture(autouse=True)
def _imported():
    """Import out here what a session inside of a test would: it forgets its modules at its end."""
    import mlflow  # noqa: F401
    import optuna  # noqa: F401
    import wandb  # noqa: F401


def test_a_store_that_was_written_judges_as_the_sweep(sweeps, monkeypatch, sweep):
    sweeps.write(body=SWEEP)
    monkeypatch.chdir(sweeps.path)
    monkeypatch.setenv("MODE_5", "diverges")
    targets = "mlflow:runs.db,optuna:study.db,wandb:logs"
    result = sweeps.run("--sweep", "toy", "--sweep-track", targets)
    assert "sweep: warning" not in result.stdout.str()
    (path,) = (sweeps.path / ".sweep/reports").glob("*/report.json")
    report = json.loads(path.read_text())
    own = {q["id"]: q for q in report["questions"] if q["asked"]}
    assert {q["verdict"] for q in own.values()} >= {"supported"}
    runs = {run["id"]: run for run in report["runs"]}
    for store in STORES.values():
        status, out, error = sweep(f"judge {store} --reference batch_size=8 --json")
        assert (status, error) == (0, "")
        found = json.loads(out)
        asked = {q["id"]: q for q in found["questions"] if q["asked"]}
        both = {id_: question for id_, question in own.items() if id_ in asked}
        assert {"success_above_half", "plateau", "batch_size"} <= both.keys()
        for id_, question in both.items():
            for name in FIGURES:
                same = question[name] if isinstance(question[name], str) else close(question[name])
                assert asked[id_][name] == same, (store, id_, name)
        for run in found["runs"]:
            same = runs[run["id"]]
            for name in ("arm", "pair", "seed", "steps", "status", "delta_perf", "config"):
                assert run[name] == same[name], (store, name)
            assert [(p["step"], p["perf"]) for p in run["curve"]] == [
                (p["step"], p["perf"]) for p in same["curve"]
            ]
        assert len(found["runs"]) == len(runs) == 24
    # A second export has nothing to add.
    before = {store: sweep(f"judge {store} --json")[1] for store in STORES.values()}
    assert sweep(f"export toy --to {targets}")[0] == 0
    assert {store: sweep(f"judge {store} --json")[1] for store in STORES.values()} == before


def test_runs_of_earlier_code_are_left_out(sweeps, monkeypatch, sweep):
    sweeps.write()
    monkeypatch.chdir(sweeps.path)
    assert sweeps.run("--sweep", "toy", "--sweep-track", "optuna:study.db").ret == 0
    trainer = sweeps.path / "experiments/toy_trainer.py"
    trainer.write_text(trainer.read_text() + "\nNEW = 1\n")
    sweeps.run("--sweep", "toy", "--sweep-track", "optuna:study.db")
    status, out, error = sweep("judge study.db --json")
    assert (status, error) == (0, "")
    found = json.loads(out)
    assert len(found["runs"]) == 11
    assert any("earlier runs of the same id, left out: 11 runs" in line for line in found["read"])
