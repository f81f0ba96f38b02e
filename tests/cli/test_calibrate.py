"""``sweep calibrate``: what it trains, finds, keeps and refuses, with a trainer of no time."""

import json
import shlex

import pytest

import harness.executors
from harness import cli
from harness.sweeps.transfer import FILE
from tests.cli.calibrate_project import write
from tests.training.text.test_model_files import weights

TEXT = "--model tiny --task sums.jsonl"


@pytest.fixture
def project(tmp_path, capsys, monkeypatch):
    """Such a project, its runs trained in this process."""
    write(tmp_path, monkeypatch)
    make = harness.executors.make_executor
    monkeypatch.setattr(
        harness.executors, "make_executor", lambda name, **given: make("inline", **given)
    )
    return Project(tmp_path, capsys)


class Project:
    def __init__(self, path, capsys):
        self.path, self._capsys, self._log = path, capsys, path / "trained.txt"

    def sweep(self, line):
        """Run the command; return status, output and errors."""
        self._capsys.readouterr()
        try:
            status = cli.main(shlex.split(line))
        except SystemExit as left:
            status = left.code
        said = self._capsys.readouterr()
        return status, " ".join(said.out.split()), said.err

    def data(self, line="calibrate sums " + TEXT):
        status, _, err = self.sweep(line)
        assert status == 0, err
        name = f"{line.split()[1]}-calibrate"
        return json.loads((self.path / f".sweep/reports/{name}/report.json").read_text())

    @property
    def kept(self):
        file = self.path / FILE
        return json.loads(file.read_text())["calibrations"] if file.exists() else []

    @property
    def trained(self):
        """The learning rates that were trained so far, in order; forgotten once read."""
        done = self._log.read_text().split() if self._log.exists() else []
        self._log.unlink(missing_ok=True)
        return done


def test_a_rate_is_found_and_its_factor_kept_where_the_sweep_reads_it(project):
    status, out, err = project.sweep(f"calibrate sums {TEXT}")
    assert status == 0, err
    rates = project.trained
    assert rates[:3] == ["1e-06", "3.2e-06", "1e-05"]
    (entry,) = project.kept
    assert entry["learning_rate"] == float(rates[-1])
    assert 5e-6 < entry["learning_rate"] < 2e-5
    assert entry["lr_transfer"] == pytest.approx(entry["learning_rate"] / 1.789e-7, rel=0.01)
    assert (entry["model"].partition("@")[0], entry["task"]) == ("tiny", "sums")
    assert (entry["steps"], entry["adapters"]) == (10, {})
    assert f"Factor: lr_transfer {entry['lr_transfer']:g} takes the middle" in out
    first, *lines = err.splitlines()
    assert "then 3 to 5 with fresh seeds at the best; at most 18 in all" in first
    assert rates[-3:] == rates[-1:] * 3
    assert ["fresh seed" in line for line in lines].count(True) == 3
    assert "; at most 4 more runs, " in lines[-3]
    assert "fresh seed 3" in lines[-1]
    assert "more" not in lines[-1]
    # The sweep reads it: its plan says so, and shows the rates both ways.
    status, out, _ = project.sweep(f"plan sums {TEXT}")
    assert f"lr_transfer {entry['lr_transfer']:g} is calibrated (lr_transfer.json" in out
    assert "task's" in out


def test_before_that_a_plan_names_the_command(project):
    _, out, _ = project.sweep(f"plan sums {TEXT}")
    assert "lr_transfer is not calibrated for tiny on sums, all weights" in out
    assert "find it by sweep calibrate sums --model " in out
    _, out, _ = project.sweep("plan small")
    assert "calibrate" not in out


def test_other_weights_of_that_name_are_told_from_the_calibrated_ones(project):
    project.data()
    (project.path / "tiny" / "model.safetensors").write_bytes(weights(b"else"))
    _, out, _ = project.sweep(f"plan sums {TEXT}")
    assert "lr_transfer.json has it for other weights or files of that name (tiny@" in out


def test_what_the_task_declares_counts_and_nothing_is_kept(project):
    file = project.path / "sums.jsonl"
    file.write_text(file.read_text().replace('"samples": 2', '"samples": 2, "lr_transfer": 20'))
    data = project.data()
    assert data["standing"] == "found"
    assert (data["task_declares"], data["file"], project.kept) == (20, None, [])
    _, out, _ = project.sweep(f"plan sums {TEXT}")
    assert "lr_transfer 20 is what task sums declares" in out


def test_the_embedded_task_is_measured_and_keeps_its_own(project, monkeypatch):
    monkeypatch.setenv("PEAK", "1e-3")
    data = project.data("calibrate small")
    assert project.trained[0] == "0.00018"  # a tenth of the middle rate, as the task uses it
    assert (data["standing"], data["task_declares"], project.kept) == ("found", 10_000, [])


