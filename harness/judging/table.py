"""Judge a table of finished runs: verdicts and audit, without training.

Every question is asked after the data existed, and the audit says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.analysis import interactions_of
from harness.audit import audit, best_asked
from harness.claims.base import outcome
from harness.claims.curtailment import TO_SUCCEED
from harness.claims.judging import judge_one, not_asked, with_holm
from harness.errors import UsageError
from harness.judging.outlook import outlook_of_table
from harness.judging.table_questions import Question, Terms, check_terms, questions_of
from harness.metrics import MARGIN, MIN_GAIN
from harness.observations import parameter_names
from harness.observations.repeats import Repeats, merge, merge_arms, unlike
from harness.observations.selection import selection
from harness.records import MAIN, Result, Value
from harness.tables.units import check_baseline, is_score, typical_spread
from harness.text import listed, p_text, percent, plural
from harness.verdicts import (
    Baseline,
    Counts,
    Evidence,
    Finding,
    Judgement,
    Need,
    NeedKind,
    Verdict,
    by_arm,
)

if TYPE_CHECKING:
    from harness.tables import Reading

PLAINLY = 0.01
"""Up to this p over all pairs two parameters are told to act together, beside the answer."""

_RUNS_OF_BASELINE = Need("baseline", "the baseline's runs: --baseline TABLE or a stored sweep")
NEEDS = {
    "success_above_half": TO_SUCCEED,
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
"""The table or option that would answer a question that a table leaves open."""

NO_PART = "not asked of this table"

TRAINED: frozenset[NeedKind] = frozenset({"training", "arm", "curve"})
"""Kinds of needs that training meets; for a table, another table or an option does."""


@dataclass(frozen=True, slots=True)
class Group:
    """The judgement of runs with equal values ``by`` column; empty for a whole table."""

    by: Mapping[str, Value]
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Judged:
    """A judged table: its groups, and what pooling them would have hidden.

    ``notes`` say how the runs were counted, and against which thresholds. ``terms`` are these, and
    ``scores`` says that they are of scores from 0 to 1: the unit of other metrics is not known.
    """

    groups: tuple[Group, ...]
    notes: tuple[str, ...]
    terms: Terms
    scores: bool
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
    theirs = () if against is None or isinstance(against, Counts) else against.results
    name = "" if against is None else against.name
    check_baseline(reading.metric, reading.results, theirs, name)
    scores = is_score(reading.metric, reading.results, theirs)
    margin, min_gain, thresholds = _thresholds(reading, terms, scores=scores)
    fixed = replace(terms, margin=margin, min_gain=min_gain)
    groups = _grouped(reading)
    made: list[Group] = []
    said = [thresholds]
    for values, results in groups.items():
        by = dict(zip(reading.by, values, strict=True))
        judgement, notes = _judge(reading, results, _baseline(against, by), fixed, len(groups))
        if label := ", ".join(f"{name} {value}" for name, value in by.items()):
            named = replace(judgement.evidence, sweep=f"{reading.name}, {label}")
            judgement = replace(judgement, evidence=named)
            notes = [f"{label}: {line}" for line in notes if line]
        said += notes
        made.append(Group(by, judgement))
    every = [v for group in made for v in group.judgement.verdicts]
    corrected = iter(with_holm(every, terms.alpha, of_every_parameter=True))
    for place, group in enumerate(made):
        verdicts = _with_standard([next(corrected) for _ in group.judgement.verdicts])
        made[place] = replace(group, judgement=replace(group.judgement, verdicts=verdicts))
    pooling: tuple[Finding, ...] = ()
    if len(made) > 1:
        pooled, _ = _judge(reading, reading.results, _baseline(against, {}), fixed, len(groups))
        pooling = tuple(_pooled(pooled, made, reading.by))
    said.append(_best_at_full(reading))
    lines = tuple(dict.fromkeys(filter(None, said)))
    return Judged(tuple(made), lines, fixed, scores, pooling)


def _judge(
    reading: Reading,
    results: Sequence[Result],
    against: Baseline | Counts | None,
    terms: Terms,
    groups: int,
) -> tuple[Judgement, list[str]]:
    """Judge one group, before the correction over all groups; with notes on how it was counted."""
    raw = tuple(result for result in results if result.run.arm == MAIN)
    ours = merge(raw)
    theirs = merge(against.results) if isinstance(against, Baseline) else None
    baseline: Baseline | Counts | None = against
    apart = None
    if theirs is not None and isinstance(against, Baseline):
        baseline = replace(against, results=theirs.results)
        apart = unlike(ours.results, theirs.results)
    evidence = Evidence(
        sweep=reading.name,
        runs=ours.results,
        arms=_arms(results, ours),
        baseline=baseline,
        baseline_name=None if baseline is None else baseline.name,
        alpha=terms.alpha,
        margin=terms.margin,
        min_gain=terms.min_gain or 0.0,
        seed=terms.seed,
        metric=reading.metric,
        unlike=apart,
        adaptive=reading.adaptive,
    )
    questions = questions_of(evidence, raw, terms, has_seed=reading.has_seed)
    verdicts = []
    for question in questions:
        together = replace(question.evidence, questions=groups * len(questions))
        verdict = judge_one(question.id, question.claim, together)
        needs = tuple(_table_need(question, need) for need in verdict.needs)
        verdicts.append(replace(verdict, needs=needs))
    for verdict in not_asked({question.id for question in questions}, evidence):
        verdicts.append(replace(verdict, answer=NO_PART, reason=NO_PART, needs=_to_ask(verdict)))
    steps = {result.run.steps for result in evidence.runs} - {0}
    judgement = Judgement(
        evidence,
        tuple(verdicts),
        (*reading.findings, *_findings(evidence, questions, verdicts)),
        steps=steps.pop() if len(steps) == 1 else 0,
        of_table=True,
        outlook=outlook_of_table(questions, evidence, verdicts),
    )
    return judgement, [ours.note("runs"), "" if theirs is None else theirs.note("baseline")]


def _best_at_full(reading: Reading) -> str:
    """Name the best of the runs that went further than where all are compared, if there are some.

    With what is left of it after it was chosen among them.
    """
    if reading.at_full is None:
        return ""
    runs, metric = tuple(r for r in reading.at_full.results if r.run.arm == MAIN), reading.metric
    found = selection(runs)
    if found.top is None or found.top.outcome.delta_perf is None:
        return ""
    worth = found.of.get(found.top.run.id)
    left = "how much of it is luck cannot be said"
    if worth is not None:
        left = f"{outcome(worth.shrunk, metric)} after selection"
    said = f"{found.top.run.id} with {metric.name} {outcome(found.top.outcome.delta_perf, metric)}"
    at = f"at the full {reading.at_full.step:,}"
    if found.count == 1:
        return f"{at}: {said}"
    return f"{at}: {said} is the best of {plural(found.count, 'run')}; {left}"


def _with_standard(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Return ``verdicts`` with the standard question of the learning rate answered.

    It is the question for the best learning rate under another name, and is not asked twice.
    """
    found = {verdict.id: verdict for verdict in verdicts}
    best = found.get("best_learning_rate")
    if best is not None and not found["lr_sweet_spot"].claim:
        found["lr_sweet_spot"] = replace(
            best, id="lr_sweet_spot", claim="", p_value=None, p_holm=None, effect=None
        )
    return tuple(found[verdict.id] for verdict in verdicts)


