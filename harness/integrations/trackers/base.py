"""The seam between the harness and a tracker: what is written there, and who writes it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from harness.errors import HarnessError
from harness.metrics import DELTA_PERF, Metric
from harness.observations.health import health_columns
from harness.records import (
    Evaluation,
    Outcome,
    Result,
    Status,
    Value,
    digest,
    is_number,
    is_whole,
)
from harness.sweeps.distributions import Choice, Constant, Distribution, Uniform
from harness.sweeps.sweep import Pairs, Sweep
from harness.tables.exporting import CONFIG, METRICS, run_columns
from harness.verdicts import Verdict

KEY, CONTENT = "key", "content"
"""The tags by which a run is found again: its key, and a digest of all that was written of it."""

VERDICTS = "verdicts"
"""The name of the tracker's run that holds verdicts, and is no run of the sweep."""

_IDENTITY = ("seed", "steps", "repeat")
"""Numbers that say which run it is, and measure nothing."""


class TrackerError(HarnessError):
    """A tracker cannot be reached, or has refused what was written."""


@dataclass(frozen=True, slots=True)
class TrackedSweep:
    """A sweep as trackers know it.

    ``space`` are its distributions by parameter, with the values that its arms add. ``minimised``
    says that less of ``metric`` is better.
    """

    name: str
    space: Mapping[str, Distribution] = field(default_factory=dict)
    metric: str = "delta_perf"
    minimised: bool = False


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run that has ended, as trackers know it.

    ``measures`` are the numbers of its outcome, ``tags`` all else that a table of ``sweep export``
    says of it. ``value`` is what the sweep is judged by, raw; None where the run has none.
    ``ended`` is a time in seconds since 1970, ``seconds`` its duration.
    """

    key: str
    name: str
    arm: str
    status: Status
    config: Mapping[str, Value]
    measures: Mapping[str, float]
    tags: Mapping[str, Value]
    curve: tuple[Evaluation, ...]
    value: float | None
    ended: float
    seconds: float

    @property
    def content(self) -> str:
        """A digest of all that is written: where it is equal, there is nothing to write."""
        return digest(repr(self))


class Tracker(Protocol):
    """A place outside of the harness where runs and verdicts are written.

    A tracker is opened by a function of its module, which raises `UsageError` where its library is
    not installed. Whatever the other methods raise is a failure of the tracker, and costs no run.
    """

    def begin(self, sweep: TrackedSweep) -> None:
        """Make the place where runs of ``sweep`` go, unless it is there."""
        ...

    def write_run(self, sweep: TrackedSweep, run: TrackedRun) -> None:
        """Write a run. One that is there with the same content is left as it is, else replaced."""
        ...

    def write_verdicts(self, sweep: TrackedSweep, verdicts: Mapping[str, str], scope: str) -> None:
        """Write verdicts, name → text, in place of those that are there with the same scope.

        ``scope`` says on which part of the sweep they are; empty for the whole.
        """
        ...

    def close(self) -> None:
        """Finish what was begun."""
        ...


def tracked_sweep(sweep: Sweep) -> TrackedSweep:
    """Return what trackers know of a sweep."""
    return _tracked(sweep.name, _space(sweep), sweep.judged_by)


def _tracked(name: str, space: Mapping[str, Distribution], metric: Metric) -> TrackedSweep:
    if metric == DELTA_PERF:
        return TrackedSweep(name, space)
    return TrackedSweep(name, space, metric.name, metric.minimised)


def undeclared_sweep(name: str, results: Sequence[Result]) -> TrackedSweep:
    """Return what trackers know of a sweep that no file declares: the values of its runs.

    They are a range where there are fractions among them, and else a choice.
    """
    values: dict[str, dict[Value, None]] = {}
    for result in results:
        for parameter, value in result.run.config.items():
            values.setdefault(parameter, {})[value] = None
    space: dict[str, Distribution] = {}
    for parameter, found in values.items():
        numbers = [value for value in found if is_number(value)]
        is_range = len(numbers) == len(found) > 1 and not all(map(is_whole, numbers))
        space[parameter] = Uniform(min(numbers), max(numbers)) if is_range else Choice(*found)
    return _tracked(name, space, Metric.of(results[0].conditions))


def final_value(outcome: Outcome) -> float | None:
    """Return what the sweep is judged by, raw: its own metric's value, or else ΔPerf."""
    return outcome.delta_perf if outcome.value is None else outcome.value


