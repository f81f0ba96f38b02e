"""Refuse a table whose numbers are in another unit than the one they would be judged in.

A ΔPerf is a difference of scores from 0 to 1. Percentages among such scores are 100 times as large,
and every margin is then far too small.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError
from harness.metrics import DELTA_PERF, Metric
from harness.records import Evaluation, Outcome, Result, finite
from harness.tables import rows
from harness.tables.outcomes import OutcomeColumns
from harness.tables.table import Table

FloatArray = NDArray[np.float64]

LARGEST = 1.0 + 1e-9
"""The largest score, and the largest difference of two, with what rounding may add."""

ROUNDED = 0.1
"""A ΔPerf may differ this much from the difference of its two perfs: each may be rounded."""

PERCENT = (20.0, 500.0)
"""Percentages of a score are 100 times as large; how well the runs did may change that so far."""

AS_ANY = "--metric delta_perf --direction max --margin X"


def check_scores(
    table: Table, judged_by: OutcomeColumns, outcomes: Mapping[int, Outcome], *, stated: bool
) -> None:
    """Check that what is judged as ΔPerf can be a difference of scores from 0 to 1.

    With ``stated`` the user named the column as a metric of their own: any unit will do.

    Raises
    ------
    UsageError
        Naming the first number that cannot be one.
    """
    if judged_by.metric != DELTA_PERF or stated:
        return
    scores = (judged_by.perf_before, judged_by.perf_after)
    cells = {column: rows.finite_numbers(table.values(column)) for column in scores if column}
    for row, outcome in outcomes.items():
        delta, se = outcome.delta_perf, outcome.delta_perf_se
        if delta is not None and abs(delta) > LARGEST:
            raise UsageError(
                f"{table.where(row)}: {judged_by.value} {delta:g} is no difference of scores from "
                "0 to 1: divide percentages by 100, and their standard errors; or judge it in its "
                f"own unit: {AS_ANY}"
            )
        for column, known in cells.items():
            perf = known[row] if outcome.status == "completed" else None
            if perf is not None and not 0.0 <= perf <= LARGEST:
                raise UsageError(
                    f"{table.where(row)}: {column} {perf:g} is no score from 0 to 1, and "
                    f"{judged_by.value} is taken for a difference of two: divide percentages by "
                    f"100; or judge it in its own unit: {AS_ANY}"
                )
        if se is not None and se > LARGEST:
            raise UsageError(
                f"{table.where(row)}: {judged_by.se} {se:g} cannot be the standard error of a "
                f"difference of scores from 0 to 1: write it in the unit of {judged_by.value}"
            )
        _check_difference(table, judged_by, row, outcome)


def _check_difference(table: Table, judged_by: OutcomeColumns, row: int, outcome: Outcome) -> None:
    before, after, delta = outcome.perf_before, outcome.perf_after, outcome.delta_perf
    if before is None or after is None or delta is None:
        return
    if abs(after - before - delta) > ROUNDED:
        raise UsageError(
            f"{table.where(row)}: {judged_by.value} {delta:g}, but {judged_by.perf_after} − "
            f"{judged_by.perf_before} is {after - before:.4g}: write all in one unit, or judge by "
            f"the two: --before {judged_by.perf_before} --after {judged_by.perf_after}"
        )


def check_curves(
    path: Path,
    curves: Mapping[str, Sequence[Evaluation]],
    judged_by: OutcomeColumns,
    levels: Mapping[str, float | None],
    *,
    stated: bool,
) -> None:
    """Check that learning curves are in the unit of the table.

    ``levels`` are run id → perf at the end in the table, where the table has it. ``stated`` is as
    in `check_scores`.

    Raises
    ------
    UsageError
        Where they are not.
    """
    if judged_by.metric == DELTA_PERF and not stated:
        for id_, curve in curves.items():
            for point in curve:
                if not (0.0 <= point.perf <= LARGEST or point.perf != point.perf):
                    raise UsageError(
                        f"{path.name}: perf {point.perf:g} of run {id_!r} at step {point.step} is "
                        f"no score from 0 to 1, and {judged_by.value} is taken for a difference "
                        f"of two: divide percentages by 100; or judge it in its own unit: {AS_ANY}"
                    )
    ends = [(curve[-1].perf, levels.get(id_)) for id_, curve in curves.items() if curve]
    both = [(end, at) for end, at in ends if at is not None and finite(end) is not None]
    pairs = np.abs(np.array(both, dtype=np.float64).reshape(-1, 2))
    if differs := percentages(pairs[:, 0], pairs[:, 1]):
        raise UsageError(
            f"{path.name}: the curves end near {differs[0]:.3g}, and {judged_by.value} is near "
            f"{differs[1]:.3g}: write both in one unit"
        )


def check_baseline(
    metric: Metric, ours: Iterable[Result], theirs: Iterable[Result], name: str
) -> None:
    """Check that a baseline is in the unit of the runs.

    Raises
    ------
    UsageError
        Where one has shares, and the other what look like percentages of the same.
    """
    one, two = (
        np.abs(np.array(list(levels_of(metric, side)), dtype=np.float64)) for side in (ours, theirs)
    )
    if differs := percentages(one, two):
        raise UsageError(
            f"the runs are near {differs[0]:.3g} and the baseline {name} is near {differs[1]:.3g} "
            f"({metric.name}): write both in one unit"
        )


def is_score(metric: Metric, results: Iterable[Result], baseline: Iterable[Result] = ()) -> bool:
    """Return whether the usual margin applies: to ΔPerf, and scores from 0 to 1, more is better.

    Every number that is known must agree, those of the curves and the baseline's too; a number that
    the baseline lacks may be another.
    """
    if metric.minimised:
        return False
    theirs = tuple(baseline)
    if any(r.outcome.status == "completed" and r.outcome.delta_perf is None for r in theirs):
        return False
    every = [r for r in (*results, *theirs) if r.outcome.status == "completed"]
    differences = metric == DELTA_PERF
    if differences and any(abs(r.outcome.delta_perf or 0.0) > LARGEST for r in every):
        return False
    known = [] if differences else list(levels_of(metric, every))
    least = -1.0 if metric.zero == "target" else 0.0
    found = [least <= level <= 1.0 for level in known]
    if metric.zero != "target":
        found += [0.0 <= p.perf <= LARGEST for r in every for p in r.outcome.curve]
    ends = (end for r in every for end in (r.outcome.perf_before, r.outcome.perf_after))
    if differences:
        found += [0.0 <= end <= LARGEST for end in ends if end is not None]
    return all(found) and (differences or bool(known))


def typical_spread(results: Iterable[Result]) -> float | None:
    """Return how far from the median half of the completed runs lie, at two significant digits.

    This is the median absolute deviation (Hampel 1974), which no outlier moves. It suggests a
    margin where a metric has no usual one. None for fewer than four runs, and where it is 0.
    """
    known = [r.outcome.delta_perf for r in results if r.outcome.status == "completed"]
    level = np.array([item for item in known if item is not None], dtype=np.float64)
    if level.size < 4:
        return None
    spread = float(np.median(np.abs(level - np.median(level))))
    return float(f"{spread:.2g}") if spread > 0.0 else None


def levels_of(metric: Metric, results: Iterable[Result]) -> Iterable[float]:
    """Yield what tells the unit of a metric: perf before and after, or else the metric itself."""
    for result in results:
        outcome = result.outcome
        ends = [outcome.perf_before, outcome.perf_after] if metric.zero == "no change" else []
        known = [end for end in ends if end is not None]
        if not known and outcome.delta_perf is not None:
            known = [outcome.delta_perf]
        yield from known


def percentages(one: FloatArray, two: FloatArray) -> tuple[float, float] | None:
    """Return the medians of sizes ``one`` [n] and ``two`` [m], if one are percentages of the other.

    None where they may be in one unit. Sizes are at least 0.
    """
    if not (one.size and two.size):
        return None
    medians = float(np.median(one)), float(np.median(two))
    low, high = (one, two) if medians[0] < medians[1] else (two, one)
    if not (low.max() <= LARGEST and high.max() <= 100 * LARGEST and min(medians) > 0.0):
        return None
    ratio = max(medians) / min(medians)
    return medians if max(medians) > 1.0 and PERCENT[0] <= ratio <= PERCENT[1] else None