def _to_ask(verdict: Verdict) -> tuple[Need, ...]:
    return (NEEDS[verdict.id],) if verdict.id in NEEDS else verdict.needs


def _table_need(question: Question, need: Need) -> Need:
    """Return a need that a table can meet, in place of one that training would meet."""
    if need.kind not in TRAINED:
        return need
    if need.kind == "arm" and not question.claim.parameters:
        arms, fewest = listed(question.claim.arms), question.claim.fewest
        return Need(
            "arm", f"at least {fewest} rows of the arm {arms}, each with its main run as its pair"
        )
    if need.kind == "arm":
        name = " and ".join(question.claim.parameters)
        return Need("arm", f"runs that differ in {name} alone, as a grid or an arm column has them")
    usual = NEEDS["plateau"] if need.kind == "curve" else _RUNS_OF_BASELINE
    return NEEDS.get(question.id, usual)


def _findings(
    evidence: Evidence, questions: Sequence[Question], verdicts: Iterable[Verdict]
) -> tuple[Finding, ...]:
    """Return the audit, and the parameters that act together."""
    claims = {question.id: question.claim for question in questions}
    found = list(audit(evidence, claims, best_asked=best_asked(verdicts)))
    found += _interactions(evidence, verdicts)
    words = "not pre-registered: these questions were asked after the data existed"
    return (*found, Finding("post_hoc", "info", words))


