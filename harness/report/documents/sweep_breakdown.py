"""Break the runs of a sweep down: by learning rate, by step, by arm, and by how they trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from harness.audit.health import CODES
from harness.metrics import DELTA_PERF, Metric
from harness.observations.columns import RATE
from harness.observations.health import Measure, share
from harness.records import CONFIRM, Result
from harness.report.blocks import (
    Bars,
    Block,
    Column,
    Curves,
    Line,
    Point,
    Scatter,
    Table,
    Text,
)
from harness.report.failures import short_id
from harness.report.figures import UNKNOWN, Arm, Curve, Range, Side, rate_of
from harness.report.model import Report
from harness.text import (
    NONE,
    Digits,
    cell,
    learning_rate,
    listed,
    percent,
    plural,
    significant,
)

MOST_STEPS = 6
"""The most steps of the learning curve that the table has."""
MOST_DRAWN = 2_000
"""If there are more runs, only this many are drawn, spread evenly over the sample."""
MARKS = ("●", "○", "+")
"""The marks of the lines of a picture, in their order."""


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
    elif arm.name == CONFIRM:
        told = "fresh seeds, not paired"
        mean = digits.with_error(side.mean.value, side.mean.error)
    else:
        change = replace(digits, plus=True).with_error(arm.difference.value, arm.difference.error)
        told = f"{change} ({plural(arm.pairs, 'pair')})" if arm.pairs else "no pairs yet"
        mean = digits.with_error(side.mean.value, side.mean.error)
    return _side_row(arm_label(arm), side, mean, told, metric.knows_success)


def _side_row(label: str, side: Side, mean: str, told: str, knows_success: bool) -> tuple[str, ...]:
    steps = ", ".join(map(str, side.steps)) or NONE
    successes = [f"{side.successes} of {side.runs}"] if knows_success else []
    return (label, str(side.runs), steps, mean, *successes, told)


# ---- how they trained ---------------------------------------------------------------------------

_MEASURES = {
    "no_signal": "groups without signal",
    "truncated": "completions cut off",
    "length": "tokens a completion",
    "entropy": "entropy",
    "kl": "KL from the start",
    "weights_moved": "weights that moved",
}
"""The measures of health in words. The first two and the last are shares."""

_SHARES = ("no_signal", "truncated", "weights_moved")


def health_blocks(report: Report) -> tuple[Block, ...]:
    """Return what the runs learned from, and a table of how they trained; empty if not measured."""
    health = report.health
    if health is None:
        return ()
    codes = {finding.code for finding in report.findings} & set(CODES)
    beware = f"; the audit has {listed(sorted(codes))}" if codes else ""
    learned = 1.0 - health["no_signal"].mean
    answer = (
        f"There was something to learn from in {percent(learned)} of groups, and "
        f"{share(health['weights_moved'].mean)} of the weights moved{beware}."
    )
    columns = (
        Column("", right=False),
        Column("start"),
        Column("end"),
        Column("all steps"),
        Column("worst run"),
        Column("run", right=False, drop=1),
    )
    rows = tuple(_measure_row(measure) for measure in health.measures)
    note = (
        f"Means over {plural(health.runs, 'run')}; start and end are the first and the last tenth "
        "of the steps. A group without signal has equal rewards, from which nothing is learned. "
        "Entropy and KL are in nats a token. The worst run is the one with the most groups without "
        "signal or completions cut off; at its end the shortest completions, the least entropy or "
        "the largest KL; or the fewest weights that moved."
    )
    return (Text(answer), Table(columns, rows, note=note))


def _measure_row(measure: Measure) -> tuple[str, ...]:
    write = share if measure.name in _SHARES else significant
    cells = (measure.start, measure.end, measure.mean, measure.worst)
    told = ["" if value is None else write(value) for value in cells]
    return (_MEASURES[measure.name], *told, short_id(measure.run))
