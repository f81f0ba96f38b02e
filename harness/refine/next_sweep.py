"""Build the next sweep: its sizes, arms, baseline and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import observations, statistics
from harness.claims import still_improves
from harness.claims.design import Design
from harness.claims.effect import lacking
from harness.claims.non_inferiority import FEWEST_PAIRS
from harness.errors import UsageError
from harness.metrics import DELTA_PERF, Metric
from harness.observations import Observations, rule_text
from harness.observations.columns import RATE
from harness.protocols import Notify
from harness.records import Job, Outcome, Result
from harness.refine.proposal import Proposal, Revision
from harness.refine.questions import questions_of, since_of
from harness.sweeps.distributions import Constant, Distribution
from harness.sweeps.plan import counted_runs
from harness.sweeps.sweep import Pairs, Sweep
from harness.sweeps.trainers import trainer_file
from harness.text import listed, listed_values, parameter_name, parameter_value, plural
from harness.training.settings import check_config
from harness.verdicts import Counts, Evidence

PLACEBO, NULL, HALF = 2, 8, 12
"""The number of main runs that each arm repeats, if the sweep has so many."""

FEWEST_RUNS, MOST_RUNS = 24, 48
"""The least and the most runs of a sweep after a table, unless told otherwise."""

EVALUATIONS = 10
"""Evaluations of a run after a table, if it has the steps for them."""

LIKELY_RATE = 0.7
"""The true success rate that the next sweep's power is stated for."""

PURPOSES = {
    "placebo": "learning rate 0: must measure exactly 0",
    "null": "rewards permuted: what useless training measures",
    "random": "rewards drawn at random: whether any rewards would do",
    "half": "half of the steps: tells longer training from annealing",
}

PURPOSES_BY_METRIC = PURPOSES | {
    "placebo": "learning rate 0: must end where it started",
    "null": "nothing to be learned: what useless training measures",
}
"""The purposes of the control arms of a sweep that is judged by a metric of its own."""


def train(job: Job, notify: Notify) -> Outcome:
    """Stand for the training function of a proposed sweep, which is still to be written."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Past:
    """The finished sweep or table that the next sweep comes after.

    ``sweep`` is its declaration, None where there is none. ``is_table`` says that its runs are from
    a table, not from the store. ``observed`` are its main runs, ``arms`` the others by arm.
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
        """Return the main runs that are final."""
        return (*self.observed.completed, *self.observed.diverged)


