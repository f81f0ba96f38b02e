"""Judge whether two backends are the same experiment, from runs trained in pairs, one on each.

Both runs of a pair have the same config, seed and uniform numbers, so they draw the same tokens
until rounding first parts them. From there on, if the experiment is the same, they are two draws of
it: their ΔPerf differs by noise, and only the mean over runs tells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness import statistics
from harness.records import FINAL, Outcome, Run, StepTrace, finite
from harness.text import interval, number, p_text, plural, signed
from harness.verdicts import Need, Verdict, VerdictName

SCALES = {"loss": 1.0, "entropy": 1e-3, "grad_norm": 1e-6}
"""The smallest divisor of a relative difference at step 1; see `relative`."""

METHOD = "two one-sided paired t tests"

ANSWERS: dict[VerdictName, str] = {
    "supported": "yes: ",
    "refuted": "no: ",
    "inconclusive": "undecided: ",
    "unanswerable": "",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A run and its outcome on the first and on the second backend.

    ``steps`` is the number of steps whose completions were compared: those that both sides
    recorded, up to where they part. ``parted_at`` is that step, None where none of them differs.
    """

    run: Run
    first: Outcome
    second: Outcome
    parted_at: int | None
    steps: int

    @property
    def sides(self) -> tuple[Outcome, Outcome]:
        """The outcome on each backend."""
        return self.first, self.second

    @property
    def difference(self) -> float | None:
        """ΔPerf on the second backend less that on the first; None unless both completed."""
        if any(side.status != "completed" for side in self.sides):
            return None
        one, other = finite(self.first.delta_perf), finite(self.second.delta_perf)
        return None if one is None or other is None else other - one

    @property
    def difference_se(self) -> float | None:
        """Standard error of the difference: √(SE₁² + SE₂²), None where either is not known.

        It is conservative: it takes the errors for independent, and they partly cancel, since both
        sides are measured on the same prompts with the same sampling noise.
        """
        if self.difference is None:
            return None
        one, other = finite(self.first.delta_perf_se), finite(self.second.delta_perf_se)
        return None if one is None or other is None else math.hypot(one, other)

    @property
    def in_errors(self) -> float | None:
        """The difference in standard errors; 0 where both are 0, None where there is none."""
        difference, error = self.difference, self.difference_se
        if difference is None or error is None:
            return None
        if error == 0.0:
            return 0.0 if difference == 0.0 else None
        return difference / error

    @property
    def finished(self) -> bool:
        """Return whether it is done for good on both backends, completed or diverged."""
        return all(side.status in FINAL for side in self.sides)

    @property
    def diverged_on(self) -> tuple[int, ...]:
        """The backends (0, 1) on which the run diverged."""
        return tuple(i for i, side in enumerate(self.sides) if side.status == "diverged")


@dataclass(frozen=True, slots=True)
class StepOne:
    """The largest relative differences between the numbers of step 1.

    They are taken over the ``runs`` whose completions of step 1 were recorded by both sides and are
    equal; None where there is no such run. Both backends sample and differentiate step 1 from the
    same weights, so only rounding may tell them apart.
    """

    runs: int
    loss: float | None = None
    entropy: float | None = None
    grad_norm: float | None = None

    @property
    def largest(self) -> float | None:
        """The largest of the three."""
        known = [x for x in (self.loss, self.entropy, self.grad_norm) if x is not None]
        return max(known, default=None)


@dataclass(frozen=True, slots=True)
class Agreement:
    """The number of runs that agree within their error, of the ``runs`` with one.

    ``one_error`` counts differences of at most one standard error. ``interval`` counts those whose
    95% interval holds 0, by the t quantile of the prompts that were measured.
    """

    runs: int
    one_error: int
    interval: int