def test_adapters_begin_higher_and_are_kept_apart(project):
    project.data()
    project.trained  # noqa: B018  forgotten
    data = project.data(f"calibrate low {TEXT}")
    assert project.trained[0] == "1e-05"
    assert (data["adapters"], data["steps"]) == ({"lora_rank": 8}, 10)
    assert sorted(str(one["adapters"]) for one in project.kept) == ["{'lora_rank': 8}", "{}"]


def test_nothing_is_kept_where_no_rate_helps(project, monkeypatch):
    monkeypatch.setenv("HEIGHT", "0")
    status, out, _ = project.sweep(f"calibrate sums {TEXT} --strict")
    assert (status, project.kept) == (1, [])
    assert "Rate: none: no rate helped within the range" in out
    assert "nothing is written to lr_transfer.json" in out
    status, out, err = project.sweep(f"calibrate sums {TEXT}")
    assert status == 0, (out, err)


def test_a_second_time_nothing_is_trained_and_the_same_is_said(project):
    first = project.data()
    assert project.trained
    again = project.data()
    assert project.trained == []
    assert again == first
    lines = project.sweep(f"calibrate sums {TEXT}")[2].splitlines()[1:]
    assert [line for line in lines if "in the store" not in line] == []
    other = project.data(f"calibrate sums {TEXT} --seed 7")
    assert other["rates"] != first["rates"]
    assert len(project.kept) == 1


def test_what_was_calibrated_does_not_change_a_calibration(project):
    first = project.data()
    (project.path / ".sweep" / "store.db").unlink()
    assert project.data() == first


@pytest.mark.parametrize("variable", ["FAILS", "STOPS"])
def test_it_goes_on_from_a_run_that_did_not_finish(project, monkeypatch, variable):
    monkeypatch.setenv(variable, "1e-05")
    status, out, err = project.sweep(f"calibrate sums {TEXT}")
    assert status == {"FAILS": 1, "STOPS": 130}[variable]
    assert project.kept == []
    if variable == "FAILS":
        assert "the run at 1e-05 is failed (RuntimeError: the disk of the GPU is on fire" in out
    else:
        assert "the same command goes on from there" in err
    assert project.trained == ["1e-06", "3.2e-06", "1e-05"]
    monkeypatch.delenv(variable)
    assert project.data()["standing"] == "found"
    assert project.trained[0] == "1e-05"


def test_the_ends_of_the_ladder_can_be_given(project):
    data = project.data(f"calibrate sums {TEXT} --from 2e-6 --to 2e-5 --steps 5")
    assert [one["learning_rate"] for one in data["rates"]] == [2e-6, 6.3e-6, 2e-5]
    assert data["steps"] == 5
    assert data["low"] is None or data["low"] > 2e-6


@pytest.mark.parametrize(("given", "seen"), [("", "None"), ("3", "3"), ("2m", "0:02:00")])
def test_a_run_is_saved_as_often_as_it_is_asked_for(project, given, seen):
    option = f"--checkpoint-every {given}" if given else ""
    project.sweep(f"calibrate sums {TEXT} --to 4e-6 {option}")
    assert set((project.path / "saved.txt").read_text().split()) == {seen}


def test_a_lack_of_signal_is_warned_of(project, monkeypatch):
    monkeypatch.setenv("NO_SIGNAL", "0.81")
    _, out, _ = project.sweep(f"calibrate sums {TEXT}")
    assert "in 81% of groups all rewards were equal" in out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("calibrate nothing", "no sweep 'nothing'"),
        ("calibrate mine", "has a training function of its own"),
        ("calibrate sums --from 1e-5 --to 2e-5", "--from 1e-05 --to 2e-05: expected at least"),
        ("calibrate sums --from 0", "'0' is not a learning rate above 0 and up to 1"),
        ("calibrate sums --to high", "'high' is not a learning rate"),
        ("calibrate sums --model tiny", "no task is named"),
        ("calibrate sums --model ./nowhere --task sums.jsonl", "does not exist"),
    ],
)
def test_mistakes_are_one_line_before_training(project, line, said):
    status, _, err = project.sweep(line)
    assert status == 2
    assert said in err
    assert project.trained == []
    assert not (project.path / ".sweep" / "store.db").exists()


def test_a_damaged_file_is_refused_before_training(project):
    (project.path / FILE).write_text("{")
    status, _, err = project.sweep(f"calibrate sums {TEXT}")
    assert (status, project.trained) == (2, [])
    assert "lr_transfer.json cannot be read" in err
    assert (project.path / FILE).read_text() == "{"
