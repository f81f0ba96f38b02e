"""What is written lies where it is told to, and what cannot be written is said before training."""

from pathlib import Path

import pytest

from harness import Choice, LogUniform, Sweep
from harness.errors import UsageError
from harness.session.jobs import check_writable
from harness.session.settings import Settings
from harness.sweeps.plan import Selection, plan
from harness.training.tasks import get_task
from harness.training.warm_start import cache_file

pytest_plugins = ["pytester"]

PARTS = ["logs", "reports", "store.db"]

BROKEN = """
import os
def breaks(job, notify):
    raise RuntimeError("no")  # which the log of an inline run has
sweep = toy(trainer=breaks if os.environ.get("BREAKS") else trainer, arms={}, questions={})
"""


def train(run):
    raise AssertionError("nothing is trained here")


def make_sweep(name="ours", **changes):
    space = dict(learning_rate=LogUniform(1e-7, 1e-6), batch_size=4, generations=Choice(4, 8))
    return Sweep(name, runs=2, steps=4, space=space, **changes)


def written(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("store.db-"))


@pytest.mark.parametrize(
    "options", [[], pytest.param(["-n", "1"], marks=pytest.mark.slow)], ids=["alone", "xdist"]
)
@pytest.mark.parametrize("by", ["option", "variable"])
def test_everything_that_is_written_can_be_elsewhere(sweeps, sweep, monkeypatch, by, options):
    sweeps.write(body=BROKEN)
    monkeypatch.setenv("BREAKS", "1")
    there = ["--sweep-dir", "else where"] if by == "option" else []
    if by == "variable":
        monkeypatch.setenv("SWEEP_DIR", "else where")
    sweeps.run("--sweep", "toy", *there, *options)
    assert written(sweeps.path / "else where") == PARTS
    assert not (sweeps.path / ".sweep").exists()

    here = "--dir 'else where'" if by == "option" else ""
    status, out, _ = sweep(f"runs toy {here}")
    assert (status, out.splitlines()[-1]) == (0, "8 runs")
    (sweeps.path / "else where" / "reports").rename(sweeps.path / "old")
    assert sweep(f"report toy {here}")[0] == 0
    assert written(sweeps.path / "else where") == PARTS
    assert not (sweeps.path / ".sweep").exists()


def test_the_option_goes_before_the_variable(sweeps, monkeypatch):
    sweeps.write()
    monkeypatch.setenv("SWEEP_DIR", "by-variable")
    sweeps.run("--sweep", "toy", "--sweep-dir", "by-option")
    assert (sweeps.path / "by-option" / "store.db").exists()
    assert not (sweeps.path / "by-variable").exists()


@pytest.mark.parametrize(
    ("in_the_way", "options", "what", "by"),
    [
        (".sweep", ["--sweep-store", "s.db", "--sweep-report", "r"], "logs of runs", "--sweep-dir"),
        (".sweep/logs", [], "logs of runs", "--sweep-dir or SWEEP_DIR"),
        (".sweep/checkpoints", ["--sweep-checkpoint-every", "2"], "checkpoints", "--sweep-dir"),
        ("out", ["--sweep-report", "out/reports"], "reports", "--sweep-report, --sweep-dir"),
        ("out", ["--sweep-dir", "out"], "logs of runs", "--sweep-dir"),
    ],
)
@pytest.mark.parametrize(
    "spread", [[], pytest.param(["-n", "1"], marks=pytest.mark.slow)], ids=["alone", "xdist"]
)
def test_a_folder_that_cannot_be_written_is_one_line_before_training(
    sweeps, in_the_way, options, what, by, spread
):
    sweeps.write()
    file = sweeps.path / in_the_way
    file.parent.mkdir(exist_ok=True)
    file.write_text("a file")
    result = sweeps.run("--sweep", "toy", *options, *spread)
    assert result.ret == 4
    (line,) = (one for one in result.stderr.lines if "cannot be written" in one)
    assert f"the {what}" in line
    assert str(file) in line
    assert "(Not a directory)" in line
    assert f"name another folder by {by}" in line
    assert sweeps.trained == []


def test_weights_that_are_made_need_no_place(tmp_path):
    sweep = make_sweep(trainer=None)
    planned = plan(sweep, Selection(backend="torch"), trains=False)
    needed = [planned, plan(make_sweep("other", trainer=train), Selection(), trains=False)]
    home = tmp_path / ".sweep"
    settings = Settings(tmp_path, home, "store.db", tmp_path / "reports")
    home.mkdir()
    (home / "cache").write_text("a file")
    with pytest.raises(UsageError, match=r"weights .* cannot be written to .*cache \(Not a dir"):
        check_writable(settings, needed)
    check_writable(settings, needed[1:])  # a trainer of its own starts from what it likes
    (home / "cache").unlink()
    made = tmp_path / "read-only" / cache_file(get_task("addition"), Path()).name
    made.parent.mkdir()
    made.touch()
    (home / "cache").symlink_to(made.parent)
    made.parent.chmod(0o500)
    check_writable(settings, needed)


def test_what_is_judged_offline_needs_no_place(sweeps):
    sweeps.write()
    assert sweeps.run("--sweep", "toy").ret == 0
    (sweeps.path / "in-the-way").write_text("a file")
    result = sweeps.run("--sweep", "toy", "--sweep-offline", "--sweep-report", "in-the-way/r")
    result.stdout.fnmatch_lines(["report not written: cannot write the report to *in-the-way/r*"])
    assert result.ret == 0
