"""Judge a table of finished runs: verdicts and audit, without training.

Nothing that is asked of a table was asked before its data existed, and its audit says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.audit import audit
from harness.claims import with_holm
from harness.judging.judge import Judgement, Question, judge_each, not_asked
from harness.judging.table_questions import REST, Terms, check_terms, questions_of
from harness.observations import parameter_names
from harness.observations.repeats import Repeats, merge
from harness.records import MAIN, Result, Value
from harness.verdicts import (
    DELTA_PERF,
    Baseline,
    Counts,
    Evidence,
    Finding,
    Metric,
    Need,
    NeedKind,
    Verdict,
    by_arm,
)

if TYPE_CHECKING:
    from harness.tables import Reading

MARGIN, MIN_GAIN = 0.02, 0.05
"""The usual ones of scores from 0 to 1."""

_RUNS_OF_BASELINE = Need("baseline", "the baseline's runs: --baseline TABLE or a stored sweep")
NEEDS = {
    "success_vs_baseline": Need(
        "baseline", "a baseline: --baseline TABLE, a stored sweep, or SUCCESSES/RUNS"
    ),
    "mean_vs_baseline": _RUNS_OF_BASELINE,
    "variance_vs_baseline": _RUNS_OF_BASELINE,
    "lower_tail_vs_baseline": _RUNS_OF_BASELINE,
    "plateau": Need("curve", "learning curves: --curves TABLE with the columns run, step, perf"),
    "lr_sweet_spot": Need("parameter", "a column learning_rate (or lr) that varies"),
    "batch_size": Need("arm", "the value to compare with the others: --reference batch_size=VALUE"),
}
"""The table or option that would answer a question which a table leaves open."""

TRAINED: frozenset[NeedKind] = frozenset({"training", "arm", "curve"})
"""Kinds of needs that training meets: of a table, another one does, or an option."""


@dataclass(frozen=True, slots=True)
class Group:
    """The judgement of runs with equal ``by`` values: column → value, empty for a whole table."""

    by: Mapping[str, Value]
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Judged:
    """A judged table: a judgement a group, and what pooling the groups would have hidden.

    ``notes`` tell how the runs were counted and against which thresholds.
    """

    groups: tuple[Group, ...]
    notes: tuple[str, ...]
    pooling: tuple[Finding, ...] = ()


def judge_table(
    reading: Reading, against: Reading | Baseline | Counts | None = None, terms: Terms | None = None
) -> Judged:
    """Judge the runs of a table, within groups where it was read with ``by``.

    ``against`` is the baseline: a table read alike, stored runs, or counts.

    Raises
    ------
    UsageError
        Where the table does not have what is asked about.
    """
    terms = terms or Terms()
    main = [result for result in reading.results if result.run.arm == MAIN]
    arms = [result for result in reading.results if result.run.arm != MAIN]
    check_terms(terms, main, arms)
    margin, min_gain, thresholds = _thresholds(reading.metric, reading.results, terms)
    fixed = replace(terms, margin=margin, min_gain=min_gain)
    groups = _grouped(reading)
    judged = [
        _judge(reading, results, _baseline(against, reading.by, by), fixed)
        for by, results in groups.items()
    ]
    flat = iter(with_holm([verdict for part in judged for verdict in part.verdicts]))
    made: list[Group] = []
    said = [thresholds]
    for by, part in zip(groups, judged, strict=True):
        verdicts = [next(flat) for _ in part.verdicts]
        label = ", ".join(f"{name} {value}" for name, value in zip(reading.by, by, strict=True))
        said += [f"{label}: {line}" if label else line for line in part.notes]
        made.append(
            Group(dict(zip(reading.by, by, strict=True)), _judgement(part, verdicts, label))
        )
    pooling: tuple[Finding, ...] = ()
    if len(made) > 1:
        pooled = _judge(reading, reading.results, _baseline(against, (), ()), fixed)
        pooling = tuple(_pooled(pooled, made, reading.by))
    return Judged(tuple(made), tuple(dict.fromkeys(filter(None, said))), pooling)


@dataclass(frozen=True, slots=True)
class _Part:
    """A group before the correction over all groups."""

    evidence: Evidence
    verdicts: tuple[Verdict, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def _judge(
    reading: Reading,
    results: Sequence[Result],
    against: Baseline | Counts | None,
    terms: Terms,
) -> _Part:
    raw = tuple(result for result in results if result.run.arm == MAIN)
    ours = merge(raw)
    theirs = merge(against.results) if isinstance(against, Baseline) else None
    baseline: Baseline | Counts | None = against
    apart = None
    if theirs is not None and isinstance(against, Baseline):
        baseline = replace(against, results=theirs.results)
        if (ours.merged or theirs.merged) and ours.each != theirs.each:
            apart = f"{_each(ours)} a configuration against {_each(theirs)}"
    evidence = Evidence(
        sweep=reading.name,
        runs=ours.results,
        arms=_arms(results, ours),
        baseline=baseline,
        baseline_name=None if baseline is None else baseline.name,
        alpha=terms.alpha,
        margin=terms.margin,
        min_gain=MIN_GAIN if terms.min_gain is None else terms.min_gain,
        seed=terms.seed,
        metric=reading.metric,
        unlike=apart,
    )
    questions = questions_of(evidence, raw, terms, has_seed=reading.has_seed)
    verdicts = tuple(map(_of_table, questions, judge_each(questions)))
    lines = [ours.note("runs")]
    if theirs is not None:
        lines.append(theirs.note("baseline"))
    return _Part(evidence, verdicts, _findings(evidence, raw, questions), tuple(lines))


def _of_table(question: Question, verdict: Verdict) -> Verdict:
    """Return ``verdict`` with needs that a table can meet in place of runs that are trained."""
    needs = (
        _table_need(question, need) if need.kind in TRAINED else need for need in verdict.needs
    )
    return replace(verdict, needs=tuple(needs))


def _table_need(question: Question, need: Need) -> Need:
    if need.kind == "arm":
        name = " and ".join(question.claim.parameters)
        return Need("arm", f"runs that differ in {name} alone, as a grid or an arm column has them")
    usual = NEEDS["plateau"] if need.kind == "curve" else _RUNS_OF_BASELINE
    return NEEDS.get(question.id, usual)


def _findings(
    evidence: Evidence, raw: tuple[Result, ...], questions: Sequence[Question]
) -> tuple[Finding, ...]:
    """Return the audit of the configurations, and of the runs themselves who is left of them."""
    claims = {
        question.id: question.claim
        for question in questions
        if REST not in question.claim.parameters
    }
    found = list(audit(evidence, claims))
    if len(raw) != len(evidence.runs):
        lost = audit(replace(evidence, runs=raw))
        found = [f for f in found if f.code != "survivorship"]
        found += [f for f in lost if f.code == "survivorship"]
    found.append(
        Finding(
            "post_hoc",
            "info",
            "not pre-registered: these questions were asked after the data existed",
        )
    )
    return tuple(found)


def _judgement(part: _Part, verdicts: Sequence[Verdict], label: str) -> Judgement:
    evidence = part.evidence
    if label:
        evidence = replace(evidence, sweep=f"{evidence.sweep}, {label}")
    others = (
        replace(verdict, needs=(NEEDS[verdict.id],)) if verdict.id in NEEDS else verdict
        for verdict in not_asked(verdicts, part.evidence)
    )
    steps = {result.run.steps for result in evidence.runs} - {0}
    return Judgement(
        evidence,
        (*verdicts, *others),
        part.findings,
        steps=steps.pop() if len(steps) == 1 else 0,
    )


def _arms(results: Iterable[Result], main: Repeats) -> dict[str, tuple[Result, ...]]:
    """Return the finished runs of the arms; where main runs were merged, so are theirs."""
    arms = by_arm(r for r in results if r.run.arm != MAIN and r.is_final)
    if not main.merged:
        return arms
    kept = {}
    of = {result.run.id: result.run.config for result in results}
    whole = {result.run.config: result.run.id for result in main.results}
    for arm, runs in arms.items():
        kept[arm] = tuple(
            replace(r, run=replace(r.run, pair=whole.get(of[r.run.pair]) if r.run.pair else None))
            for r in merge(runs).results
        )
    return kept


def _grouped(reading: Reading) -> dict[tuple[Value, ...], list[Result]]:
    groups: dict[tuple[Value, ...], list[Result]] = {}
    for result, by in zip(reading.results, reading.groups, strict=True):
        groups.setdefault(by, []).append(result)
    return groups


def _baseline(
    against: Reading | Baseline | Counts | None, by: tuple[str, ...], values: tuple[Value, ...]
) -> Baseline | Counts | None:
    """Return the baseline's main runs, those of the group where it has such groups."""
    if against is None or isinstance(against, Baseline | Counts):
        return against
    results = [result for result in against.results if result.run.arm == MAIN]
    if by and set(by) <= set(parameter_names(results)):
        results = [
            replace(r, run=replace(r.run, config=r.run.config.without(*by)))
            for r in results
            if tuple(r.run.config[name] for name in by) == values
        ]
    return Baseline(against.name, tuple(results))


