"""Findings about the design: its parameters, their ranges, and the runs that are left."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness import statistics
from harness.audit.view import ALARM, View, columns_of, numeric
from harness.observations import Observations
from harness.observations.levels import RANGE_FROM, are_numbers, in_order, levels_of
from harness.records import Value
from harness.text import first, in_words, parameter_value
from harness.verdicts import Finding

MOST_COMBINED = 20
"""Of more parameters than this only the first are looked at in threes."""

SAMPLED = 200
"""The runs by which most parameters are seen not to be given by two others."""

REPEATED = 10
"""The fewest runs that must share both values with another run before a third is given by them."""

FAILED = ("failed", "timeout", "oom", "crashed")


FEW_DRAWS = 199

ROUNDED = 0.02
"""The share of a spread that the rounding of numbers may leave of it."""

NAMED = 3
"""The most parameters that a finding names in brief."""


def confounded(view: View) -> Iterator[Finding]:
    # What a design draws by itself is given by nothing, however it may look in few runs.
    is_declared = bool(view.given) or view.evidence.given is not None
    threes = [] if is_declared else list(_given_by_two(view))
    told = [set(finding.parameters) for finding in threes]
    for finding in confounding(view.columns, view.given, view.generator()):
        if set(finding.parameters) not in told:
            yield finding
    yield from threes


def confounding(
    columns: Mapping[str, list[Value]], given: Mapping[str, str], rng: np.random.Generator
) -> Iterator[Finding]:
    """Find the groups of parameters that go together, by declaration or in the runs.

    ``columns`` are the values [n] of each parameter; ``given`` names the parameter that another's
    values depend on by declaration. A group has every parameter that goes with another one of it.
    """
    levels = {
        name: found.codes
        for name, values in columns.items()
        if (found := levels_of(values)) is not None
    }
    together = statistics.go_together(list(levels.values()), rng)
    edges = {
        (one, two): float(together.strength[i, j])
        for (i, one), (j, two) in combinations(enumerate(levels), 2)
        if together.shown[i, j] or given.get(one) == two or given.get(two) == one
    }
    for group in _groups(edges):
        inside = {pair: v for pair, v in edges.items() if pair[0] in group}
        if len(group) == 2:
            yield _pair(group[0], group[1], columns, levels, given)
        else:
            yield _group(group, inside)


def _given_by_two(view: View) -> Iterator[Finding]:
    """Find the parameters that two others give together, as batch size and accumulation do a third.

    No two of the three need go together, and yet none of them varies with the others held equal.
    """
    varying = [(name, values) for name, values in view.columns.items() if len(set(values)) > 1]
    full = [_Exact.of(name, values) for name, values in varying[:MOST_COMBINED]]
    few = [one.every(SAMPLED) for one in full]
    rng = view.generator()
    for three in combinations(range(len(full)), 3):
        # The one of most values is told as given where any two give the third.
        for place in sorted(three, key=lambda index: -full[index].levels):
            others = [index for index in three if index != place]
            (of, one, two), sampled = (
                [columns[index] for index in (place, *others)] for columns in (full, few)
            )
            if (_is_computed(*sampled) and _is_computed(of, one, two)) or (
                max(one.levels, two.levels) <= of.codes.size - REPEATED
                and _gives(_crossed(*sampled[1:]), sampled[0].codes)
                and _is_function(of, one, two, rng)
            ):
                yield Finding(
                    "redundant",
                    "warning",
                    f"{of.name} is given by {one.name} and {two.name}: none of the three varies "
                    "with the other two held equal, so what one of them does cannot be told; leave "
                    "one of them out",
                    (of.name, one.name, two.name),
                    f"{of.name} is given by {one.name} and {two.name}",
                )
                break


@dataclass(frozen=True, slots=True, eq=False)
class _Exact:
    """The n values of a parameter, by their number among the ``levels``, and as numbers if all are.

    ``plain`` [n] are these, None where one is none; ``logs`` [n], None where one is not above 0.
    """

    name: str
    codes: NDArray[np.intp]
    levels: int
    plain: NDArray[np.float64] | None
    logs: NDArray[np.float64] | None

    @classmethod
    def of(cls, name: str, values: Sequence[Value]) -> _Exact:
        seen: dict[Value, int] = {}
        codes = np.array([seen.setdefault(value, len(seen)) for value in values], dtype=np.intp)
        plain = logs = None
        if are_numbers(values):
            plain = np.array(values, dtype=np.float64)
            logs = np.log(plain) if (plain > 0.0).all() else None
        return cls(name, codes, len(seen), plain, logs)

    def every(self, most: int) -> _Exact:
        """Return about ``most`` of the values, spread over all."""
        step = max(1, self.codes.size // most)
        plain, logs = (x if x is None else x[::step] for x in (self.plain, self.logs))
        return replace(self, codes=self.codes[::step], plain=plain, logs=logs)


def _is_computed(of: _Exact, one: _Exact, two: _Exact) -> bool:
    """Return whether a parameter is the product or the sum of two others, but for rounding."""
    for scale in ((of.plain, one.plain, two.plain), (of.logs, one.logs, two.logs)):
        x, y, z = scale
        if x is None or y is None or z is None or x.size < REPEATED:
            continue
        left = x - y - z
        # The rest of most is as wide as they are: three of its values tell.
        if np.ptp(left[:3]) > ROUNDED * 10 * np.ptp(x):
            continue
        spread = min(float(x.std()), float(y.std()), float(z.std()))
        if spread > 0.0 and float(left.std()) < ROUNDED * spread:
            return True
    return False


def _is_function(of: _Exact, one: _Exact, two: _Exact, rng: np.random.Generator) -> bool:
    """Return whether two parameters, and neither alone, give a third in every run."""
    both = _crossed(one, two)
    if of.codes.size - np.unique(both).size < REPEATED or not _gives(both, of.codes):
        return False
    if _gives(one.codes, of.codes) or _gives(two.codes, of.codes):
        return False
    # A value that hardly ever differs looks given by chance.
    return not any(_gives(both, rng.permutation(of.codes)) for _ in range(FEW_DRAWS))


def _crossed(one: _Exact, two: _Exact) -> NDArray[np.intp]:
    """Return the numbers [n] of the joint values of two parameters."""
    return one.codes * two.levels + two.codes


def _gives(causes: NDArray[np.intp], effects: NDArray[np.intp]) -> bool:
    """Return whether ``effects`` [n] are the same wherever ``causes`` [n] are."""
    order = np.argsort(causes)
    same = np.diff(causes[order]) == 0
    return not (same & (np.diff(effects[order]) != 0)).any()


def _groups(edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the names that ``edges`` join, in groups, each in the order of appearance."""
    group_of: dict[str, list[str]] = {}
    for pair in edges:
        joined = list(dict.fromkeys(name for one in pair for name in group_of.get(one, [one])))
        group_of.update(dict.fromkeys(joined, joined))
    return list({id(group): group for group in group_of.values()}.values())


