"""``sweep runs``: list stored runs, or show one in full."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.cli import common, items, stored
from harness.errors import UsageError
from harness.records import Result, finite
from harness.session.progress import rewrites

if TYPE_CHECKING:
    from harness.store import Store

HELP = "list stored runs, of one sweep or of all, or show one"

MANY = 200
"""If there are more runs, a terminal shows only the number of each kind."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="a sweep, or the key of a run or its id, of which SWEEP-NUMBER is enough; a run is "
        "shown whole (default: all)",
    )
    parser.add_argument(
        "--against",
        metavar="RUN",
        help="compare the run NAME with this one, item by item",
    )
    parser.add_argument("--sweep", metavar="NAME", help="only runs of this sweep")
    stored.add_filters(parser)
    parser.add_argument(
        "--all",
        action="store_true",
        help=f"list each run, also where a terminal would show more than {MANY}",
    )
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Print the stored runs that the options choose."""
    with common.open_store(options) as store:
        chosen, whole = found(store, options)
        if whole or options.against:
            chosen = _with_all(store, chosen)
        other = _with_all(store, _against(store, options, chosen, whole=whole))
    if options.against:
        items.show(chosen[0], other[0], as_json=options.json)
    elif options.json:
        common.print_json({"runs": [_data(result) for result in chosen]})
    elif whole:
        print("\n\n".join("\n".join(_whole(result)) for result in chosen))
    else:
        show(chosen, every=options.all)
    return 0


def show(results: Sequence[Result], *, every: bool) -> None:
    """Print a table of runs; of many, on a terminal, the number of each kind unless ``every``."""
    if not results:
        print("no runs")
    elif len(results) > MANY and rewrites(sys.stdout) and not every:
        print("\n".join(_counted(results)))
    else:
        print("\n".join(_listed(results)))


def found(store: Store, options: argparse.Namespace) -> tuple[tuple[Result, ...], bool]:
    """Return the runs that the options choose, and whether to show them in full."""
    name, sweep = options.name, options.sweep
    if name is None or any(summary.sweep == name for summary in store.sweeps()):
        if None not in (name, sweep) and name != sweep:
            raise UsageError(f"{name} and --sweep {sweep} are two sweeps: name one")
        return stored.results(store, name or sweep, options), False
    among = stored.results(store, sweep, options)
    chosen = tuple(result for result in among if name in (result.run.id, result.key))
    # Reports show the sweep and the number, which an id begins with.
    parts = name.split("-")
    chosen = chosen or tuple(r for r in among if r.run.id.split("-")[: len(parts)] == parts)
    if not chosen:
        stored.check_sweep(store, name, nor=" and no run of that id or key")
    return chosen, True


def _against(
    store: Store, options: argparse.Namespace, chosen: Sequence[Result], *, whole: bool
) -> tuple[Result, ...]:
    """Return the one run that ``--against`` names; none without it.

    Raises `UsageError` where it, or the run that is compared with it, is not one run.
    """
    if options.against is None:
        return ()
    if not whole:
        raise UsageError("--against compares two runs: give the id or key of one as NAME")
    among = stored.results(store, options.sweep, options)
    other = tuple(r for r in among if options.against in (r.run.id, r.key))
    for name, runs in ((options.name, chosen), (options.against, other)):
        if not runs:
            raise UsageError(f"no run of the id or key {name!r} is stored")
        if len(runs) > 1:
            keys = ", ".join(run.key for run in runs)
            raise UsageError(f"{len(runs)} runs are called {name}: name one by its key ({keys})")
    return other


def _with_all(store: Store, results: Sequence[Result]) -> tuple[Result, ...]:
    """Return ``results`` with their traces and their scores by item, packed."""
    known = store.of({result.key: result.run for result in results})
    return tuple(replace(result, outcome=known[result.key].outcome) for result in results)


def _data(result: Result) -> dict[str, Any]:
    from harness.judging.evidence import judged_by
    from harness.metrics import Metric
    from harness.report.renderers.as_json import metric_data, run_data

    metric = Metric.of(result.conditions)
    (judged,) = judged_by(metric, [result])
    return {
        "sweep": result.run.sweep,
        "key": result.key,
        "metric": metric_data(metric),
        **run_data(judged, metric),
        **items.data(result),
        **_health(result),
        "code": {
            "version": result.conditions.trainer_version,
            "files": dict(result.conditions.files),
            "noted": dict(result.conditions.noted),
        },
        "finished_at": result.finished_at,
    }


def _health(result: Result) -> dict[str, Any]:
    """Return the health of the run's training as JSON has it; empty where it is not known."""
    from harness.observations.health import run_health
    from harness.report.renderers.as_json import picked

    found = run_health(result)
    if found is None:
        return {}
    return {"health": {name: picked(trend) for name, trend in found.trends.items()}}