@dataclass(frozen=True, slots=True)
class Parity:
    """The runs of a sweep on two backends, compared; ``verdict`` is on the sweep as a whole.

    ``model`` and ``task`` are those of a language model, and empty for an embedded task.
    """

    sweep: str
    backends: tuple[str, str]
    precision: str
    steps: int
    margin: float
    pairs: tuple[Pair, ...]
    step_one: StepOne
    agreement: Agreement
    verdict: Verdict
    model: str = ""
    task: str = ""

    @property
    def unfinished(self) -> tuple[Pair, ...]:
        """The pairs with a run that failed, or ended in another way that is tried again."""
        return tuple(pair for pair in self.pairs if not pair.finished)

    @property
    def devices(self) -> tuple[str, str]:
        """The device that each backend computed on."""
        one, other = (
            sorted({side.device for side in sides if side.device})
            for sides in zip(*(pair.sides for pair in self.pairs), strict=True)
        )
        return ", ".join(one), ", ".join(other)

    @property
    def before(self) -> tuple[int, int]:
        """The number of runs with equal perf before training, and of those where it is known."""
        known = [
            (pair.first.perf_before, pair.second.perf_before)
            for pair in self.pairs
            if None not in (pair.first.perf_before, pair.second.perf_before)
        ]
        return sum(one == other for one, other in known), len(known)

    @property
    def different_starts(self) -> int:
        """The number of runs known to have started from other weights on each backend."""
        starts = ((pair.first.weights, pair.second.weights) for pair in self.pairs)
        return sum(None not in start and len(set(start)) > 1 for start in starts)


def compare(
    sweep: str,
    backends: tuple[str, str],
    precision: str,
    runs: Sequence[tuple[Run, Outcome, Outcome]],
    *,
    margin: float,
    alpha: float = 0.05,
    model: str = "",
    task: str = "",
) -> Parity:
    """Compare ``runs``, each with its outcome on the first and on the second of ``backends``.

    Parameters
    ----------
    sweep, precision
        The sweep that was trained, and its number format.
    runs
        At least one.
    margin
        The difference in mean ΔPerf, 0 to 1, below which it does not matter.
    alpha
        The level of the tests: the interval is at 1 − 2α.
    model, task
        The language model and its task, if one is trained.
    """
    pairs = tuple(
        Pair(run, one, other, *parted(one.trace, other.trace)) for run, one, other in runs
    )
    return Parity(
        sweep=sweep,
        backends=backends,
        precision=precision,
        steps=max(pair.run.steps for pair in pairs),
        margin=margin,
        pairs=pairs,
        step_one=step_one(pairs),
        agreement=agreement(pairs),
        verdict=judge(pairs, backends, margin=margin, alpha=alpha),
        model=model,
        task=task,
    )


def parted(one: Sequence[StepTrace], other: Sequence[StepTrace]) -> tuple[int | None, int]:
    """Return the first step whose completions differ, None where none does, and the steps compared.

    Steps are compared as far as both traces have their completions.
    """
    compared = 0
    for ours, theirs in zip(one, other, strict=False):
        unknown = ours.completions is None or theirs.completions is None
        if unknown or ours.step != theirs.step:
            break
        compared += 1
        if ours.completions != theirs.completions:
            return ours.step, compared
    return None, compared


def relative(one: float, other: float, scale: float) -> float:
    """Return |one − other| / max(|one|, |other|, scale).

    Below the scale a number is a remainder of larger ones, and its own size says nothing about how
    exactly it was computed. The loss sums advantages of order 1 that cancel within a group: its
    rounding is theirs, and its scale 1. The entropy sums terms of one sign, so its differences are
    relative until it is nearly 0, where probabilities near 1 have lost their digits. So are those
    of the gradient's norm, which is 0 on both sides where there was nothing to learn.
    """
    return abs(one - other) / max(abs(one), abs(other), scale)


def step_one(pairs: Sequence[Pair]) -> StepOne:
    """Return how far apart loss, entropy and gradient norm are at step 1 (see `StepOne`)."""
    found: dict[str, list[float]] = {name: [] for name in SCALES}
    runs = 0
    for pair in pairs:
        if not pair.steps or pair.parted_at == 1:
            continue
        one, other = pair.first.trace[0], pair.second.trace[0]
        runs += 1
        for name, scale in SCALES.items():
            found[name].append(relative(getattr(one, name), getattr(other, name), scale))
    return StepOne(runs, **{name: max(values, default=None) for name, values in found.items()})


def agreement(pairs: Sequence[Pair]) -> Agreement:
    """Return how many runs agree within the standard error of their difference."""
    known = [
        (difference, error, pair)
        for pair in pairs
        if (difference := pair.difference) is not None and (error := pair.difference_se) is not None
    ]
    prompts = [
        min((count for side in pair.sides if (count := side.independent)), default=math.nan)
        for _, _, pair in known
    ]
    low, high = statistics.improvement_interval(
        [difference for difference, _, _ in known], [error for _, error, _ in known], prompts
    )
    return Agreement(
        runs=len(known),
        one_error=sum(abs(difference) <= error for difference, error, _ in known),
        interval=int(((low <= 0.0) & (high >= 0.0)).sum()),
    )


