"""Find what the next runs could be spent on after a finished sweep, the best use first.

Each option has the runs that it takes, and the probability that they decide what it asks. Which
comes first is decided by `options.order`, on what is known of the runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from harness import claims, observations, statistics
from harness.audit.design import edges_of
from harness.claims.design import Design
from harness.claims.power import power_of
from harness.observations.fresh import fresh_runs, in_blocks
from harness.observations.levels import is_domain_end, is_number
from harness.observations.repeats import averaged, by_config, each_run, merge, seed_spread
from harness.observations.selection import Selection, selection
from harness.protocols import Claim
from harness.records import CONFIRM, Result
from harness.refine.options import (
    CLOSE,
    Advice,
    Beyond,
    ConfirmOption,
    Known,
    Narrower,
    Nothing,
    Option,
    Seeds,
    Wider,
    order,
)
from harness.refine.proposal import Proposal
from harness.refine.ranges import End, widened
from harness.sweeps.confirming import FEWEST_SEEDS
from harness.sweeps.distributions import Distribution, Range
from harness.sweeps.plan import counted_runs
from harness.sweeps.sweep import Sweep
from harness.verdicts import Evidence, Power, Verdict

MOST_LEADERS = 5
"""The most leaders that are confirmed."""

COVERED = 0.8
"""Leaders are confirmed until the best of all is among them with this probability."""

CLEAR = 0.95
"""The probability to be the best from which a run counts as told apart from the others."""

SALT = 0xC0F1


def advise(
    proposal: Proposal,
    evidence: Evidence,
    *,
    sweep: Sweep | None = None,
    asked: Sequence[Verdict] = (),
    power: Sequence[Power] = (),
    runs: int | None = None,
) -> Advice:
    """Return what to do with the next ``runs`` after a finished sweep.

    Parameters
    ----------
    proposal
        The next sweep that refine proposes, and its ``power``.
    evidence
        The finished runs of the sweep and its arms.
    sweep
        The sweep as declared; None where there is no declaration.
    asked
        The verdicts on its questions.
    runs
        None is as many as the sweep has main runs.
    """
    finished = len(each_run(evidence.runs))
    n = runs or (finished if sweep is None else sweep.runs * sweep.seeds)
    chosen = selection(evidence.runs, evidence.given)
    again = selection(evidence.runs, evidence.given, again=True)
    known = _known(evidence, again, asked)
    if known.constant:
        return Advice(n, (Nothing("constant"),), chosen)
    options: list[Option] = []
    wider = _wider(proposal, evidence, power)
    enough = known.is_enough
    if enough is not None and wider is None:
        options.append(enough)
    if wider is not None:
        options.append(wider)
    if not known.confirmed:
        options += _confirm(evidence, again, n)
    options += _seeds(evidence, sweep, asked, n)
    if wider is None or not wider.proposed:
        options.append(_narrower(proposal, power))
    return Advice(n, order(options, known, n), chosen)


def _known(evidence: Evidence, again: Selection, asked: Sequence[Verdict]) -> Known:
    best = None if again.top is None else again.of.get(again.top.run.id)
    decided = {verdict.verdict for verdict in asked}
    fresh = {one.place: one for one in fresh_runs(evidence.arms.get(CONFIRM, ()))}
    reference = fresh.pop(0, None)
    tried = {
        one.config
        for one in fresh.values()
        if reference is not None and in_blocks(one, reference).number >= FEWEST_SEEDS
    }
    highs = [worth.high for worth in again.of.values() if worth.high is not None]
    alike = (
        evidence.margin is not None
        and again.centre is not None
        and bool(highs)
        and max(highs) - again.centre <= evidence.margin
    )
    return Known(
        noise=again.noise in ("seeds", "residual"),
        apart=best is not None and best.best >= CLEAR,
        alike=alike,
        confirmed=again.top is not None and again.top.run.config in tried,
        settled=bool(decided & {"supported", "refuted"})
        and not decided & {"inconclusive", "not judged"},
        constant=again.lack == "equal results",
    )


# ---- confirm ------------------------------------------------------------------------------------


def _confirm(evidence: Evidence, again: Selection, n: int) -> Iterator[ConfirmOption]:
    """Yield how the leaders are confirmed with ``n`` runs, if there are leaders and enough runs.

    They are the fewest among which the best is with probability `COVERED`, and not so many that
    fewer than `FEWEST_SEEDS` are left to each. All are ahead of the median config.
    """
    ranked = sorted(again.results, key=lambda result: -_outcome(result))
    most = min(MOST_LEADERS, len(ranked) // 2, n // FEWEST_SEEDS - 1)
    if len({result.run.config for result in ranked}) < 2 or n < 2 * FEWEST_SEEDS:
        return
    top, covered = max(1, most), None
    if again.noise is not None:
        best = np.cumsum([w.best if (w := again.of.get(r.run.id)) else 0.0 for r in ranked])
        enough = int(np.searchsorted(best, COVERED)) + 1
        top = max(1, min(most, enough))
        covered = float(best[top - 1])
    seeds, leaders = n // (top + 1), ranked[:top]
    ids = tuple(result.run.id for result in leaders)
    middle = float(np.median([_outcome(result) for result in ranked]))
    lead = _outcome(leaders[0]) - middle
    worth = [again.of[id_].shrunk for id_ in ids if id_ in again.of]
    if again.error is None or len(worth) < top:
        yield ConfirmOption(ids, seeds, covered, lead)
        return
    left = np.array(worth) - float(np.median([w.shrunk for w in again.of.values()]))
    sd = again.error * math.sqrt(averaged(again.results))
    rng = np.random.default_rng([abs(evidence.seed), SALT])
    chance = statistics.beats_power(
        left / sd, seeds, rng, margin=(evidence.margin or 0.0) / sd, alpha=evidence.alpha
    )
    yield ConfirmOption(ids, seeds, covered, lead, float(left[0]), sd, again.noise, chance)


def _outcome(result: Result) -> float:
    found = result.outcome.delta_perf
    assert found is not None  # only completed runs could be chosen
    return found


# ---- more seeds ---------------------------------------------------------------------------------


def _seeds(
    evidence: Evidence, sweep: Sweep | None, asked: Sequence[Verdict], n: int
) -> Iterator[Seeds]:
    """Yield how many more seeds of each config ``n`` runs are, if they are one or more."""
    groups = by_config(evidence.runs)
    configs = len(groups)
    now = round(averaged(evidence.runs))
    if sweep is not None:
        configs, now = sweep.runs, sweep.seeds
    elif groups:
        now = max(now, round(float(np.median([len(group) for group in groups]))))
    more = n // configs if configs else 0
    if not more or len(groups) < 2:
        return
    then = now + more
    arms = 0
    if sweep is not None:
        arms = len(sweep.plan(seeds=then)) - len(sweep.plan(seeds=now)) - configs * more
    dof = sum(len(group) - 1 for group in groups) + configs * more
    known = statistics.sd_within(CLOSE, dof)
    id_, power_now, power_then = _open(evidence, sweep, asked, now, then)
    yield Seeds(now, then, configs, configs * more + arms, known, id_, power_now, power_then)


def _open(
    evidence: Evidence, sweep: Sweep | None, asked: Sequence[Verdict], now: int, then: int
) -> tuple[str | None, float | None, float | None]:
    """Return the first open question on means, and its power with as many seeds now and then.

    The power is that of the smallest effect it is priced at. More seeds are worth as many more
    configs as bring the same variance of a mean; how much they are worth is known only where
    seeds are.
    """
    spread = seed_spread(evidence.runs)
    if sweep is None or spread is None:
        return None, None, None
    between, within = spread.components.between.value, spread.components.within.value
    variances = [between**2 + within**2 / seeds for seeds in (now, then)]
    if not variances[1] > 0.0:
        return None, None, None
    stored = tuple(each_run(evidence.runs))
    design = Design(sweep, counted_runs(sweep.plan()), stored, seeds=sweep.seeds)
    for verdict in asked:
        claim = sweep.questions.get(verdict.id)
        if claim is None or verdict.verdict != "inconclusive" or claim.on_spread:
            continue
        priced = claim.power(design)
        if priced is None or priced.why or priced.unit != "runs" or not priced.effects:
            continue
        power, worth = priced.effects[0].power, priced.n * variances[0] / variances[1]
        return verdict.id, power(priced.n), power(max(priced.n, round(worth)))
    return None, None, None


# ---- the proposed sweep -------------------------------------------------------------------------


def _narrower(proposal: Proposal, power: Sequence[Power]) -> Narrower:
    sweep = proposal.sweep
    main = next((one for one in power if one.power is not None and not one.why), None)
    return Narrower(
        runs=sweep.runs * sweep.seeds,
        with_arms=len(sweep.plan()),
        changed=sum(revision.action != "keep" for revision in proposal.revisions),
        question=None if main is None else main.question,
        chance=None if main is None else main.power,
    )


def _wider(proposal: Proposal, evidence: Evidence, power: Sequence[Power]) -> Wider | None:
    """Return the sweep that goes beyond the edges at which the best lies, if it lies at any.

    It is the proposed one where that does so; else the edges are those that the audit finds.
    """
    sweep = proposal.sweep
    beyond = tuple(
        Beyond(revision.parameter, end, edge, revision.after)
        for revision in proposal.revisions
        for end, edge in _extended(revision.before, revision.after)
    )
    if beyond:
        asked = {
            question.id
            for question in proposal.questions
            if question.claim.parameters[:1] == (beyond[0].parameter,)
        }
        known = (p.power for p in power if p.question in asked and not p.why)
        return Wider(beyond, sweep.runs * sweep.seeds, len(sweep.plan()), True, next(known, None))
    beyond = tuple(_suspected(proposal, evidence))
    if not beyond:
        return None
    ranges = {one.parameter: one.after for one in beyond if one.after is not None}
    chance = None
    if beyond[0].after is not None:
        chance = _inside(beyond[0].parameter, sweep, {**sweep.space, **ranges})
    return Wider(beyond, sweep.runs * sweep.seeds, len(sweep.plan()), False, chance)


def _extended(before: Distribution, after: Distribution) -> Iterator[tuple[End, float]]:
    """Yield the ends beyond which a range was widened, each with the value there."""
    if isinstance(before, Range) and isinstance(after, Range):
        if after.low < before.low:
            yield "lower", before.low
        if after.high > before.high:
            yield "upper", before.high


def _suspected(proposal: Proposal, evidence: Evidence) -> Iterator[Beyond]:
    """Yield the edges that the audit finds, apart from ends that nothing can lie beyond."""
    observed = observations.observe(merge(evidence.runs).results)
    after = {revision.parameter: revision.after for revision in proposal.revisions}
    rng = np.random.default_rng([abs(evidence.seed), SALT])
    for edge in edges_of(observed, rng, evidence.alpha):
        values = [result.run.config.get(edge.parameter) for result in observed.final]
        if is_domain_end([float(value) for value in values if is_number(value)], edge.value):
            continue
        drawn = after.get(edge.parameter)
        wide = widened(drawn, edge.end) if isinstance(drawn, Range) else None
        if wide is None or wide != drawn:
            yield Beyond(edge.parameter, edge.end, edge.value, wide)


def _inside(parameter: str, sweep: Sweep, space: Mapping[str, object]) -> float | None:
    """Return the power to show that the best value of a parameter lies inside its new range."""
    wide = Sweep(
        sweep.name,
        runs=sweep.runs,
        steps=sweep.steps,
        space=space,
        seed=sweep.seed,
        sampler=sweep.sampler,
    )
    claim: Claim = claims.best_inside(parameter)
    found = power_of("wider", claim, Design(wide, wide.plan()))
    return found[0].power if found and not found[0].why else None
