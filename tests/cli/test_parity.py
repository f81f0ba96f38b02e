"""``sweep parity``: what it trains, stores, prints and refuses, with trainers that take no time."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

import harness.executors
from harness.store import Store
from harness.training.backends import BACKENDS
from tests.cli.parity_project import Project, both

ROOT = Path(__file__).parents[2]
pytest_plugins = ["pytester"]


@pytest.fixture
def apart(tmp_path, capsys, monkeypatch):
    """Such a project, its runs trained in worker processes."""
    return Project(tmp_path, capsys, monkeypatch)


@pytest.fixture
def project(apart, monkeypatch):
    """Such a project, its runs trained in this process."""
    make, asked = harness.executors.make_executor, []

    def inline(name, **given):
        asked.append((name, given["workers"]))
        executor = make("inline", **given)
        for what in ("submit", "close"):
            monkeypatch.setattr(executor, what, told(what, getattr(executor, what)))
        return executor

    def told(what, call):
        return lambda *given: events.append(what) or call(*given)

    events = []
    monkeypatch.setattr(harness.executors, "make_executor", inline)
    apart.asked, apart.events = asked, events
    return apart


# ---- what it trains and prints ------------------------------------------------------------------


def test_the_first_runs_are_trained_on_each_backend_and_compared(project):
    status, out, err = project.sweep("parity toy")
    assert status == 0
    assert project.trained == both(*range(6))
    assert project.asked == [("local", 2)] * 2
    lines = out.splitlines()
    assert lines[0] == "toy: torch and jax, 6 runs of 10 steps, float32, cpu"
    assert lines[2].split("  ")[0] == "run"
    assert [line[:2] for line in lines[4:10]] == ["00", "01", "02", "03", "04", "05"]
    assert all(line.endswith(" 6") for line in lines[4:10])
    assert "supported: Are torch and jax the same experiment?" in lines
    assert max(map(len, lines)) <= 80
    assert err == (
        "sweep: torch: 6 runs of 10 steps, 0 in the store\n"
        "sweep: jax: 6 runs of 10 steps, 0 in the store\n"
    )


def test_as_json_on_the_output_alone(project):
    found = project.data("parity toy --runs 3 --steps 4 --precision bfloat16 --workers 3")
    assert project.asked == [("local", 3)] * 2
    assert [run["id"][:6] for run in found["runs"]] == ["toy-00", "toy-01", "toy-02"]
    assert (found["sweep"], found["backends"]) == ("toy", ["torch", "jax"])
    assert (found["precision"], found["steps"]) == ("bfloat16", 4)
    first = found["runs"][0]
    assert first["difference"] == first["jax"]["delta_perf"] - first["torch"]["delta_perf"] != 0
    assert (first["parted_at"], first["steps"]) == (3, 3)
    assert found["equivalence"]["verdict"] == "supported"
    assert found["equivalence"]["n"] == 3
    with Store.open(".sweep/store.db", create=False, read_only=True) as store:
        conditions = {(r.conditions.backend, r.conditions.precision) for r in store.results()}
    assert conditions == {("torch", "bfloat16"), ("jax", "bfloat16")}


def test_stored_runs_are_not_trained_again(project):
    project.sweep("parity toy --runs 2")
    assert project.trained == both(0, 1)
    before = project.sweep("parity toy --runs 2 --json")[1]
    assert project.trained == []
    _, _, err = project.sweep("parity toy --runs 4")
    assert project.trained == both(2, 3)
    assert err.startswith("sweep: torch: 4 runs of 10 steps, 2 in the store\n")
    assert project.sweep("parity toy --runs 2 --json")[1] == before
    project.sweep("parity toy --runs 2 --steps 5")
    assert project.trained == both(0, 1)


def test_one_backend_s_workers_are_gone_before_the_other_s_begin(project):
    project.sweep("parity toy --runs 2")
    assert project.events == ["submit", "close", "submit", "close"]


def test_another_store(project):
    project.sweep("parity toy --runs 2 --store other.db")
    assert Path("other.db").exists()
    assert not Path(".sweep/store.db").exists()
    project.sweep("parity toy --runs 2 --store other.db")
    assert project.trained == both(0, 1)


def test_a_small_sweep_is_trained_whole_and_not_enlarged_unless_asked_for(project):
    assert len(project.data("parity small")["runs"]) == 3
    assert len(project.data("parity small --runs 5")["runs"]) == 5
    assert project.trained[:6] == both(*range(3))


def test_level_and_margin_are_the_sweep_s_unless_given(project):
    toy = project.data("parity toy --runs 2")["equivalence"]
    assert (toy["margin"], toy["level"]) == (0.02, 0.9)
    small = project.data("parity small")["equivalence"]
    assert (small["margin"], small["level"]) == (0.001, 0.98)
    wide = project.data("parity small --margin 0.3")["equivalence"]
    assert (wide["margin"], wide["verdict"]) == (0.3, "supported")


def test_worker_processes_train_it_as_well(apart):
    found = apart.data("parity toy --runs 3")
    assert sorted(apart.trained) == sorted(both(0, 1, 2))
    assert found["equivalence"]["verdict"] == "supported"
    assert sorted(path.suffix for path in Path(".sweep/logs").iterdir()) == [".log"] * 6


def test_its_runs_are_those_of_a_session_and_its_questions_stay_registered(project):
    project.sweep("parity toy --runs 8")
    status, out, _ = project.sweep("report toy --arms none --json")
    assert status == 0
    report = json.loads(out)
    assert (report["complete"], len(report["runs"])) == (True, 8)
    assert {run["backend"] for run in report["runs"]} == {"torch"}
    assert "post_hoc" not in {finding["code"] for finding in report["audit"]}


def test_runs_lists_which_backend_trained_each(project):
    project.sweep("parity toy --runs 2")
    out = project.sweep("runs toy")[1]
    assert re.search(r"status +backend +ΔPerf", out)
    assert len(re.findall(r" completed +torch ", out)) == 2
    assert len(re.findall(r" completed +jax ", out)) == 2


# ---- how it ends --------------------------------------------------------------------------------


def test_strict_is_for_backends_that_are_shown_to_differ(project, monkeypatch):
    monkeypatch.setenv("SHIFT", "0.05")
    status, out, _ = project.sweep("parity toy")
    assert status == 0
    assert "refuted: Are torch and jax the same experiment?" in out
    assert project.sweep("parity toy --strict")[0] == 1
    assert project.sweep("parity toy --strict --margin 0.2")[0] == 0


def test_a_run_that_failed_is_said_and_tried_again(project, monkeypatch):
    monkeypatch.setenv("MODE_jax_1", "fails")
    status, out, err = project.sweep("parity toy --runs 3")
    assert status == 1
    assert "Traceback" not in out + err
    flat = " ".join(out.split())
    assert "failed: 01 on jax: RuntimeError: the disk of the GPU is on fire" in flat
    assert "inconclusive: Are torch and jax the same experiment?" in out
    assert project.sweep("parity toy --runs 3 --json")[0] == 1
    _ = project.trained
    monkeypatch.delenv("MODE_jax_1")
    assert project.sweep("parity toy --runs 3")[0] == 0
    assert project.trained == ["jax-01"]


def test_a_run_that_diverged_on_one_backend_is_no_failure(project, monkeypatch):
    monkeypatch.setenv("MODE_torch_2", "diverges")
    status, out, _ = project.sweep("parity toy")
    assert status == 0
    assert "diverged: 02 alone on torch, at step 3" in out
    assert "inconclusive: Are torch and jax the same experiment?" in out


DRIVER = """
import sys
from dataclasses import replace
from harness import cli
from harness.training.backends import BACKENDS
for name, backend in BACKENDS.items():
    BACKENDS[name] = replace(backend, libraries=(), trainer="trainers.py:train")
