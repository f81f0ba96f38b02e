"""The check for the day a GPU is at hand: its table, its limits, and all of it on the CPU."""

from __future__ import annotations

import json
import os
import sys
import time
import zipfile
from pathlib import Path

import checks
import gpu_check
import pytest
from checks import Check, FailedError, Found, NotRunError, Table, execute, run_checks, unpack


def told(run, limit=5.0, seconds=60.0):
    """Return the row of a check that does this, and the exit status."""
    table = Table({})
    run_checks([[Check("this", limit, run)]], seconds, table)
    (row,) = table.rows
    return row, table.end()


def test_what_fails_stops_no_other_and_the_status_is_1(tmp_path, capsys):
    def fails(limit):
        raise FailedError("found a fault", "the log of it")

    def breaks(limit):
        raise KeyError("runs")

    def has_nothing(limit):
        raise NotRunError("no session")

    file = tmp_path / "table.json"
    table = Table({"device": "cpu"}, file)
    works = Check("works", 5.0, lambda limit: Found("all well", {"ms": 2.5}))
    stages = [
        [Check("fails", 5.0, fails), Check("breaks", 5.0, breaks)],
        [Check("has nothing", 5.0, has_nothing)],
        [works],
    ]
    run_checks(stages, 60.0, table)
    assert table.end() == 1
    written = json.loads(file.read_text())
    assert (written["device"], written["failed"]) == ("cpu", 2)
    rows = {row["check"]: (row["state"], row["found"]) for row in written["rows"]}
    assert rows == {
        "fails": ("failed", "found a fault"),
        "breaks": ("failed", "KeyError: 'runs'"),
        "has nothing": ("not run", "no session"),
        "works": ("ok", "all well"),
    }
    assert written["rows"][-1]["figures"] == {"ms": 2.5}
    printed = capsys.readouterr().out
    assert "4 checks, 2 failed" in printed
    assert "the log of it" in printed


def test_without_a_failure_the_status_is_0():
    def has_nothing(limit):
        raise NotRunError("no session")

    assert told(lambda limit: Found("well"))[1] == 0
    assert told(has_nothing)[1] == 0


def test_what_hangs_ends_at_its_limit_with_all_it_started(tmp_path):
    code = (
        "import subprocess, sys, time\n"
        "sleeper = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
        "print(subprocess.Popen(sleeper, process_group=0).pid, flush=True)\n"
        "time.sleep(60)\n"
    )

    def hangs(limit):
        execute([sys.executable, "-c", code], limit, tmp_path, dict(os.environ))

    row, status = told(hangs, limit=3.0)
    assert (row.state, row.found, status) == ("failed", "no end within 3 s", 1)
    assert 3 <= row.seconds < 20
    sleeper = int(row.output)
    deadline = time.monotonic() + 10
    while is_alive(sleeper) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(sleeper)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def test_no_check_has_more_than_is_left_of_the_whole():
    given = []

    def takes(limit):
        given.append(limit)
        time.sleep(0.3)
        return Found("well")

    table = Table({})
    stages = [[Check(name, 9.0, takes)] for name in ("first", "second")]
    run_checks(stages, 1.2, table)
    assert [row.state for row in table.rows] == ["ok", "not run"]
    (limit,) = given
    assert limit <= 1.2


@pytest.fixture
def bench(tmp_path):
    """A bench with reports of two sessions, whose runs can be changed."""
    bench = gpu_check.Bench(tmp_path, "cuda", ["torch"], gpu_check.QUICK, tmp_path / "site")

    def run(id_, arm, delta, se, changed):
        figures = dict(delta_perf=delta, delta_perf_se=se, prompts_changed=changed)
        return {"id": id_, "arm": arm, **figures}

    for key in ("cpu", "cuda"):
        runs = [run(f"run-{index}", "main", 0.1 * index, 0.03, 90) for index in range(4)]
        bench.reports["torch", key] = {"runs": [*runs, run("placebo", "placebo", 0.0, 0.0, 0)]}
    return bench


def test_equal_runs_agree(bench):
    assert bench.delta_perf("torch", "cuda", 1.0).figures == {
        "mean": 0.0,
        "mean_in_se": 0.0,
        "largest_in_se": 0.0,
    }


@pytest.mark.parametrize(
    ("moved", "agrees"),
    [
        # Of one run the error of a difference is 0.03·√2 = 0.042, of the mean of four half of it.
        ((0.12, 0, 0, 0), True),
        ((0.13, 0, 0, 0), False),
        ((0.04, 0.04, 0.04, 0.04), True),
        ((-0.05, -0.05, -0.05, -0.05), False),
    ],
)
def test_runs_apart_by_more_than_their_errors_do_not_agree(bench, moved, agrees):
    for run, by in zip(bench.reports["torch", "cuda"]["runs"], moved, strict=False):
        run["delta_perf"] += by
    if agrees:
        assert bench.delta_perf("torch", "cuda", 1.0).figures["mean"] == pytest.approx(
            sum(moved) / 4
        )
    else:
        with pytest.raises(FailedError, match=r"allowed: 2 and 3"):
            bench.delta_perf("torch", "cuda", 1.0)


