"""What a report says, in order: from its values to sections of text, tables and pictures."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache

from harness.records import Outcome, Result
from harness.report.blocks import Block, Bullets, Column, Document, Section, Table, Text, Verdicts
from harness.report.model import Report
from harness.report.pictures import DIVERGED, OTHER, SUCCESS
from harness.report.sections import arms_blocks, curve_blocks, rate_blocks
from harness.report.tables import Estimated, Side, learning_rate_of
from harness.report.worded import worded
from harness.text import (
    NONE,
    Digits,
    cell,
    duration,
    learning_rate,
    p_value,
    percent_between,
    plural,
    verdict_numbers,
)
from harness.verdicts import Spared, Verdict, VerdictName

VERDICT_NAMES: tuple[VerdictName, ...] = (
    "supported",
    "refuted",
    "inconclusive",
    "unanswerable",
    "not judged",
)

RATE = "learning_rate"
METHODS = (
    "Intervals are Wilson's for successes, Student's t for the mean, a bootstrap for the "
    "interquartile mean, by influence functions for the worst quarter, and Bonett's for the SD."
)
MOST_LISTED = 1_000
"""Of more runs than this the best and the worst are listed, half of them each."""


@lru_cache(maxsize=1)
def document(report: Report) -> Document:
    """Return the report as a document, the questions last, where a terminal leaves the eye.

    It is made once for the forms that a report is written in, one after the other.
    """
    digits = digits_of(report)
    sections = (
        Section("", (Text(_conditions(report)),)),
        _side_by_side(report, digits),
        _runs(report, digits),
        _unfinished(report),
        Section("Learning rate", rate_blocks(report, digits)),
        Section("Learning curve", curve_blocks(report, digits)),
        Section("Arms", arms_blocks(report, digits)),
        Section("Audit", _audit(report)),
        Section("Reference", _reference(report)),
        Section("Questions", _questions(report)),
    )
    page = Document(
        warning=warning(report),
        headline=headline(report),
        sections=tuple(section for section in sections if section.blocks),
    )
    return worded(page, report.metric)


@lru_cache(maxsize=1)
def digits_of(report: Report) -> Digits:
    """Return how the outcomes of ``report`` are written."""
    digits = Digits.of(r.outcome.delta_perf for r in report.main)
    return replace(digits, plus=report.metric.zero != "arbitrary")


def headline(report: Report) -> str:
    """Return the sweep's name and how many of its questions came to which verdict."""
    tally = Counter(verdict.verdict for verdict in report.asked)
    said = ", ".join(f"{tally[name]} {name}" for name in VERDICT_NAMES if tally[name])
    return f"{report.sweep}: {said or 'no questions'}"


def warning(report: Report) -> str:
    """Return what must be said before anything else, or nothing."""
    said = []
    if report.scaled_down:
        said.append(f"SCALED DOWN: {report.scale or 'less'}; this is not the declared sweep")
    if report.missing:
        said.append(f"INCOMPLETE: {'; '.join(report.missing)}")
    if report.spared:
        said.append(_answered_early(report.spared))
    if report.compared and any(one.regressed for one in report.compared.questions):
        lost = [one.id for one in report.compared.questions if one.regressed]
        said.append(f"REGRESSED: {', '.join(lost)}")
    return ". ".join(said)


def _answered_early(spared: Spared) -> str:
    saved = spared.seconds
    time = "" if saved is None else f", which saved about {duration(saved)} of training"
    return (
        f"ANSWERED EARLY: {spared.trained} of {plural(spared.planned, 'run')}; the other "
        f"{spared.left} were not needed{time}"
    )


def _conditions(report: Report) -> str:
    known = report.conditions
    parts = []
    if known and known.task:
        parts = [f"Task {known.task}", f"model {known.model}"]
        parts += [f"backend {known.backend}", known.precision]
    devices = sorted({r.outcome.device for r in report.main if r.outcome.device})
    parts += devices
    if report.steps:
        parts.append(plural(report.steps, "step"))
    sentences = [", ".join(parts) + "." if parts else ""]
    if report.lr_transfer != 1:
        sentences.append(
            f"The task's own learning rates are {report.lr_transfer:,g} times the sweep's."
        )
    prompts = {(r.outcome.prompts, r.outcome.samples) for r in report.main if r.outcome.prompts}
    if len(prompts) == 1:
        held_out, samples = next(iter(prompts))
        each = f" × {plural(samples, 'sample')}" if samples else ""
        sentences.append(f"Perf is measured on {held_out} held-out prompts{each}.")
    seconds = [r.outcome.seconds for r in report.runs if r.outcome.seconds is not None]
    if seconds:
        sentences.append(
            f"{plural(len(seconds), 'run')} took {duration(sum(seconds))} of training in all."
        )
    return " ".join(sentence for sentence in sentences if sentence)