sys.exit(cli.main(sys.argv[1:]))
"""


def test_ctrl_c_is_one_line_and_what_is_stored_stays(apart, monkeypatch):
    monkeypatch.setenv("MODE_jax_2", "waits")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    Path("driver.py").write_text(textwrap.dedent(DRIVER))
    process = subprocess.Popen(
        [sys.executable, "driver.py", "parity", "toy", "--runs", "3", "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while "jax-02" not in (apart._log.read_text() if apart._log.exists() else ""):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines() == [
        "sweep: torch: 3 runs of 10 steps, 0 in the store",
        "sweep: jax: 3 runs of 10 steps, 0 in the store",
        "sweep: interrupted; 5 of 6 runs are stored, the same command goes on from there",
    ]
    _ = apart.trained
    monkeypatch.delenv("MODE_jax_2")
    assert apart.sweep("parity toy --runs 3")[0] == 0
    assert apart.trained == ["jax-02"]


def test_an_interrupted_comparison_leaves_nothing_open(project, monkeypatch):
    def interrupted(self, work):
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.session.session.SweepSession._step", interrupted)
    status, out, err = project.sweep("parity toy --runs 2")
    assert (status, out) == (130, "")
    assert err.splitlines()[-1].startswith("sweep: interrupted; 0 of 4 runs are stored")
    assert project.events == ["submit", "close", "close"]


# ---- what it refuses, before it trains ----------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("mine", "parity compares the harness's own backends; sweep 'mine' has a training function "
                 "of its own"),
        ("tyo", "no sweep 'tyo'; there are fixed, mine, odd, small, toy; did you mean 'toy'?"),
        ("toy --precision float8", "precision 'float8' is not one of float32, bfloat16; did you "
                                   "mean 'float32'?"),
        ("toy --experiments nowhere", "module or package not found: nowhere"),
        ("toy --store redis://here", "redis"),
        ("fixed --runs 5", "latin"),
        ("odd", "batch_size"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_one_line(project, line, said):
    status, out, err = project.sweep(f"parity {line}")
    assert (status, out) == (2, "")
    assert re.fullmatch(r"sweep: error: [^\n]*\n", err)
    assert said in err
    assert project.trained == []


@pytest.mark.parametrize(
    "options", ["", "toy --runs 0", "toy --workers 0", "toy --margin 0", "toy --margin 1",
                "toy --margin x", "toy --margin nan", "toy --backend jax"]
)  # fmt: skip
def test_bad_usage_is_status_2(project, options):
    status, out, err = project.sweep(f"parity {options}")
    assert (status, out) == (2, "")
    assert re.search(r"^sweep( parity)?: error: ", err, re.MULTILINE)
    assert project.trained == []


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_backend_that_is_not_installed(project, monkeypatch, name):
    lacking = replace(BACKENDS[name], libraries=("no_such_library",))
    monkeypatch.setitem(BACKENDS, name, lacking)
    status, out, err = project.sweep("parity toy")
    assert (status, out) == (2, "")
    assert err == (
        f"sweep: error: backend {name!r}: no_such_library is not installed; "
        f'run: pip install "pytest-sweep[{name}]"\n'
    )
    assert project.trained == []
    assert not Path(".sweep").exists()


# ---- live progress ------------------------------------------------------------------------------


def test_plain_progress_is_a_line_at_a_time(project, monkeypatch):
    monkeypatch.setattr("harness.session.progress.LOG_SECONDS", 0.0)
    lines = project.sweep("parity toy --runs 2")[2].splitlines()
    assert "" not in lines
    assert all(line.startswith("sweep: ") for line in lines)
    assert any(line.startswith("sweep: 1/2 runs · ") for line in lines)


def test_a_terminal_sees_a_live_line_and_a_pipe_plain_ones(monkeypatch):
    from harness.cli import common
    from harness.session.progress import LiveLine, LogLine

    monkeypatch.delenv("TERM", raising=False)
    assert type(common.observer()) is LogLine
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert type(common.observer()) is LiveLine
    monkeypatch.setenv("TERM", "dumb")
    assert type(common.observer()) is LogLine


# ---- for real -----------------------------------------------------------------------------------


@pytest.mark.slow(seconds=26)
@pytest.mark.torch
@pytest.mark.jax
def test_torch_and_jax_begin_as_the_same_experiment(warm_project):
    shutil.copytree(ROOT / "experiments", warm_project / "experiments")
    command = f"{shlex.quote(sys.executable)} -m harness.cli parity focused --workers 1"
    command += " --runs 2 --steps 20"  # one worker compiles once
    done = subprocess.run(
        f"{command} --json",
        shell=True,
        cwd=warm_project,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["equivalence"]["verdict"] in ("supported", "inconclusive", "unanswerable")
    assert found["step_1"]["runs"] == 2
    assert found["step_1"]["largest"] <= 1e-4
    for run in found["runs"]:
        assert run["parted_at"] is None or run["parted_at"] > 1
        assert run["torch"]["perf_before"] == pytest.approx(run["jax"]["perf_before"], abs=0.005)


WRITE = "import sys; from pathlib import Path; from tests.training.text import tiny_models; "
WRITE += "tiny_models.write(Path(sys.argv[1]))"

TEXT = """
from harness import LogUniform, Sweep

