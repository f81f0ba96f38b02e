"""Answer first: what matters, which values are best, what is not known, what to beware of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from harness.records import Span
from harness.report.blocks import SummaryLine
from harness.report.documents.budget import dominant_text
from harness.report.documents.selection import best_noun
from harness.report.documents.selection import best_text as best_run_text
from harness.report.failures import short_of
from harness.report.model import Report
from harness.text import (
    first,
    level_text,
    listed,
    p_value,
    parameter_name,
    parameter_value,
    percent,
    percent_between,
    plural,
    verdict_numbers,
)
from harness.verdicts import Finding, ParameterEffect, Verdict

MOST_LINES = 5
"""The most lines of the answer."""

MOST_NAMED = 4
"""The most parameters, questions or findings that a line names."""

MOST_FEW = 5
"""The most runs of a level that are told where no interval shows its difference."""

MOST_LEVELS = 3
"""The most values of a parameter that a line names."""

MOST_GROUPS = 4
"""The most groups of a table that a line speaks of."""


def summary(reports: Sequence[Report], groups: Sequence[str] = ()) -> tuple[SummaryLine, ...]:
    """Return the answer in at most five lines.

    ``reports`` are those of all ``groups`` of a table, or one report. A claim is called supported
    only where it is so by Holm's p over all questions.
    """
    makers: tuple[tuple[str, Callable[[Report], str]], ...] = (
        ("Answers", _answers),
        ("Matters", _matters),
        ("Best", _best),
        ("Not known", _not_known),
        ("Beware", _beware),
        ("Noise", _noise),
    )
    lines: list[SummaryLine] = []
    for label, make in makers:
        if len(lines) == MOST_LINES:
            break
        texts = [make(report) for report in reports]
        if len(reports) == 1:
            said = texts[0]
        elif len(set(texts)) == 1:
            said = texts[0] and f"{texts[0]} (in each of {len(texts)} groups)"
        else:
            each = [f"{name}: {text}" for name, text in zip(groups, texts, strict=True) if text]
            more = len(each) - MOST_GROUPS
            rest = [f"and {plural(more, 'more group')}"] if more > 0 else []
            said = "; ".join([*each[:MOST_GROUPS], *rest])
        if said:
            lines.append(SummaryLine(label, said))
    if not lines and all(len(report.main) == 1 for report in reports):
        lines.append(SummaryLine("Not known", "one run has no other to be compared with"))
    return tuple(lines)


def is_shown(verdict: Verdict, alpha: float) -> bool:
    """Return whether a claim is supported by Holm's p at level ``alpha``."""
    return verdict.is_shown(alpha)


def that_matter(report: Report) -> list[Verdict]:
    """Return the verdicts on the parameters that are shown to matter, the largest effect first."""
    shown = [v for v in report.about_parameters("matters") if is_shown(v, report.alpha)]
    return sorted(shown, key=lambda verdict: -abs(verdict.estimate or 0.0))


# ---- the lines ----------------------------------------------------------------------------------


def _answers(report: Report) -> str:
    """Return what is shown of the questions that are not on one parameter."""
    others = [v for v in report.asked if v.effect is None]
    shown = [v for v in others if is_shown(v, report.alpha)]
    refuted = [v for v in others if v.verdict == "refuted"]
    alone = [v for v in others if v.verdict == "supported" and v not in shown]
    parts = [
        f"{word} {_some(_with_numbers(verdict, report) for verdict in verdicts)}"
        for word, verdicts in (
            ("supported", shown),
            ("refuted", refuted),
            ("supported, but not after Holm's correction:", alone),
        )
        if verdicts
    ]
    return "; ".join(parts)


def _with_numbers(verdict: Verdict, report: Report) -> str:
    if verdict.estimate is None:
        return verdict.id
    if verdict.unit == "share":
        told, between = percent(verdict.estimate), percent_between(verdict.low, verdict.high)
    elif verdict.unit == "change" and report.metric.minimised:
        ends = verdict.low, verdict.high
        told, between = verdict_numbers(abs(verdict.estimate), *ends, signed=False)
        told = f"{'better' if verdict.estimate >= 0.0 else 'worse'} by {told}"
    else:
        signed = verdict.unit in ("change", "difference")
        told, between = verdict_numbers(verdict.estimate, verdict.low, verdict.high, signed=signed)
    known = verdict.low is not None or verdict.high is not None
    if verdict.verdict == "supported":
        # Which of the leaders wins is the answer.
        won = [one for one in verdict.confirmed if one.place and one.difference == verdict.estimate]
        told = " ".join([*(short_of(one.run or "", report.sweep) for one in won[:1]), told])
    return f"{verdict.id} ({told}{f', {between}' if known and verdict.unit != 'parameter' else ''})"