def _side_by_side(report: Report, digits: Digits) -> Section:
    own, against = report.own, report.against
    if not own.runs:
        return Section("", ())
    successes = report.metric.zero != "arbitrary"
    columns = [Column("", right=False), Column(own.name), Column("95% interval", right=False)]
    rows = _figures(own, digits)
    if against:
        columns += [Column(against.name), Column("95% interval", right=False)]
        theirs = _figures(against, digits)
        rows = [(*row, *other[1:]) for row, other in zip(rows, theirs, strict=True)]
    named = f" and its baseline {report.baseline}" if against else ""
    blocks: list[Block] = [
        Table(
            tuple(columns),
            tuple(row for row in rows if any(cell not in ("", NONE) for cell in row[1:])),
            note=f"A run is a success when {own.rule}. {METHODS}" if successes else METHODS,
        )
    ]
    if report.counts:
        blocks.append(
            Text(
                f"Of the baseline only counts are known ({report.counts.source}); "
                f"there a success is {report.counts.rule}."
            )
        )
    elif report.baseline_read:
        blocks.append(Text(f"The baseline is a table. {'; '.join(report.baseline_read)}."))
    elif report.baseline and not against:
        blocks.append(Text(f"The baseline {report.baseline} has no finished runs in the store."))
    elif not report.baseline:
        blocks.append(Text("The sweep declares no baseline."))
    return Section(f"{report.sweep}{named}", tuple(blocks))


def _figures(side: Side, digits: Digits) -> list[tuple[str, ...]]:
    def scored(label: str, of: Estimated, *, signed: bool = True) -> tuple[str, ...]:
        text = digits.signed(of.value) if signed else digits.plain(of.value)
        ends = digits.between(of.low, of.high, signed=signed)
        return (label, text, "" if ends == NONE else ends)

    positive = NONE if side.positive is None else f"{side.positive} of {side.runs}"
    return [
        ("runs", str(side.runs), ""),
        ("steps", ", ".join(str(steps) for steps in side.steps if steps) or NONE, ""),
        (
            "successes",
            f"{side.successes} of {side.runs}",
            percent_between(side.success.low, side.success.high) if side.runs else "",
        ),
        ("ΔPerf > 0", positive, ""),
        scored("mean ΔPerf", side.mean),
        scored("interquartile mean", side.middle_half),
        scored("worst quarter", side.worst_quarter),
        scored("spread (SD)", side.spread, signed=False),
        ("SD net of noise", digits.plain(side.spread_net), ""),
        ("diverged", str(side.diverged) if side.steps else NONE, ""),
    ]


