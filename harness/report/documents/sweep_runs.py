"""Write the runs of a sweep: one by one, by learning rate, by step, and by arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import stdev

from harness.metrics import DELTA_PERF, Metric
from harness.observations.repeats import SeedSpread, each_run
from harness.records import Config, Outcome, Result
from harness.report.blocks import (
    DIVERGED,
    OTHER,
    SUCCESS,
    Bars,
    Block,
    Column,
    Curves,
    Line,
    Point,
    Scatter,
    Section,
    Table,
    Text,
)
from harness.report.failures import short_id
from harness.report.figures import UNKNOWN, Arm, Curve, Range, Side, deltas_of, rate_of
from harness.report.model import Report
from harness.text import (
    NONE,
    Digits,
    cell,
    duration,
    exact,
    learning_rate,
    parameter_name,
    percent,
    plural,
    significant,
)

RATE = "learning_rate"
MOST_LISTED = 1_000
"""If there are more runs, only the best and the worst are listed, half of this each."""
MOST_REASONS = 12
"""The most reasons why rows of a table failed that are listed."""
MOST_STEPS = 6
MOST_DRAWN = 2_000
"""If there are more runs, only this many are drawn, spread evenly over the sample."""
MARKS = ("●", "○", "+")


# ---- the runs -----------------------------------------------------------------------------------


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
    return Section(title, (Table(tuple(columns), rows, note=" ".join(notes), long=True),))


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


# ---- by learning rate ---------------------------------------------------------------------------


def rate_blocks(report: Report, digits: Digits) -> tuple[Block, ...]:
    """Return the ranges of learning rates and the picture of outcomes against them."""
    if not report.ranges:
        return ()
    metric = report.metric
    own = report.lr_transfer != 1
    sides: list[tuple[str, Sequence[Range], float | None]] = [
        (report.sweep, report.ranges, report.lr_transfer)
    ]
    if report.baseline_ranges and report.against:
        theirs = report.baseline_runs[0].conditions
        transfer = theirs.lr_transfer if theirs.task else None  # a table does not say
        sides.append((report.against.name, report.baseline_ranges, transfer))
    columns = [Column("sweep", right=False), Column("learning rate", right=False)]
    columns += [Column("the task's own", right=False, drop=1)] * own
    columns += [Column("runs"), Column(f"mean {metric.name}")]
    columns += [Column("success"), Column("rate")] * metric.knows_success
    rows: list[tuple[str, ...]] = []
    for name, ranges, transfer in sides:
        for place, row in enumerate(ranges):
            cells = [name if place == 0 else "", _rates(row, 1.0)]
            cells += [_rates(row, transfer)] * own
            cells += [str(row.runs), digits.with_error(row.mean.value, row.mean.error)]
            if metric.knows_success:
                cells += [f"{row.successes} of {row.runs}", percent(row.successes / row.runs)]
            rows.append(tuple(cells))
    return (
        Table(tuple(columns), tuple(rows), note="± is half of the 95% interval of the mean."),
        scatter(report, _points(report), transfer=report.lr_transfer),
        *_not_all_drawn(report),
        *_rate_answer(report),
    )


def _rates(row: Range, transfer: float | None) -> str:
    """Return the ends of a range times ``transfer``; empty where that is not known."""
    if transfer is None:
        return ""
    return f"{learning_rate(row.low * transfer)} to {learning_rate(row.high * transfer)}"


def scatter(
    report: Report,
    points: tuple[Point, ...],
    *,
    transfer: float = 1.0,
    parameter: str = RATE,
    is_log: bool = True,
) -> Scatter:
    """Return the picture of the report's metric against a parameter."""
    metric = report.metric
    return Scatter(
        points,
        metric.name,
        transfer,
        judged=metric.knows_success,
        parameter=parameter,
        is_log=is_log,
        zero=metric.target,
        minimised=metric.minimised,
    )


def _points(report: Report) -> tuple[Point, ...]:
    return tuple(
        Point(
            x=rate,
            y=report.level(r),
            error=r.outcome.delta_perf_se,
            success=r.run.id in report.own.improved,
            label=r.run.id,
        )
        for r in _drawn(report)
        if (rate := rate_of(r.run.config)) is not None
    )


def _rate_answer(report: Report) -> tuple[Block, ...]:
    """Return the answer of lr_sweet_spot, to be read beside the picture, if it was asked."""
    answers = [v for v in report.verdicts if v.id == "lr_sweet_spot" and v.claim]
    return tuple(Text(f"lr_sweet_spot is {v.verdict}: {v.answer}") for v in answers)


# ---- by step ------------------------------------------------------------------------------------


