"""The hooks that a sweep calls, and the trackers of ``--sweep-track`` that are built on them."""

import fcntl
import json
from collections import Counter

import pytest

import harness.integrations.trackers as trackers
import harness.integrations.trackers.tensorboard as module
from harness import cli
from harness.integrations.trackers.base import TrackedSweep

pytest_plugins = ["pytester"]

CONFTEST = """
import json, os
from pathlib import Path

def note(**known):
    with open("told.jsonl", "a") as file:
        file.write(json.dumps({"pid": os.getpid(), **known}) + "\\n")

def pytest_sweep_run_finished(config, sweep, result):
    note(run=result.run.id, status=result.outcome.status, sweep=sweep.name,
         stored=Path(".sweep/store.db").exists(), worker=hasattr(config, "workerinput"))

def pytest_sweep_verdict(sweep, verdict, scope, config):
    note(question=verdict.id, verdict=verdict.verdict, sweep=sweep.name, scope=scope,
         worker=hasattr(config, "workerinput"))
"""


@pytest.fixture
def toys(sweeps, monkeypatch):
    sweeps.write()
    (sweeps.path / "conftest.py").write_text(CONFTEST)
    monkeypatch.chdir(sweeps.path)
    return sweeps


def told(sweeps):
    file = sweeps.path / "told.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_hook_is_called_once_for_each_run_and_each_verdict(toys, monkeypatch):
    monkeypatch.setenv("MODE_2", "fails")
    monkeypatch.setenv("MODE_3", "diverges")
    toys.run("--sweep", "toy")
    runs = [one for one in told(toys) if "run" in one]
    assert [one["run"] for one in runs] == toys.trained
    assert len(runs) == 11
    assert Counter(one["status"] for one in runs) == {"completed": 9, "failed": 1, "diverged": 1}
    assert all(one["sweep"] == "toy" and one["stored"] for one in runs)
    (verdict,) = [one for one in told(toys) if "question" in one]
    assert verdict["question"] == "success_above_half"
    assert (verdict["verdict"], verdict["scope"]) == ("not judged", "smoke")


def test_a_later_session_tells_of_what_it_trains(toys, monkeypatch):
    monkeypatch.setenv("MODE_2", "fails")
    toys.run("--sweep", "toy")
    monkeypatch.delenv("MODE_2")
    for expected in (["completed", "supported"], ["supported"]):
        (toys.path / "told.jsonl").unlink()
        toys.run("--sweep", "toy")
        found = told(toys)
        assert [one.get("status") or one["verdict"] for one in found] == expected
    assert found[-1]["scope"] == ""


@pytest.mark.slow
def test_with_xdist_the_controller_tells_each_run_once(toys):
    assert toys.run_apart("--sweep", "toy", "-n", "2").ret == 0
    found = told(toys)
    assert Counter(one["run"] for one in found if "run" in one) == Counter(toys.trained)
    assert [one["question"] for one in found if "question" in one] == ["success_above_half"]
    assert not any(one["worker"] for one in found)
    assert len({one["pid"] for one in found}) == 1


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raise RuntimeError('no network')", "RuntimeError: no network (conftest.py:10)"),
        ("import pytest; pytest.fail('no network')", "Failed: no network ("),
    ],
)
def test_what_a_hook_raises_costs_no_run(toys, how, said):
    raising = CONFTEST.replace("note(run=", f"{how}; note(run=")
    (toys.path / "conftest.py").write_text(raising)
    result = toys.run("--sweep", "toy")
    result.assert_outcomes(passed=12)
    assert len(toys.trained) == 11
    (line,) = [line for line in result.outlines if "no network" in line]
    assert line.startswith(f"sweep: warning: pytest_sweep_run_finished raised {said}")


def test_a_hook_that_is_async_is_said_not_to_have_run(toys):
    changed = CONFTEST.replace("def pytest_sweep_run", "async def pytest_sweep_run")
    (toys.path / "conftest.py").write_text(changed)
    result = toys.run("--sweep", "toy")
    result.assert_outcomes(passed=12)  # and no warning of Python's
    (line,) = [line for line in result.outlines if "is async" in line]
    assert line == (
        "sweep: warning: pytest_sweep_run_finished is async and was not run; expected a plain "
        "function (conftest.py:9)"
    )


