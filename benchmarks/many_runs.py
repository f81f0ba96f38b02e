"""How long a whole session of very many trivial runs takes, and how long very many are shown.

    python benchmarks/many_runs.py [--runs 10000] [--stored 100000] [--profile FILE]

First `pytest --sweep` with two workers on a sweep whose runs take no time: collecting, scheduling,
storing, judging and reporting them. Then `sweep runs` and `sweep report` on a store that holds many
more, with a learning curve each; and `sweep report` on as many of a sweep like `focused`: six
parameters, every question, and a trace of 100 steps. What is timed are the commands as a user gives
them, from start to end; 0 leaves a part out. ``--profile`` keeps cProfile's figures of the
session's own process.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import Counts, LogUniform, Sweep
from harness.claims import success_rate
from harness.plugin.declared import discover
from harness.protocols import Notify
from harness.records import Evaluation, Job, Outcome, Result, Run, StepTrace
from harness.store import Store
from harness.sweeps.plan import Selection, plan

ROOT = Path(__file__).parents[1]
SWEEP_FILE = """
from harness import Sweep
from many_runs import {declared}

many: Sweep = {declared}({runs})


def test_run(run):
    run.train()


def test_question(question):
    question.judge()
"""


def declared(runs: int) -> Sweep:
    """Return a sweep of so many runs that take no time."""
    return Sweep(
        "many",
        runs=runs,
        steps=100,
        seed=7,
        evaluate_every=10,
        space=dict(learning_rate=LogUniform(1e-7, 1e-6)),
        questions=dict(success_above_half=success_rate.above(0.5)),
        trainer=trivial,
    )


def like_focused(runs: int) -> Sweep:
    """Return the sweep `focused` with so many runs that take no time, and no arms."""
    focused = discover([ROOT / "experiments" / "test_focused.py"])["focused"]
    published = Counts("published", 6, 19, "ΔPerf > 0", "a published summary")
    return replace(focused, name="many", runs=runs, arms={}, baseline=published, trainer=trivial)


def trivial(job: Job, notify: Notify) -> Outcome:
    """Return at once."""
    return replace(measured(job.run), curve=())


def measured(run: Run) -> Outcome:
    """Return what a run might have come to, with its learning curve."""
    gain = random.Random(run.seed).gauss(0.05, 0.05)
    perfs = [(step, 0.3 + gain * step / run.steps) for step in range(0, run.steps + 1, 10)]
    return Outcome(
        "completed",
        perf_before=0.3,
        perf_after=perfs[-1][1],
        delta_perf=perfs[-1][1] - 0.3,
        delta_perf_se=0.01,
        prompts=512,
        samples=4,
        prompts_changed=40,
        curve=tuple(Evaluation(step, perf, 0.01, perf) for step, perf in perfs),
        seconds=1.0,
        device="cpu",
    )


def traced(run: Run) -> Outcome:
    """Return `measured` with a trace of a hundred steps."""
    noise = random.Random(run.seed).random
    trace = (
        StepTrace(step, 1e-7 * (1 - step / 200), noise(), None, noise(), noise(), noise(), step)
        for step in range(1, 101)
    )
    return replace(measured(run), trace=tuple(trace))


def project(folder: Path, runs: int, declared: str = "declared") -> None:
    """Write a project with a sweep of so many runs, declared by that function of this file."""
    (folder / "experiments").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "experiments" / "test_many.py").write_text(
        SWEEP_FILE.format(runs=runs, declared=declared)
    )


def fill(folder: Path, sweep: Sweep, outcome_of: Callable[[Run], Outcome]) -> None:
    """Store every run of the project's sweep."""
    planned = plan(sweep, Selection())
    with Store.open(str(folder / ".sweep" / "store.db")) as store:
        for key, run in planned.runs.items():
            at = "2026-01-01T00:00:00Z"
            store.save(Result(key, run, planned.conditions, outcome_of(run), {}, at))


def timed(what: str, folder: Path, *arguments: str) -> None:
    """Run Python with some arguments in a project, and print how long it took."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
    before, began = _cpu(), time.perf_counter()
    with (folder / "output.txt").open("w") as output:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    seconds, load = time.perf_counter() - began, os.getloadavg()[0]
    print(f"{what}: {seconds:.1f} s ({_cpu() - before:.1f} s of CPU); load {load:.1f}", flush=True)
    if done.returncode:
        raise SystemExit((folder / "output.txt").read_text()[-2000:])


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--stored", type=int, default=100_000)
    parser.add_argument("--profile", type=Path)
    options = parser.parse_args()
    if options.runs:
        with TemporaryDirectory() as name:
            project(Path(name), options.runs)
            session = ["-m", "pytest", "-q", "-p", "harness.plugin", "experiments"]
            session += ["--sweep", "many"]
            kept = options.profile
            profiled = ["-m", "cProfile", "-o", str(kept.absolute())] if kept else []
            timed(f"a session of {options.runs:,} runs", Path(name), *profiled, *session)
            timed("the same again, all stored", Path(name), *session)
    if options.stored:
        with TemporaryDirectory() as name:
            project(Path(name), options.stored)
            fill(Path(name), declared(options.stored), measured)
            sweep = ("-m", "harness.cli")
            timed(f"{options.stored:,} runs listed by `sweep runs`", Path(name), *sweep, "runs")
            timed("reported by `sweep report`", Path(name), *sweep, "report", "many")
        with TemporaryDirectory() as name:
            project(Path(name), options.stored, "like_focused")
            fill(Path(name), like_focused(options.stored), traced)
            timed("as many like those of `focused`", Path(name), *sweep, "report", "many")


if __name__ == "__main__":
    main()