def _thresholds(
    metric: Metric, results: Sequence[Result], terms: Terms
) -> tuple[float | None, float, str]:
    """Return the margin, the least gain, and what is said of them."""
    score = is_score(metric, results)
    margin = terms.margin if terms.margin is not None else (MARGIN if score else None)
    min_gain = terms.min_gain if terms.min_gain is not None else (MIN_GAIN if score else 0.0)
    if margin is None:
        said = "no margin: what would matter is not known for this metric; give --margin"
    else:
        said = f"margin {margin:g}"
    if metric.zero != "arbitrary":
        said += f", least gain {min_gain:g}"
    return margin, min_gain, f"level {terms.alpha:g} a question, {said}"


def is_score(metric: Metric, results: Sequence[Result]) -> bool:
    """Whether the usual margin applies: to ΔPerf, and to scores from 0 to 1 to be maximised."""
    if metric == DELTA_PERF or metric.minimised:
        return not metric.minimised
    outcomes = [result.outcome for result in results]
    least = -1.0 if metric.zero == "target" else 0.0
    levels = [o.delta_perf for o in outcomes]
    if metric.zero == "no change":
        levels = [perf for o in outcomes for perf in (o.perf_before, o.perf_after)]
    known = [level for level in levels if level is not None]
    return bool(known) and all(least <= level <= 1.0 for level in known)


def _pooled(pooled: _Part, groups: Sequence[Group], by: Sequence[str]) -> Iterable[Finding]:
    """Find questions on which the pooled runs say what the groups do not."""
    names = ", ".join(by)
    for verdict in pooled.verdicts:
        apart = [
            found
            for group in groups
            for found in group.judgement.verdicts
            if found.id == verdict.id and found.verdict not in ("unanswerable", "not judged")
        ]
        words = {found.verdict for found in apart}
        if {"supported", "refuted"} <= words:
            said = f"{verdict.id} differs between groups of {names}: no one answer holds for all"
        elif verdict.verdict in ("supported", "refuted") and apart and verdict.verdict not in words:
            said = (
                f"pooled over {names}, {verdict.id} would be {verdict.verdict} ({verdict.answer}), "
                f"and it is in none of the {len(apart)} groups: pooling mixes what differs between "
                "them into the answer"
            )
        else:
            continue
        yield Finding("mixed_conditions", "warning", said, tuple(by))


def _each(repeats: Repeats) -> str:
    return f"{repeats.each:g} {'repeats' if repeats.each != 1 else 'run'}"
