"""Write the analysis of a sweep: by ranges, parameter by parameter, and pair by pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from harness.analysis import Analysis, Effect, Interaction, Ranges
from harness.metrics import Metric
from harness.observations import rule_text
from harness.records import Span, Value
from harness.report.blocks import (
    Block,
    Bullets,
    Column,
    Document,
    Section,
    Table,
    Text,
    filled,
    grouped,
)
from harness.report.documents.budget import budget_blocks, dominant_text
from harness.report.documents.high_performers import (
    conclusion_blocks,
    pattern_blocks,
    threshold_text,
)
from harness.report.documents.parameters import parameter_table
from harness.report.documents.selection import leader_blocks
from harness.report.documents.sweep_runs import seed_blocks
from harness.report.figures import own
from harness.text import (
    Digits,
    chance,
    exact,
    p_value,
    parameter_value,
    percent_between,
    plural,
    significant,
)
from harness.verdicts import LevelEffect

MOST_WITH_MEANS = 8
"""Of more parameters than this, the means of those alone that are shown to matter are told."""


def document(found: Analysis) -> Document:
    """Return an analysis as a document, with its conclusions last."""
    digits = _digits(found)
    sections = filled(
        Section("", _about(found)),
        Section("Seeds", seed_blocks(found.seeds, digits, counts_once=found.merged)),
        Section("Noise budget", budget_blocks(found.budget, found.outlook, digits)),
        Section("High performers", pattern_blocks(found)),
        Section(
            "After selection", leader_blocks(found.leaders, found.selection, found.metric, digits)
        ),
        *([_ranges(found.ranges, found, digits)] if found.ranges else []),
        Section("Effects, the other parameters held equal", _effects(found, digits)),
        Section("Interactions", _interactions(found, digits)),
        Section("Conclusions", conclusion_blocks(found)),
    )
    return Document(
        headline=f"{found.sweep}: {_size(found)}, "
        f"{plural(found.high.count, 'high performer')} ({threshold_text(found)})",
        sections=sections,
        digits=digits,
    )


def _digits(found: Analysis) -> Digits:
    """Return the digits that the outcomes of an analysis are written with."""
    metric = found.metric
    means = [metric.level(level.mean) for effect in found.effects for level in _levels(effect)]
    rows = found.ranges.rows if found.ranges else ()
    means += [metric.level(row.mean.value) for row in rows]
    spreads = [row.spread for row in found.ranges.rows] if found.ranges else []
    digits = Digits.of([*means, *spreads])
    return replace(digits, plus=metric.is_change)


def _size(found: Analysis) -> str:
    runs = plural(found.runs, "run")
    return f"{plural(found.units, 'configuration')} in {runs}" if found.merged else runs


def _about(found: Analysis) -> tuple[Block, ...]:
    sentences = []
    if found.merged:
        sentences.append(
            "Runs of one configuration are repeats: they are averaged, and count as one."
        )
    if found.diverged:
        sentences.append(
            f"{plural(found.diverged, 'run')} diverged: ranked worst, no high performer, and left "
            "out of means."
        )
    if dominant := dominant_text(found.budget):
        sentences.append(f"{dominant}.")
    same = [name for name, why in found.left_out.items() if why.is_constant]
    sentences += [f"The same in every run: {', '.join(same)}."] if same else []
    sentences += [
        f"Left out: {name}, {why}." for name, why in found.left_out.items() if name not in same
    ]
    return (Text(" ".join(sentences)),) if sentences else ()


# ---- ranges -------------------------------------------------------------------------------------


def _ranges(ranges: Ranges, found: Analysis, digits: Digits) -> Section:
    name, metric = ranges.parameter, found.metric
    two_rules = metric.knows_success and ranges.rule == "shown"
    beyond = f"{metric.improving.above} {exact(metric.target, plus=False)}"
    columns = [Column(name, right=False), Column("runs"), Column(f"mean {metric.name}")]
    columns += [Column("95% interval", right=False), Column("SD")]
    if metric.knows_success:
        columns += [Column("success"), Column("95% interval", right=False)]
    if two_rules:
        columns += [Column(beyond, drop=2), Column("95% interval", right=False, drop=2)]
    rows = []
    for row in ranges.rows:
        span = significant(row.low) if row.low == row.high else _cell(Span(row.low, row.high))
        mean = own(metric, row.mean)
        cells = [span, str(row.runs), digits.signed(mean.value)]
        cells += [digits.between(mean.low, mean.high), digits.plain(row.spread)]
        if metric.knows_success:
            cells += [_rate(row.successes, row.runs)]
            cells += [percent_between(row.success.low, row.success.high)]
        if two_rules:
            cells += [_rate(row.positive, row.runs)]
            cells += [percent_between(row.positive_share.low, row.positive_share.high)]
        rows.append(tuple(cells))
    notes = []
    if metric.knows_success:
        rule = rule_text("above zero", metric)
        if two_rules:
            rule = f"{metric.name} is shown to be {beyond}"
        notes.append(f"A success: {rule}.")
    if ranges.outside:
        notes.append(f"{plural(ranges.outside, 'run')} outside of these ranges.")
    blocks: list[Block] = [Table(tuple(columns), tuple(rows), note=" ".join(notes))]
    blocks += [
        Text(f"Along all of it, the other parameters held equal: {effect.best.answer}.")
        for effect in found.effects
        if effect.parameter == name and effect.best.verdict != "unanswerable"
    ]
    return Section(f"By {name}", tuple(blocks))


def _rate(successes: int, runs: int) -> str:
    return f"{100 * successes / runs:.1f}% ({successes})"


# ---- effects ------------------------------------------------------------------------------------


def _effects(found: Analysis, digits: Digits) -> tuple[Block, ...]:
    """Return the table that a report has, in the order of the shares, and the adjusted means."""
    matters = {effect.parameter: effect.matters for effect in found.effects}
    best = {effect.parameter: effect.best for effect in found.effects}
    table = parameter_table(list(matters), matters, best, found.metric, found.alpha)
    told = found.effects
    if len(told) > MOST_WITH_MEANS:
        told = tuple(effect for effect in told if effect.is_shown(found.alpha))
    means = _level_means(told, digits, found.metric)
    return (table, means) if means.rows else (table,)


def _levels(effect: Effect) -> tuple[LevelEffect, ...]:
    """Return the levels of a parameter, told apart where one is shown not to be the best."""
    found = effect.best.effect or effect.matters.effect
    return () if found is None else found.levels


def _may_be_best(effect: Effect, level: LevelEffect) -> str:
    """Return whether a level may be the best; empty where any may."""
    if all(one.may_be_best for one in _levels(effect)):
        return ""
    return "yes" if level.may_be_best else "no"


def _ends(level: LevelEffect, metric: Metric) -> tuple[float, float]:
    """Return the interval of a level's mean as values of the metric, infinite where open."""
    low = -math.inf if level.low is None else level.low
    return metric.ends(low, math.inf if level.high is None else level.high)


