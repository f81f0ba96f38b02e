"""The power of each question of a sweep, before anything is spent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from harness import statistics
from harness.claims.design import Design
from harness.observations.budget import NoiseBudget
from harness.protocols import Claim
from harness.records import MAIN, Result, Run
from harness.sweeps.plan import counted_runs
from harness.sweeps.sweep import Sweep
from harness.text import plural
from harness.verdicts import Effect, Power, Pricing


def sweep_power(
    sweep: Sweep,
    stored: Sequence[Result] = (),
    *,
    runs: Sequence[Run] | None = None,
    baseline_runs: int | None = None,
    notify: Callable[[str], None] | None = None,
) -> tuple[Power, ...]:
    """Return the power of every question of ``sweep`` at standard effects, in their order.

    Parameters
    ----------
    stored
        Runs of the sweep, its arms and its baseline. They show how much runs spread; without any,
        effects are in units of that spread.
    runs
        The planned runs of all arms; None means all that the sweep declares. The seeds of a config
        count once, as in a verdict.
    baseline_runs
        The number of main runs that the baseline is to have. None means as many as are stored, or
        as the sweep has.
    notify
        Called with the id of each question before it is priced.

    Equal arguments give equal numbers: what is simulated is drawn from the sweep's seed.
    """
    design = design_of(sweep, stored, runs=runs, baseline_runs=baseline_runs)
    found: list[Power] = []
    for id_, claim in sweep.questions.items():
        if notify is not None:
            notify(id_)
        found += power_of(id_, claim, design)
    return tuple(found)


def design_of(
    sweep: Sweep,
    stored: Sequence[Result] = (),
    *,
    runs: Sequence[Run] | None = None,
    baseline_runs: int | None = None,
    budget: NoiseBudget | None = None,
) -> Design:
    """Return the design of a sweep, of which every config counts once; see `sweep_power`.

    ``budget`` is where the spread of its runs comes from, that of the stored ones if None.
    """
    every = sweep.plan() if runs is None else tuple(runs)
    planned = counted_runs(every)
    repeats = [run.repeat for run in every if run.arm == MAIN]
    seeds = 1 + max(repeats, default=0) if len(planned) < len(every) else 1
    return Design(sweep, planned, tuple(stored), baseline_runs, seeds, budget)


def power_of(id: str, claim: Claim, design: Design) -> tuple[Power, ...]:
    """Return the power of a question at each of its claim's standard effects.

    One entry without an effect where the design lacks what the question needs, or where the claim
    does not say its power.
    """
    found = claim.power(design)
    if found is None:
        return (Power(id, n=design.n, says="this claim does not say its power"),)
    if found.why:
        says = f"cannot be supported as planned: {found.why}"
        return (Power(id, n=found.n, unit=found.unit, power=0.0, says=says, why=found.why),)
    word = "config" if design.seeds > 1 and found.unit == "runs" else found.unit.removesuffix("s")
    return tuple(_priced(id, found, effect, word) for effect in found.effects)


def _priced(id: str, found: Pricing, effect: Effect, unit: str) -> Power:
    power_at = cache(effect.power)
    power = power_at(found.n)
    needed = statistics.runs_needed(
        power_at, found.least, found.most, start=found.n, every=found.every
    )
    enough = f"a probability of {statistics.TARGET:g} "
    enough += (
        f"is not reached with {plural(found.most, unit)}"
        if needed is None
        else f"needs {plural(needed, unit)}"
    )
    return Power(
        question=id,
        effect=effect.words,
        size=effect.size,
        n=found.n,
        unit=found.unit,
        power=power,
        needed=needed,
        most=found.most,
        says=f"with {plural(found.n, unit)}, {effect.shown} with probability "
        f"{_probability(power)}; {enough}",
        given=found.given,
    )


def _probability(value: float) -> str:
    if value > 0.995:
        return "above 0.99"
    return "below 0.01" if value < 0.005 else f"{value:.2f}"
