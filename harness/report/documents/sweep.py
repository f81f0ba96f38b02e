"""Write the report of a sweep: its conditions, its figures beside the baseline's, its answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache
from typing import get_args

from harness.metrics import DELTA_PERF, Metric
from harness.observations import rule_text
from harness.observations.repeats import each_run
from harness.report.blocks import (
    Block,
    Bullets,
    Column,
    Document,
    Section,
    Table,
    Text,
    Verdicts,
    filled,
)
from harness.report.documents.budget import budget_blocks
from harness.report.documents.confirmed import confirmed_section
from harness.report.documents.parameters import parameter_blocks
from harness.report.documents.summary import is_shown, summary, that_matter
from harness.report.documents.sweep_breakdown import (
    arms_blocks,
    curve_blocks,
    health_blocks,
    rate_blocks,
)
from harness.report.documents.sweep_runs import (
    metric_text,
    runs_section,
    seed_blocks,
    seeds_section,
    unfinished_section,
)
from harness.report.figures import Side
from harness.report.model import Report
from harness.statistics import Estimate
from harness.sweeps.plan import OWN
from harness.sweeps.transfer import CALIBRATED
from harness.text import (
    NONE,
    Digits,
    duration,
    p_value,
    percent_between,
    plural,
    verdict_numbers,
)
from harness.verdicts import Counts, NotNeeded, Verdict, VerdictName

VERDICT_NAMES: tuple[VerdictName, ...] = get_args(VerdictName)

METHODS = (
    "Student's t for the mean, a bootstrap for the interquartile mean, by influence functions for "
    "the worst quarter, and Bonett's for the SD."
)


@lru_cache(maxsize=1)
def document(report: Report) -> Document:
    """Return the report as a document, the questions last, where a reader of a terminal looks.

    The cache holds it while one renderer after the other writes it.
    """
    digits = digits_of(report)
    sections = filled(
        Section("", tuple(Text(text) for text in [_conditions(report)] if text)),
        _side_by_side(report, digits),
        Section("Seeds", seed_blocks(report.seeds, digits)),
        runs_section(report, digits),
        confirmed_section(report, digits),
        seeds_section(report, digits),
        unfinished_section(report),
        Section("Learning rate", rate_blocks(report, digits)),
        Section("Learning curve", curve_blocks(report, digits)),
        Section("Arms", arms_blocks(report, digits)),
        Section("Health of training", health_blocks(report)),
        Section("Noise budget", budget_blocks(report.budget, report.outlook, digits)),
        Section("Audit", _audit(report)),
        Section("Reference", _reference(report)),
        Section("Parameters", parameter_blocks(report, digits), leads=True),
        Section("Questions", _questions(report), leads=True),
    )
    return Document(
        headline=headline(report),
        sections=sections,
        warning=warning(report),
        digits=digits,
        summary=summary([report]),
    )


def digits_of(report: Report) -> Digits:
    """Return the digits that the outcomes of ``report`` are written with."""
    digits = Digits.of(report.level(result) for result in report.main)
    return replace(digits, plus=report.metric.is_change)


def tally(report: Report) -> list[tuple[VerdictName, int]]:
    """Return how often each verdict was given to what the sweep asks."""
    counted = Counter(verdict.verdict for verdict in report.asked)
    return [(name, counted[name]) for name in VERDICT_NAMES if counted[name]]


def headline(report: Report) -> str:
    """Return the sweep's name and the number of each verdict."""
    counts = ", ".join(f"{number} {name}" for name, number in tally(report))
    return f"{report.sweep}: {counts or 'no questions'}"


def warning(report: Report) -> str:
    """Return the warning to read before anything else, or nothing."""
    parts = []
    if report.scaled_down:
        parts.append(f"SCALED DOWN: {report.scale or 'less'}; this is not the declared sweep")
    if report.missing:
        parts.append(f"INCOMPLETE: {'; '.join(report.missing)}")
    if report.not_needed:
        parts.append(_answered_early(report.not_needed))
    if report.compared and any(one.regressed for one in report.compared.questions):
        lost = [one.id for one in report.compared.questions if one.regressed]
        parts.append(f"REGRESSED: {', '.join(lost)}")
    return ". ".join(parts)