def curve_blocks(report: Report, digits: Digits) -> tuple[Block, ...]:
    """Return mean perf at a few steps with its interval, and a picture of it."""
    if not report.curves:
        return ()
    first = report.curves[0]
    chosen = _few(first.steps)
    for other in report.curves[1:]:
        if other.steps[-1] in first.steps:
            chosen = sorted({*chosen, other.steps[-1]})
    name = report.metric.measure
    columns = (
        Column(f"mean {name}", right=False),
        Column("runs"),
        *(Column(str(s)) for s in chosen),
    )
    rows = []
    for line in report.curves:
        at = dict(zip(line.steps, line.perf, strict=True))
        points = [at.get(step, UNKNOWN) for step in chosen]
        means = [digits.plain(p.value) for p in points]
        errors = [digits.plain(p.error) for p in points]
        rows.append((line.name, str(line.runs), *("" if m == NONE else m for m in means)))
        rows.append(("", "", *("" if e == NONE else f"± {e}" for e in errors)))
    by_step = "Held-out perf by step" if report.metric == DELTA_PERF else f"{name} by step"
    note = f"{by_step}; ± is half of the 95% interval of the mean over runs."
    lines = tuple(
        _line(line, mark, _drawn(report) if line.name == report.sweep else (), report.metric)
        for line, mark in zip(report.curves, MARKS, strict=False)
    )
    return (Table(columns, tuple(rows), note=note), Curves(lines, name), *_not_all_drawn(report))


def _few(steps: Sequence[int]) -> list[int]:
    """Return at most `MOST_STEPS` of ``steps``, evenly spread, with the first and the last."""
    stride = max(1, -(-(len(steps) - 1) // (MOST_STEPS - 1)))
    chosen = list(steps[::stride])
    if chosen[-1] != steps[-1]:
        chosen = [*chosen[: MOST_STEPS - 1], steps[-1]]
    return chosen


def _line(line: Curve, mark: str, behind: Sequence[Result], metric: Metric) -> Line:
    known = [
        (step, p) for step, p in zip(line.steps, line.perf, strict=True) if math.isfinite(p.value)
    ]
    curves = (r.outcome.curve for r in behind if len(r.outcome.curve) > 1)
    return Line(
        label=f"{line.name} ({line.runs} runs)",
        mark=mark,
        steps=tuple(step for step, _ in known),
        means=tuple(p for _, p in known),
        behind=tuple(
            tuple((point.step, metric.change(point.perf)) for point in curve) for curve in curves
        ),
    )


def _drawn(report: Report) -> Sequence[Result]:
    main = report.main
    if len(main) <= MOST_DRAWN:
        return main
    return [main[number * len(main) // MOST_DRAWN] for number in range(MOST_DRAWN)]


def _not_all_drawn(report: Report) -> tuple[Block, ...]:
    if len(report.main) <= MOST_DRAWN:
        return ()
    return (Text(f"{MOST_DRAWN} of {len(report.main)} runs are drawn, evenly over the sample."),)


# ---- by arm -------------------------------------------------------------------------------------


def arms_blocks(report: Report, digits: Digits) -> tuple[Block, ...]:
    """Return the arms beside the main runs they are matched with."""
    if not report.arms:
        return ()
    own, metric = report.own, report.metric
    columns = (
        Column("arm", right=False),
        Column("runs"),
        Column("steps", drop=1),
        Column(f"mean {metric.name}"),
        *[Column("success")] * metric.knows_success,
        Column("against its main runs", right=False, wrap=True),
    )
    mean = digits.with_error(own.mean.value, own.mean.error)
    rows = [_side_row("main", own, mean, "", metric.knows_success)]
    rows += [_arm_row(arm, digits, metric) for arm in report.arms]
    note = (
        "± is half of a 95% interval; differences are arm minus main, over pairs that share a seed."
    )
    sides = [("main", own), *((arm_label(arm), arm.side) for arm in report.arms)]
    bars = tuple((label, side.mean) for label, side in sides if math.isfinite(side.mean.value))
    return (Table(columns, tuple(rows), note=note), Bars(bars, metric.name, zero=metric.is_change))


def arm_label(arm: Arm) -> str:
    """Return an arm's name, with the value it sets where it has one."""
    return f"{arm.name} {cell(arm.value)}" if arm.is_of_parameter else arm.name


def _arm_row(arm: Arm, digits: Digits, metric: Metric) -> tuple[str, ...]:
    side = arm.side
    if arm.name == "placebo":
        moved = side.diverged + arm.moved
        stayed = "exactly 0, as it must" if metric.is_change else "where it started, as it must"
        if not (metric.is_change or arm.known):
            stayed = "not known: no value before training"
        told = f"MOVED in {moved}: distrust the measurement" if moved else stayed
        mean = digits.signed(side.mean.value)
    else:
        change = replace(digits, plus=True).with_error(arm.difference.value, arm.difference.error)
        told = f"{change} ({plural(arm.pairs, 'pair')})" if arm.pairs else "no pairs yet"
        mean = digits.with_error(side.mean.value, side.mean.error)
    return _side_row(arm_label(arm), side, mean, told, metric.knows_success)


def _side_row(label: str, side: Side, mean: str, told: str, knows_success: bool) -> tuple[str, ...]:
    steps = ", ".join(map(str, side.steps)) or NONE
    successes = [f"{side.successes} of {side.runs}"] if knows_success else []
    return (label, str(side.runs), steps, mean, *successes, told)
