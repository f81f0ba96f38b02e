"""The base of all claims: defaults, guards, random numbers, and how a verdict is written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness import observations
from harness.claims import nights
from harness.claims.design import Design
from harness.metrics import DELTA_PERF, Metric
from harness.observations import Observations
from harness.protocols import Claim
from harness.records import Config, GapKind, Result, Run, Value, finite
from harness.statistics import Estimate
from harness.sweeps import checks
from harness.text import exact, interval, number, plural, signed
from harness.verdicts import (
    MOST,
    Baseline,
    Counts,
    Difference,
    Evidence,
    Need,
    Pricing,
    Unit,
    Verdict,
    VerdictName,
    training,
)

NOT_LIKE_FOR_LIKE = "not like for like"

MARGIN = Need("margin", "a margin (--margin)")

NO_MARGIN = "no margin is stated for this metric, so nothing can be supported or refuted by it"
"""The reason why a rule that needs a margin decides nothing without one."""

COLLAPSING = 0.15
"""A sample should be large enough to hold a collapsed run where this share of runs collapses."""


@dataclass(frozen=True)
class BaseClaim:
    """A claim on a sweep: a frozen statement that can be hashed before the first run.

    A subclass has its words in `question` and `describe` and its rule in `decide`, which is called
    with at least one final run and never with a metric that is the same in every run. The rest has
    defaults: the claim needs no arm and no baseline, does not say its power, is judged early at
    looks, and a nightly comparison tests whether the mean has moved.
    """

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that the claim names."""
        return ()

    @property
    def within(self) -> str | None:
        """The parameter within whose levels runs are compared; None where all are together."""
        return None

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that the claim needs."""
        return ()

    @property
    def paired_at(self) -> Mapping[str, Value]:
        """By arm, the parameter's value in the main runs that the claim compares its runs with."""
        return {}

    @property
    def uses_baseline(self) -> bool:
        """Whether the claim compares with a baseline."""
        return False

    @property
    def fewest(self) -> int:
        """The runs, or pairs, below which the claim is not judged before all are in."""
        return 2

    @property
    def by_counts(self) -> bool:
        """Whether counts alone decide the claim, so that `curtailed` may settle it early."""
        return False

    @property
    def on_spread(self) -> bool:
        """Whether the claim is about how single results spread: counts, SDs, tails."""
        return self.by_counts

    @property
    def on_gains(self) -> bool:
        """Whether the claim is about a gain from training, which needs something to learn from."""
        return False

    @property
    def confirms_against(self) -> str | int | Config | None:
        """The config that leaders are compared with once both were trained again: none."""
        return None

    @property
    def rests_on(self) -> Collection[GapKind]:
        """The kinds of missing values that could change the verdict.

        Any missing result could, and a run that may be a repeat of another. So could a missing
        setting where the claim names parameters, and a missing match where it needs arms.
        """
        kinds: list[GapKind] = ["result", "repeat"]
        if self.parameters:
            kinds.append("setting")
        if self.arms:
            kinds.append("match")
        return kinds

    def runs_of(self, evidence: Evidence) -> Sequence[Result]:
        """Return the runs that the claim is judged on: main runs, its arms', its baseline's."""
        arms = (result for name in self.arms for result in evidence.arms.get(name, ()))
        theirs = evidence.baseline if self.uses_baseline else None
        return (*evidence.runs, *arms, *(theirs.results if isinstance(theirs, Baseline) else ()))

    def question(self, metric: Metric = DELTA_PERF) -> str:
        """Return the question in plain words."""
        raise NotImplementedError

    def asked(self, evidence: Evidence) -> str:
        """Return the question as it is asked of these runs, which may be scaled down."""
        return self.question(evidence.metric)

    def describe(self, metric: Metric = DELTA_PERF) -> str:
        """Return the claim and its thresholds in one line; the line is hashed."""
        raise NotImplementedError

    def judge(self, id: str, evidence: Evidence) -> Verdict:
        """Judge the claim on ``evidence``. Equal evidence and id give an equal verdict."""
        return unjudgeable(self, id, evidence) or self.decide(id, evidence)

    def decide(self, id: str, evidence: Evidence) -> Verdict:
        """Decide the claim on runs that can be judged; end in `verdict` or `unanswerable`."""
        raise NotImplementedError

    def curtailed(self, id: str, evidence: Evidence, planned: int) -> Verdict | None:
        """Return the verdict that the runs still to come cannot change; None where they can."""
        return None

    def power(self, design: Design) -> Pricing | None:
        """Return the effects that the claim is priced at; None where it does not say its power."""
        return None

    def worse(self, now: Evidence, then: Evidence, was: Verdict) -> tuple[Difference, ...]:
        """Test whether the mean has moved, either way, since ``then``."""
        return nights.mean_moved(now, then, was)

    def window(self, run: Run) -> tuple[float, float] | None:
        """Return the first and last step that the claim compares on the curve; None for neither."""
        return None

    def verdict(
        self,
        id: str,
        evidence: Evidence,
        verdict: VerdictName,
        answer: str,
        *,
        estimate: float | None = None,
        low: float | None = None,
        high: float | None = None,
        level: float | None = None,
        p_value: float | None = 1.0,
        n: int = 0,
        unit: Unit = "change",
        method: str = "",
        reason: str = "",
        needs: Iterable[Need] = (),
        details: Iterable[str] = (),
    ) -> Verdict:
        """Return a verdict on this claim: missing, infinite and NaN numbers become None."""
        bounded = finite(low) is not None or finite(high) is not None
        return Verdict(
            id=id,
            question=self.asked(evidence),
            claim=self.describe(evidence.metric),
            verdict=verdict,
            answer=answer,
            estimate=finite(estimate),
            low=finite(low),
            high=finite(high),
            level=level if bounded else None,
            p_value=finite(p_value),
            n=n,
            unit=unit,
            method=method,
            reason=reason,
            needs=tuple(needs),
            details=tuple(line for line in details if line),
        )

    def unanswerable(
        self,
        id: str,
        evidence: Evidence,
        reason: str,
        *,
        by_design: bool = False,
        n: int = 0,
        needs: Iterable[Need] = (),
    ) -> Verdict:
        """Return the verdict that the data lack what the question needs.

        A question that is ruled out ``by_design`` of the sweep has no p value and takes no part in
        Holm's correction. A question without the data it needs has the p value 1.
        """
        return unanswerable(self, id, evidence, reason, by_design=by_design, n=n, needs=needs)