def _runs(report: Report, digits: Digits) -> Section:
    main = sorted(report.main, key=lambda r: _rank(r.outcome.delta_perf))[::-1]
    if not main:
        return Section("Runs by ΔPerf", (Text("No run of the sweep has finished."),))
    configs = [r.run.config for r in main]
    names = list(dict.fromkeys(name for config in configs for name in config))
    varied = [n for n in names if any(config.get(n) != configs[0].get(n) for config in configs)]
    same = {n: cell(configs[0][n], rate=n == RATE) for n in names if n not in varied}
    places = max(2, *(len(str(r.run.index)) for r in main))
    between = max(0, len(main) - MOST_LISTED)
    if between:
        main = [*main[: MOST_LISTED // 2], *main[-MOST_LISTED // 2 :]]
        configs = [r.run.config for r in main]
    columns = {
        Column("run", right=False): [f"{r.run.index:0{places}d}" for r in main],
        Column(""): [_mark(r, report.own.improved) for r in main],
        Column("ΔPerf"): [_change(r.outcome, digits) for r in main],
    }
    if RATE in varied:
        columns[Column("learning rate")] = [cell(c.get(RATE), rate=True) for c in configs]
        if report.lr_transfer != 1:
            own = [rate and rate * report.lr_transfer for rate in map(learning_rate_of, main)]
            columns[Column("the task's", drop=2)] = [learning_rate(rate) for rate in own]
    for name in varied:
        if name != RATE:
            title = name.replace("_", " ")
            columns[Column(title, drop=3, wrap=True)] = [cell(c.get(name)) for c in configs]
    disagrees = [_training(r.outcome, digits) for r in main]
    notes = [f"{SUCCESS} success."] if report.own.improved else []
    if any(r.outcome.delta_perf_se is not None for r in main):
        notes.append("± is the standard error of ΔPerf over held-out prompts.")
    if any(disagrees):
        columns[Column("in training", drop=1)] = disagrees
        notes.append("In training: ΔPerf of the training batches, where its sign disagrees.")
    if any(r.outcome.seconds is not None for r in main):
        columns[Column("time", drop=4)] = [duration(r.outcome.seconds) for r in main]
    if same:
        said = ", ".join(f"{name.replace('_', ' ')} {shown}" for name, shown in same.items())
        notes.append(f"The same in every run: {said}.")
    if between:
        notes.append(
            f"The best {MOST_LISTED // 2} and the worst {MOST_LISTED // 2}; report.json has the "
            f"{between} between them too."
        )
    rows = tuple(zip(*columns.values(), strict=True))
    return Section("Runs by ΔPerf", (Table(tuple(columns), rows, note=" ".join(notes), long=True),))


def _unfinished(report: Report) -> Section:
    """Return what has a result that does not count: it is trained again next time."""
    left = [r for r in report.runs if not r.is_final]
    columns = (
        Column("run", right=False),
        Column("status", right=False),
        Column("error", right=False, wrap=True),
    )
    rows = tuple((r.run.id, r.outcome.status, r.outcome.error or "") for r in left[:MOST_LISTED])
    note = "They are tried again next time."
    if len(left) > MOST_LISTED:
        note += f" The first {MOST_LISTED} of {len(left)}."
    table = Table(columns, rows, note=note, long=True)
    return Section("Runs that did not finish", (table,) if left else ())


def _mark(result: Result, improved: frozenset[str]) -> str:
    if result.outcome.status != "completed":
        return DIVERGED
    return SUCCESS if result.run.id in improved else OTHER


def _change(outcome: Outcome, digits: Digits) -> str:
    if outcome.status != "completed":
        return "diverged" if outcome.stopped_at is None else f"diverged at {outcome.stopped_at}"
    return digits.with_error(outcome.delta_perf, outcome.delta_perf_se)


def _rank(delta: float | None) -> float:
    return float("-inf") if delta is None else delta


def _training(outcome: Outcome, digits: Digits) -> str:
    """Return the training ΔPerf where its sign is the other one."""
    delta, train = outcome.delta_perf, outcome.train_delta_perf
    if delta is None or train is None or delta * train >= 0:
        return ""
    return digits.signed(train)


def _questions(report: Report) -> tuple[Block, ...]:
    verdicts = report.asked
    left_out = [verdict.id for verdict in report.verdicts if not verdict.claim]
    blocks: list[Block] = []
    if left_out:
        blocks.append(Text(f"Not asked of this sweep: {', '.join(left_out)}."))
    if verdicts:
        blocks.append(Verdicts(_verdict_table(verdicts), verdicts))
    return tuple(blocks)


def _verdict_table(verdicts: tuple[Verdict, ...]) -> Table:
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
        estimate, interval = verdict_numbers(
            verdict.estimate,
            verdict.low,
            verdict.high,
            signed=verdict.unit == "change",
        )
        level = "" if verdict.level is None else f"{verdict.level:.0%}"
        cells = [verdict.verdict, verdict.id, estimate, interval, *([] if one else [level])]
        cells += [str(verdict.n or ""), p_value(verdict.p_value), p_value(verdict.p_holm)]
        rows.append(tuple("" if cell == NONE else cell for cell in cells))
    return Table(columns, tuple(rows))


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


def _audit(report: Report) -> tuple[Block, ...]:
    order = {"error": 0, "warning": 1, "info": 2}
    findings = sorted(report.findings, key=lambda finding: order[finding.severity])
    items = tuple((f"{f.severity}: {f.code}", f.message) for f in findings)
    if not items and report.main:
        return (Text("The audit found nothing to object to."),)
    return (Bullets(items),) if items else ()