def proposed(
    past: Past,
    revisions: Sequence[Revision],
    tests: int,
    *,
    name: str,
    runs: int | None = None,
    steps: int | None = None,
) -> Proposal:
    """Build the next sweep of the revised parameters; None leaves runs or steps as they were.

    Raises
    ------
    UsageError
        Where ``runs`` are too few, or the harness would train and the steps are not known.
    """
    sweep = past.sweep
    space = {revision.parameter: revision.after for revision in revisions}
    paired = {r.parameter: r.pairs for r in revisions if r.pairs is not None}
    runs, why_runs = _runs(past, runs, paired)
    stub = sweep is None and not (
        past.metric.is_change and _is_trained_here(space) and _was_trained_here(past)
    )
    steps = _steps(past, steps, stub=stub)
    every = _interval(steps) if sweep is None else sweep.evaluate_every
    has_own = stub or (sweep is not None and sweep.trainer is not None)
    since = since_of(steps, every)
    if has_own and not any(result.outcome.curve for result in past.observed.completed):
        since = None
    arms = _arms(past, space, runs, half=since is not None, null=not has_own) | paired
    baseline = _counts(past) if past.is_table else past.source
    names = ["task", "trainer", "min_gain", "sampler", "margin", "seeds"]
    names += ["metric", "direction", "target"]
    kept: dict[str, Any] = (
        _measured(past) if sweep is None else {field: getattr(sweep, field) for field in names}
    )
    seed = 1 if sweep is None else sweep.seed + 1
    bare = Sweep(name, runs=runs, steps=steps, space=space, seed=seed, **kept)
    design = Design(bare, counted_runs(bare.plan()))
    questions = questions_of(
        revisions,
        paired,
        sweep=sweep,
        baseline=baseline,
        since=since,
        margin=past.margin,
        metric=past.metric,
        compared=[parameter for parameter in space if not lacking(parameter, design)],
        arms=arms,
    )
    return Proposal(
        source=past.source,
        sweep=Sweep(
            name,
            runs=runs,
            steps=steps,
            space=space,
            seed=seed,
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
        arms=tuple((arm, _purpose(arm, size, space, past.metric)) for arm, size in arms.items()),
        notes=tuple(_notes(past, baseline, stub=stub, null="null" in arms)),
        trainer=None if sweep is None or sweep.trainer is None else _imported(sweep),
        stub=stub,
    )


def _runs(past: Past, asked: int | None, paired: Mapping[str, Pairs]) -> tuple[int, str]:
    """Return the number of main runs, and the reason for it."""
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
    shown = f": a true success rate of {LIKELY_RATE:.0%} is shown to be above one half with "
    shown += f"probability {power:.2f}"
    had = statistics.binomial_power(before, LIKELY_RATE, alpha=past.alpha)
    compared = f", with {before} {had:.2f}"
    if not past.metric.knows_success:
        shown = compared = ""
    if runs == before:
        return runs, f"{plural(runs, 'run')}, as many as {past.source} has{shown}"
    words = f"{plural(runs, 'run')}, where {past.source} has {before}"
    if asked is None and runs == least:
        return runs, f"{words}, for {least} pairs{shown}"
    return runs, f"{words}{shown}{compared}"


def _steps(past: Past, asked: int | None, *, stub: bool) -> int:
    """Return the steps of a run: after a table the full budget, or 1 where nothing has steps.

    Of a training function that is still to be written, 1 is a whole training.
    """
    if asked is not None:
        return asked
    if past.sweep is not None:
        return past.sweep.steps
    full = _full(past)
    if not full and not stub:
        raise UsageError(
            f"{past.source} does not say how many steps its runs have, in a column steps; "
            f"give --steps N for the next sweep"
        )
    return full or 1


def _full(past: Past) -> int:
    """Return the steps of the run that had most, 0 where none are known."""
    return max((result.run.steps for result in past.results), default=0)


def _interval(steps: int) -> int:
    """Return the number of steps between evaluations, one of which comes halfway."""
    return max(1, 10 if 2 * EVALUATIONS <= steps <= 100 else steps // EVALUATIONS)


def _why_steps(past: Past, steps: int, every: int) -> str:
    """Explain the number of steps, and say whether the learning curves still rose."""
    before = _full(past)
    words = f"{plural(steps, 'step')}, as before"
    if steps != before:
        words = f"{plural(steps, 'step')}" + (f", where there were {before}" if before else "")
    if past.sweep is None and not before and steps == 1:
        words = f"1 step, a whole training: {past.source} says nothing of steps"
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
    """Return whether the harness's own trainers know all of these parameters."""
    try:
        check_config({name: drawn.values()[0] for name, drawn in space.items()})
    except UsageError:
        return False
    return True


def _was_trained_here(past: Past) -> bool:
    """Return whether the harness trained the runs; a table does not say, and is taken to be so."""
    return past.is_table or all(
        result.conditions.trainer.startswith("harness.") for result in past.results
    )


def _arms(
    past: Past, space: Mapping[str, Distribution], runs: int, *, half: bool, null: bool
) -> dict[str, int | Pairs]:
    """Return the control arms; a user's trainer has a null arm only if it had one before.

    Random rewards are for those who had them.
    """
    arms: dict[str, int | Pairs] = {}
    if RATE in space:
        arms["placebo"] = min(PLACEBO, runs)
    if null or "null" in past.arms:
        arms["null"] = min(NULL, runs)
    if "random" in past.arms:
        arms["random"] = min(NULL, runs)
    if half:
        arms["half"] = min(HALF, runs)
    return arms


def _purpose(arm: str, size: int | Pairs, space: Mapping[str, Distribution], metric: Metric) -> str:
    if isinstance(size, int):
        return (PURPOSES if metric == DELTA_PERF else PURPOSES_BY_METRIC)[arm]
    drawn = space[arm]
    fixed = f" {parameter_value(drawn.value)}" if isinstance(drawn, Constant) else ""
    return f"tests the fixed {parameter_name(arm)}{fixed} against {listed_values(size.values)}"


def _measured(past: Past) -> dict[str, Any]:
    """Return the settings of a sweep that is judged by the metric of a table."""
    metric = past.metric
    if metric.is_change:
        return {}
    target = metric.target if metric.knows_success else None
    return {
        "trainer": train,
        "metric": metric.name,
        "direction": metric.direction,
        "target": target,
        "margin": past.margin,
    }


def _counts(past: Past) -> Counts | None:
    """Return the counts of a table as a baseline; None where they mean nothing."""
    if not past.metric.is_change or past.observed.is_degenerate:
        return None
    count = observations.count_successes(past.observed, min_gain=0.0, rule="above zero")
    return Counts(
        name=past.source,
        successes=count.successes,
        runs=count.runs,
        rule=rule_text("above zero"),
        source=f"{plural(count.runs, 'finished run')} of {past.source}",
    )


def _notes(past: Past, baseline: str | Counts | None, *, stub: bool, null: bool) -> list[str]:
    """Return notes on the next sweep."""
    lines = []
    if past.sweep is None:
        lines.append(
            f"the space of {past.source} is not declared here: it is inferred from its runs, and "
            "a range ends where they end"
        )
    if isinstance(baseline, Counts):
        lines.append(
            f"baseline: only the counts of {past.source}, which answer success_vs_baseline; the "
            f"mean, spread and worst quarter would need its runs"
        )
    elif baseline is None:
        why = "is the same in every run" if past.observed.is_degenerate else "is no gain"
        lines.append(
            f"no baseline: {past.metric.name} {why}, so its runs cannot be counted as successes; "
            "to compare success rates, give counts of your own, baseline=Counts(…)"
        )
    if stub:
        lines.append(
            "the training function is a stub for you to write: the harness does not train these "
            "parameters"
        )
    if not null:
        why = "run.rewards"
        if past.metric != DELTA_PERF:
            why = "something of which nothing can be learned"
        lines.append(f"no null arm: your training function would need {why}")
    if past.margin is None:
        lines.append(
            f"no margin is stated for {past.metric.name} (--margin), so nothing is narrowed"
        )
    return lines


def _imported(sweep: Sweep) -> tuple[str, str]:
    """Return the module and the name that import the training function of ``sweep``."""
    assert sweep.trainer is not None
    file = trainer_file(sweep.trainer)
    parts, folder = [file.stem], file.parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts), sweep.trainer.__qualname__