space = dict(learning_rate=LogUniform(1e-4, 1e-3), batch_size=2, generations=4, kl_coef=0.0)
small = Sweep("small", runs=3, steps=50, seed=3, space=space)
"""


@pytest.mark.slow(seconds=26)
@pytest.mark.torch
@pytest.mark.jax
@pytest.mark.trl
def test_a_language_model_is_judged_by_the_same_rule(tmp_path):
    """In processes of their own: one process cannot import Torch twice."""

    def python(*words):
        env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"}
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )

    python("-c", WRITE, "model")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "test_small.py").write_text(TEXT)
    letter = {"rule": "regex", "pattern": "(?s).*[a-z].*"}  # a random model writes some
    lines = [json.dumps({"task": {"max_tokens": 3, "samples": 2, "rewards": [letter]}})]
    lines += [f'{{"prompt": "{n}+1=", "answer": "{n + 1}"}}' for n in range(40)]
    (tmp_path / "sums.jsonl").write_text("\n".join(lines))
    options = "--model model --task sums.jsonl --workers 1 --runs 2 --steps 2 --margin 0.1 --json"
    done = python("-m", "harness.cli", "parity", "small", *options.split())
    found = json.loads(done.stdout)
    assert (found["model"][:6], found["task"], found["steps"]) == ("model@", "sums", 2)
    assert len(found["runs"]) == 2
    for run in found["runs"]:
        assert {run[backend]["status"] for backend in ("torch", "jax")} == {"completed"}
        assert run["difference"] == run["jax"]["delta_perf"] - run["torch"]["delta_perf"]
        assert 0 < run["torch"]["perf_before"] < 1
        assert run["torch"]["perf_before"] == pytest.approx(run["jax"]["perf_before"], abs=0.13)
    assert found["equivalence"]["verdict"] in ("supported", "inconclusive", "unanswerable")
    assert found["step_1"]["largest"] is None or found["step_1"]["largest"] <= 1e-3