def _answered_early(rest: NotNeeded) -> str:
    saved = rest.seconds
    time = "" if saved is None else f", which saved about {duration(saved)} of training"
    return (
        f"ANSWERED EARLY: {rest.trained} of {plural(rest.planned, 'run')}; the other "
        f"{rest.left} were not needed{time}"
    )


# ---- conditions and figures ---------------------------------------------------------------------


def _conditions(report: Report) -> str:
    known = report.conditions
    parts = []
    if known and known.metric:
        parts = [f"Judged by {metric_text(report.metric)}", f"trained by {known.model}"]
    elif known and known.backend == OWN:
        parts = [f"Trained by {known.model}"]
        parts += [f"task {known.task}"] if known.task != OWN else []
    elif known and known.task:
        parts = [f"Task {known.task}", f"model {known.model}"]
        parts += [f"backend {known.backend}", known.precision]
    parts += sorted({r.outcome.device for r in each_run(report.main) if r.outcome.device})
    if report.steps:
        parts.append(plural(report.steps, "step"))
    sentences = [", ".join(parts) + "." if parts else ""]
    if report.lr_transfer != 1:
        by = ", as sweep calibrate found" if known and known.lr_origin == CALIBRATED else ""
        sentences.append(
            f"The task's own learning rates are {report.lr_transfer:,g} times the sweep's{by}."
        )
    elif known and known.model_source and not known.lr_origin:
        sentences.append("lr_transfer is not calibrated: the sweep's rates were used as they are.")
    prompts = {(r.outcome.prompts, r.outcome.samples) for r in report.main if r.outcome.prompts}
    if len(prompts) == 1 and report.metric == DELTA_PERF:
        held_out, samples = next(iter(prompts))
        each = f" × {plural(samples, 'sample')}" if samples else ""
        what = "items" if known and known.backend == OWN else "prompts"
        sentences.append(f"Perf is measured on {held_out} held-out {what}{each}.")
    seconds = [r.outcome.seconds for r in report.singles if r.outcome.seconds is not None]
    if seconds:
        sentences.append(
            f"{plural(len(seconds), 'run')} took {duration(sum(seconds))} of training in all."
        )
    return " ".join(sentence for sentence in sentences if sentence)


def _side_by_side(report: Report, digits: Digits) -> Section:
    own, against, metric = report.own, report.against, report.metric
    if not own.runs:
        return Section("", ())
    columns = [Column("", right=False), Column(own.name), Column("95% interval", right=False)]
    rows = _figures(own, metric, digits)
    if against:
        columns += [Column(against.name), Column("95% interval", right=False)]
        theirs = _figures(against, metric, digits)
        rows = [(*row, *other[1:]) for row, other in zip(rows, theirs, strict=True)]
    named = f" and its baseline {report.baseline}" if against else ""
    note = f"Intervals are {METHODS}"
    if metric.knows_success:
        note = f"A run is a success when {own.rule}. "
        note += f"Intervals are Wilson's for successes, {METHODS}"
    known = tuple(row for row in rows if any(cell not in ("", NONE) for cell in row[1:]))
    baseline = _baseline(report)
    blocks: list[Block] = [Table(tuple(columns), known, note=note)]
    blocks += [Text(baseline)] if baseline else []
    return Section(f"{report.sweep}{named}", tuple(blocks))


def _baseline(report: Report) -> str:
    """Say what the baseline's figures rest on, or why there are none."""
    if report.counts:
        return (
            f"Only the baseline's counts are known ({report.counts.source}); "
            f"there, a success is {_rule_of(report.counts, report.metric)}."
        )
    if report.baseline_read:
        return f"The baseline is a table. {'; '.join(report.baseline_read)}."
    if report.baseline and not report.against:
        return f"The baseline {report.baseline} has no finished runs in the store."
    return "" if report.baseline or report.of_table else "The sweep declares no baseline."


def _rule_of(counts: Counts, metric: Metric) -> str:
    """Return the rule of published successes, with the metric's name if it is one of our rules."""
    rule = counts.known_rule(metric)
    return counts.rule if rule is None else rule_text(rule, metric)


