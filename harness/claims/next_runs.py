"""Work out the power that a sweep's questions gain from further runs, by each use of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache

from harness.claims.design import ENOUGH, MOST_SIMULATED, Design
from harness.protocols import Claim
from harness.verdicts import Effect, Gained, Outlook, Pricing, Purchase

ITEMS = (2.0, 4.0)
"""How many times the held-out items that are tried."""

DEEPER = 3
"""The seeds of each of fewer new configurations."""

MOST_QUICK = 64
"""Of more configurations no power is simulated here: what takes seconds in a plan adds up."""

MOST_CONFIGS = 300
"""Of more configurations nothing is worked out: what can be shown with so many is shown."""

BEST_KNOWN = 0.5
"""Of an effect's sizes the one is told whose power is nearest to this: it has most to gain."""

Spread = tuple[float, float]
"""The least and the largest SD to expect."""


def next_runs(
    questions: Mapping[str, Claim],
    design: Design,
    runs: int | None = None,
) -> Outlook | None:
    """Return what ``runs`` further runs of a sweep buy, from its noise budget.

    The runs come on top of those that the ``design`` has, as many by default. A question has a part
    where its claim says its power, and this follows from an SD that the budget tells. None where
    nothing is known of the spread.

    The SDs that a purchase leaves are those of `NoiseBudget.spread`: config² + (seed² +
    evaluation²/items)/seeds. Where seeds do not repeat, more of them bring something between
    nothing and what they would if all that parameters leave was the seed's; so the power has a
    least and a largest value. Of a sample that is mixed, the mean of the variances counts. A mean
    that is compared with other runs has noise on both sides, and that of the others stays.
    """
    budget, configs, seeds = design.noise, design.n, design.seeds
    spread = budget.spread(seeds)
    if spread is None or not spread[1] > 0.0 or budget.runs < ENOUGH:
        return None
    if not 0 < configs <= MOST_CONFIGS:
        return None
    further = configs * seeds if runs is None else runs
    purchases = tuple(_purchases(design, further))
    found: list[Gained] = []
    for id_, claim in questions.items():
        priced = claim.power(design)
        if priced is None or priced.noise is None or priced.why:
            continue
        if configs <= MOST_QUICK or priced.most > MOST_SIMULATED:
            gained = _gained(id_, priced, design, purchases)
            found += [] if gained is None else [gained]
    told = tuple(replace(one, sd=_spread(one, design, beside=False)) for one in purchases)
    return Outlook(further, configs, seeds, spread[1], told, tuple(found))


def _purchases(design: Design, runs: int) -> Iterable[Purchase]:
    """Yield the ways to spend so many runs, and ways to evaluate more."""
    configs, seeds = design.n, design.seeds
    if new := runs // seeds:
        yield Purchase("configs", new * seeds, configs + new, seeds)
    if more := runs // configs:
        yield Purchase("seeds", more * configs, configs, seeds + more)
    each = max(DEEPER, seeds + 1)
    if new := runs // each:
        yield Purchase("deeper", new * each, configs + new, each)
    if design.noise.evaluation is not None:
        for items in ITEMS:
            yield Purchase("items", 0, configs, seeds, items)


def _spread(bought: Purchase, design: Design, *, beside: bool) -> Spread:
    """Return the SD to expect of a result after a purchase; (0, 0) where it is not known."""
    then = design.noise.spread(bought.seeds, bought.items, beside=beside)
    if then is None or bought.kind != "deeper":
        return then or (0.0, 0.0)
    now = design.noise.spread(design.seeds, beside=beside) or then
    new = (bought.configs - design.n) / bought.configs
    low, high = (
        math.sqrt((1 - new) * before**2 + new * after**2)
        for before, after in zip(now, then, strict=True)
    )
    return low, high


def _gained(
    id: str, priced: Pricing, design: Design, purchases: tuple[Purchase, ...]
) -> Gained | None:
    """Return the power of a question at the effect that has most to gain; None where unknown."""
    effects = [effect for effect in priced.effects if effect.power_at is not None]
    if not effects:
        return None
    effect = min(effects, key=lambda one: abs(one.power(priced.n) - BEST_KNOWN))
    after: tuple[Spread | None, ...]
    if priced.noise == "pairs":
        after = tuple(_of_pairs(one, effect, priced, design) for one in purchases)
    else:
        beside = priced.noise == "beside"
        now = design.noise.spread(design.seeds, beside=beside)
        if now is None:
            return None
        after = tuple(
            _of_results(one, effect, priced, now[1], _spread(one, design, beside=beside))
            for one in purchases
        )
    return Gained(id, effect.words, effect.power(priced.n), after)


def _of_pairs(bought: Purchase, effect: Effect, priced: Pricing, design: Design) -> Spread | None:
    """Return the power of more pairs: of main runs that have none, and then of both runs of one.

    What more seeds or items take from the noise of a pair is not known: the two share much of it.
    """
    if bought.kind != "configs":
        return None
    alone = min(bought.runs, max(0, design.n - priced.n))
    power = effect.power(priced.n + alone + (bought.runs - alone) // 2)
    return power, power


def _of_results(
    bought: Purchase, effect: Effect, priced: Pricing, now: float, then: Spread
) -> Spread:
    """Return the least and the largest power of results whose SD becomes ``then``."""
    power_at = effect.power_at
    assert power_at is not None
    n, others = bought.configs, priced.others

    @cache
    def power(sd: float) -> float:
        if others:
            # The noise of a difference of means, as that of two samples of one SD.
            sd = math.sqrt((sd**2 / n + now**2 / others) / (1 / n + 1 / others))
        return power_at(effect.sds * now / sd, n) if sd > 0.0 else 1.0

    low, high = then
    return power(high), power(low)