def tracked_run(result: Result) -> TrackedRun:
    """Return what trackers know of a run: a row of ``sweep export``, and its curve."""
    columns = run_columns([result]) | health_columns([result])
    cells = {name: column[0] for name, column in columns.items()}
    cells |= {"pair": result.run.pair, KEY: result.key}
    config = {name: cells.pop(CONFIG + name) for name in result.run.config}
    if own := result.conditions.metric:  # its value is written under its own name
        del cells[METRICS + own]
        cells[f"{own}_se"] = cells.pop(f"{METRICS}{own}_se")
    measures = {
        name: float(cells.pop(name))  # type: ignore[arg-type]
        for name, cell in [*cells.items()]
        if is_number(cell) and name not in _IDENTITY
    }
    seconds = result.outcome.seconds
    return TrackedRun(
        key=result.key,
        name=result.run.id,
        arm=result.run.arm,
        status=result.outcome.status,
        config=config,
        measures=measures,
        tags={name: cell for name, cell in cells.items() if cell is not None},
        curve=result.outcome.curve,
        value=final_value(result.outcome),
        ended=_timestamp(result.finished_at),
        seconds=0.0 if seconds is None else float(seconds),
    )


def verdict_tags(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """Return the tags of verdicts: for each the verdict, its answer, estimate and Holm's p."""
    tags: dict[str, str] = {}
    for one in verdicts:
        known = {"verdict": one.verdict, "answer": one.answer}
        known |= {"estimate": _number(one.estimate), "p_holm": _number(one.p_holm)}
        tags |= {f"{what}.{one.id}": text for what, text in known.items()}
    return tags


def of_scope(tags: Mapping[str, str], scope: str) -> dict[str, str]:
    """Return the tags of verdicts with their scope before each name: ``smoke.verdict.plateau``."""
    return {f"{scope}.{name}" if scope else name: text for name, text in tags.items()}


def is_of_scope(name: str, scope: str) -> bool:
    """Return whether a tag is one of a verdict with this scope."""
    asked = re.compile(
        rf"{re.escape(scope + '.' if scope else '')}(verdict|answer|estimate|p_holm)\."
    )
    return asked.match(name) is not None


def plain_name(name: str) -> str:
    """Return a name with _ for all that some tracker does not take in a name."""
    return re.sub(r"[^\w.\- /]", "_", name)


@contextmanager
def quietly(loggers: Iterable[str], variables: Mapping[str, str]) -> Iterator[None]:
    """Let libraries log errors alone meanwhile, and set variables of the environment.

    One that the user has set stays as it is.
    """
    ours = {name: value for name, value in variables.items() if name not in os.environ}
    levels = {name: logging.getLogger(name).level for name in loggers}
    os.environ.update(ours)
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _space(sweep: Sweep) -> dict[str, Distribution]:
    """Return the distributions of a sweep, with the values that its arms of pairs add to them."""
    space: dict[str, Distribution] = {}
    for name, distribution in sweep.parameters.distributions.items():
        arm = sweep.arms.get(name)
        space[name] = distribution
        if isinstance(arm, Pairs) and isinstance(distribution, Constant | Choice):
            space[name] = Choice(*dict.fromkeys((*distribution.values(), *arm.values)))
    return space


def _timestamp(text: str | None) -> float:
    return 0.0 if text is None else datetime.fromisoformat(text).timestamp()
