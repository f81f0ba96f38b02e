"""Write the analysis of a sweep: by ranges, parameter by parameter, and pair by pair."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from harness.analysis import Analysis, Effect, Interaction, Ranges
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
from harness.report.documents.high_performers import (
    conclusion_blocks,
    pattern_blocks,
    threshold_text,
)
from harness.text import (
    NONE,
    Digits,
    chance,
    p_value,
    parameter_value,
    percent_between,
    plural,
    significant,
)
from harness.verdicts import Metric


def document(found: Analysis) -> Document:
    """Return an analysis as a document, with its conclusions last."""
    digits = _digits(found)
    sections = filled(
        Section("", _about(found)),
        Section("High performers", pattern_blocks(found)),
        *([_ranges(found.ranges, found, digits)] if found.ranges else []),
        Section("Effects, one parameter at a time", _effects(found, digits)),
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
    means = [level.mean.value for effect in found.effects for level in effect.levels]
    means += [row.mean.value for row in found.ranges.rows] if found.ranges else []
    spreads = [row.spread for row in found.ranges.rows] if found.ranges else []
    digits = Digits.of([*means, *spreads])
    return replace(digits, plus=found.metric.knows_success)


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
    columns = [Column(name, right=False), Column("runs"), Column(f"mean {metric.name}")]
    columns += [Column("95% interval", right=False), Column("SD")]
    if metric.knows_success:
        columns += [Column("success"), Column("95% interval", right=False)]
    if two_rules:
        columns += [Column("above 0", drop=2), Column("95% interval", right=False, drop=2)]
    rows = []
    for row in ranges.rows:
        span = significant(row.low) if row.low == row.high else _cell(Span(row.low, row.high))
        cells = [span, str(row.runs), digits.signed(row.mean.value)]
        cells += [digits.between(row.mean.low, row.mean.high), digits.plain(row.spread)]
        if metric.knows_success:
            cells += [_rate(row.successes, row.runs)]
            cells += [percent_between(row.success.low, row.success.high)]
        if two_rules:
            cells += [_rate(row.positive, row.runs)]
            cells += [percent_between(row.positive_share.low, row.positive_share.high)]
        rows.append(tuple(cells))
    notes = []
    if metric.knows_success:
        rule = "> 0" if ranges.rule == "above zero" else "is shown to be above 0"
        notes.append(f"A success: {metric.name} {rule}.")
    if ranges.outside:
        notes.append(f"{plural(ranges.outside, 'run')} outside of these ranges.")
    blocks: list[Block] = [Table(tuple(columns), tuple(rows), note=" ".join(notes))]
    blocks += [
        Text(_trend(effect, digits))
        for effect in found.effects
        if effect.parameter == name and effect.slope
    ]
    return Section(f"By {name}", tuple(blocks))


def _trend(effect: Effect, digits: Digits) -> str:
    shown = "a trend" if effect.p_value <= 0.05 else "no trend is shown"
    return f"Along all of it: {_slope(effect, digits)}, {p_value(effect.p_value, 'p')}: {shown}."


def _rate(successes: int, runs: int) -> str:
    return f"{100 * successes / runs:.1f}% ({successes})"


# ---- effects ------------------------------------------------------------------------------------


def _effects(found: Analysis, digits: Digits) -> tuple[Block, ...]:
    bound = any(effect.goes_with for effect in found.effects)
    columns = [
        Column("parameter", right=False),
        Column("slope, or best from the rest", right=False, wrap=True),
        Column("p"),
        *[Column("p apart")] * bound,
        Column("Holm's p"),
        Column("importance"),
        Column("share", drop=1),
    ]
    rows = []
    for effect in found.effects:
        cells = [effect.parameter, _difference(effect, digits), p_value(effect.p_value)]
        if bound:
            cells.append(p_value(effect.p_adjusted) if effect.goes_with else "")
        cells += [p_value(effect.p_holm), _share(effect.importance), _share(effect.share)]
        rows.append(tuple(cells))
    notes = [
        "p: a test by permuted ranks of whether the parameter has any effect.",
        f"p apart: the same among runs that agree on what it goes with "
        f"({_associated(found.effects)})."
        if bound
        else "",
        f"Holm's p is corrected for {plural(len(found.effects), 'parameter')}.",
        "Importance: how much worse held-out runs are predicted when its values are swapped at "
        "random; share: what lies between its values; both in units of the variance.",
        _predicted(found.predicted),
    ]
    table = Table(tuple(columns), tuple(rows), note=" ".join(filter(None, notes)))
    means = _level_means(found.effects, digits, found.metric)
    return (table, means) if means.rows else (table,)


def _associated(effects: Iterable[Effect]) -> str:
    """Return the parameters that go together, each pair once."""
    pairs = {
        frozenset((effect.parameter, other.parameter)): f"{effect.parameter} with {other.parameter}"
        for effect in reversed(tuple(effects))
        for other in effect.goes_with
    }
    return ", ".join(reversed(pairs.values()))


def _difference(effect: Effect, digits: Digits) -> str:
    if effect.slope is not None:
        return _slope(effect, digits)
    known = [level for level in effect.levels if math.isfinite(level.difference.low)]
    if not known:
        return NONE
    best = max(known, key=lambda level: level.mean.value)
    between = digits.between(best.difference.low, best.difference.high)
    told = f"{parameter_value(best.value)}: {digits.signed(best.difference.estimate)}"
    return f"{told} ({between})"


def _slope(effect: Effect, digits: Digits) -> str:
    assert effect.slope is not None
    slope, per = effect.slope, "per decade" if effect.is_log else "per unit"
    if not math.isfinite(slope.value):
        return NONE
    fine = digits.enough_for(slope.value)
    return f"{fine.signed(slope.value)} {per} ({fine.between(slope.low, slope.high)})"


def _share(share: float | None) -> str:
    return NONE if share is None else Digits(2).plain(share)


def _predicted(share: float | None) -> str:
    if share is None:
        return ""
    if share <= 0.0:
        return "Together the parameters predict held-out runs no better than their mean does."
    return f"Together the parameters predict {100 * share:.0f}% of the variance of held-out runs."


def _level_means(effects: Iterable[Effect], digits: Digits, metric: Metric) -> Table:
    columns = (
        Column("parameter", right=False),
        Column("value", right=False, wrap=True),
        Column("runs"),
        Column(f"mean {metric.name}"),
        Column("95% interval", right=False),
        Column("from the rest"),
        Column("95% interval", right=False, drop=1),
    )
    rows = [
        (
            effect.parameter,
            parameter_value(level.value),
            str(level.runs),
            digits.signed(level.mean.value),
            digits.between(level.mean.low, level.mean.high),
            digits.signed(level.difference.estimate),
            digits.between(level.difference.low, level.difference.high),
        )
        for effect in effects
        for level in effect.levels
    ]
    return Table(columns, grouped(rows), note="From the rest: the difference from all other runs.")


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
    items = [(" × ".join(one.parameters), _interaction(one, digits)) for one in looked.shown]
    return (Bullets(tuple(items)), Text(f"These are worth a look, of {pairs} tested."))


def _interaction(one: Interaction, digits: Digits) -> str:
    where = " and ".join(
        f"{name} {_cell(value)}" for name, value in zip(one.parameters, one.values, strict=True)
    )
    return (
        f"{100 * one.share:.0f}% of the variance beyond what the two add up to (Holm's "
        f"{p_value(one.p_holm, 'p')}), most of all with {where}: "
        f"{replace(digits, plus=True).signed(one.beyond)} in {plural(one.runs, 'run')}"
    )


def _cell(value: Value | Span) -> str:
    if isinstance(value, Span):
        return f"{significant(value.low)} to {significant(value.high)}"
    return parameter_value(value)