def _listed(results: Sequence[Result]) -> Iterator[str]:
    from harness.metrics import DELTA_PERF, Metric
    from harness.report.blocks import Column, Table
    from harness.report.renderers.layout import table_text
    from harness.text import NONE, Digits, duration, plural

    measured = {Metric.of(r.conditions).name for r in results}
    digits = Digits.of(map(_ended, results))
    digits = replace(digits, plus=measured == {DELTA_PERF.name})
    # The id of a run that was trained here begins with its sweep's name.
    named = any(not r.run.id.startswith(r.run.sweep) for r in results)
    # A run that two backends, or earlier code, trained is listed once for each, by the same id.
    mixed = len({r.conditions.backend for r in results}) > 1
    before = {id(result) for result in stored.earlier(results)}
    columns = (
        Column("run", right=False),
        *([Column("sweep", right=False)] if named else []),
        Column("arm", right=False),
        Column("status", right=False),
        *([Column("backend", right=False)] if mixed else []),
        *([Column("code", right=False)] if before else []),
        Column(measured.pop() if len(measured) == 1 else "result"),
        Column("time", drop=1),
        Column("finished", right=False, drop=2),
    )
    rows = tuple(
        (
            r.run.id,
            *([r.run.sweep] if named else []),
            r.run.arm,
            r.outcome.status,
            *([r.conditions.backend] if mixed else []),
            *(["earlier" if id(r) in before else "latest"] if before else []),
            digits.with_error(_ended(r), r.outcome.delta_perf_se),
            duration(r.outcome.seconds),
            r.finished_at or NONE,
        )
        for r in results
    )
    yield from table_text(Table(columns, rows), common.width())
    yield from _failed(results)
    yield plural(len(rows), "run")


def _ended(result: Result) -> float | None:
    """Return what a run ended with: the value of its sweep's own metric, or ΔPerf."""
    return result.outcome.value if result.conditions.metric else result.outcome.delta_perf


def _failed(results: Sequence[Result]) -> Iterator[str]:
    """Yield why runs did not finish, each reason once, sweep by sweep."""
    from harness.report.failures import failures
    from harness.report.renderers.layout import wrap

    for sweep in dict.fromkeys(result.run.sweep for result in results):
        found = failures(r for r in results if r.run.sweep == sweep and not r.is_final)
        for one in found:
            yield from wrap(f"{sweep}: {one.line}", common.width(), hanging=2)


def _counted(results: Sequence[Result]) -> Iterator[str]:
    """Yield a table of the number of runs of each sweep and arm, by status."""
    from harness.report.blocks import Column, Table
    from harness.report.renderers.layout import table_text, wrap
    from harness.text import NONE, plural

    kinds: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        kinds[result.run.sweep, result.run.arm].append(result)
    columns = (
        Column("sweep", right=False),
        Column("arm", right=False),
        Column("runs"),
        Column("by status", right=False, wrap=True),
        Column("last finished", right=False, drop=1),
    )
    rows = []
    for (sweep, arm), runs in kinds.items():
        last = max(result.finished_at or "" for result in runs)
        rows.append((sweep, arm, f"{len(runs):,}", stored.by_status(runs), last or NONE))
    yield from table_text(Table(columns, tuple(rows)), common.width())
    yield from _failed(results)
    more = (
        f"{plural(len(results), 'run')}: --all lists each, --sweep, --arm and --status some of them"
    )
    yield from wrap(more, common.width())