def _pair(
    one: str,
    two: str,
    columns: Mapping[str, list[Value]],
    levels: Mapping[str, NDArray[np.intp]],
    given: Mapping[str, str],
) -> Finding:
    cause, effect = (two, one) if given.get(one) == two else (one, two)
    by_design = given.get(effect) == cause
    if not by_design and np.unique(levels[cause]).size > np.unique(levels[effect]).size:
        cause, effect = effect, cause
    # Two that are seen together need not depend on each other, and may be told apart in part.
    verb = "depends on" if by_design else "goes with"
    mixed = "what looks like the effect of one may be that of the other"
    if by_design:
        mixed = "the effect of one cannot be told from that of the other"
    return Finding(
        "confounded",
        "warning",
        f"{effect} {verb} {cause} ({_implied(cause, columns[cause], columns[effect])}): "
        f"{mixed}, so a share of either among the best runs says nothing by itself",
        (effect, cause),
        f"{effect} {verb} {cause}",
    )


def _group(names: Sequence[str], strengths: Mapping[tuple[str, str], float]) -> Finding:
    every = len(strengths) == len(names) * (len(names) - 1) // 2
    each = "" if every else ", each with some of the others"
    return Finding(
        "confounded",
        "warning",
        f"these {in_words(len(names))} go together{each}: {', '.join(names)} (Cramér's V from "
        f"{min(strengths.values()):.2f}): the effect of one cannot be told from that of the "
        "others, so a share of any among the best runs says nothing by itself",
        tuple(names),
        f"{in_words(len(names))} parameters go together ({first(names, NAMED)})",
    )


