"""The next sweep itself: its sizes, arms and baseline, and what else is to be said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import observations, statistics
from harness.analysis.columns import RATE
from harness.claims import still_improves
from harness.claims.non_inferiority import FEWEST_PAIRS
from harness.errors import UsageError
from harness.observations import Observations, rule_text
from harness.records import Result
from harness.refine.asking import questions_of, since_of
from harness.refine.values import Proposal, Revision
from harness.sweeps.space import Constant, Distribution
from harness.sweeps.sweep import Pairs, Sweep, trainer_file
from harness.text import listed, listed_values, parameter_name, parameter_value, plural
from harness.training.settings import check_config
from harness.verdicts import Counts, Evidence, Metric

PLACEBO, NULL, HALF = 2, 8, 12
"""How many of the first main runs an arm has, as far as there are so many."""

FEWEST_RUNS, MOST_RUNS = 24, 48
"""Runs that a sweep after a table has, unless told otherwise."""

EVALUATIONS = 10
"""How often a run after a table is evaluated, where it has the steps for it."""

LIKELY_RATE = 0.7
"""The success rate at which the power of a number of runs is told."""

PURPOSES = {
    "placebo": "learning rate 0: must measure exactly 0",
    "null": "rewards permuted: what useless training measures",
    "half": "half of the steps: tells longer training from annealing",
}


@dataclass(frozen=True, slots=True)
class Past:
    """What the next sweep comes after.

    ``sweep`` is its declaration, None where there is none; ``is_table`` whether its runs are a
    table's and not in the store. ``observed`` are its main runs, ``arms`` the others by arm;
    ``margin`` is None where none is stated for the ``metric``.
    """

    source: str
    sweep: Sweep | None
    is_table: bool
    observed: Observations
    arms: Mapping[str, Sequence[Result]]
    metric: Metric
    margin: float | None
    alpha: float

    @property
    def results(self) -> tuple[Result, ...]:
        """The main runs that are done for good."""
        return (*self.observed.completed, *self.observed.diverged)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the next sweep is asked to be: its name; runs and steps, as they were where None."""

    name: str
    runs: int | None = None
    steps: int | None = None


def proposed(past: Past, revisions: Sequence[Revision], asked: Sizes, tests: int) -> Proposal:
    """Return the next sweep with the revised parameters.

    Raises
    ------
    UsageError
        Where it cannot have so few runs, or its steps are not known.
    """
    sweep = past.sweep
    space = {revision.parameter: revision.after for revision in revisions}
    paired = {r.parameter: r.pairs for r in revisions if r.pairs is not None}
    runs, why_runs = _runs(past, asked.runs, paired)
    steps = _steps(past, asked.steps)
    every = _interval(steps) if sweep is None else sweep.evaluate_every
    stub = sweep is None and not (_is_trained_here(space) and _was_trained_here(past))
    has_own = stub or (sweep is not None and sweep.trainer is not None)
    since = since_of(steps, every)
    if has_own and not any(result.outcome.curve for result in past.observed.completed):
        since = None
    arms = _arms(past, space, runs, half=since is not None, null=not has_own) | paired
    baseline = _counts(past) if past.is_table else past.source
    questions = questions_of(
        revisions, paired, sweep=sweep, baseline=baseline, since=since, margin=past.margin
    )
    kept: dict[str, Any] = {}
    if sweep is not None:
        names = ("task", "trainer", "min_gain", "sampler", "margin")
        kept = {name: getattr(sweep, name) for name in names}
    return Proposal(
        source=past.source,
        sweep=Sweep(
            asked.name,
            runs=runs,
            steps=steps,
            space=space,
            seed=1 if sweep is None else sweep.seed + 1,
            baseline=baseline,
            arms=arms,
            questions={question.id: question.claim for question in questions},
            evaluate_every=every,
            alpha=past.alpha,
            **kept,
        ),
        revisions=tuple(revisions),
        questions=tuple(questions),
        runs=past.observed.total,
        tests=tests,
        alpha=past.alpha,
        sizes=(why_runs, _why_steps(past, steps, every)),
        arms=tuple((arm, _purpose(arm, size, space)) for arm, size in arms.items()),
        beside=tuple(_beside(past, baseline, stub=stub, null="null" in arms)),
        trainer=None if sweep is None or sweep.trainer is None else _imported(sweep),
        stub=stub,
    )


def _runs(past: Past, asked: int | None, paired: Mapping[str, Pairs]) -> tuple[int, str]:
    """Return how many main runs there are to be, and why."""
    before = past.sweep.runs if past.sweep is not None else past.observed.total
    usual = before if past.sweep is not None else min(max(before, FEWEST_RUNS), MOST_RUNS)
    least = FEWEST_PAIRS if paired else 1
    if asked is not None and asked < least:
        raise UsageError(
            f"--runs {asked} is fewer than the {least} pairs that test the fixed "
            f"{listed(map(parameter_name, paired))}; give {least} or more"
        )
    runs = asked or max(usual, least)
    power = statistics.binomial_power(runs, LIKELY_RATE, alpha=past.alpha)
    shown = f"a true success rate of {LIKELY_RATE:.0%} is shown to be above one half with "
    shown += f"probability {power:.2f}"
    if runs == before:
        return runs, f"{plural(runs, 'run')}, as many as {past.source} has: {shown}"
    words = f"{plural(runs, 'run')}, where {past.source} has {before}"
    if asked is None and runs == least:
        return runs, f"{words}, for {least} pairs: {shown}"
    had = statistics.binomial_power(before, LIKELY_RATE, alpha=past.alpha)
    return runs, f"{words}: {shown}, with {before} {had:.2f}"


