"""Write what was found of each parameter: whether it matters, its levels, its best value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.metrics import Metric
from harness.observations.columns import RATE, read_columns
from harness.observations.columns import Column as Values
from harness.report.blocks import SUCCESS, Bars, Block, Column, Point, Table, Text
from harness.report.documents.summary import best_text, that_matter
from harness.report.documents.sweep_breakdown import scatter
from harness.report.figures import own
from harness.report.model import Report
from harness.statistics import Estimate
from harness.text import NONE, Digits, level_text, p_value, percent, plural, verdict_numbers
from harness.verdicts import LevelEffect, ParameterEffect, Verdict

LEVEL = 0.95
"""The confidence at which the intervals of all levels hold together."""

MOST_TOLD = 24
"""Of more parameters than this only these, the strongest first, have a row."""

MOST_PICTURED = 4
"""The most parameters that are drawn."""

MOST_DRAWN = 2_000
"""The most runs that a picture of one parameter has."""


def parameter_blocks(report: Report, digits: Digits) -> tuple[Block, ...]:
    """Return a row for each parameter, and pictures of those that matter."""
    matters = {v.effect.parameter: v for v in report.about_parameters("matters") if v.effect}
    best = {v.effect.parameter: v for v in report.about_parameters("best") if v.effect}
    lead = [v.effect.parameter for v in that_matter(report) if v.effect]
    others = (name for name in dict.fromkeys([*matters, *best]) if name not in lead)
    names = [*lead, *sorted(others, key=lambda name: _strength(matters.get(name)))]
    if not names:
        return ()
    blocks: list[Block] = [parameter_table(names, matters, best, report.metric, report.alpha)]
    for verdict in that_matter(report)[:MOST_PICTURED]:
        if verdict.effect is not None and verdict.effect.levels:
            shown = best.get(verdict.effect.parameter, verdict).effect or verdict.effect
            blocks += _pictures(shown, report)
    return tuple(blocks)


def _strength(verdict: Verdict | None) -> float:
    """Return a key that sorts parameters that are not shown to matter, the closest first."""
    if verdict is None or verdict.p_value is None:
        return 2.0
    return verdict.p_value if verdict.verdict != "unanswerable" else 1.5


def parameter_table(
    names: Sequence[str],
    matters: Mapping[str, Verdict],
    best: Mapping[str, Verdict],
    metric: Metric,
    alpha: float,
) -> Table:
    """Return a row for each of the parameters ``names``, with what both questions found of it."""
    columns = (
        Column("parameter", right=False),
        Column("matters", right=False),
        Column("best is ahead of worst by", right=False),
        Column("Holm's p"),
        Column("share", drop=1),
        Column("best value", right=False, wrap=True),
    )
    rows = []
    for name in names[:MOST_TOLD]:
        verdict, where = matters.get(name), best.get(name)
        cells = ["", "", "", ""]
        if verdict is not None:
            cells = _found(verdict, alpha)
        told = _best(where, alpha, matters=verdict is None or verdict.is_shown(alpha))
        if verdict is not None and verdict.verdict == "unanswerable":
            told = verdict.reason or verdict.answer
        rows.append((name, *cells, told))
    note = (
        f"With the other parameters held equal, in units of {metric.name}; intervals hold "
        "for all levels of a parameter together. Ranks decide whether it matters, means how much. "
        "Share: of the variance. Holm's p is corrected for all questions."
    )
    if len(names) > MOST_TOLD:
        note += f" {plural(len(names) - MOST_TOLD, 'more parameter')}: see report.json."
    # Where nothing could be answered, columns without a cell would take the width of the reasons.
    kept = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    shown = tuple(tuple(row[i] for i in kept) for row in rows)
    return Table(tuple(columns[i] for i in kept), shown, note=note)


def _found(verdict: Verdict, alpha: float) -> list[str]:
    words = {"supported": "yes", "refuted": "no", "inconclusive": "not shown"}
    word = words.get(verdict.verdict, verdict.verdict)
    if verdict.verdict == "supported" and not verdict.is_shown(alpha):
        word = "not shown"
    size, between = verdict_numbers(verdict.estimate, verdict.low, verdict.high, signed=False)
    known = verdict.low is not None and verdict.high is not None
    told = "" if size == NONE else f"{size} ({between})" if known else size
    if verdict.effect is not None and verdict.effect.by_ranks is not None and word == "yes":
        ahead, behind = map(level_text, verdict.effect.by_ranks)
        told = f"{ahead} ahead of {behind} by ranks; by means the other way round"
    share = verdict.effect.share if verdict.effect else None
    p = "" if verdict.verdict == "unanswerable" else p_value(verdict.p_holm)
    return [word, told, "" if p == NONE else p, "" if share is None else percent(share)]


def _best(verdict: Verdict | None, alpha: float, *, matters: bool) -> str:
    """Return the best value of a parameter in a few words, where one is shown."""
    if verdict is None or verdict.effect is None:
        return ""
    if verdict.verdict in ("refuted", "not judged"):
        return verdict.answer
    return best_text(verdict) if matters or verdict.is_shown(alpha) else "any may be"


# ---- pictures -----------------------------------------------------------------------------------


def _pictures(effect: ParameterEffect, report: Report) -> list[Block]:
    name, metric = effect.parameter, report.metric.name
    bars = tuple(
        (level_text(one.level), own(report.metric, _estimate(one))) for one in effect.levels
    )
    marked = tuple(place for place, one in enumerate(effect.levels) if one.may_be_best)
    key = "may be the best"
    if len(marked) == len(bars):
        means = [one.mean for one in effect.levels]
        marked, key = (means.index(max(means)),), "the best mean"
    drawn: list[Block] = [
        Text(
            f"{name}: mean {metric} with the other parameters held equal, with 95% intervals; "
            f"{SUCCESS} {key}."
        ),
        Bars(bars, metric, marked, name, key),
    ]
    # The learning rate has a section with its picture.
    if name != RATE or not report.ranges:
        drawn += _scatter(name, report)
    return drawn


def _scatter(name: str, report: Report) -> list[Block]:
    """Return the metric against a parameter of numbers."""
    every = len(report.main)
    main = [report.main[i * every // MOST_DRAWN] for i in range(MOST_DRAWN)]
    main = main if every > MOST_DRAWN else list(report.main)
    column: Values | None = read_columns([r.run.config for r in main])[0].get(name)
    if column is None or column.as_numbers is None or column.scaled is None:
        return []
    is_log = column.scaled is not column.as_numbers
    points = tuple(
        Point(
            x=float(x),
            y=report.level(r),
            error=r.outcome.delta_perf_se,
            success=r.run.id in report.own.improved,
            label=f"{r.run.id}, {name} {x:g}",
        )
        for x, r in zip(column.as_numbers, main, strict=True)
        if math.isfinite(x)
    )
    axis = " (logarithmic)" if is_log else ""
    return [
        Text(f"{report.metric.name} of each run against {name}{axis}."),
        scatter(report, points, parameter=name, is_log=is_log),
    ]


def _estimate(level: LevelEffect) -> Estimate:
    low = -math.inf if level.low is None else level.low
    high = math.inf if level.high is None else level.high
    return Estimate(level.mean, low, high, LEVEL, level.runs, "adjusted mean")