def judge(
    pairs: Sequence[Pair], backends: tuple[str, str], *, margin: float, alpha: float = 0.05
) -> Verdict:
    """Return the verdict on "the mean ΔPerf of the two backends differs by less than ``margin``".

    Supported where two one-sided paired t tests at ``alpha`` show it, or where ΔPerf is equal in
    every run; refuted where a difference beyond the margin is shown; unanswerable with fewer than
    two differences, or where all of them are equal and not 0.

    A run that diverged on both backends agrees, but has no difference. A run that diverged on one
    backend alone is a difference that no mean shows, and a run that did not finish may be one.
    Beside such a run nothing is supported, however well the others agree.
    """
    differences = [d for pair in pairs if (d := pair.difference) is not None]
    found = statistics.paired_equivalence(differences, margin, 1.0 - 2.0 * alpha)
    bounded = math.isfinite(found.low)
    missing = any(not pair.finished for pair in pairs)
    again = Need("runs", "the same command again: it tries what did not finish")
    needs = [again] if missing else []
    word: VerdictName = "inconclusive"
    if len(differences) < 2:
        word = "unanswerable"
        have = "one run alone has" if differences else "no run has"
        reason = f"{have} a ΔPerf on both backends; a mean difference needs two"
        least = len(pairs) + 2 - len(differences)
        needs = needs or [Need("runs", f"at least {least} runs (--runs {least})")]
    elif all(difference == 0.0 for difference in differences):
        word = "supported"
        reason = f"ΔPerf is equal in {'both' if found.n == 2 else f'all {found.n}'} runs"
        found, bounded = replace(found, low=0.0, high=0.0, p_within=math.nan), True
    elif not bounded:
        word = "unanswerable"
        reason = f"the difference is {signed(found.estimate)} in every run: nothing is known of "
        reason += "noise that was not seen"
        needs.append(Need("runs", f"at least {found.n + 1} runs (--runs {found.n + 1})"))
    else:
        reason = f"mean difference {signed(found.estimate)}, {interval(found)}"
        if found.p_beyond <= alpha:
            word = "refuted"
            reason += f", beyond ±{number(margin)} ({p_text(found.p_beyond)})"
        elif found.p_within <= alpha:
            word = "supported"
            reason += f", within ±{number(margin)} ({p_text(found.p_within)})"
        else:
            reason += f", shown neither within ±{number(margin)} nor beyond"
            enough = statistics.pairs_to_decide(differences, margin, found.level)
            needs.append(_enough(enough, found.n))
    hindered = _hindered(pairs, backends)
    if word == "supported" and hindered:
        word, reason, hindered = "inconclusive", f"{hindered}; of the others, {reason}", ""
    answer = ANSWERS[word] + "; ".join(part for part in (reason, hindered) if part)
    first, second = backends
    return Verdict(
        id="parity",
        question=f"Are {first} and {second} the same experiment?",
        claim=f"mean ΔPerf on {second} less that on {first} within ±{number(margin)}: {METHOD}, "
        f"each at {alpha:g}",
        verdict=word,
        answer=answer,
        estimate=finite(found.estimate),
        low=finite(found.low),
        high=finite(found.high),
        level=found.level if bounded else None,
        p_value=finite(found.p_within) if bounded else None,
        n=found.n,
        method=METHOD,
        reason=reason,
        needs=tuple(needs),
    )


def _enough(pairs_needed: int | None, n: int) -> Need:
    if pairs_needed is None:
        words = "more than 1,000 runs, if they are as near to the margin or as far apart as these"
        return Need("runs", words)
    enough = max(pairs_needed, n + 1)
    words = (
        f"about {enough} runs (--runs {enough}): they would decide it four times in five, if their "
        f"mean and spread are those of these {n}"
    )
    return Need("runs", words)


def _hindered(pairs: Sequence[Pair], backends: tuple[str, str]) -> str:
    """Say why the backends cannot be called the same, whatever the means; or nothing."""
    said = []
    for side, backend in enumerate(backends):
        alone = sum(pair.finished and pair.diverged_on == (side,) for pair in pairs)
        if alone:
            said.append(f"{plural(alone, 'run')} diverged on {backend} alone")
    missing = sum(not pair.finished for pair in pairs)
    if missing:
        said.append(f"{plural(missing, 'run')} did not finish")
    return ", ".join(said)
