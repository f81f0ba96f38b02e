"""The arm that trains the leaders of a sweep and a reference again, with fresh seeds.

Which configs they are is known once all main runs have finished. Until then the arm's runs are
open: they have an id, a seed and steps, and no config.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import SweepError, nearest
from harness.records import CONFIRM, Config, Run
from harness.sweeps.checks import count, declared, shown
from harness.text import listed, plural

if TYPE_CHECKING:
    from harness.sweeps.sweep import Sweep

MEDIAN = "median"
"""The reference that is the middle one of a sweep's configs by their results."""

FEWEST_SEEDS = 4
"""The fewest fresh seeds that are judged."""

OPEN = Config({})
"""The config of a run whose config is not known yet."""


@declared
@dataclass(frozen=True, slots=True)
class Confirm:
    """An arm that trains the best ``top`` configs of the main runs and a reference again.

    Each is trained with ``seeds`` fresh seeds, the same ones for all of them. The reference is that
    of the question `winner.beats`, and the median config where none is asked.

    Raises
    ------
    SweepError
        Where ``top`` is no whole number of at least 1, or ``seeds`` none of at least 4.
    """

    top: int = 3
    seeds: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "top", count("Confirm: top", self.top))
        object.__setattr__(self, "seeds", count("Confirm: seeds", self.seeds, FEWEST_SEEDS))


@dataclass(frozen=True, slots=True)
class Place:
    """A config that is confirmed, and the id of the main run that has it, if there is one."""

    config: Config
    run: str | None


def is_open(run: Run) -> bool:
    """Return whether the config of a run is not known yet."""
    return run.arm == CONFIRM and not run.config


def check_confirm(sweep: Sweep, size: Confirm) -> None:
    """Check that a sweep has leaders to confirm, and the reference that it names.

    Raises
    ------
    SweepError
        Where it has too few runs for them, or the reference is not there.
    """
    references = dict.fromkeys(_references(sweep))
    if len(references) > 1:
        raise SweepError(
            f"its questions compare the leaders with {listed([shown(r) for r in references])}; "
            "the arm 'confirm' has one reference: name the same in each winner.beats"
        )
    if not len(sweep.parameters):
        raise SweepError("arm 'confirm' needs a space with parameters: there are no leaders")
    most = most_leaders(sweep.runs, reference_of(sweep))
    if size.top > most:
        raise SweepError(
            f"{plural(size.top, 'leader')} to confirm (top), but of {plural(sweep.runs, 'run')} at "
            f"most {most} can be ahead of the reference, {shown(reference_of(sweep))}"
        )
    reference_place(sweep, ())


def reference_of(sweep: Sweep) -> str | int | Config:
    """Return what the leaders of a sweep are compared with: as a question says, or the median."""
    return next(_references(sweep), MEDIAN)


def reference_option(sweep: Sweep) -> str | None:
    """Return the reference as ``sweep confirm --against`` takes it; None for the median."""
    reference = reference_of(sweep)
    if isinstance(reference, Config):
        return ",".join(f"{name}={value}" for name, value in reference.items())
    return None if reference == MEDIAN else str(reference)


def _references(sweep: Sweep) -> Iterator[str | int | Config]:
    for claim in sweep.questions.values():
        if claim.confirms_against is not None:
            yield claim.confirms_against


def most_leaders(runs: int, reference: str | int | Config) -> int:
    """Return how many of ``runs`` main runs can be ahead of the reference."""
    return runs // 2 if reference == MEDIAN else runs - 1


def reference_place(sweep: Sweep, main: Iterable[Run]) -> Place | None:
    """Return the reference of a sweep; None where only the results of the main runs tell it.

    Raises
    ------
    SweepError
        Where no main run of the sweep has this number or id, or the config lacks a parameter.
    """
    reference = reference_of(sweep)
    if reference == MEDIAN:
        return None
    if isinstance(reference, Config):
        names = list(sweep.parameters)
        unlike = set(reference) ^ set(names)
        if unlike:
            raise SweepError(
                f"the reference has the parameters {listed(list(reference))}; expected a whole "
                f"config: {listed(names)}"
            )
        for name, value in reference.items():
            drawn = [run.config[name] for run in sweep.plan(arms=()) if run.repeat == 0]
            if isinstance(value, str) and not any(isinstance(one, str) for one in drawn):
                raise SweepError(
                    f"the reference has {name} {shown(value)}; expected a value like those that "
                    f"the sweep draws, as {drawn[0]!r}"
                )
        return Place(reference, next((run.id for run in main if run.config == reference), None))
    declared_runs = [run for run in sweep.plan(arms=()) if run.repeat == 0]
    if isinstance(reference, int):
        if not 0 <= reference < len(declared_runs):
            raise SweepError(
                f"the reference is run {reference}; the main runs are 0 to {len(declared_runs) - 1}"
            )
        found = declared_runs[reference]
    else:
        by_id = {run.id: run for run in declared_runs}
        if reference not in by_id:
            raise SweepError(
                f"the reference is {shown(reference)}, which is no main run"
                f"{nearest(reference, by_id)}; expected {MEDIAN!r}, the number or the id of a main "
                "run, or a whole config"
            )
        found = by_id[reference]
    return Place(found.config, found.id)


def confirming_runs(sweep: Sweep, size: Confirm, main: Sequence[Run], steps: int) -> Iterator[Run]:
    """Yield the runs that confirm the leaders among ``main``, seed by seed, the reference first.

    The ``index`` of a run is its place: 0 the reference, 1 the best of the main runs, and so on.
    """
    reference = reference_place(sweep, main)
    top = min(size.top, most_leaders(len(main), reference_of(sweep)))
    evaluate_every = next((run.evaluate_every for run in main), sweep.evaluate_every)
    for repeat in range(size.seeds) if top > 0 else ():
        for place in range(top + 1):
            known = reference if place == 0 else None
            yield Run(
                id=f"{sweep.name}-confirm-{place or 'reference'}-s{repeat}",
                sweep=sweep.name,
                index=place,
                arm=CONFIRM,
                pair=known.run if known else None,
                config=known.config if known else OPEN,
                seed=fresh_seed(sweep, repeat),
                steps=steps,
                declared_steps=sweep.steps,
                evaluate_every=evaluate_every,
                declaration=sweep.declaration,
                repeat=repeat,
            )


def fresh_seed(sweep: Sweep, repeat: int) -> int:
    """Return a fresh seed: a hash of other words than the seeds of main runs are."""
    said = f"{sweep.name}:{sweep.seed}:{CONFIRM}:{repeat}"
    return int.from_bytes(hashlib.sha256(said.encode()).digest()[:4], "big")


def filled(runs: Iterable[Run], places: Mapping[int, Place]) -> tuple[Run, ...]:
    """Return open ``runs`` with the configs of their places; those of no place are left out."""
    return tuple(
        replace(run, config=places[run.index].config, pair=places[run.index].run)
        for run in runs
        if run.index in places
    )
