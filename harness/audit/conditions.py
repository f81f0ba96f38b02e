"""Findings about how the runs were trained, and when the questions were asked."""

from __future__ import annotations

from collections.abc import Iterator

from harness import observations, statistics
from harness.audit.view import View
from harness.observations.repeats import each_run
from harness.records import IMPORTED
from harness.statistics import Window
from harness.text import listed, plural
from harness.training.backends import BACKENDS
from harness.verdicts import Baseline, Finding

_UNLIKE = "not all runs are alike"

HALF = 12
"""The runs with half of the steps that a finding suggests."""


def scaled_down(view: View) -> Iterator[Finding]:
    scaled = {
        (result.run.steps, result.run.declared_steps)
        for result in view.evidence.runs
        if result.run.steps != result.run.declared_steps
    }
    for steps, declared in sorted(scaled):
        yield Finding(
            "scaled_down",
            "warning",
            f"trained for {steps} steps of the {declared} declared: a check that it runs, not an "
            "answer to the sweep's questions"
            if steps < declared
            else f"trained for {steps} steps, {declared} declared: not the declared sweep",
        )
    runs, declared_runs = view.planned_runs, view.declared_runs
    if runs is not None and declared_runs is not None and runs < declared_runs:
        yield Finding(
            "scaled_down",
            "warning",
            f"{runs} of the {declared_runs} runs declared: fewer runs show less",
        )
    seeds, declared_seeds = view.seeds
    if seeds != declared_seeds:
        yield Finding(
            "scaled_down",
            "warning",
            f"each config is judged by {plural(seeds, 'seed')}, {declared_seeds} declared: the "
            "means of more seeds vary less",
        )


def mixed_conditions(view: View) -> Iterator[Finding]:
    runs, evidence = view.observed.final, view.evidence
    for text in observations.mixed(runs):
        yield _mixed(
            f"runs of this sweep differ in {text}: pooling them mixes two experiments", _UNLIKE
        )
    for name, results in evidence.arms.items():
        differences = observations.mismatched(runs, results, steps=name != "half")
        if differences:
            yield _mixed(
                f"the arm {name} is not like the main runs: {'; '.join(differences)}", _UNLIKE
            )
    if isinstance(evidence.baseline, Baseline):
        differences = observations.mismatched(runs, evidence.baseline.results)
        other = observations.observe(evidence.baseline.results)
        evaluation = observations.evaluated_differently(view.observed, other)
        if evaluation is not None and not any("task" in text for text in differences):
            differences = (*differences, evaluation)
        if differences:
            yield _mixed(
                f"the baseline {evidence.baseline.name} is not like for like: "
                f"{'; '.join(differences)}; a difference may come from these"
                + _same_backend(view, evidence.baseline),
                "the baseline is not like for like",
            )
        yield from _imported(evidence.baseline)
        yield from _unstated(view, evidence.baseline)


def adaptive_design(view: View) -> Iterator[Finding]:
    if view.evidence.adaptive is not None:
        yield Finding(
            "adaptive_design",
            "warning",
            f"{view.evidence.adaptive}: what a run tried depends on the results of earlier ones, "
            "so this is no random sample of the space. The place of a run in their order is held "
            "equal where a parameter is tested; means, success rates and spreads tell of the "
            "search, not of the space",
            brief="later runs depended on earlier results",
        )


def annealed_window(view: View) -> Iterator[Finding]:
    half = bool(observations.observe(view.evidence.arms.get("half", ())).completed)
    how = view.how_to_have("half", HALF)
    for name, claim in view.questions.items():
        completed = view.observed.completed
        span = claim.window(completed[0].run) if completed else None
        rates = observations.learning_rates(each_run(completed)) if span is not None else []
        if span is not None and rates:
            yield from annealing(name, span, statistics.rate_in_window(rates, *span), half, how)


def annealing(
    name: str, span: tuple[float, float], window: Window | None, half: bool, how: str
) -> Iterator[Finding]:
    """Say that the learning rate falls in the steps that the question ``name`` looks at.

    ``half`` is whether an arm separates annealing from longer training; ``how`` says how to add it.
    """
    if window is not None and window.annealed:
        yield Finding(
            "annealed_window",
            "info" if half else "warning",
            f"{name} looks at steps {span[0]:g} to {span[1]:g}, in which the learning "
            f"rate goes from {window.start:.0%} to {window.end:.0%} of its peak: a gain there "
            "may be annealing, not longer training"
            + (
                "; the half arm separates the two"
                if half
                else f"; runs given half of the steps separate the two{how}"
            ),
            brief=f"{name}: a gain may be annealing",
        )


def post_hoc(view: View) -> Iterator[Finding]:
    for name in sorted(view.post_hoc):
        yield Finding(
            "post_hoc",
            "warning",
            f"{name} changed after data existed: its verdict is a suggestion for the next sweep, "
            "not a test",
            brief=f"{name} changed after data existed",
        )


def _unstated(view: View, baseline: Baseline) -> Iterator[Finding]:
    """Say which conditions a table leaves out that the other side of the comparison states."""
    ours, theirs = view.observed.final, baseline.results
    for table, one, other in (
        (f"the table {view.evidence.sweep}", ours, theirs),
        (f"the baseline {baseline.name}", theirs, ours),
    ):
        if names := observations.unstated(one, other):
            yield _mixed(
                f"{table} states no {listed(names, 'or')}: whether the two are like for like is "
                "not known",
                "the baseline may not be like for like",
            )


def _imported(baseline: Baseline) -> Iterator[Finding]:
    """Say where a baseline that was trained elsewhere comes from."""
    theirs = [r.environment for r in baseline.results if r.conditions.backend == IMPORTED]
    if theirs:
        tables, backends = (
            ", ".join(dict.fromkeys(str(known[name]) for known in theirs if known.get(name)))
            for name in ("imported_from", "backend")
        )
        yield Finding(
            "mixed_conditions",
            "info",
            f"the baseline {baseline.name} was imported from {tables}, not trained here"
            + (f": it was trained by {backends}" if backends else ""),
        )


def _same_backend(view: View, baseline: Baseline) -> str:
    """Say how to train the baseline by the backend of the runs; empty where it was."""
    ours, theirs = (
        {result.conditions.backend for result in results}
        for results in (view.observed.final, baseline.results)
    )
    if ours == theirs or len(ours) != 1 or not (ours | theirs) <= set(BACKENDS):
        return ""
    names = f"{baseline.name},{view.evidence.sweep}"
    return f" (to train both by one backend: --sweep {names} --sweep-backend {ours.pop()})"


def _mixed(message: str, brief: str) -> Finding:
    return Finding("mixed_conditions", "warning", message, brief=brief)