def _level_means(effects: Sequence[Effect], digits: Digits, metric: Metric) -> Table:
    told_apart = any(not one.may_be_best for effect in effects for one in _levels(effect))
    columns = (
        Column("parameter", right=False),
        Column("value", right=False, wrap=True),
        Column("runs"),
        Column(f"mean {metric.name}"),
        Column("95% interval", right=False),
        *[Column("may be best", right=False, drop=1)] * told_apart,
    )
    rows = [
        (
            effect.parameter,
            _cell(level.level),
            str(level.runs),
            digits.signed(metric.level(level.mean)),
            digits.between(*_ends(level, metric)),
            *[_may_be_best(effect, level)] * told_apart,
        )
        for effect in effects
        for level in _levels(effect)
    ]
    note = (
        "Means are adjusted: at the same mix of the other parameters. The intervals of a "
        "parameter hold for all of its values together."
    )
    return Table(columns, grouped(rows), note=note)


# ---- interactions -------------------------------------------------------------------------------


def _interactions(found: Analysis, digits: Digits) -> tuple[Block, ...]:
    looked = found.interactions
    if not looked.pairs:
        return ()
    pairs = plural(looked.pairs, "pair")
    if not looked.shown:
        return (
            Text(
                f"None is shown: the smallest p of {pairs} of parameters is "
                f"{p_value(looked.smallest)}, and {chance(found.alpha / looked.pairs)} would be "
                "needed."
            ),
        )
    items = [
        (" × ".join(one.parameters), _interaction(one, digits, found.metric))
        for one in looked.shown
    ]
    return (Bullets(tuple(items)), Text(f"These are worth a look, of {pairs} tested."))


def _interaction(one: Interaction, digits: Digits, metric: Metric) -> str:
    where = " and ".join(
        f"{name} {_cell(value)}" for name, value in zip(one.parameters, one.values, strict=True)
    )
    return (
        f"{100 * one.share:.0f}% of the variance beyond what the two add up to (Holm's "
        f"{p_value(one.p_holm, 'p')}), most of all with {where}: "
        f"{replace(digits, plus=True).signed(metric.change(one.beyond))} in "
        f"{plural(one.runs, 'run')}"
    )


def _cell(value: Value | Span) -> str:
    if isinstance(value, Span):
        return f"{significant(value.low)} to {significant(value.high)}"
    return parameter_value(value)
