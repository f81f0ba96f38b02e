"""A stranger's sweep of scikit-learn: two workers, Ctrl-C, resumed, enlarged, judged."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.session.test_survival import ROOT, session, wait_for_runs
from tests.session.test_survival import finished as finished_in

SHALLOW = '''
"""The baseline: forests that are hardly trained."""

from digits_trainer import train

from harness import Choice, Sweep

shallow = Sweep(
    "shallow",
    runs=8,
    steps=1,
    trainer=train,
    space=dict(n_estimators=Choice(1, 2, 3), max_depth=1),
)


def test_run(run):
    run.train()
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The template of scikit-learn in an empty folder, with a baseline beside it."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    init = [sys.executable, "-m", "harness.cli", "init", "--template", "sklearn"]
    subprocess.run(init, cwd=tmp_path, check=True, capture_output=True)
    experiments = tmp_path / "experiments"
    (experiments / "test_shallow.py").write_text(SHALLOW)
    sweep = (experiments / "test_digits.py").read_text()
    asked = 'baseline="shallow", questions=dict(mean_vs_baseline=mean_gain.above_baseline(),'
    sweep = sweep.replace("questions=dict(", asked).replace("runs=24", "runs=12")
    sweep = sweep.replace("matters,", "matters, mean_gain,")
    (experiments / "test_digits.py").write_text(sweep)
    return tmp_path


def typed(project, *options):
    line = [sys.executable, "-m", "pytest", "experiments/", "-p", "no:cacheprovider", *options]
    return subprocess.run(line, cwd=project, capture_output=True, text=True, check=False)


def finished(project, sweep):
    runs = finished_in(project / ".sweep").values()
    return {result.run.id: result for result in runs if result.run.sweep == sweep}


@pytest.mark.slow
def test_it_is_interrupted_resumed_enlarged_and_judged_against_its_baseline(project):
    six = ["--sweep", "digits,shallow", "--sweep-workers", "2", "--sweep-runs", "6"]
    line = [sys.executable, "-m", "pytest", "experiments/", "-p", "no:cacheprovider", *six]
    with session(line, project) as process:
        wait_for_runs(project / ".sweep", 2, process)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 2, said
    first = finished(project, "digits")
    assert 1 <= len(first) < 6

    resumed = typed(project, *six)
    assert resumed.returncode == 0, resumed.stdout
    second = finished(project, "digits")
    assert len(second) == 6
    assert all(second[id_] == result for id_, result in first.items())

    enlarged = typed(project, "--sweep", "digits,shallow", "--sweep-workers", "2")
    assert enlarged.returncode == 0, enlarged.stdout
    third = finished(project, "digits")
    assert len(third) == 12
    assert all(third[id_] == result for id_, result in second.items())

    report = json.loads((project / ".sweep/reports/digits/report.json").read_text())
    assert report["complete"]
    assert report["baseline"] == "shallow"
    (question,) = [q for q in report["questions"] if q["id"] == "mean_vs_baseline"]
    assert question["verdict"] == "supported"
    # 450 held-out digits of ten kinds: an accuracy of a tenth before, and most of them after.
    after = [run["perf_after"] for run in report["runs"] if run["arm"] == "main"]
    assert all(0.08 < run["perf_before"] < 0.13 for run in report["runs"])
    assert 0.6 < min(after) < max(after) <= 1.0
