"""Write what high performers have in common, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.metrics import DELTA_PERF
from harness.report.blocks import Block, Bullets, Column, Table, Text, grouped
from harness.text import chance, in_words, listed, parameter_value, plural, significant

if TYPE_CHECKING:
    from harness.analysis import Analysis, Conclusion, Pattern

MEASURED_BY = ("batch_size", "generations")
"""Parameters that change the reward of a training batch through the contents of the batch."""


def pattern_blocks(found: Analysis) -> tuple[Block, ...]:
    """List what the high performers have in common, and how likely that is by chance."""
    high, what = found.high, "configurations" if found.merged else "runs"
    blocks: list[Block] = []
    if not high.patterns:
        which = "No" if not high.count else "Every"
        one = "configuration" if found.merged else "run"
        blocks.append(
            Text(
                f"{which} {one} is a high performer ({threshold_text(found)}), so there is no "
                "difference to look for. --high VALUE sets another threshold."
            )
        )
    else:
        columns = (
            Column("parameter", right=False),
            Column("value", right=False, wrap=True),
            Column(f"of {high.count} high"),
            Column(f"of all {found.units}"),
            Column("by chance"),
            Column("equal values", drop=1),
            Column("Holm's p"),
        )
        rows = [
            (
                pattern.parameter,
                pattern_text(pattern),
                str(pattern.high),
                str(pattern.runs),
                chance(pattern.p_margins),
                "" if pattern.p_equal is None else chance(pattern.p_equal),
                chance(pattern.p_holm),
            )
            for pattern in high.patterns
        ]
        note = (
            f"By chance: the probability that at least as many of any {high.count} of the "
            f"{found.units} {what} have the value; for several values or a range, that they lie "
            "within so few. Equal values: the same if each value of the parameter were equally "
            f"likely. Holm's p is corrected for {plural(len(high.patterns), 'pattern')} "
            "looked at, and for the parameters that this one goes with."
        )
        blocks.append(Table(columns, grouped(rows), note=note))
    blocks += [
        Text(f"In the {arm} arm, which cannot learn, {some} of {runs} are as high.")
        for arm, (some, runs) in high.useless.items()
    ]
    return tuple(blocks)


def conclusion_blocks(found: Analysis) -> tuple[Block, ...]:
    """Say which of these patterns are evidence, parameter by parameter."""
    if not found.high.conclusions:
        return ()
    items = [(one.standing, conclusion_text(one, found)) for one in found.high.conclusions]
    shown = [one.parameter for one in found.high.conclusions if one.standing == "evidence"]
    rest = len(items) - len(shown)
    last = f"The high performers are evidence about {listed(shown) or 'no parameter'}"
    if shown and rest:
        last += f", and not about the other {plural(rest, 'parameter')}"
    return (Bullets(tuple(items)), Text(f"{last}."))


def conclusion_text(found: Conclusion, analysis: Analysis) -> str:
    """Return the values of a parameter among the high performers, and their worth as evidence."""
    pattern = found.pattern
    if found.implied_by is not None:
        why = _implied(found, analysis)
    elif found.standing == "evidence":
        why = f"{_by_chance(pattern, analysis)}. {_corrected(pattern, analysis)}"
        why += _unmeasured(found, analysis)
    elif found.standing == "cannot be told apart":
        why = f"{_by_chance(pattern, analysis)}, but {_rivals(found)}"
    else:
        why = _by_chance(pattern, analysis)
    return f"{_statement(found, analysis)}. {why}."


def _statement(found: Conclusion, analysis: Analysis) -> str:
    pattern, name, total = found.pattern, found.parameter, analysis.high.count
    if pattern.kind == "range":
        return f"{name} {pattern_text(pattern)} among the high performers"
    subject = f"{name} {listed(map(parameter_value, pattern.values))}"
    if pattern.high == total:
        never = [parameter_value(level) for level, high, _ in found.counts if not high]
        rest = f", never {listed(never, 'or')}" if pattern.kind == "only" else ""
        return f"{subject} in 100% of the high performers ({total} of {total}){rest}"
    if found.standing == "not evidence":
        shares = [f"{parameter_value(level)} in {high}" for level, high, _ in found.counts]
        return f"{name} {listed(shares)} of the {total} high performers"
    return f"{subject} in {pattern.high} of the {total} high performers"


def _by_chance(pattern: Pattern, analysis: Analysis) -> str:
    total, units = analysis.high.count, analysis.units
    what = "configurations" if analysis.merged else "runs"
    if pattern.kind == "range":
        return (
            f"{pattern.runs} of {units} {what} lie in that range, and any {pattern.high} of them "
            f"span so few with probability {chance(pattern.p_margins)}"
        )
    if pattern.kind == "only":
        return (
            f"{pattern.runs} of {units} {what} have these values, and any {total} of them leave "
            f"out as many with probability {chance(pattern.p_margins)}"
        )
    which = "all" if pattern.high == total else f"at least {pattern.high}"
    value = f"{pattern.parameter} {parameter_value(pattern.values[0])}"
    text = f"{pattern.runs} of {units} {what} have {value}, and {which} of any {total}"
    text += f" do with probability {chance(pattern.p_margins)}"
    if pattern.high == total and pattern.p_equal is not None:
        equal = f"one given value of {in_words(pattern.levels)}, all equally likely"
        text += f" ({equal}: {chance(pattern.p_equal)})"
    return text


def _corrected(pattern: Pattern, analysis: Analysis) -> str:
    """Return the decisive p value, and what it is corrected for."""
    within = [f"{name} ({chance(p)})" for name, p in pattern.p_within.items() if p is not None]
    apart = f"Among runs of equal {listed(within)}, and c" if within else "C"
    looked = plural(len(analysis.high.patterns), "pattern")
    return f"{apart}orrected for {looked} looked at, it is {chance(pattern.p_holm)}"


def _unmeasured(found: Conclusion, analysis: Analysis) -> str:
    own = analysis.metric != DELTA_PERF
    if own or not analysis.unmeasured or found.parameter not in MEASURED_BY:
        return ""
    return (
        f". So {analysis.metric.name} goes with it; that it trains better is another matter: it is "
        "not known on which prompts it was measured, and the reward of a training batch changes "
        "with what the batch holds"
    )


def _implied(found: Conclusion, analysis: Analysis) -> str:
    assert found.implied_by is not None
    cause = f"{found.implied_by.parameter} {listed(map(parameter_value, found.implied_by.values))}"
    ours = listed([parameter_value(level) for level, high, _ in found.counts if high])
    what = "configurations" if analysis.merged else "runs"
    return (
        f"{cause}, which all of them have, implies it: {what} with {cause} have {found.parameter} "
        f"{ours} and no other. It says nothing by itself"
    )


def _rivals(found: Conclusion) -> str:
    rivals = []
    for name in found.confounded_with:
        p_within = found.pattern.p_within[name]
        if p_within is None:
            rivals.append(f"it comes and goes with {name}")
        else:
            rivals.append(f"among runs of equal {name} with probability {chance(p_within)}")
    return f"{listed(rivals)}: {listed(found.confounded_with, 'or')} may be the cause as well"


# ---- numbers and names --------------------------------------------------------------------------


def pattern_text(pattern: Pattern) -> str:
    """Return the values of a pattern: ``8``, ``16, 24, 32 only``, ``1.02e-7 to 1.37e-6``."""
    if pattern.kind == "range":
        return " to ".join(parameter_value(end) for end in pattern.values)
    values = ", ".join(map(parameter_value, pattern.values))
    return f"{values} only" if pattern.kind == "only" else values


def threshold_text(found: Analysis) -> str:
    """Return the threshold of a high performer, in the metric's own direction."""
    metric, high = found.metric, found.high
    bound = metric.level(high.threshold)
    if high.rule == "above":
        return f"{metric.name} {metric.improving.sign} {significant(bound)}"
    side = "up to" if metric.minimised else "from"
    return f"the best third, {metric.name} {side} {significant(bound)}"