def _matters(report: Report) -> str:
    asked = report.about_parameters("matters")
    if not asked:
        return ""
    shown = that_matter(report)
    refuted = [v for v in asked if v.verdict == "refuted"]
    rest = len(asked) - len(shown) - len(refuted)
    parts = [_size(verdict, report) for verdict in shown[:MOST_NAMED]]
    if len(shown) > MOST_NAMED:
        parts.append(f"and {plural(len(shown) - MOST_NAMED, 'more parameter')}")
    open_ones = [v for v in asked if v not in shown and v not in refuted]
    known = [v.p_holm for v in open_ones if v.p_holm is not None and v.verdict != "unanswerable"]
    if not shown and known:
        least = min(known)
        if len(open_ones) == 1:
            at = f" ({p_value(least, 'p')})" if least < 1.0 else ""
            parts.append(f"{_names(open_ones)[0]} is not shown to matter{at}")
        else:
            at = f"; the smallest {p_value(least, 'p')}" if least < 1.0 else ""
            parts.append(f"none of {len(open_ones)} parameters is shown to matter{at}")
    if refuted:
        do = "does" if len(refuted) == 1 else "do"
        parts.append(f"{_some(_names(refuted))} {do} not, within the margin")
    if shown and rest:
        parts.append(f"{rest} of {len(asked)} not shown")
    return "; ".join(parts)


def _size(verdict: Verdict, report: Report) -> str:
    """Return a parameter with its effect, its interval and its p value."""
    effect = verdict.effect
    assert effect is not None
    p = p_value(verdict.p_holm, "p")
    if len(effect.levels) == 1:
        only = level_text(effect.levels[0].level)
        return f"{effect.parameter} (every run with another value than {only} diverged, {p})"
    if not effect.levels or verdict.estimate is None:
        return f"{effect.parameter} ({p})"
    if effect.by_ranks is not None:
        ahead, behind = map(level_text, effect.by_ranks)
        return f"{effect.parameter} ({ahead} ahead of {behind} by ranks, not by means, {p})"
    best = max(effect.levels, key=lambda level: level.mean)
    worst = min(effect.levels, key=lambda level: level.mean)
    size, between = verdict_numbers(verdict.estimate, verdict.low, verdict.high, signed=False)
    known = verdict.low is not None and verdict.high is not None
    low = verdict.low if known else None
    few = min(best, worst, key=lambda level: level.runs)
    # Few runs are the usual reason why ranks show what the interval of the means does not.
    of_few = f", from {plural(few.runs, 'run')} with {level_text(few.level)}"
    return (
        f"{effect.parameter} ({level_text(best.level)} ahead of {level_text(worst.level)} by "
        f"{size} {report.metric.name}{f', {between}' if known else ''}"
        f"{'' if (low is not None and low > 0.0) or few.runs > MOST_FEW else of_few}, {p})"
    )


def _best(report: Report) -> str:
    best = {v.effect.parameter: v for v in report.about_parameters("best") if v.effect}
    named = [
        f"{name} {told}"
        for verdict in that_matter(report)
        if verdict.effect
        and (name := verdict.effect.parameter) in best
        and (told := best_text(best[name]))
    ]
    if named:
        return "; ".join(named[:MOST_NAMED]) + _more(len(named) - MOST_NAMED)
    asked = bool(report.about_parameters("matters") or best)
    return _best_run(report, none_shown=asked and not that_matter(report))


def _best_run(report: Report, *, none_shown: bool) -> str:
    """Return the best run with what is left of it after selection; nothing of a single run.

    With ``none_shown`` it says first that values were asked for, and none is shown to be better.
    """
    found = report.selection
    if found.top is None or found.lack == "one result":
        return ""
    if found.lack == "equal results":
        return f"no run is better than another in {report.metric.name}"
    values = "no value is shown to be better than another; " if none_shown else ""
    return f"{values}the best {best_noun(found)} is {best_run_text(found, report.metric)}"