def constant_parameter(view: View) -> Iterator[Finding]:
    for name, claim in view.questions.items():
        for parameter in claim.parameters:
            values = set(view.columns.get(parameter, ()))
            if len(values) == 1 and None not in values and not view.evidence.arms.get(parameter):
                how = view.how_to_have(parameter, "Pairs(12, values=(…,))")
                yield Finding(
                    "constant_parameter",
                    "info",
                    f"{name} asks about {parameter}, which is {next(iter(values))} in every run: "
                    f"it needs runs with other values{how}",
                    (parameter,),
                )


@dataclass(frozen=True, slots=True)
class Edge:
    """An end of a parameter's range towards which the metric gets better, with no decline shown."""

    parameter: str
    end: Literal["lower", "upper"]
    value: float


def edges_of(
    observed: Observations, rng: np.random.Generator, alpha: float, leave: Collection[str] = ()
) -> Iterator[Edge]:
    """Yield the ends of ranges at which the best value may lie, or beyond.

    The bracket test must show the improvement over all ranges, at the rate of false alarms of a
    check, and must not show a decline at ``alpha``. The parameters to ``leave`` are not tested.
    """
    columns = numeric(columns_of(observed.final))
    if observed.is_degenerate or len(observed.final) < statistics.FEWEST_BRACKETED:
        return
    level = ALARM / 2 / max(1, len(columns))
    for name, values in columns.items():
        if name in leave:
            continue
        # A few permutations settle the plain cases.
        tested = statistics.bracket(values, observed.ranked, rng, resamples=FEW_DRAWS)
        if min(tested.p_rising, tested.p_falling) > 2 * ALARM:
            continue
        tested = statistics.bracket(values, observed.ranked, rng)
        rising, falling = tested.p_rising <= level, tested.p_falling <= level
        if rising == falling or max(tested.p_rising, tested.p_falling) <= alpha:
            continue
        if rising:
            yield Edge(name, "upper", float(values.max()))
        else:
            yield Edge(name, "lower", float(values.min()))


def edge_optimum(view: View) -> Iterator[Finding]:
    alpha = view.evidence.alpha
    for edge in edges_of(view.observed, view.generator(), alpha, view.best_asked):
        yield Finding(
            "edge_optimum",
            "warning",
            f"{view.metric} gets better towards the {edge.end} end of {edge.parameter} "
            f"({edge.value:.3g}), and no decline is shown there: the best may lie at that edge or "
            "beyond it; widen the range",
            (edge.parameter,),
            f"better towards the {edge.end} end of {edge.parameter}",
        )


def survivorship(view: View) -> Iterator[Finding]:
    """Say how many runs left no value of the metric, and where they lie.

    The evidence of a stored sweep holds finished runs, some diverged. That of a table may also hold
    failed ones, which nobody tries again.
    """
    diverged = len(view.observed.diverged)
    failed = [r for r in view.evidence.runs if r.outcome.status in FAILED]
    if not diverged and not failed:
        return
    kinds = [f"{diverged} diverged"] if diverged else []
    kinds += [f"{len(failed)} without a result"] if failed else []
    text = f"{' and '.join(kinds)} of {len(view.evidence.runs)} runs: the mean and the spread are "
    text += "those of the survivors"
    lost = (*view.observed.diverged, *failed)
    columns = numeric(columns_of((*view.observed.completed, *lost)))
    kept = len(view.observed.completed)
    where: list[str] = []
    for name, values in columns.items():
        p_values = statistics.rank_sum(values[kept:], values[:kept])
        side = "high" if p_values[0] < p_values[1] else "low"
        if min(p_values) <= 0.025 / len(columns):
            where.append(name)
            text += f"; the others lie at {side} {name} (median {np.median(values[kept:]):.3g} "
            text += f"against {np.median(values[:kept]):.3g}), so the survivors flatter that end"
    brief = f"{' and '.join(kinds)} of {len(view.evidence.runs)} runs"
    yield Finding("survivorship", "warning", text, tuple(where), brief)


def _implied(name: str, causes: list[Value], effects: list[Value]) -> str:
    """Say which ``effects`` [n] occur with each of the ``causes`` [n] of the parameter ``name``."""
    seen: dict[Value, set[Value]] = {}
    for value, other in zip(causes, effects, strict=True):
        seen.setdefault(value, set()).add(other)
    if max(len(seen), *map(len, seen.values())) >= RANGE_FROM:
        return "they rise or fall together"
    return "; ".join(
        f"{name} {parameter_value(value)}: "
        f"{', '.join(map(parameter_value, sorted(seen[value], key=in_order)))}"
        for value in sorted(seen, key=in_order)
    )