def test_no_two_sessions_make_the_place_of_a_tracker_at_once(tmp_path, monkeypatch):
    tried = []

    def another_session():
        with trackers.lock_of("tensorboard").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def opened(*_):
        tried.append("open")
        with pytest.raises(BlockingIOError):
            another_session()
        return Place()

    class Place:
        def begin(self, sweep):
            tried.append("begin")
            with pytest.raises(BlockingIOError):
                another_session()

    monkeypatch.setattr(module, "open_tracker", opened)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    tracking = trackers.Tracking(["tensorboard:x"], tmp_path, tmp_path)
    another_session()
    tracking.begin([TrackedSweep("toy")])
    another_session()
    assert tried == ["open", "begin"]


def test_a_hook_can_end_the_session_and_loses_nothing(toys):
    changed = CONFTEST.replace("note(run=", "import pytest; pytest.exit('enough'); note(run=")
    (toys.path / "conftest.py").write_text(changed)
    toys.run("--sweep", "toy")
    assert len(toys.trained) == 1
    (toys.path / "conftest.py").write_text(CONFTEST)
    toys.run("--sweep", "toy")
    assert Counter(toys.trained).most_common(1)[0][1] == 1


def test_the_manual_of_a_hook_names_all_that_it_is_given():
    from harness.plugin import hooks

    for hook in (hooks.pytest_sweep_run_finished, hooks.pytest_sweep_verdict):
        named = hook.__annotations__.keys() - {"return"}
        assert all(f":param {name}:" in hook.__doc__ for name in named)


# ---- trackers -----------------------------------------------------------------------------------


class Fake:
    """A tracker that keeps what it is told; ``fails`` is called before anything is written."""

    def __init__(self):
        self.begun, self.written, self.verdicts = [], [], {}
        self.fails = lambda: None
        self.closed = 0

    def begin(self, sweep):
        self.begun.append(sweep)

    def write_run(self, sweep, run):
        self.fails()
        self.written.append(run)

    def write_verdicts(self, sweep, verdicts, scope):
        self.fails()
        self.verdicts[sweep.name, scope] = dict(verdicts)

    def close(self):
        self.closed += 1


@pytest.fixture
def fake(monkeypatch):
    made = Fake()

    def opened(place, home, here):
        made.place = place
        return made

    monkeypatch.setattr(module, "open_tracker", opened)
    return made


def ids(fake):
    return [run.name for run in fake.written]


def test_a_session_writes_runs_and_verdicts(toys, fake):
    assert toys.run("--sweep", "toy", "--sweep-track", "tensorboard:a,b").ret == 0
    assert fake.place == "a,b"
    assert ids(fake) == toys.trained
    assert fake.verdicts["toy", ""]["verdict.success_above_half"] == "supported"
    assert fake.closed == 1
    (sweep,) = fake.begun
    assert set(sweep.space) == {"learning_rate", "batch_size"}
    assert sweep.space["batch_size"].values() == (8, 4)


def test_what_is_stored_is_written_before_anything_is_trained(toys, fake):
    toys.run("--sweep", "toy", "--sweep-runs", "3", "--sweep-arms", "none")
    stored = list(toys.trained)
    toys.run("--sweep", "toy", "--sweep-track", "tensorboard")
    assert ids(fake)[:3] == stored
    assert sorted(ids(fake)) == sorted(toys.trained)


def test_a_part_of_a_sweep_has_verdicts_of_its_own(toys, fake):
    toys.run("--sweep", "toy", "--sweep-track", "tensorboard", "--sweep-runs", "3")
    assert list(fake.verdicts) == [("toy", "smoke")]


def test_a_tracker_that_fails_costs_no_run(toys, fake):
    calls = []

    def fail():
        calls.append(1)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")

    fake.fails = fail
    result = toys.run(
        "--sweep", "toy", "--sweep-track", "tensorboard:logs", "--sweep-store", "s.db"
    )
    assert result.ret == 0
    assert len(toys.trained) == 11
    assert len(calls) == 3  # and it is not asked again
    (line,) = [line for line in result.outlines if "No space left" in line]
    assert line.startswith("sweep: warning: tensorboard:logs was not written to the end: ")
    command = line.rpartition("this writes them: ")[2]
    assert command == "sweep export toy --to tensorboard:logs --store s.db"
    fake.fails = lambda: None
    fake.written.clear()
    assert cli.main(command.split()[1:]) == 0
    assert sorted(ids(fake)) == sorted(toys.trained)
    assert fake.verdicts["toy", ""]["verdict.success_above_half"] == "supported"