def best_text(verdict: Verdict) -> str:
    """Return the best values of a parameter that matters."""
    effect = verdict.effect
    if effect is None or not effect.levels:
        return ""
    if len(effect.levels) == 1:
        return f"{level_text(effect.levels[0].level)}, the only one that did not diverge"
    if effect.by_ranks is not None:
        return f"{level_text(effect.by_ranks[0])} leads by ranks, not by means"
    beyond = " or beyond" if any(need.kind == "parameter" for need in verdict.needs) else ""
    if effect.shape in ("rises", "falls"):
        way = "up" if effect.shape == "rises" else "down"
        told = f"{_of_range(effect)}{beyond}, better all the way {way}"
    elif effect.shape == "peak inside" and verdict.estimate is not None:
        told = f"near {parameter_value(verdict.estimate)}, inside its range"
    else:
        told = _of_levels(effect)
    return told


def _of_levels(effect: ParameterEffect) -> str:
    """Return the levels that may be the best."""
    names = [level_text(level.level) for level in effect.levels if level.may_be_best]
    if len(names) == len(effect.levels):
        top = max(effect.levels, key=lambda level: level.mean)
        return f"{level_text(top.level)} leads, not shown to be best"
    if len(names) <= MOST_LEVELS:
        return listed(names, "or")
    return f"one of {first(names, MOST_LEVELS)}"


def _of_range(effect: ParameterEffect) -> str:
    """Return the span of the levels that may be the best, at one end of a range."""
    may = [level.level for level in effect.levels if level.may_be_best]
    if len(may) < 2 or len(may) == len(effect.levels):
        return _of_levels(effect)
    ends = [(one.low, one.high) if isinstance(one, Span) else (one, one) for one in may]
    return f"{parameter_value(ends[0][0])} to {parameter_value(ends[-1][1])}"


def _not_known(report: Report) -> str:
    if any(finding.code == "degenerate_metric" for finding in report.findings):
        return f"everything: {report.metric.name} does not differ between runs"
    asked = report.about_parameters("matters")
    undecided = [v for v in asked if v.verdict in ("inconclusive", "not judged")]
    undecided += [v for v in asked if v.verdict == "supported" and not is_shown(v, report.alpha)]
    impossible = [v for v in asked if v.verdict == "unanswerable"]
    others = [v for v in report.asked if v.effect is None and v.verdict not in _DECIDED]
    parts = []
    if undecided:
        verb = "matter" if len(undecided) > MOST_NAMED else "matters"  # "a, b and 2 more"
        parts.append(f"whether {_some(_names(undecided), 'or')} {verb}")
    if impossible:
        parts.append(f"cannot be told: {_some(_names(impossible))}")
    if others:
        parts.append(_some(v.id for v in others))
    needs = Counter(
        str(need) for verdict in (*others, *impossible, *undecided) for need in verdict.needs[:1]
    )
    # Of three that give each other, no number of runs tells one apart.
    names = _names(undecided)
    threes = [
        f for f in report.findings if f.code == "redundant" and set(f.parameters) <= set(names)
    ]
    if threes:
        parts.append(f"needs one of {listed(threes[0].parameters)} left out")
    elif parts and needs:
        parts.append(f"needs {needs.most_common(1)[0][0]}")
    return "; ".join(parts)


_DECIDED = ("supported", "refuted")


def _beware(report: Report) -> str:
    worth = [finding for finding in report.findings if finding.severity != "info"]
    worst_first = sorted(worth, key=lambda finding: finding.severity != "error")
    return _some((_brief(finding) for finding in folded(worst_first)), joint="; ")


def _noise(report: Report) -> str:
    """Return the source of noise that dominates; that configs differ, other lines say."""
    told = report.budget.dominating not in ("config", "parameters")
    return dominant_text(report.budget) if told else ""


def folded(findings: Iterable[Finding]) -> list[Finding]:
    """Return one finding in place of several of a code that say the same in brief."""
    return list({(one.code, one.brief): one for one in findings}.values())


def _brief(finding: Finding) -> str:
    return finding.brief or parameter_name(finding.code)


# ---- words --------------------------------------------------------------------------------------


def _names(verdicts: Iterable[Verdict]) -> list[str]:
    return [verdict.effect.parameter for verdict in verdicts if verdict.effect]


def _some(words: Iterable[str], last: str = "and", joint: str = ", ") -> str:
    """Return the first few of ``words``, and the number of the others."""
    words = iter(words)
    shown, more = list(islice(words, MOST_NAMED)), sum(1 for _ in words)
    if more:
        return f"{joint.join(shown)}{_more(more)}"
    return listed(shown, last) if joint == ", " else joint.join(shown)


def _more(number: int) -> str:
    return f" and {number:,} more" if number > 0 else ""
