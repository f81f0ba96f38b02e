"""The questions asked of a table: the standard ones, and those on the parameters it varies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.claims import (
    BaseClaim,
    BestValue,
    Matters,
    NoWorse,
    lower_tail,
    mean_gain,
    spread,
    still_improves,
    success_rate,
)
from harness.errors import UsageError, nearest
from harness.observations import parameter_names
from harness.observations.levels import in_order
from harness.protocols import Claim
from harness.records import USELESS, Result, Value
from harness.text import first
from harness.verdicts import Evidence

HALF = 0.5

NAMED = 8
"""The most values that a message names."""


@dataclass(frozen=True, slots=True)
class Question:
    """A claim with the evidence that it is judged on: not every claim counts the same runs."""

    id: str
    claim: Claim
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Terms:
    """Thresholds and choices that are fixed before a table is judged.

    ``success_above`` is the success rate to beat. ``references`` are values claimed to be no worse
    than the others. Margin and least gain are None for the metric's usual ones.
    """

    margin: float | None = None
    min_gain: float | None = None
    success_above: float = HALF
    references: Mapping[str, Value] = field(default_factory=dict)
    alpha: float = 0.05
    seed: int = 0


def questions_of(
    evidence: Evidence, raw: Sequence[Result], terms: Terms, *, has_seed: bool
) -> list[Question]:
    """Return the questions asked of a table, in the order of the standard ones.

    What nobody could have asked of it is not among them: of the change to a baseline without one,
    of successes by a metric that knows none, of learning curves and of useless training that are
    not there.

    ``evidence`` has its runs with the repeats of a configuration merged, ``raw`` its main runs as
    they stand in the table. With ``has_seed``, runs of an equal seed are pairs.
    """
    rate = terms.success_above
    name = "success_above_half" if rate == HALF else f"success_above_{rate:g}"
    standard: dict[str, BaseClaim] = {}
    if evidence.metric.knows_success or rate != HALF:
        standard[name] = success_rate.above(rate)
    if evidence.baseline is not None:
        if evidence.metric.knows_success:
            standard["success_vs_baseline"] = success_rate.above_baseline()
        standard["mean_vs_baseline"] = mean_gain.above_baseline()
        standard["variance_vs_baseline"] = spread.below_baseline()
        standard["lower_tail_vs_baseline"] = lower_tail.above_baseline()
    if any(result.outcome.curve for result in raw):
        standard["plateau"] = still_improves()
    for arm in USELESS:
        if evidence.arms.get(arm):
            standard[f"gain_over_{arm}"] = mean_gain.above_arm(arm)
    asked = [Question(id_, claim, evidence) for id_, claim in standard.items()]
    # The claims on one parameter merge the repeats of a configuration themselves, where they must.
    of_runs = replace(evidence, runs=tuple(raw))
    for parameter in parameter_names(raw):
        if len({result.run.config.get(parameter) for result in raw}) > 1:
            asked.append(Question(f"matters_{parameter}", Matters(parameter), of_runs))
            asked.append(Question(f"best_{parameter}", BestValue(parameter), of_runs))
    for parameter, value in _references(evidence, terms).items():
        asked.append(_reference(parameter, value, evidence, raw, has_seed=has_seed))
    return asked


def check_terms(terms: Terms, raw: Sequence[Result], arms: Iterable[Result]) -> None:
    """Check that the table has what is asked about.

    Raises
    ------
    UsageError
        Naming the parameter or the value, and those there are.
    """
    known = parameter_names(raw)
    for name in terms.references:
        if name not in known:
            has = f"has {', '.join(known)}" if known else "has none"
            raise UsageError(
                f"no parameter {name!r} in the table, which {has}{nearest(name, known)}"
            )
    for name, value in terms.references.items():
        values = {result.run.config[name] for result in raw}
        if value not in values:
            raise UsageError(
                f"--reference {name}={value}: no run has that value; the table has "
                f"{first(sorted(map(str, values)), NAMED)}"
            )
        if len(values | {result.run.config.get(name) for result in arms}) < 2:
            raise UsageError(
                f"--reference {name}={value}: every run has that value, so there is nothing to "
                "compare it with"
            )


def _references(evidence: Evidence, terms: Terms) -> dict[str, Value]:
    """Return the values to compare with others: those named, and those that arms change."""
    found = dict(terms.references)
    for arm, results in evidence.arms.items():
        ids = {result.run.pair for result in results}
        mains = [result for result in evidence.runs if result.run.id in ids]
        values = {result.run.config.get(arm) for result in mains or evidence.runs}
        if arm not in found and len(values) == 1 and None not in values:
            found[arm] = values.pop()
    return found


def _reference(
    parameter: str, value: Value, evidence: Evidence, raw: Sequence[Result], *, has_seed: bool
) -> Question:
    """Ask whether a value is no worse than others, from an arm or from the runs of a grid."""
    arm = evidence.arms.get(parameter, ())
    if not arm:
        evidence = _matched(parameter, value, evidence, raw, has_seed=has_seed)
        arm = evidence.arms[parameter]
    others = dict.fromkeys(
        other
        for result in (*arm, *raw)
        if (other := result.run.config.get(parameter)) != value and other is not None
    )
    matched = {result.run.config.get(parameter) for result in arm}
    than = [other for other in others if other in matched] or list(others)
    claim = NoWorse(parameter, value, tuple(sorted(than, key=in_order)))
    return Question(parameter, claim, evidence)


def _matched(
    parameter: str, value: Value, evidence: Evidence, raw: Sequence[Result], *, has_seed: bool
) -> Evidence:
    """Return the runs with ``value`` as main runs, and as their arm those equal in all else.

    A run that lacks a setting or its seed is in the arm too, without a pair: it may have one.
    """
    alone = len({_rest(result, parameter) for result in raw}) == 1
    runs = tuple(raw) if alone else evidence.runs
    seeded = has_seed and len(runs) == len(raw)

    def key(result: Result) -> Hashable:
        return _rest(result, parameter), result.run.seed if seeded else None

    reference = tuple(r for r in runs if r.run.config.get(parameter) == value)
    counted = Counter(map(key, reference))
    of = {key(result): result.run.id for result in reference if counted[key(result)] == 1}
    arm = tuple(
        replace(result, run=replace(result.run, arm=parameter, pair=of.get(key(result))))
        for result in runs
        if result.is_final
        and result.run.config.get(parameter) != value
        and (key(result) in of or any(gap.kind in ("setting", "match") for gap in result.gaps))
    )
    return replace(evidence, runs=reference, arms={**evidence.arms, parameter: arm})


def _rest(result: Result, parameter: str) -> Hashable:
    return tuple(item for item in result.run.config.items() if item[0] != parameter)