class MarginClaim(BaseClaim):
    """A claim that rests on a ``margin``, its last field; None is the sweep's margin."""

    margin: float | None

    def __post_init__(self) -> None:
        if self.margin is not None:
            margin = checks.number("margin", self.margin, "a number above 0", lambda size: size > 0)
            object.__setattr__(self, "margin", margin)

    @property
    def margin_words(self) -> str:
        """The margin as the claim's description states it."""
        return "the sweep's margin" if self.margin is None else repr(self.margin)

    def margin_of(self, evidence: Evidence) -> float | None:
        """Return the claim's own margin, or else the sweep's; None where neither is stated."""
        return evidence.margin if self.margin is None else self.margin


@dataclass(frozen=True)
class BaselineClaim(BaseClaim):
    """A claim that compares with a baseline.

    A subclass decides in `against`, which is called with a baseline of final runs that differ in
    the metric, or in `against_counts` where only counts were published.
    """

    @property
    def uses_baseline(self) -> bool:
        return True

    def decide(self, id: str, evidence: Evidence) -> Verdict:
        """Decide against the baseline; say what is missing where there is none."""
        baseline, n = evidence.baseline, observations.observe(evidence.runs).total
        needs = (baseline_runs(evidence),)
        if isinstance(baseline, Counts):
            return self.against_counts(id, evidence, baseline)
        if baseline is None and evidence.baseline_name is None:
            reason = "this sweep has no baseline to compare with"
            return self.unanswerable(id, evidence, reason, by_design=True, n=n, needs=needs)
        other = observations.observe(baseline.results if baseline is not None else ())
        if other.total == 0:
            name = evidence.baseline_name if baseline is None else baseline.name
            reason = f"the baseline {name!r} has no finished runs in the store"
            return self.unanswerable(id, evidence, reason, n=n, needs=needs)
        if other.is_degenerate:
            whose = f"the baseline's {evidence.metric.name}"
            need = Need("evaluation", "a baseline whose evaluation differs between runs")
            return self.unanswerable(
                id, evidence, _constant(whose, other, evidence.metric), n=n, needs=(need,)
            )
        return self.against(id, evidence, other)

    def against_counts(self, id: str, evidence: Evidence, counts: Counts) -> Verdict:
        """Decide against published counts."""
        raise NotImplementedError

    def against(self, id: str, evidence: Evidence, other: Observations) -> Verdict:
        """Decide against a baseline's runs."""
        raise NotImplementedError


def unjudgeable(claim: Claim, id: str, evidence: Evidence) -> Verdict | None:
    """Return the verdict on any claim where no run has finished, or the metric is a constant.

    None otherwise: then the claim decides.
    """
    observed = observations.observe(evidence.runs)
    if observed.total == 0:
        reason, need = "no run of this sweep has finished", training(evidence.sweep)
    elif (constant := constant_metric(evidence)) is not None:
        reason, need = constant, other_evaluation(evidence.metric)
    else:
        return None
    return unanswerable(claim, id, evidence, reason, n=observed.total, needs=(need,))