def _figures(side: Side, metric: Metric, digits: Digits) -> list[tuple[str, ...]]:
    def score(label: str, of: Estimate, *, signed: bool = True) -> tuple[str, ...]:
        text = digits.signed(of.value) if signed else digits.plain(of.value)
        ends = digits.between(of.low, of.high, signed=signed)
        return (label, text, "" if ends == NONE else ends)

    successes = []
    if metric.knows_success:
        positive = NONE if side.positive is None else f"{side.positive} of {side.runs}"
        share = percent_between(side.success.low, side.success.high) if side.runs else ""
        successes = [
            ("successes", f"{side.successes} of {side.runs}", share),
            (rule_text("above zero", metric), positive, ""),
        ]
    return [
        ("runs", str(side.runs), ""),
        ("steps", ", ".join(str(steps) for steps in side.steps if steps) or NONE, ""),
        *successes,
        score(f"mean {metric.name}", side.mean),
        score("interquartile mean", side.middle_half),
        score("worst quarter", side.worst_quarter),
        score("spread (SD)", side.spread, signed=False),
        ("SD net of noise", digits.plain(side.spread_net), ""),
        ("diverged", str(side.diverged) if side.steps else NONE, ""),
    ]


# ---- audit, reference, questions ----------------------------------------------------------------


def _audit(report: Report) -> tuple[Block, ...]:
    order = {"error": 0, "warning": 1, "info": 2}
    findings = sorted(report.findings, key=lambda finding: order[finding.severity])
    items = tuple((f"{f.severity}: {f.code}", f.message) for f in findings)
    if not items and report.main:
        return (Text("The audit found nothing to object to."),)
    return (Bullets(items),) if items else ()


def _reference(report: Report) -> tuple[Block, ...]:
    compared = report.compared
    if compared is None:
        return ()
    if not compared.questions:
        return (Text(f"The reference {compared.path} supports no question."),)
    items = tuple(
        (("regressed: " * one.regressed) + one.id, one.answer) for one in compared.questions
    )
    return (Text(f"Compared with {compared.path}, question by question:"), Bullets(items))


def _questions(report: Report) -> tuple[Block, ...]:
    matter = {v.effect.parameter for v in that_matter(report) if v.effect}
    verdicts = tuple(
        v
        for v in report.asked
        if v.effect is None or v.effect.parameter in matter or is_shown(v, report.alpha)
    )
    left_out = [verdict.id for verdict in report.verdicts if not verdict.claim]
    blocks: list[Block] = []
    if left_out:
        blocks.append(Text(f"Not asked: {', '.join(left_out)}."))
    if len(verdicts) < len(report.asked):
        more = len(report.asked) - len(verdicts)
        blocks.append(Text(f"{plural(more, 'more question')} on parameters: see Parameters."))
    if verdicts:
        blocks.append(Verdicts(_verdict_table(verdicts, report.metric), verdicts))
    return tuple(blocks)


def _verdict_table(verdicts: tuple[Verdict, ...], metric: Metric) -> Table:
    levels = {verdict.level for verdict in verdicts if verdict.level is not None}
    one = len(levels) <= 1
    columns = (
        Column("verdict", right=False),
        Column("question", right=False),
        Column("estimate"),
        Column(f"{levels.pop():.0%} interval" if one and levels else "interval", right=False),
        *([] if one else [Column("level")]),
        Column("n"),
        Column("p"),
        Column("Holm's p", drop=1),
    )
    rows = []
    for verdict in verdicts:
        signed = verdict.unit in ("change", "difference")
        signed = signed or (verdict.unit == "level" and metric.is_change)
        estimate, interval = verdict_numbers(
            verdict.estimate, verdict.low, verdict.high, signed=signed
        )
        level = "" if verdict.level is None else f"{verdict.level:.0%}"
        cells = [verdict.verdict, verdict.id, estimate, interval, *([] if one else [level])]
        cells += [str(verdict.n or ""), p_value(verdict.p_value), p_value(verdict.p_holm)]
        rows.append(tuple("" if cell == NONE else cell for cell in cells))
    gains = metric.minimised and any(verdict.unit == "change" for verdict in verdicts)
    note = f"Differences of {metric.name} are gains: + is better." if gains else ""
    return Table(columns, tuple(rows), note=note)
