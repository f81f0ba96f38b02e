"""Find the finished runs of a sweep in the store, or read those of a table."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.cli import common, tables
from harness.errors import StoreError, UsageError, nearest
from harness.records import MAIN, Run
from harness.sweeps.baseline import is_table
from harness.verdicts import Evidence, Outlook, Verdict, by_arm

if TYPE_CHECKING:
    from harness.plugin.declared import Declared
    from harness.store import Store
    from harness.sweeps.sweep import Sweep
    from harness.tables import Reading


@dataclass(frozen=True, slots=True)
class Finished:
    """Finished runs as evidence, and ``notes`` that tell the user how they were found or read.

    ``sweep`` is the declaration of their sweep, where there is one, with the planned ``runs`` of
    all arms; ``reading`` is their table.
    """

    evidence: Evidence
    sweep: Sweep | None = None
    notes: tuple[str, ...] = ()
    reading: Reading | None = None
    runs: tuple[Run, ...] = ()

    def asked(self) -> tuple[Verdict, ...]:
        """Judge the questions of the sweep or the table; see `judged`."""
        return self.judged()[0]

    def judged(self) -> tuple[tuple[Verdict, ...], Outlook | None]:
        """Judge the questions that a report of the sweep answers, or ``sweep judge`` of the table.

        So that nobody reads two answers on one parameter. With what further runs buy.
        """
        from harness.claims import judge_all
        from harness.judging.outlook import outlook_of_sweep
        from harness.judging.table import judge_table

        if self.reading is not None:
            (group,) = judge_table(self.reading).groups
            return group.judgement.verdicts, group.judgement.outlook
        if self.sweep is None:
            return (), None
        verdicts = judge_all(self.sweep.questions, self.evidence)
        return verdicts, outlook_of_sweep(self.sweep, self.runs, self.evidence, verdicts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the runs and say how they are looked up or read."""
    parser.add_argument(
        "name",
        metavar="NAME",
        help=f"a sweep whose runs are stored, or a table of finished runs: {tables.READ}",
    )
    tables.add_table_options(parser)
    common.add_selection(parser)
    common.add_experiments(parser)
    common.add_store(parser)


def finished(options: argparse.Namespace, declared: Declared | None = None) -> Finished:
    """Return the runs that ``options`` name: a declared or stored sweep, else a table.

    ``declared`` are the declared sweeps, if they have been looked for already.

    Raises
    ------
    UsageError
        Where there is no such sweep or table, or no run of it has finished.
    """
    name = options.name
    if is_table(name):
        chosen = [f"--{of}" for of in ("runs", "steps") if getattr(options, of) is not None]
        if chosen:
            raise UsageError(f"{chosen[0]} chooses runs of the store; a table is read whole")
        return _of_table(options)
    given = tables.given(options)
    if given:
        raise UsageError(f"{given} says how a table is read, and {name!r} is none: {tables.NAMES}")
    if declared is None:
        declared = common.declared(options)
    sweeps = declared.sweeps
    if name in sweeps:
        return _of_sweep(sweeps[name], sweeps, options)
    common.tell_unread(declared)
    try:
        store = common.open_store(options)
    except StoreError as error:
        raise UsageError(f"{name!r} is no table: {tables.NAMES}; {error}") from None
    with store:
        return of_store(name, sweeps, store)


def _of_table(options: argparse.Namespace) -> Finished:
    from harness.tables import read_runs

    read = read_runs(options.name, tables.read_options(options))
    arms = by_arm(read.results)
    evidence = Evidence(read.name, arms.pop(MAIN, ()), arms, metric=read.metric)
    return Finished(evidence, notes=read.notes, reading=read)


def _of_sweep(sweep: Sweep, sweeps: Mapping[str, Sweep], options: argparse.Namespace) -> Finished:
    """Return the runs of a declared sweep that are stored as it would train them."""
    from harness.judging.evidence import gathered, with_confirmed
    from harness.judging.stored import looked_up, not_counted
    from harness.observations.repeats import each_run
    from harness.sweeps.plan import plan

    selection = common.selection(options, sweep)
    planned = plan(sweep, selection, trains=False)
    with common.open_store(options) as store:
        found = gathered(planned, sweeps, store)
        evidence, said = with_confirmed(found), list(looked_up(found))
        others = "" if evidence.runs else not_counted(planned, store)
    if not evidence.runs:
        raise UsageError(
            f"no run of sweep {sweep.name!r} has finished{others}; train it: "
            f"{selection.command([sweep.name])}"
        )
    missing = len(planned.of_arms()) - len(each_run(evidence.runs))
    if missing:
        said.append(f"INCOMPLETE: {missing} of {len(planned.of_arms())} runs have not finished")
    return Finished(evidence, sweep, tuple(said), runs=tuple(planned.runs.values()))


def of_store(name: str, sweeps: Mapping[str, Sweep], store: Store) -> Finished:
    """Return the stored runs of a sweep that is not declared here.

    Runs of unequal declarations, steps or conditions are never pooled: the largest group that
    agrees counts.
    """
    from harness.judging.stored import undeclared

    found = undeclared(name, store.results(sweep=name, traces=False))
    if found is None:
        stored = {summary.sweep for summary in store.sweeps()}
        known = sorted({*sweeps, *stored})
        there = f"there are {', '.join(known)}" if known else "there is none"
        raise UsageError(
            f"no sweep {name!r} is declared or stored; {there}; {tables.NAMES}"
            f"{nearest(name, known)}"
        )
    evidence, notes = found
    return Finished(evidence, notes=notes)