def unanswerable(
    claim: Claim,
    id: str,
    evidence: Evidence,
    reason: str,
    *,
    by_design: bool = False,
    n: int = 0,
    needs: Iterable[Need] = (),
) -> Verdict:
    """Return the verdict of `BaseClaim.unanswerable` on any claim."""
    return Verdict(
        id=id,
        question=claim.asked(evidence),
        claim=claim.describe(evidence.metric),
        verdict="unanswerable",
        answer=reason,
        p_value=None if by_design else 1.0,
        n=n,
        reason=reason,
        needs=tuple(needs),
    )


def other_evaluation(metric: Metric) -> Need:
    """Return the need for an evaluation that is no constant."""
    of = " of the held-out prompts" if metric == DELTA_PERF else ""
    return Need("evaluation", f"an evaluation{of} that differs between runs")


def constant_metric(evidence: Evidence) -> str | None:
    """Say that the metric is the same in all of several runs; None where it is not."""
    observed, metric = observations.observe(evidence.runs), evidence.metric
    return _constant(metric.name, observed, metric) if observed.is_degenerate else None


def _constant(what: str, observed: Observations, metric: Metric) -> str:
    value = exact(metric.level(float(observed.delta[0])), plus=metric.is_change)
    same = f"{value} in every one of {observed.delta.size} runs"
    return f"{what} is {same}: a constant is no measurement of training"


def outcome(value: float, metric: Metric) -> str:
    """Return the value of ``metric`` of an outcome in words; a change has its sign."""
    level = metric.level(value)
    return signed(level) if metric.is_change else number(level)


def outcomes_between(of: Estimate, metric: Metric) -> str:
    """Return the interval of an estimated outcome as values of ``metric``, in words."""
    low, high = metric.ends(of.low, of.high)
    write = signed if metric.is_change else number
    return interval(replace(of, low=low, high=high), write=write)


def gain(difference: float, metric: Metric) -> str:
    """Return a difference of outcomes in words: ``+0.072``; of a minimised one ``0.072 better``."""
    if not metric.minimised:
        return signed(difference)
    return f"{number(abs(difference))} {'better' if difference >= 0 else 'worse'}"


def more(sizes: Iterable[int | None], n: int, of: str = "runs", otherwise: str = "") -> Need:
    """Return the need for so many runs in place of ``n`` that an open question is decided.

    ``sizes`` are those that would decide it, of which the smallest counts; None is no number at
    all. ``otherwise`` is something else that would decide it.
    """
    text = enough(sizes, n, of)[1]
    return Need("runs", text + (f"; or {otherwise}" if otherwise else ""))


def enough(sizes: Iterable[int | None], n: int, of: str) -> tuple[int | None, str]:
    """Return the smallest of the ``sizes`` that would decide, and the same in words.

    None is no number at all; so is one that is too large to be worth naming.
    """
    most = max(MOST, 10 * n)
    least = min((size for size in sizes if size is not None), default=most + 1)
    if least <= most:
        return least, f"about {least:,} {of} ({n:,} now), if they turn out like these"
    return None, f"more than {most:,} {of} ({n:,} now), if they turn out like these"


def level_of(evidence: Evidence) -> float:
    """Return the level of the two-sided interval that agrees with a one-sided test at α."""
    return 1.0 - 2.0 * evidence.alpha


def verdict_of(evidence: Evidence, greater: float, less: float) -> VerdictName:
    """Return the verdict of two one-sided p values: of the claim, and of its opposite."""
    if greater <= evidence.alpha:
        return "supported"
    return "refuted" if less <= evidence.alpha else "inconclusive"


def baseline_runs(evidence: Evidence) -> Need:
    """Return the need for the baseline's runs in the store."""
    published = isinstance(evidence.baseline, Counts) and (
        evidence.baseline.name == evidence.baseline_name
    )
    if evidence.baseline_name is not None and not published:
        return training(evidence.baseline_name, evidence.sweep)
    return training("BASELINE", evidence.sweep, options=" --sweep-baseline BASELINE")


def like_for_like(evidence: Evidence, answer: str) -> str:
    """Return ``answer``, beginning "not like for like" where the baseline's conditions differ."""
    baseline = evidence.baseline
    results = baseline.results if isinstance(baseline, Baseline) else ()
    differences = observations.mismatched(evidence.runs, results)
    if not differences:
        return answer
    return f"{NOT_LIKE_FOR_LIKE} ({'; '.join(differences)}): {answer}"


def unseen(runs: int) -> str:
    """Return the line on what so few runs may not show at all; empty where they are enough.

    A test on a mean cannot know of a kind of run that the sample has none of.
    """
    chance = (1.0 - COLLAPSING) ** runs
    if chance <= 0.05:
        return ""
    return (
        f"{plural(runs, 'run')}: if {COLLAPSING:.0%} of runs collapse, none of these does with "
        f"probability {chance:.2f}, and then this answer does not show it"
    )
