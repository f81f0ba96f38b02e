"""The claim that a leader of the sweep beats a reference, both trained again with fresh seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness import observations, statistics
from harness.claims import nights
from harness.claims.base import (
    MarginClaim,
    enough,
    level_of,
    other_evaluation,
    unseen,
)
from harness.claims.design import Ahead, Design, effects
from harness.claims.lead_words import (
    candidates_line,
    diverged_lines,
    first_line,
    gain_text,
    item_line,
    name_of,
    ruled_out,
)
from harness.claims.leads import Lead, ahead_by_seed, confirmed_of, leads_of
from harness.errors import SweepError
from harness.metrics import DELTA_PERF, Metric
from harness.observations.fresh import FreshRuns, fresh_runs, in_blocks
from harness.protocols import Claim
from harness.records import CONFIRM, Config, Result, finite, is_whole
from harness.sweeps import checks
from harness.sweeps.confirming import FEWEST_SEEDS, MEDIAN
from harness.text import interval, number, p_text, plural
from harness.verdicts import (
    Confirmed,
    Difference,
    Evidence,
    Need,
    Pricing,
    Verdict,
    VerdictName,
    confirming,
)

USUAL_SEEDS = 8
"""The number of fresh seeds that a need asks for."""

LEADS = (1.0, 2.0)
"""Standard leads over the reference, in SDs of a difference between two runs of equal seed."""


@dataclass(frozen=True)
class WinnerBeats(MarginClaim):
    """One of the sweep's leaders beats the ``reference``, once both were trained with fresh seeds.

    The differences are by seed, which all configs share. Of each leader [L, U] is the interval by
    Student's t, from 16 seeds on also corrected for skewness. L is at α over the number of leaders,
    so that the one that turns out best may be picked; U is at α. Supported where one leader has
    L > 0 and U ≥ ``margin``, refuted where each has U < ``margin``, in both cases also with the
    diverged runs that speak against it at the worst value seen. ``margin`` None is the sweep's;
    without one it is 0.

    ``reference`` is `MEDIAN`, the number or the id of a main run, or a whole config.
    """

    reference: str | int | Config = MEDIAN
    margin: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "reference", _reference(self.reference))
        super().__post_init__()

    @property
    def arms(self) -> tuple[str, ...]:
        return (CONFIRM,)

    @property
    def confirms_against(self) -> str | int | Config | None:
        return self.reference

    @property
    def on_gains(self) -> bool:
        return True

    @property
    def fewest(self) -> int:
        """The fresh seeds below which nothing is decided."""
        return FEWEST_SEEDS

    def question(self, metric: Metric = DELTA_PERF) -> str:
        return (
            f"Is the {metric.name} of a leader {metric.improving.higher} than that of "
            f"{self._named}, with fresh seeds?"
        )

    def describe(self, metric: Metric = DELTA_PERF) -> str:
        return (
            f"{metric.name} of one of the leaders {metric.improving.sign} that of {self._named}, "
            "both trained again with fresh seeds: paired t intervals [L, U] of the differences by "
            f"seed, over at least {FEWEST_SEEDS}, of many also corrected for skewness; L at alpha "
            "over the number of leaders, U at alpha; supported where L > 0 and U >= margin for "
            "one of them, refuted where U < margin for each (0 where there is none), both also "
            "with the diverged runs that speak against it at the worst value seen; margin: "
            f"{self.margin_words}"
        )

    @property
    def _named(self) -> str:
        """The reference in words, in one line."""
        if not isinstance(self.reference, Config):
            return self._short
        settings = sorted(self.reference.items())
        return f"the config ({', '.join(f'{name}={value!r}' for name, value in settings)})"

    @property
    def _short(self) -> str:
        """The reference as an answer names it."""
        if isinstance(self.reference, Config):
            return "the reference"
        if self.reference == MEDIAN:
            return "the median config"
        kind = "run number" if isinstance(self.reference, int) else "the run"
        return f"{kind} {self.reference}"

    def runs_of(self, evidence: Evidence) -> Sequence[Result]:
        """Return the runs with fresh seeds. The main runs chose the leaders and decide nothing."""
        return evidence.arms.get(CONFIRM, ())

    # ---- judging ---------------------------------------------------------------------------------

    def decide(self, id: str, evidence: Evidence) -> Verdict:
        results = evidence.arms.get(CONFIRM, ())
        fresh = {one.place: one for one in fresh_runs(results)}
        reference = fresh.pop(0, None)
        leaders = tuple(fresh.values())
        if reference is None or not leaders:
            whose = "the reference" if leaders else "a leader"
            what = "no run with fresh seeds has finished"
            what += f": none of {whose}" if leaders or reference else ""
            return self.unanswerable(id, evidence, what, needs=(confirming(evidence.sweep),))
        floor = observations.worst_value(
            observations.observe(evidence.runs), observations.observe(results)
        )
        leads = leads_of(leaders, reference, floor, self.margin_of(evidence) or 0.0, evidence.alpha)
        n = max(lead.pairs.number for lead in leads)
        if n < FEWEST_SEEDS:
            seeds = plural(n, "fresh seed")
            return self.unanswerable(
                id,
                evidence,
                f"too few seeds to tell: {seeds} of a leader and the reference, where "
                f"{FEWEST_SEEDS} are needed",
                n=n,
                needs=(confirming(evidence.sweep, f" --seeds {USUAL_SEEDS}"),),
            )
        each = [lead.pairs.differences for lead in leads if lead.pairs.differences.size > 1]
        if each and all(map(statistics.is_constant, each)):
            return self.unanswerable(
                id,
                evidence,
                "the difference is the same for every seed: a constant is no measurement",
                n=n,
                needs=(other_evaluation(evidence.metric),),
            )
        confirmed = confirmed_of(reference, leads, floor, evidence)
        verdict = self._decided(id, evidence, reference, leads, confirmed)
        return replace(verdict, confirmed=confirmed)

    def _decided(
        self,
        id: str,
        evidence: Evidence,
        reference: FreshRuns,
        leads: Sequence[Lead],
        confirmed: Sequence[Confirmed],
    ) -> Verdict:
        """Return the verdict on leaders beside the reference."""
        metric, alpha, margin = evidence.metric, evidence.alpha, self.margin_of(evidence) or 0.0
        p_value = min(lead.p_value for lead in leads)
        verdict: VerdictName = "inconclusive"
        if p_value <= alpha:
            verdict = "supported"
        elif all(lead.is_out for lead in leads):
            verdict = "refuted"
        shown = [lead for lead in leads if lead.p_value <= alpha]
        best = max(shown or leads, key=_furthest)
        compared = best.together
        if verdict == "refuted":
            # The end that is nearest to the margin decides.
            best = max(leads, key=_reach)
            compared = best.alone
        name, n = name_of(best.fresh), best.pairs.number
        lead = f"{name}, {gain_text(compared.estimate, metric)} over {self._short}"
        found = f"{lead} ({plural(n, 'fresh seed')})"
        reason = f"{interval(compared)}, {p_text(best.p_value)}"
        reason += f" over {plural(len(leads), 'leader')}" if len(leads) > 1 else ""
        reason += f"; margin {number(margin)}" if margin else ""
        needs: tuple[Need, ...] = ()
        if verdict == "supported":
            answer = f"yes: {found}"
        elif verdict == "refuted":
            reason = f"{interval(compared)}, by itself; no other leader's reaches further"
            answer = ruled_out(leads, margin, metric)
            if not all(lead.fresh.is_lost for lead in leads):
                answer = f"{answer}: at most {found}"
        else:
            answer, needs = f"not shown: {found}", (self._need(evidence, leads, best, margin),)
            if any(one.p_without_lost <= alpha for one in leads):
                reason = "leaders diverged where the reference did not, and counted as the worst "
                reason += f"seen they leave {interval(best.worst)}"
                answer = f"not shown: {found}; {reason}"
                needs = (Need("runs", "leaders that do not diverge"),)
        return self.verdict(
            id,
            evidence,
            verdict,
            answer,
            estimate=compared.estimate,
            low=compared.low,
            high=compared.high,
            level=level_of(evidence),
            p_value=1.0 if verdict == "refuted" else p_value,
            n=n,
            method=f"{compared.method} by seed"
            + (f", Bonferroni over {len(leads)} leaders" if len(leads) > 1 else ""),
            reason=reason,
            needs=needs,
            details=(
                *self._details(evidence, reference, leads, confirmed),
                item_line(best.fresh, reference, metric),
            ),
        )

    def _details(
        self,
        evidence: Evidence,
        reference: FreshRuns,
        leads: Sequence[Lead],
        confirmed: Sequence[Confirmed],
    ) -> Iterable[str]:
        metric = evidence.metric
        for one in confirmed:
            if one.place == 1:
                yield first_line(one, metric)
        if len(leads) > 1:
            together = ", for all leaders together"
            for lead in leads:
                yield (
                    f"{name_of(lead.fresh)}: {gain_text(lead.together.estimate, metric)} over the "
                    f"reference, {interval(lead.together)}{together}"
                )
                together = ""
            yield candidates_line(confirmed, evidence.alpha)
        yield from diverged_lines(reference, leads)
        yield unseen(max(lead.pairs.differences.size for lead in leads))

    def _need(self, evidence: Evidence, leads: Sequence[Lead], best: Lead, margin: float) -> Need:
        """Return the seeds that would show a lead, or rule all of them out."""
        alpha, n = evidence.alpha, best.pairs.number
        sizes = [
            statistics.size_to_decide(lead.pairs.number, lead.alone.p_greater, alpha / len(leads))
            for lead in leads
            if lead.alone.high >= margin
        ]
        out = [
            statistics.size_to_decide(
                lead.pairs.number,
                statistics.matched(lead.pairs.differences, margin).p_less,
                alpha,
            )
            for lead in leads
            if not lead.is_out
        ]
        known = [size for size in out if size is not None]
        sizes += [max(known)] if known and len(known) == len(out) else []
        size, said = enough(sizes, n, "seeds")
        options = "" if size is None else f" --seeds {size}"
        return confirming(evidence.sweep, options, f"{said}: ")

    # ---- planning and nights ---------------------------------------------------------------------

    def power(self, design: Design) -> Pricing:
        runs = [run for run in design.runs if run.arm == CONFIRM]
        seeds, leaders = len({run.repeat for run in runs}), len({run.index for run in runs} - {0})
        if not leaders:
            return Pricing(0, why="no confirm arm: unanswerable", unit="seeds")
        if seeds < FEWEST_SEEDS:
            why = f"{plural(seeds, 'fresh seed')}, where {FEWEST_SEEDS} are needed"
            return Pricing(seeds, why=why, unit="seeds")
        margin = (design.sweep.margin if self.margin is None else self.margin) or 0.0
        ahead = Ahead.of(
            _spread(design), margin, LEADS, "a difference between two runs of equal seed"
        )
        given = f"{ahead.given}; {plural(leaders, 'leader')}, one of them ahead"

        def power(effect: float, n: int) -> float:
            return statistics.gain_power(
                effect, n, ahead.least, design.sweep.alpha, several=leaders
            )

        shown = effects(
            power,
            ahead.sizes,
            lambda size: f"a leader {size} ahead of the reference",
            lambda size: f"a leader that is {size} ahead of {self._short} is shown",
        )
        return Pricing(seeds, shown, given=given, unit="seeds", least=FEWEST_SEEDS)

    def worse(self, now: Evidence, then: Evidence, was: Verdict) -> tuple[Difference, ...]:
        """Test whether the leaders are less far ahead of the reference now.

        Each config that both nights confirm is compared with itself, since the one that was best
        then looks better than it is. Where there is none, the leaders that were named before are.
        """
        rng, floor = nights.of_nights(now, was), nights.floor_of(now, then)
        what = f"lead over {self._short}"
        ahead, had = (ahead_by_seed(side, floor) for side in (now, then))
        shared = [config for config in ahead if config in had]
        if not shared and ahead and had:
            first, other = next(iter(ahead.values())), next(iter(had.values()))
            unpaired: nights.Values = {("then", repeat): one for repeat, one in other.items()}
            return (Difference(what, nights.fell(first, unpaired, rng)),)
        if not shared:
            return (nights.mean_fell(now, then, was),)
        least = min(nights.fell(ahead[config], had[config], rng) for config in shared)
        return (Difference(what, min(1.0, len(shared) * least)),)


def winner_claim(
    claims: Iterable[Claim], reference: str | int | Config | None, margin: float | None
) -> WinnerBeats:
    """Return the claim on the winner among ``claims``, or a new one, with what is given changed."""
    found = next((claim for claim in claims if isinstance(claim, WinnerBeats)), WinnerBeats())
    return WinnerBeats(
        found.reference if reference is None else reference,
        found.margin if margin is None else margin,
    )


def _reference(given: object) -> str | int | Config:
    """Check what a leader is to beat, and return it; a mapping becomes a `Config`."""
    said = "winner.beats: the reference"
    if isinstance(given, Mapping):
        if not given:
            raise SweepError(f"{said} is {{}}; expected a whole config, as dict(batch_size=8, …)")
        names = [checks.text(f"{said}: the name of a parameter", name, "lr") for name in given]
        try:
            return Config(dict(zip(names, map(checks.plain, given.values()), strict=True)))
        except SweepError as error:
            raise SweepError(f"{said}: {error}") from None
    if is_whole(given):
        return checks.count(said, given, 0)
    if isinstance(given, str):
        return checks.text(said, given, MEDIAN, "focused-07-lr2e-07")
    raise SweepError(
        f"{said} is {checks.shown(given)}; expected {MEDIAN!r}, the number or the id of a main "
        "run, or a whole config"
    )


def _spread(design: Design) -> tuple[float, str] | None:
    """Return the SD of a difference, and what it is known from; None where from nothing."""
    stored = {one.place: one for one in fresh_runs(design.confirming)}
    reference = stored.pop(0, None)
    if reference is not None:
        each = [in_blocks(leader, reference).differences for leader in stored.values()]
        dof = sum(max(0, d.size - 1) for d in each)
        squares = sum(float(((d - d.mean()) ** 2).sum()) for d in each if d.size > 1)
        if dof >= FEWEST_SEEDS and not all(map(statistics.is_constant, each)):
            return math.sqrt(squares / dof), f"of {sum(d.size for d in each)} stored pairs"
    found = design.spread_of_seeds
    if found is None:
        return None
    spread, whose = found
    return math.sqrt(2.0) * spread, f"taken to be that of two runs that share nothing: {whose}"


def _furthest(lead: Lead) -> tuple[float, int]:
    """Return a key by which the leader that is furthest ahead is the largest."""
    return _or_least(finite(lead.together.estimate)), lead.pairs.number


def _reach(lead: Lead) -> tuple[float, int]:
    """Return a key by which the leader with the highest upper end is the largest."""
    return _or_least(finite(lead.alone.high)), lead.pairs.number


def _or_least(value: float | None) -> float:
    return -math.inf if value is None else value
