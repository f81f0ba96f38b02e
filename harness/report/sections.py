"""The sections of a report that have pictures: learning rate, learning curve, arms."""

from __future__ import annotations

from collections.abc import Sequence

from harness.records import Result
from harness.report.blocks import (
    Bar,
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
from harness.report.model import Report
from harness.report.tables import Arm, Curve, Estimated, Range, learning_rate_of
from harness.text import NONE, Digits, cell, learning_rate, plural

MOST_STEPS = 6
MOST_DRAWN = 2_000
"""Of more runs than this some are drawn, evenly spread over the sample."""
MARKS = ("●", "○", "+")


def rate_blocks(report: Report, digits: Digits) -> tuple[Block, ...]:
    """Return the ranges of learning rates and the picture of ΔPerf against them."""
    if not report.ranges:
        return ()
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
    columns += [Column("runs"), Column("mean ΔPerf")]
    columns += [Column("success"), Column("rate")]
    rows = [
        row
        for name, ranges, transfer in sides
        for row in _range_rows(name, ranges, transfer, own, digits)
    ]
    return (
        Table(tuple(columns), tuple(rows), note="± is half of the 95% interval of the mean."),
        Scatter(_points(report), report.lr_transfer, report.metric.zero != "arbitrary"),
        *_not_all_drawn(report),
        *_rate_answer(report),
    )


def _range_rows(
    name: str, ranges: Sequence[Range], transfer: float | None, own: bool, digits: Digits
) -> list[tuple[str, ...]]:
    rows = []
    for number, row in enumerate(ranges):
        rate = f"{learning_rate(row.low)} to {learning_rate(row.high)}"
        task = ""
        if transfer is not None:
            task = f"{learning_rate(row.low * transfer)} to {learning_rate(row.high * transfer)}"
        cells = [name if number == 0 else "", rate, *[task] * own, str(row.runs)]
        cells.append(digits.with_error(row.mean.value, row.mean.error))
        rows.append((*cells, f"{row.successes} of {row.runs}", f"{row.successes / row.runs:.0%}"))
    return rows


def _points(report: Report) -> tuple[Point, ...]:
    return tuple(
        Point(
            x=rate,
            y=r.outcome.delta_perf,
            error=r.outcome.delta_perf_se,
            success=r.run.id in report.own.improved,
            label=r.run.id,
        )
        for r in _drawn(report)
        if (rate := learning_rate_of(r)) is not None
    )


def _rate_answer(report: Report) -> tuple[Block, ...]:
    """Return the bracket test's answer, to be read beside the picture, where it was asked for."""
    answers = [v for v in report.verdicts if v.id == "lr_sweet_spot" and v.claim]
    return tuple(Text(f"lr_sweet_spot is {v.verdict}: {v.answer}") for v in answers)


def curve_blocks(report: Report, digits: Digits) -> tuple[Block, ...]:
    """Return mean perf at a few steps, with its interval, and the picture of it."""
    if not report.curves:
        return ()
    first = report.curves[0]
    chosen = _few(first.steps)
    for other in report.curves[1:]:
        if other.steps[-1] in first.steps:
            chosen = sorted({*chosen, other.steps[-1]})
    columns = (Column("mean perf", right=False), Column("runs"), *(Column(str(s)) for s in chosen))
    rows = []
    for line in report.curves:
        at = dict(zip(line.steps, line.perf, strict=True))
        points = [at.get(step, Estimated()) for step in chosen]
        rows.append(
            (
                line.name,
                str(line.runs),
                *("" if p.value is None else digits.plain(p.value) for p in points),
            )
        )
        errors = ["" if p.error is None else f"± {digits.plain(p.error)}" for p in points]
        rows.append(("", "", *errors))
    note = "Held-out perf by step; ± is half of the 95% interval of the mean over runs."
    lines = tuple(
        _line(line, mark, _behind(line, report))
        for line, mark in zip(report.curves, MARKS, strict=False)
    )
    return (Table(columns, tuple(rows), note=note), Curves(lines), *_not_all_drawn(report))


def _few(steps: Sequence[int]) -> list[int]:
    """Return at most `MOST_STEPS` of ``steps``, evenly spread, the first and last among them."""
    stride = max(1, -(-(len(steps) - 1) // (MOST_STEPS - 1)))
    chosen = list(steps[::stride])
    if chosen[-1] != steps[-1]:
        chosen = [*chosen[: MOST_STEPS - 1], steps[-1]]
    return chosen


def _line(line: Curve, mark: str, behind: tuple[tuple[tuple[int, float], ...], ...]) -> Line:
    known = [(s, p) for s, p in zip(line.steps, line.perf, strict=True) if p.value is not None]
    return Line(
        label=f"{line.name} ({line.runs} runs)",
        mark=mark,
        steps=tuple(step for step, _ in known),
        means=tuple(p.value for _, p in known if p.value is not None),
        lows=tuple(p.low for _, p in known),
        highs=tuple(p.high for _, p in known),
        behind=behind,
    )


def _behind(line: Curve, report: Report) -> tuple[tuple[tuple[int, float], ...], ...]:
    if line.name != report.sweep:
        return ()
    return tuple(_path(r) for r in _drawn(report) if len(r.outcome.curve) > 1)


def _drawn(report: Report) -> Sequence[Result]:
    main = report.main
    if len(main) <= MOST_DRAWN:
        return main
    return [main[number * len(main) // MOST_DRAWN] for number in range(MOST_DRAWN)]


def _not_all_drawn(report: Report) -> tuple[Block, ...]:
    if len(report.main) <= MOST_DRAWN:
        return ()
    return (Text(f"{MOST_DRAWN} of {len(report.main)} runs are drawn, evenly over the sample."),)


def _path(result: Result) -> tuple[tuple[int, float], ...]:
    return tuple((point.step, point.perf) for point in result.outcome.curve)


def arms_blocks(report: Report, digits: Digits) -> tuple[Block, ...]:
    """Return the arms beside the main runs they are matched with."""
    if not report.arms:
        return ()
    columns = (
        Column("arm", right=False),
        Column("runs"),
        Column("steps", drop=1),
        Column("mean ΔPerf"),
        Column("success"),
        Column("against its main runs", right=False, wrap=True),
    )
    own = report.own
    steps = ", ".join(map(str, own.steps)) or NONE
    success = f"{own.successes} of {own.runs}"
    mean = digits.with_error(own.mean.value, own.mean.error)
    rows: list[tuple[str, ...]] = [("main", str(own.runs), steps, mean, success, "")]
    rows += [_arm_row(arm, digits) for arm in report.arms]
    note = (
        "± is half of a 95% interval; differences are arm minus main, over pairs that share a seed."
    )
    bars = (
        [Bar("main", own.mean.value, own.mean.low, own.mean.high)]
        if own.mean.value is not None
        else []
    )
    bars += [
        Bar(arm_label(arm), arm.side.mean.value, arm.side.mean.low, arm.side.mean.high)
        for arm in report.arms
        if arm.side.mean.value is not None
    ]
    return (Table(columns, tuple(rows), note=note), Bars(tuple(bars)))


def arm_label(arm: Arm) -> str:
    """Return an arm's name, with the value it sets where it has one."""
    return arm.name if arm.value is None else f"{arm.name} {cell(arm.value)}"


def _arm_row(arm: Arm, digits: Digits) -> tuple[str, ...]:
    side = arm.side
    if arm.name == "placebo":
        moved = side.diverged + arm.moved
        said = f"MOVED in {moved}: distrust the measurement" if moved else "exactly 0, as it must"
        mean = digits.signed(side.mean.value)
    else:
        change = digits.with_error(arm.difference.value, arm.difference.error)
        said = f"{change} ({plural(arm.pairs, 'pair')})" if arm.pairs else "no pairs yet"
        mean = digits.with_error(side.mean.value, side.mean.error)
    steps = ", ".join(map(str, side.steps)) or NONE
    return (arm_label(arm), str(side.runs), steps, mean, f"{side.successes} of {side.runs}", said)