def test_a_tracker_that_cannot_be_opened_is_one_line_before_training(toys, fake):
    def refuse(sweep):
        raise ConnectionError("http://me:secret@host does not answer\nand more")

    fake.begin = refuse
    result = toys.run("--sweep", "toy", "--sweep-track", "tensorboard:http://me:secret@host")
    assert result.ret == 4
    (line,) = [line for line in result.errlines if line.startswith("ERROR")]
    assert line == (
        "ERROR: tensorboard:http://me:***@host cannot be written: http://me:***@host does not "
        "answer and more"
    )
    assert toys.trained == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mlflw", "'mlflw' is none of mlflow, tensorboard, wandb, optuna; did you mean 'mlflow'?"),
        ("mlflow,,optuna", "is none of mlflow"),
        ("http://host", "'http' is none of mlflow"),
    ],
)
def test_an_unknown_tracker_is_one_line(toys, given, said):
    result = toys.run("--sweep", "toy", "--sweep-track", given)
    assert result.ret == 4
    assert said in result.stderr.str()
    assert toys.trained == []


@pytest.mark.slow
def test_with_xdist_the_controller_writes(toys):
    import optuna

    assert toys.run_apart("--sweep", "toy", "--sweep-track", "optuna", "-n", "2").ret == 0
    study = optuna.load_study(study_name="toy", storage="sqlite:///.sweep/optuna.db")
    assert sorted(trial.user_attrs["sweep.run"] for trial in study.trials) == sorted(toys.trained)
    assert study.user_attrs["verdict.success_above_half"] == "supported"


def test_a_list_of_trackers_is_divided_before_their_names():
    from harness.session.arguments import trackers as divided

    given = "mlflow:http://h,optuna:sqlite:///a,b.db, wandb,mlflow:x"
    assert divided(given) == ("mlflow:http://h", "optuna:sqlite:///a,b.db", "wandb", "mlflow:x")


def test_a_password_is_not_shown():
    assert trackers.hidden("mlflow:http://a:b@h/x") == "mlflow:http://a:***@h/x"
    assert trackers.hidden("optuna:sqlite:///a.db") == "optuna:sqlite:///a.db"


# ---- export -------------------------------------------------------------------------------------


def test_export_writes_what_a_session_did_not(toys, fake, sweep):
    toys.run("--sweep", "toy")
    status, out, _ = sweep("export --to tensorboard:logs")
    assert (status, out) == (0, "wrote 11 runs and 1 verdict to tensorboard:logs\n")
    assert sorted(ids(fake)) == sorted(toys.trained)
    assert list(fake.verdicts) == [("toy", "")]


def test_export_leaves_the_verdicts_that_a_session_wrote_on_a_part(toys, fake, sweep):
    toys.run("--sweep", "toy", "--sweep-track", "tensorboard", "--sweep-steps", "10")
    assert fake.verdicts.pop(("toy", "smoke"))["verdict.success_above_half"] == "supported"
    said = sweep("export toy --to tensorboard")[1]
    assert said.endswith("no verdicts on toy: no question of it can be judged by these runs\n")
    assert fake.verdicts == {}


def test_export_of_a_sweep_that_no_file_declares(toys, fake, sweep):
    toys.run("--sweep", "toy")
    (toys.path / "experiments/test_toy.py").unlink()
    status, out, _ = sweep("export toy --to tensorboard --json")
    assert status == 0
    assert json.loads(out) == {
        "trackers": ["tensorboard"],
        "runs": 11,
        "left_out": 0,
        "verdicts": 0,
    }
    assert fake.verdicts == {}
    assert set(fake.begun[0].space) == {"learning_rate", "batch_size"}
    assert "no sweep file here declares it" in sweep("export toy --to tensorboard")[1]


MISTAKES = {
    "--to tensorboard --curves c.csv": "--curves is for a table",
    "--to tensorboard,tensorbord": "'tensorbord' is none of",
    "--to tensorboard --arm null": "there is no such run in the store",
}


def test_a_mistake_in_an_export_is_one_line(toys, fake, sweep):
    toys.run("--sweep", "toy", "--sweep-runs", "3")
    for line, said in MISTAKES.items():
        status, _, error = sweep(f"export toy {line}")
        assert (status, error.count("\n")) == (2, 1)
        assert said in error

    def fail():
        raise OSError("gone")

    fake.fails = fail
    status, _, error = sweep("export toy --to tensorboard")
    assert (status, error) == (
        2,
        "sweep: error: tensorboard was not written to the end: gone\n",
    )