def _interactions(evidence: Evidence, verdicts: Iterable[Verdict]) -> Iterable[Finding]:
    """Find the pairs of parameters of which neither is to be read by itself."""
    for one in interactions_of(evidence, list(verdicts)).shown:
        if one.p_holm > PLAINLY:
            continue
        pair = listed(one.parameters)
        yield Finding(
            "interaction",
            "warning",
            f"{pair} act together: {percent(one.share)} of the variance is beyond what the two add "
            f"up to (Holm's {p_text(one.p_holm)} over all pairs). What is said of each is an "
            "average over the other: compare their values in pairs",
            one.parameters,
            f"{pair} act together",
        )


def _arms(results: Sequence[Result], main: Repeats) -> dict[str, tuple[Result, ...]]:
    """Return the finished runs of the arms; where main runs were merged, so are theirs."""
    arms = by_arm(r for r in results if r.run.arm != MAIN and r.is_final)
    return merge_arms(arms, main, {result.run.id: result.run.config for result in results})


def _grouped(reading: Reading) -> dict[tuple[Value, ...], list[Result]]:
    groups: dict[tuple[Value, ...], list[Result]] = {}
    for result, by in zip(reading.results, reading.groups, strict=True):
        groups.setdefault(by, []).append(result)
    return groups


def _baseline(
    against: Reading | Baseline | Counts | None, by: Mapping[str, Value]
) -> Baseline | Counts | None:
    """Return the baseline's main runs: those of the group ``by``, if it has such groups."""
    if against is None or isinstance(against, Baseline | Counts):
        return against
    results = [result for result in against.results if result.run.arm == MAIN]
    for result in results:
        if lost := by.keys() & {gap.column for gap in result.gaps}:
            raise UsageError(
                f"run {result.run.id} of the baseline {against.name} has no {lost.pop()}, by which "
                "runs are grouped: fill it in, or leave the run out"
            )
    if by and by.keys() <= set(parameter_names(results)):
        results = [
            replace(r, run=replace(r.run, config=r.run.config.without(*by)))
            for r in results
            if all(r.run.config[name] == value for name, value in by.items())
        ]
    return Baseline(against.name, tuple(results))


def _thresholds(reading: Reading, terms: Terms, *, scores: bool) -> tuple[float | None, float, str]:
    """Return the margin, the least gain, and a note on them; ``scores`` have usual ones."""
    margin = terms.margin if terms.margin is not None else (MARGIN if scores else None)
    min_gain = terms.min_gain if terms.min_gain is not None else (MIN_GAIN if scores else 0.0)
    if margin is None:
        said = "no margin: what would matter is not known for this metric; give --margin"
        if (spread := typical_spread(reading.results)) is not None:
            said += (
                f" X. Half of the runs lie within ±{spread:g} of the median: --margin {spread:g} "
                "if a difference of that size would matter to you"
            )
    else:
        said = f"margin {margin:g}" + (" on scores from 0 to 1" if scores else "")
    if reading.metric.zero != "arbitrary":
        said += f", least gain {min_gain:g}"
    return margin, min_gain, f"level {terms.alpha:g} a question, {said}"


def _pooled(pooled: Judgement, groups: Sequence[Group], by: Sequence[str]) -> Iterable[Finding]:
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
