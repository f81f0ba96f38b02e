"""``sweep plan``: show the configs of a sweep, their cost and power, before it is trained."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, TextIO

from harness.cli import common
from harness.errors import StoreError
from harness.records import Conditions, Result, Run, is_whole
from harness.session.arguments import STORE
from harness.session.jobs import READING, memory_of
from harness.session.progress import rewrites, shown
from harness.sweeps.confirming import is_open
from harness.sweeps.plan import Plan, check_configs, plan, trained_with, transfer_in_words
from harness.sweeps.sweep import Sweep
from harness.verdicts import Power

if TYPE_CHECKING:
    from harness.report.documents.plan import Cost

HELP = "print the configs of a sweep, its arms, its cost and what it can show, and train nothing"

SHOW_AFTER = 2.0
LOG_SECONDS = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument("name", metavar="NAME", help="the sweep to plan")
    common.add_selection(parser)
    common.add_experiments(parser)
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Print the plan of a sweep."""
    common.use_one_thread()
    from harness.audit.plan import audit_plan
    from harness.claims.next_runs import next_runs
    from harness.claims.power import design_of
    from harness.judging.baselines import check_comparable
    from harness.report.documents.plan import PlanPage, document
    from harness.report.renderers.document_json import plan_data

    declared = common.declared(options)
    sweep, sweeps = common.chosen(options.name, declared), declared.sweeps
    selection = common.selection(options, sweep)
    asked = plan(sweep, selection, trains=False)
    shows = asked.conditions.model_source and rewrites(sys.stderr)
    with shown(sys.stderr, READING) if shows else nullcontext():
        check_configs(asked, memory_of(asked, 1))
    runs = (*asked.runs.values(), *asked.open)
    stored = _stored(options)
    check_comparable(sweep, sweep.baseline, sweeps)
    ours, theirs = _stored_runs(options, asked, sweeps) if stored is not None else ((), ())
    baseline = sweeps.get(sweep.baseline) if isinstance(sweep.baseline, str) else None
    known = (*ours, *theirs)
    baseline_runs = None if baseline is None else baseline.runs
    power = power_of(sweep, known, runs=runs, baseline_runs=baseline_runs)
    design = design_of(sweep, known, runs=runs, baseline_runs=baseline_runs)
    page = PlanPage(
        sweep=sweep,
        runs=runs,
        cost=estimate(runs, *_timed(stored, asked.conditions)),
        power=power,
        findings=audit_plan(
            sweep,
            [run for run in runs if run.repeat == 0],
            power,
            baseline=baseline,
            baseline_stored=bool(theirs),
        ),
        means=trained_with(asked.conditions, selection, device=False),
        transfer=asked.conditions.lr_transfer,
        transfer_said=transfer_in_words(sweep, selection, asked.conditions),
        budget=design.noise,
        outlook=next_runs(sweep.questions, design),
    )
    if options.json:
        common.print_json(plan_data(page))
    else:
        print(common.document_text(document(page)), end="")
    return 0


def estimate(runs: Sequence[Run], stored: Sequence[Result], why: str) -> Cost:
    """Estimate the cost of ``runs`` from the time that ``stored`` ones took."""
    from statistics import median

    from harness.report.documents.plan import Cost

    known = [completions(run) for run in runs if not is_open(run)]
    counted = [work for work in known if work is not None]
    whole = len(counted) == len(known)
    # A leader is taken to cost what a run costs on average.
    counted += [round(sum(counted) / len(counted))] * (len(runs) - len(known)) if counted else []
    rates = []
    for result in stored:
        work = completions(result.run) if whole else result.run.steps
        if work and result.outcome.seconds is not None:
            rates.append(result.outcome.seconds / work)
    steps = sum(run.steps for run in runs)
    amount = sum(counted) if whole else steps
    return Cost(
        runs=len(runs),
        steps=steps,
        completions=sum(counted) if whole else None,
        seconds=median(rates) * amount if rates else None,
        stored=len(rates),
        why="" if rates else why,
    )


def completions(run: Run) -> int | None:
    """Return the number of completions a run is trained on; None where its config does not say."""
    batch, group = run.config.get("batch_size"), run.config.get("generations")
    return run.steps * batch * group if is_whole(batch) and is_whole(group) else None


class Waiting:
    """Shows on ``stream`` which of ``total`` parts is being computed, and the time left.

    On a terminal it is one line that comes after two seconds and goes in the end; elsewhere a line
    every half minute.
    """

    def __init__(self, stream: TextIO, total: int, *, rewrites: bool) -> None:
        self._stream = stream
        self._total = total
        self._rewrites = rewrites
        self._start = time.monotonic()
        self._next = self._start + (SHOW_AFTER if rewrites else LOG_SECONDS)
        self._begun = 0
        self._shown = False

    def __call__(self, part: str) -> None:
        """Begin a part."""
        now, done = time.monotonic(), self._begun
        self._begun += 1
        if now < self._next or not done:
            return
        left = (now - self._start) / done * (self._total - done)
        said = f"sweep: power of {part}, {done} of {self._total} done, about {left:.0f} s to go"
        self._next = now if self._rewrites else now + LOG_SECONDS
        self._shown = True
        self._stream.write(f"\r\x1b[K{said}" if self._rewrites else f"{said}\n")
        self._stream.flush()

    def end(self) -> None:
        """Remove the line."""
        if self._shown and self._rewrites:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def power_of(
    sweep: Sweep,
    stored: Sequence[Result],
    *,
    runs: Sequence[Run] | None = None,
    baseline_runs: int | None,
) -> tuple[Power, ...]:
    """Return the power of the questions, with progress on the error stream if it takes long."""
    from harness.claims.power import sweep_power

    waiting = Waiting(sys.stderr, len(sweep.questions), rewrites=rewrites(sys.stderr))
    try:
        return sweep_power(sweep, stored, runs=runs, baseline_runs=baseline_runs, notify=waiting)
    finally:
        waiting.end()


def _stored(options: argparse.Namespace) -> list[Result] | None:
    """Return all stored runs; None where there is no store and none was named."""
    if not options.store and not (common.home(options) / STORE).exists():
        return None
    try:
        with common.open_store(options) as store:
            return list(store.results(traces=False))
    except StoreError:
        if options.store:
            raise
        return None


def _stored_runs(
    options: argparse.Namespace, asked: Plan, sweeps: dict[str, Sweep]
) -> tuple[tuple[Result, ...], tuple[Result, ...]]:
    """Return the stored runs of the plan, fresh seeds of its leaders too, and its baseline's."""
    from harness.judging.evidence import judged_by, resolve_baseline, with_leaders

    name = asked.sweep.baseline
    with common.open_store(options) as store:
        known = with_leaders(asked, partial(store.of, traces=False))
        ours = judged_by(asked.sweep.judged_by, store.of(known.runs, traces=False).values())
        if not isinstance(name, str):
            return ours, ()
        theirs, _ = resolve_baseline(name, sweeps, store, asked)
    return ours, () if theirs is None else theirs.results


def _timed(stored: list[Result] | None, conditions: Conditions) -> tuple[list[Result], str]:
    """Return the stored runs that a duration is estimated by, or why there are none."""
    alike = ("backend", "precision", "task", "model")
    found = [
        result
        for result in stored or ()
        if result.outcome.status == "completed"
        and all(getattr(result.conditions, n) == getattr(conditions, n) for n in alike)
    ]
    none = f"no run of {conditions.model} on {conditions.backend} is stored"
    return found, "no run is stored" if stored is None else none