def _steps(past: Past, asked: int | None) -> int:
    if asked is not None:
        return asked
    if past.sweep is not None:
        return past.sweep.steps
    known = Counter(result.run.steps for result in past.results if result.run.steps > 0)
    if not known:
        raise UsageError(
            f"{past.source} does not say how many steps its runs have, in a column steps; "
            f"give --steps N for the next sweep"
        )
    return known.most_common(1)[0][0]


def _interval(steps: int) -> int:
    """Return after how many steps to evaluate, so that there is a look halfway."""
    return max(1, 10 if 2 * EVALUATIONS <= steps <= 100 else steps // EVALUATIONS)


def _why_steps(past: Past, steps: int, every: int) -> str:
    """Say why there are so many steps, with what the learning curves had left to gain."""
    before = Counter(result.run.steps for result in past.results).most_common(1)[0][0]
    words = f"{plural(steps, 'step')}, as before"
    if steps != before:
        words = f"{plural(steps, 'step')}" + (f", where there were {before}" if before else "")
    evidence = Evidence(
        past.source, past.results, alpha=past.alpha, margin=past.margin, metric=past.metric
    )
    if steps != before and before:
        every = max(1, round(every * before / steps))
    found = still_improves(since_of(before, every)).judge("plateau", evidence)
    if found.verdict == "unanswerable":
        return words
    advice = {
        "supported": "more steps may pay (--steps)",
        "refuted": "fewer steps may do (--steps)",
    }
    more = f"; {advice[found.verdict]}" if steps == before and found.verdict in advice else ""
    return f"{words}. Learning curves so far: {found.answer}{more}"


def _is_trained_here(space: Mapping[str, Distribution]) -> bool:
    """Whether the harness's own training knows all of these parameters."""
    try:
        check_config({name: drawn.values()[0] for name, drawn in space.items()})
    except UsageError:
        return False
    return True


def _was_trained_here(past: Past) -> bool:
    """Whether the runs were trained by the harness, as far as is known: a table does not say."""
    return past.is_table or all(
        result.conditions.trainer.startswith("harness.") for result in past.results
    )


def _arms(
    past: Past, space: Mapping[str, Distribution], runs: int, *, half: bool, null: bool
) -> dict[str, int | Pairs]:
    """Return the control arms; a training function of the user's has a null arm if it had one."""
    arms: dict[str, int | Pairs] = {}
    if RATE in space:
        arms["placebo"] = min(PLACEBO, runs)
    if null or "null" in past.arms:
        arms["null"] = min(NULL, runs)
    if half:
        arms["half"] = min(HALF, runs)
    return arms


def _purpose(arm: str, size: int | Pairs, space: Mapping[str, Distribution]) -> str:
    if isinstance(size, int):
        return PURPOSES[arm]
    drawn = space[arm]
    fixed = f" {parameter_value(drawn.value)}" if isinstance(drawn, Constant) else ""
    return f"tests the fixed {parameter_name(arm)}{fixed} against {listed_values(size.values)}"


def _counts(past: Past) -> Counts | None:
    """Return the counts of a table as a baseline; None where they say nothing."""
    if past.metric.zero != "no change" or past.observed.is_degenerate:
        return None
    count = observations.count_successes(past.observed, min_gain=0.0, rule="above zero")
    return Counts(
        name=past.source,
        successes=count.successes,
        runs=count.runs,
        rule=rule_text("above zero"),
        source=f"{plural(count.runs, 'finished run')} of {past.source}",
    )


def _beside(past: Past, baseline: str | Counts | None, *, stub: bool, null: bool) -> list[str]:
    """Return what else is to be known of the next sweep."""
    lines = []
    if past.sweep is None:
        lines.append(
            f"the space of {past.source} is not declared here: it is inferred from its runs, and "
            "a range ends where they end"
        )
    if isinstance(baseline, Counts):
        lines.append(
            f"baseline: the counts of {past.source}, which answer success_vs_baseline alone; mean, "
            f"spread and worst quarter need its runs"
        )
    elif baseline is None:
        why = "is the same in every run" if past.observed.is_degenerate else "is no gain"
        lines.append(
            f"no baseline: {past.metric.name} {why}, so that its runs cannot be counted as "
            "successes; give counts of your own, baseline=Counts(…), to compare success rates"
        )
    if stub:
        lines.append(
            "the training function is a stub: the harness does not train these parameters, you do"
        )
    if not null:
        lines.append("no null arm: your training function would have to permute the rewards")
    if past.margin is None:
        lines.append(
            f"no margin is stated for {past.metric.name} (--margin): nothing is narrowed without"
        )
    return lines


def _imported(sweep: Sweep) -> tuple[str, str]:
    """Return the module and the name that the training function of ``sweep`` is imported by."""
    assert sweep.trainer is not None
    file = trainer_file(sweep.trainer)
    parts, folder = [file.stem], file.parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts), sweep.trainer.__qualname__
