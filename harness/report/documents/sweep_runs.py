"""Write the runs of a sweep one by one, seed by seed, and those that did not finish."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import stdev

from harness.metrics import DELTA_PERF, Metric
from harness.observations.columns import RATE
from harness.observations.repeats import SeedSpread, each_run
from harness.records import Config, Outcome, Result
from harness.report.blocks import (
    DIVERGED,
    OTHER,
    SUCCESS,
    Block,
    Column,
    Section,
    Table,
    Text,
)
from harness.report.documents.selection import selection_blocks, selection_columns
from harness.report.failures import short_id
from harness.report.figures import deltas_of, rate_of
from harness.report.model import Report
from harness.text import (
    NONE,
    Digits,
    cell,
    duration,
    exact,
    learning_rate,
    parameter_name,
    plural,
    significant,
)

MOST_LISTED = 1_000
"""If there are more runs, only the best and the worst are listed, half of this each."""
MOST_REASONS = 12
"""The most reasons why rows of a table failed that are listed."""


def runs_section(report: Report, digits: Digits) -> Section:
    """Return the runs from best to worst, with the parameters that vary."""
    title = f"Runs by {report.metric.name}"
    main = sorted(report.main, key=lambda r: _rank(r.outcome.delta_perf))[::-1]
    if not main:
        return Section(title, (Text("No run of the sweep has finished."),))
    configs = [r.run.config for r in main]
    names = list(dict.fromkeys(name for config in configs for name in config))
    varied = [n for n in names if any(config.get(n) != configs[0].get(n) for config in configs)]
    same = {n: cell(configs[0][n], rate=n == RATE) for n in names if n not in varied}
    between = max(0, len(main) - MOST_LISTED)
    if between:
        main = [*main[: MOST_LISTED // 2], *main[-MOST_LISTED // 2 :]]
    columns = {
        Column("run", right=False): [short_id(r) for r in main],
        Column(""): [_mark(r, report.own.improved) for r in main],
        Column(report.metric.name): [_outcome(r, report, digits) for r in main],
        **selection_columns(main, report.selection, report.metric, digits),
        **config_columns([r.run.config for r in main], varied, report.lr_transfer, drop=3),
    }
    notes = [f"{SUCCESS} success."] if report.own.improved else []
    if any(r.outcome.delta_perf_se is not None for r in main):
        over = " over held-out prompts" if report.metric == DELTA_PERF else ""
        notes.append(f"± is the standard error of {report.metric.name}{over}.")
    disagrees = [_training(r.outcome, digits) for r in main]
    if any(disagrees):
        columns[Column("in training", drop=1)] = disagrees
        notes.append(
            f"In training: {report.metric.name} of the training batches, where its sign disagrees."
        )
    if any(r.repeats for r in main):
        columns[Column("seeds", drop=2)] = [_seeds(r) for r in main]
        columns[Column("SD of seeds", drop=1)] = [_spread(r, digits) for r in main]
        notes.append("A row is a config, the mean of its seeds.")
    if any(run.outcome.seconds is not None for run in each_run(main)):
        columns[Column("time", drop=4)] = [duration(_seconds(r)) for r in main]
    if same:
        shared = ", ".join(f"{parameter_name(name)} {shown}" for name, shown in same.items())
        notes.append(f"The same in every run: {shared}.")
    if between:
        notes.append(
            f"The best {MOST_LISTED // 2} and the worst {MOST_LISTED // 2}; report.json has the "
            f"{between} between them too."
        )
    rows = tuple(zip(*columns.values(), strict=True))
    table = Table(tuple(columns), rows, note=" ".join(notes), long=True)
    left = selection_blocks(report.selection, report.metric, confirmed=bool(report.confirmed))
    return Section(title, (table, *left))


def metric_text(metric: Metric) -> str:
    """Return a metric in words: ``val_loss, less is better, a success below 0.3``."""
    better = f"{metric.name}, {'less' if metric.minimised else 'more'} is better"
    if not metric.knows_success:
        return better
    return f"{better}, a success {metric.improving.above} {exact(metric.target, plus=False)}"


def config_columns(
    configs: Sequence[Config], names: Sequence[str], transfer: float, *, drop: int = 0
) -> dict[Column, list[str]]:
    """Return a column for each of these parameters, the learning rate first.

    ``transfer`` is the factor from it to the task's own. ``drop`` is that of the other columns.
    """
    columns = {}
    if RATE in names:
        columns[Column("learning rate")] = [cell(c.get(RATE), rate=True) for c in configs]
        if transfer != 1:
            own = [rate and rate * transfer for rate in map(rate_of, configs)]
            columns[Column("the task's", drop=2)] = [learning_rate(rate) for rate in own]
    for name in names:
        if name != RATE:
            column = Column(parameter_name(name), drop=drop, wrap=True)
            columns[column] = [cell(c.get(name)) for c in configs]
    return columns


def seeds_section(report: Report, digits: Digits) -> Section:
    """Return the runs that the configs with several seeds are the means of, one by one."""
    runs = [run for result in report.main for run in result.repeats]
    columns = {
        Column("run", right=False): [run.run.id for run in runs],
        Column("seed", drop=1): [str(run.run.seed) for run in runs],
        Column(report.metric.name): [_outcome(run, report, digits) for run in runs],
    }
    if any(run.outcome.seconds is not None for run in runs):
        columns[Column("time", drop=2)] = [duration(run.outcome.seconds) for run in runs]
    table = Table(tuple(columns), tuple(zip(*columns.values(), strict=True)), long=True)
    return Section("Seed by seed", (table,) if runs else ())


def seed_blocks(
    found: SeedSpread | None, digits: Digits, *, counts_once: bool = True
) -> tuple[Block, ...]:
    """Return how far configs, and the seeds of one, lie apart, and what that means.

    ``counts_once`` says that a config is one of the results that are judged.
    """
    if found is None:
        return ()
    of = found.components
    for sd in (of.between, of.within):
        digits = digits.enough_for(sd.value)
    between, within = (
        f"SD {digits.plain(sd.value)} ({digits.between(sd.low, sd.high, signed=False)})"
        for sd in (of.between, of.within)
    )
    lost = f", of which {found.diverged} diverged" if found.diverged else ""
    once = ""
    if counts_once:
        once = f"; a config counts once, by the mean of its seeds ({significant(of.each, 2)} each)"
    said = [
        f"{plural(of.groups, 'config')} in {plural(found.runs, 'run')}{lost}{once}.",
        f"Between configs {between}, between seeds {within}; 95% intervals.",
        "What seeds do, the noise of the evaluation included, sets the means of two equally good "
        f"configs up to {digits.plain(found.equal_within)} apart in 95% of cases: a smaller "
        "difference between two configs shows nothing.",
    ]
    if of.between.low <= 0.0:
        said.append("That configs differ at all by more than their seeds do is not shown.")
    return (Text(" ".join(said)),)


def unfinished_section(report: Report) -> Section:
    """List the runs that do not count, by their reason; those of a sweep are trained again."""
    left, of_table = report.failures, report.of_table
    most = MOST_REASONS if of_table else MOST_LISTED
    columns: tuple[Column, ...] = (
        Column("runs"),
        Column("status", right=False),
        Column("ids" if of_table else "numbers", right=False, wrap=True),
        Column("error", right=False, wrap=True),
    )
    rows: tuple[tuple[str, ...], ...] = tuple(
        (
            str(len(one.results)),
            one.status,
            one.short_ids if of_table else one.numbers,
            one.results[0].outcome.error or "",
        )
        for one in left[:most]
    )
    note = "They are tried again next time."
    if of_table:
        note = "They have no result, and count as runs that failed."
        columns, rows = _known(columns, rows)
    if any(len(one.results) > 1 for one in left):
        note += " Errors that differ only in numbers are one; the text is the first run's."
    if len(left) > most:
        note += f" The first {most} of {len(left)} reasons."
    table = Table(columns, rows, note=note, long=True)
    return Section("Runs that did not finish", (table,) if left else ())


def _known(
    columns: tuple[Column, ...], rows: tuple[tuple[str, ...], ...]
) -> tuple[tuple[Column, ...], tuple[tuple[str, ...], ...]]:
    """Return a table without the columns in which every cell is empty."""
    kept = [place for place in range(len(columns)) if any(row[place] for row in rows)]
    return tuple(columns[i] for i in kept), tuple(tuple(row[i] for i in kept) for row in rows)


def _mark(result: Result, improved: frozenset[str]) -> str:
    if result.outcome.status != "completed":
        return DIVERGED
    return SUCCESS if result.run.id in improved else OTHER


def _outcome(result: Result, report: Report, digits: Digits) -> str:
    outcome = result.outcome
    if outcome.status != "completed":
        return "diverged" if outcome.stopped_at is None else f"diverged at {outcome.stopped_at}"
    return digits.with_error(report.level(result), outcome.delta_perf_se)


def _seeds(result: Result) -> str:
    """Return the number of a config's seeds, with that of those that completed if not all did."""
    runs = result.repeats or (result,)
    done = sum(run.outcome.status == "completed" for run in runs)
    return str(done) if done == len(runs) else f"{done} of {len(runs)}"


def _spread(result: Result, digits: Digits) -> str:
    deltas = deltas_of(result.repeats)
    return digits.plain(stdev(deltas)) if len(deltas) > 1 else NONE


def _seconds(result: Result) -> float | None:
    known = [run.outcome.seconds for run in result.repeats or (result,)]
    told = [seconds for seconds in known if seconds is not None]
    return sum(told) if told else None


def _rank(delta: float | None) -> float:
    return float("-inf") if delta is None else delta


def _training(outcome: Outcome, digits: Digits) -> str:
    """Return the training ΔPerf if its sign is the opposite one."""
    delta, train = outcome.delta_perf, outcome.train_delta_perf
    if delta is None or train is None or delta * train >= 0:
        return ""
    return digits.signed(train)