def _whole(result: Result) -> Iterator[str]:
    """Yield everything stored of a run, in lines within the width of the terminal."""
    from harness.report.blocks import Column, Table
    from harness.report.renderers.layout import clean, table_text, wrap
    from harness.text import Digits

    width = common.width()
    facts = list(_facts(result))
    names = max(len(name) for name, _ in facts)
    for name, fact in facts:
        first, *rest = wrap(fact, max(width - names - 2, 20))
        yield f"{name:{names}}  {first}"
        yield from (" " * (names + 2) + line for line in rest)
    curve = result.outcome.curve
    if curve:
        yield ""
        own = result.conditions.metric
        columns = [Column("step"), Column(own or "perf"), Column("se"), Column("reward")]
        write = Digits(4).plain
        rows = [
            (str(p.step), *(write(finite(value)) for value in (p.perf, p.se, p.reward)))
            for p in curve
        ]
        if own:
            columns, rows = columns[:-1], [row[:-1] for row in rows]
        yield from table_text(Table(tuple(columns), tuple(rows)), width)
    yield from items.lines(result)
    if result.outcome.error:
        yield ""
        yield "error"
        for line in result.outcome.error.splitlines():
            yield from ("  " + part for part in wrap(clean(line), width - 2))


def _facts(result: Result) -> Iterator[tuple[str, str]]:
    """Yield the facts of a run, each with its name."""
    from harness.sweeps.sources import described
    from harness.text import Digits, cell, duration, plural

    run, under, outcome = result.run, result.conditions, result.outcome
    digits = Digits()
    yield "run", run.id
    yield "sweep", f"{run.sweep}, arm {run.arm}" + (f", paired with {run.pair}" if run.pair else "")
    yield "key", result.key
    stopped = f" at step {outcome.stopped_at}" if outcome.stopped_at is not None else ""
    yield "status", outcome.status + stopped
    yield "config", ", ".join(f"{name} {cell(item)}" for name, item in run.config.items())
    which = f", seed {run.repeat + 1} of its config" if run.repeat else ""
    yield "seed", f"{run.seed}{which}, {plural(run.steps, 'step')}"
    if under.metric and outcome.value is not None:
        value = Digits(4, plus=False).with_error(outcome.value, outcome.delta_perf_se)
        better = "less" if under.direction == "min" else "more"
        yield under.metric, f"{value} ({better} is better)"
    elif outcome.delta_perf is not None:
        yield "ΔPerf", digits.with_error(outcome.delta_perf, outcome.delta_perf_se)
    if outcome.value is not None and not under.metric:
        yield "value", Digits(plus=False).with_error(outcome.value, outcome.delta_perf_se)
    if outcome.perf_before is not None:
        after = digits.plain(outcome.perf_after)
        yield "perf", f"{digits.plain(outcome.perf_before)} before, {after} after"
    if outcome.prompts is not None:
        changed = outcome.prompts_changed
        yield (
            "measured",
            f"on {outcome.prompts} prompts × {outcome.samples or 1} samples"
            + ("" if changed is None else f", {changed} prompts changed"),
        )
    yield from _trained_well(result)
    if source := result.environment.get("imported_from"):
        by = result.environment.get("backend")
        yield "from", f"{source}, imported" + (f"; trained by {by}" if by else "")
    else:
        named = (under.task, under.model, under.backend, under.precision)
        yield "trained", ", ".join(filter(None, named))
    for name, sources in (("code", under.files), ("used", under.noted)):
        if sources:
            yield name, ", ".join(described(sources))
    device = outcome.device or under.device
    took = f"{duration(outcome.seconds)} on {device}" if device else duration(outcome.seconds)
    yield "took", took
    if result.finished_at:
        yield "finished", result.finished_at


def _trained_well(result: Result) -> Iterator[tuple[str, str]]:
    """Yield what the trace tells of the run's training, from its first tenth to its last."""
    from harness.observations.health import run_health, share
    from harness.text import percent, significant

    found = run_health(result)
    if found is None:
        return
    yield (
        "learned",
        f"from {percent(1.0 - found.no_signal.mean)} of groups (in the others all rewards were "
        f"equal); {percent(found.truncated.mean)} of completions cut off, "
        f"{share(found.moved)} of weights moved",
    )
    trends = [("length", found.length), ("entropy", found.entropy), ("KL", found.kl)]
    yield (
        "policy",
        ", ".join(
            f"{name} {significant(trend.start)} to {significant(trend.end)}"
            for name, trend in trends
            if trend is not None
        ),
    )