def test_a_placebo_that_moved_is_a_failure(bench):
    assert bench.placebo("torch", "cuda", 1.0).text == "exactly 0 in 1 placebo run"
    (run,) = (run for run in bench.reports["torch", "cuda"]["runs"] if run["arm"] == "placebo")
    run["prompts_changed"] = 1
    with pytest.raises(FailedError, match=r"1 of 1 placebos moved: \+0\.0 \(prompts changed: 1\)"):
        bench.placebo("torch", "cuda", 1.0)
    bench.reports["torch", "cuda"]["runs"].remove(run)
    with pytest.raises(FailedError, match="no placebo was trained"):
        bench.placebo("torch", "cuda", 1.0)


def test_a_session_that_failed_leaves_nothing_to_compare(bench):
    del bench.reports["torch", "cuda"]
    for check in (bench.delta_perf, bench.placebo):
        with pytest.raises(NotRunError, match="no session on cuda"):
            check("torch", "cuda", 1.0)


def test_wheels_of_what_is_missing_or_too_old_are_unpacked(tmp_path, monkeypatch):
    versions = {"numpy": "0.1", "torch": "2.13.0+cu128", "left_pad": "1.0"}

    def version(name):
        if name not in versions:
            raise checks.importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(checks.importlib.metadata, "version", version)
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    wheels.mkdir()
    for name in ("numpy-2.1", "torch-2.13.0", "left_pad-9.0", "optax-0.2.8"):
        with zipfile.ZipFile(wheels / f"{name}-py3-none-any.whl", "w") as archive:
            archive.writestr(f"{name.split('-')[0]}/__init__.py", "")
    assert unpack(wheels, site).text == (
        "unpacked: numpy 2.1, optax 0.2.8; left as they are here: left_pad 9.0, torch 2.13.0"
    )
    assert sorted(folder.name for folder in site.iterdir()) == ["numpy", "optax"]
    with pytest.raises(FailedError, match="no wheels in"):
        unpack(site, site)


@pytest.mark.torch
@pytest.mark.jax
def test_a_device_that_is_not_here_is_a_failed_check(capsys):
    assert gpu_check.main(["--device", "tpu", "--only", "environment"]) == 1
    printed = capsys.readouterr().out
    assert "torch finds no tpu: torch " in printed
    assert "1 checks, 1 failed" in printed


@pytest.mark.slow(seconds=80)
@pytest.mark.torch
@pytest.mark.jax
@pytest.mark.trl
def test_all_of_it_on_the_cpu(tmp_path, warm_cache):
    file = tmp_path / "table.json"
    options = ["--cache", str(warm_cache), "--json", str(file)]
    status = gpu_check.main(["--device", "cpu", "--quick", *options])
    table = json.loads(file.read_text())
    rows = {row["check"]: row for row in table["rows"]}
    assert {name: row["found"] for name, row in rows.items() if row["state"] != "ok"} == {}
    assert (status, table["failed"]) == (0, 0)
    names = ["session on cpu", "session on cpu again", "ΔPerf", "placebo", "focused", "step"]
    last = ["bfloat16", "language model", "contract"]
    names = [f"{name}, {of}" for name in [*names, *last] for of in ("torch", "jax")]
    assert set(rows) == {"environment", "warm start", *names}
    for of in ("torch", "jax"):
        figures = {name: rows[f"{name}, {of}"]["figures"] for name in ("ΔPerf", "placebo", "step")}
        # Both sessions trained on the CPU, where a run is the same bit for bit.
        assert figures["ΔPerf"] == {"mean": 0.0, "mean_in_se": 0.0, "largest_in_se": 0.0}
        assert figures["placebo"] == {"runs": 2, "largest": 0.0}
        assert set(figures["step"]) == {"8×16, cpu", "8×16, device"}
        assert all(0.1 < ms < 10_000 for ms in figures["step"].values())
        assert rows[f"session on cpu again, {of}"]["figures"]["ratio"] > 0
        assert rows[f"focused, {of}"]["figures"]["runs"] == 6
        assert rows[f"bfloat16, {of}"]["figures"]["changed"] > 0
        assert rows[f"language model, {of}"]["figures"]["redrawn"] == 0
        assert rows[f"contract, {of}"]["figures"]["passed"] == 2
