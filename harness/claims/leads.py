"""Leaders beside a reference, seed by seed: how far each is ahead, and which may be the best."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness import statistics
from harness.observations.fresh import FreshRuns, fresh_runs, in_blocks
from harness.observations.pairs import PairedRuns
from harness.observations.selection import selection
from harness.records import CONFIRM, Config, finite
from harness.statistics import Comparison
from harness.sweeps.confirming import FEWEST_SEEDS
from harness.verdicts import Confirmed, Evidence


@dataclass(frozen=True, eq=False)
class Lead:
    """A leader beside the reference, seed by seed.

    ``together`` has the interval and the p value that hold for all leaders at once, ``alone`` those
    of this one, and ``worst`` those with the seeds at which it diverged. ``p_value`` is that of "it
    beats the reference", and ``p_without_lost`` the same without those seeds. The leader ``is_out``
    where a lead as large as the margin is ruled out.
    """

    fresh: FreshRuns
    pairs: PairedRuns
    together: Comparison
    alone: Comparison
    worst: Comparison
    p_value: float = 1.0
    p_without_lost: float = 1.0
    is_out: bool = False


def leads_of(
    leaders: Sequence[FreshRuns], reference: FreshRuns, floor: float, margin: float, alpha: float
) -> tuple[Lead, ...]:
    """Compare each leader with the reference; a diverged run counts as ``floor``."""
    level, k = 1.0 - 2.0 * alpha, len(leaders)
    each = [in_blocks(leader, reference) for leader in leaders]
    together = statistics.matched_each([pairs.differences for pairs in each], level)

    def p_of(compared: Comparison) -> float:
        return min(1.0, k * compared.p_greater) if compared.high >= margin else 1.0

    found = []
    for leader, pairs, of_all in zip(leaders, each, together, strict=True):
        d = pairs.differences
        alone = worst = best = statistics.matched(d, level=level)
        if pairs.lost.size:
            worst = statistics.matched(np.concatenate([d, floor - pairs.lost]), level=level)
        if pairs.won.size:
            best = statistics.matched(np.concatenate([d, pairs.won - floor]), level=level)
        counts = pairs.number >= FEWEST_SEEDS
        lead = Lead(leader, pairs, of_all, alone, worst)
        if counts and not leader.is_lost:
            p_value = p_of(alone)
            lead = replace(lead, p_value=max(p_value, p_of(worst)), p_without_lost=p_value)
        is_below = max(alone.high, best.high) < margin
        found.append(replace(lead, is_out=counts and (is_below or leader.is_lost)))
    return tuple(found)


def _may_be_best(leaders: Sequence[FreshRuns], floor: float, alpha: float) -> list[bool]:
    """Return which leaders may be the best: those that no other is shown to be better than."""
    better = np.ones((len(leaders), len(leaders)))
    for i, one in enumerate(leaders):
        for j, other in enumerate(leaders):
            pairs = in_blocks(one, other)
            if i == j or one.is_lost or pairs.number < FEWEST_SEEDS:
                continue
            d = pairs.differences
            p_value = statistics.matched(d).p_greater
            if pairs.lost.size:
                lost = np.concatenate([d, floor - pairs.lost])
                p_value = max(p_value, statistics.matched(lost).p_greater)
            better[i, j] = 0.0 if other.is_lost else p_value
    return [bool(p > alpha) for p in statistics.not_best(better)]


def confirmed_of(
    reference: FreshRuns, leads: Sequence[Lead], floor: float, evidence: Evidence
) -> tuple[Confirmed, ...]:
    """Return the reference and the leaders with all that a report lists of them."""
    leaders = [lead.fresh for lead in leads]
    left = _may_be_best(leaders, floor, evidence.alpha)
    chosen = selection(evidence.runs, evidence.given)
    main = {run.run.id: one for one in evidence.runs for run in (one, *one.repeats)}

    def row(fresh: FreshRuns) -> Confirmed:
        own = statistics.mean_interval(fresh.values, 0.95)
        values, result = fresh.values, main.get(fresh.run or "")
        se = float(np.std(values, ddof=1)) / math.sqrt(values.size) if values.size > 1 else None
        worth = None if result is None else chosen.of.get(result.run.id)
        return Confirmed(
            place=fresh.place,
            run=fresh.run,
            config=fresh.config,
            seeds=values.size,
            diverged=fresh.diverged,
            mean=finite(own.value),
            se=se,
            low=finite(own.low),
            high=finite(own.high),
            measured=None if result is None else finite(result.outcome.delta_perf),
            after_selection=None if worth is None else worth.shrunk,
        )

    rows = [row(reference)]
    for lead, may in zip(leads, left, strict=True):
        of_all = lead.together
        rows.append(
            replace(
                row(lead.fresh),
                pairs=of_all.n,
                difference=finite(of_all.estimate),
                difference_low=finite(of_all.low),
                difference_high=finite(of_all.high),
                p_value=lead.p_value,
                may_be_best=may,
            )
        )
    return tuple(rows)


def ahead_by_seed(evidence: Evidence, floor: float) -> dict[Config, dict[Hashable, float]]:
    """Return how far each leader is ahead of the reference, by the number of the seed."""
    fresh = {one.place: one for one in fresh_runs(evidence.arms.get(CONFIRM, ()))}
    reference = fresh.pop(0, None)
    if reference is None:
        return {}
    ahead: dict[Config, dict[Hashable, float]] = {}
    for leader in fresh.values():
        both = [repeat for repeat in leader.outcomes if repeat in reference.outcomes]
        values: dict[Hashable, float] = {
            repeat: _or(leader.outcomes[repeat], floor) - _or(reference.outcomes[repeat], floor)
            for repeat in both
        }
        if values:
            ahead[leader.config] = values
    return ahead


def _or(value: float | None, floor: float) -> float:
    return floor if value is None else value
