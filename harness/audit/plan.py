"""Audit the design of a sweep before a run is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness import statistics
from harness.audit.conditions import HALF, annealing
from harness.audit.coverage import coverage, duplicates
from harness.audit.design import confounding
from harness.audit.measurement import declared_against_its_name
from harness.audit.view import errors_first, how_to_have
from harness.metrics import DELTA_PERF
from harness.records import MAIN, Config, Run, is_whole
from harness.sweeps.sweep import Sweep
from harness.text import first, listed
from harness.training.schedules import SCHEDULES, learning_rate, scale_steps
from harness.verdicts import Finding, Power

PLAN_CODES = (
    "confounded",
    "constant_parameter",
    "mixed_conditions",
    "annealed_window",
    "against_the_name",
    "missing_baseline",
    "unanswerable",
    "underpowered",
    "long_warmup",
    "off_grid",
    "not_drawn",
    "duplicate_config",
    "no_control",
)
"""The codes of findings on a plan. Finished sweeps can have the first five too."""

LITTLE = 0.5
"""A question with less power than this at all of its standard effects is underpowered."""

MOST_APART = 2
"""More questions of little power than this are one finding."""

NAMED = 6
"""The most runs that are named one by one."""

CONTROLS = {
    "null": "it is not known what useless training{how} measures",
    "placebo": "it is not checked that a run which learns nothing measures 0",
}


@dataclass(frozen=True)
class Draft:
    """A plan to check; the fields are the arguments of `audit_plan`."""

    sweep: Sweep
    runs: tuple[Run, ...]
    power: tuple[Power, ...]
    baseline: Sweep | None
    baseline_stored: bool

    @cached_property
    def main(self) -> tuple[Run, ...]:
        """The planned main runs."""
        return tuple(run for run in self.runs if run.arm == MAIN)

    @cached_property
    def configs(self) -> tuple[Config, ...]:
        """The configs of the main runs."""
        return tuple(run.config for run in self.main)

    @cached_property
    def arms(self) -> frozenset[str]:
        """The arms that have a planned run."""
        return frozenset(run.arm for run in self.runs) - {MAIN}

    def constants(self, id: str) -> list[str]:
        """Return the parameters of a question that no run varies."""
        return [
            name
            for name in self.sweep.questions[id].parameters
            if name not in self.arms and len({config[name] for config in self.configs}) == 1
        ]


def audit_plan(
    sweep: Sweep,
    runs: Sequence[Run],
    power: Sequence[Power] = (),
    *,
    baseline: Sweep | None = None,
    baseline_stored: bool = False,
) -> tuple[Finding, ...]:
    """Find what to know about a design before spending anything on it.

    Parameters
    ----------
    runs
        The planned runs of all arms.
    power
        The power of the sweep's questions. It says what a question lacks, and a finding repeats it.
    baseline
        The sweep that is declared under the baseline's name, or None.
    baseline_stored
        Whether runs of the baseline are stored.

    An equal plan gives equal findings; warnings come first.
    """
    draft = Draft(sweep, tuple(runs), tuple(power), baseline, baseline_stored)
    checks: tuple[Callable[[Draft], Iterator[Finding]], ...] = (
        unanswerable,
        missing_baseline,
        mixed_conditions,
        confounded,
        underpowered,
        long_warmup,
        annealed_window,
        against_the_name,
        off_grid,
        not_drawn,
        duplicate_config,
        no_control,
    )
    return errors_first(finding for check in checks for finding in check(draft))


def unanswerable(draft: Draft) -> Iterator[Finding]:
    """Say what a question lacks, with a code of its own for a parameter that does not vary."""
    lacking = {power.question: power.why for power in draft.power if power.why}
    for id_ in draft.sweep.questions:
        for name in draft.constants(id_):
            value = draft.configs[0][name]
            value = f"{value:.3g}" if isinstance(value, float) else value
            yield Finding(
                "constant_parameter",
                "warning",
                f"{id_} asks about {name}, which is {value} in every run: it needs an arm with "
                "other values, or a space that varies it",
                (name,),
            )
        if id_ in lacking and not draft.constants(id_):
            yield Finding("unanswerable", "warning", f"{id_} cannot be supported: {lacking[id_]}")


def missing_baseline(draft: Draft) -> Iterator[Finding]:
    name = draft.sweep.baseline
    asking = [id_ for id_, claim in draft.sweep.questions.items() if claim.uses_baseline]
    if not isinstance(name, str) or not asking or draft.baseline_stored:
        return
    said = f"no run of the baseline {name} is stored"
    if draft.baseline is None:
        yield Finding(
            "missing_baseline",
            "warning",
            f"{said}, and no sweep of that name is declared: {', '.join(asking)} cannot be "
            "answered",
        )
    else:
        yield Finding(
            "missing_baseline",
            "info",
            f"{said} yet: run it first or beside (--sweep {name},{draft.sweep.name})",
        )


def mixed_conditions(draft: Draft) -> Iterator[Finding]:
    sweep, other = draft.sweep, draft.baseline
    if other is None or not any(claim.uses_baseline for claim in sweep.questions.values()):
        return
    steps = draft.main[0].steps
    differences = [f"{steps} steps against {other.steps}"] if steps != other.steps else []
    if sweep.task != other.task:
        differences.append(f"task {sweep.task or 'default'} against {other.task or 'default'}")
    if sweep.trainer is not other.trainer:
        differences.append("trained by another function")
    if differences:
        yield Finding(
            "mixed_conditions",
            "warning",
            f"the baseline {other.name} is not like for like: {'; '.join(differences)}; a "
            "difference may come from these",
        )


def confounded(draft: Draft) -> Iterator[Finding]:
    space = draft.sweep.parameters
    columns = {name: [config[name] for config in draft.configs] for name in space}
    rng = np.random.default_rng([draft.sweep.seed, 0xA0D17])
    yield from confounding(columns, space.dependencies, rng)


def underpowered(draft: Draft) -> Iterator[Finding]:
    best: dict[str, Power] = {}
    for power in draft.power:
        known = best.get(power.question)
        if power.power is not None and (known is None or power.power >= (known.power or 0.0)):
            best[power.question] = power
    little = [p for p in best.values() if not p.why and (p.power or 0.0) < LITTLE]
    if len(little) > MOST_APART:
        yield Finding("underpowered", "warning", _together(little))
        return
    for power in little:
        yield Finding(
            "underpowered",
            "warning",
            f"{power.question} is likely to stay open: at the largest standard effect, "
            f"{power.says}",
        )


def _together(little: Sequence[Power]) -> str:
    """Say of several questions that each is likely to stay open, with the range of their power."""
    powers = sorted(power.power or 0.0 for power in little)
    needed = sorted(power.needed for power in little if power.needed is not None)
    said = (
        f"{listed(power.question for power in little)} are likely to stay open: at the largest "
        f"standard effect each is supported with probability {powers[0]:.2f} to {powers[-1]:.2f}"
    )
    if len(needed) < len(little) or any(power.unit != "runs" for power in little):
        return said
    return f"{said}; a probability of {statistics.TARGET:g} needs {needed[0]} to {needed[-1]} runs"


def long_warmup(draft: Draft) -> Iterator[Finding]:
    short = []
    for run in draft.main:
        warmup = run.config.get("warmup_steps")
        if is_whole(warmup):
            scaled = scale_steps(warmup, run.steps, run.declared_steps)
            short += [(run, scaled)] if scaled >= run.steps else []
    if short:
        longest = max(warmup for _, warmup in short)
        yield Finding(
            "long_warmup",
            "warning",
            f"{_named([run for run, _ in short])} of {draft.main[0].steps} steps warm up for as "
            f"many or more (up to {longest}): the learning rate reaches that of the config for a "
            "step at most",
            ("warmup_steps",),
        )


def annealed_window(draft: Draft) -> Iterator[Finding]:
    if draft.sweep.trainer is not None:
        return
    rates = []
    for run in draft.main:
        schedule, warmup = run.config.get("lr_schedule"), run.config.get("warmup_steps", 0)
        if schedule in SCHEDULES and isinstance(warmup, int):
            scaled = scale_steps(warmup, run.steps, run.declared_steps)
            at = [
                learning_rate(str(schedule), step, run.steps, 1.0, scaled)
                for step in range(run.steps)
            ]
            rates.append((np.arange(1, run.steps + 1), np.array(at)))
    for id_, start in _windows(draft):
        span = start, float(draft.main[0].steps)
        window = statistics.rate_in_window(rates, *span)
        how = how_to_have(draft.sweep.arms, "half", HALF)
        yield from annealing(id_, span, window, "half" in draft.arms, how)


def against_the_name(draft: Draft) -> Iterator[Finding]:
    """Find a metric that is judged the other way than its name says."""
    yield from declared_against_its_name(draft.sweep.judged_by)


def off_grid(draft: Draft) -> Iterator[Finding]:
    lacking = {power.question for power in draft.power if power.why}
    run, name = draft.main[0], draft.sweep.judged_by.measure
    points = [*range(0, run.steps, run.evaluate_every), run.steps]
    for id_, start in _windows(draft):
        if id_ not in lacking and start not in points:
            nearest = min(points, key=lambda step: abs(step - start))
            yield Finding(
                "off_grid",
                "info",
                f"{id_} looks from step {start:g} on, and {name} is evaluated every "
                f"{run.evaluate_every} steps: it is judged from step {nearest}",
            )


def not_drawn(draft: Draft) -> Iterator[Finding]:
    for of in coverage(draft.sweep.parameters, draft.configs):
        absent = [str(value) for value, runs in of.levels if not runs]
        if absent:
            yield Finding(
                "not_drawn",
                "warning",
                f"no run has {of.parameter} {' or '.join(absent)}, though the space does: nothing "
                "is learnt about it",
                (of.parameter,),
            )


def duplicate_config(draft: Draft) -> Iterator[Finding]:
    groups = duplicates(draft.main)
    if groups:
        extra = sum(len(group) - 1 for group in groups)
        some = "; ".join(_named(group) for group in groups[:NAMED])
        more = f"; and {len(groups) - NAMED} more" if len(groups) > NAMED else ""
        yield Finding(
            "duplicate_config",
            "info",
            f"{len(draft.main) - extra} of {len(draft.main)} configs are distinct: {some}{more} "
            "repeat one with another seed",
        )


def no_control(draft: Draft) -> Iterator[Finding]:
    useless = " (rewards permuted)" if draft.sweep.judged_by == DELTA_PERF else ""
    for arm, why in CONTROLS.items():
        if arm not in draft.arms and (
            arm != "placebo" or "learning_rate" in draft.sweep.parameters
        ):
            yield Finding("no_control", "info", f"there is no {arm} arm: {why.format(how=useless)}")


def _windows(draft: Draft) -> Iterator[tuple[str, float]]:
    """Yield the questions on a part of the learning curve, and the step at which that begins."""
    run = draft.main[0]
    for id_, claim in draft.sweep.questions.items():
        span = claim.window(run)
        if span is not None:
            yield id_, span[0]


def _named(runs: Sequence[Run]) -> str:
    """Return "runs 03, 17"."""
    return f"run{'s' * (len(runs) > 1)} {first((f'{run.index:02d}' for run in runs), NAMED)}"
