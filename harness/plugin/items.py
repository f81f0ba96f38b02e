"""The fixtures of a sweep file's tests: ``run``, ``question`` and ``sweep``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import pytest

from harness.records import Config, Outcome, Result, Run
from harness.session.session import SweepSession
from harness.sweeps.sweep import Sweep
from harness.verdicts import Verdict


@dataclass
class SessionSlot:
    """The session of a pytest run, made once collection is over, and what fails an item."""

    fail_on: frozenset[str]
    session: SweepSession | None = None

    @property
    def ready(self) -> SweepSession:
        """The session; items only run when there is one."""
        assert self.session is not None
        return self.session


@dataclass(kw_only=True)
class Item:
    """The common part of items: their end, and the properties that JUnit records.

    The terminal counts an item that neither passed nor failed under its ``category``.
    """

    slot: SessionSlot
    category: str | None = None
    properties: list[tuple[str, object]] = field(default_factory=list)

    def end(self, category: str, message: str, *, fails: bool) -> NoReturn:
        """End the test with ``message``: fail, or count under ``category``."""
        if fails:
            pytest.fail(message, pytrace=False)
        self.category = category
        pytest.skip(message)


@dataclass(kw_only=True)
class RunItem(Item):
    """One run of a sweep: the ``run`` of a test."""

    planned: Run
    asked: bool = False

    @property
    def config(self) -> Config:
        """The run's configuration; empty while it is not known which leader the run confirms."""
        session = self.slot.session
        return (self.planned if session is None else session.known(self.planned)).config

    def train(self) -> Result:
        """Train this run, unless it is in the store, and return its result.

        The first call submits all selected runs; each call waits for its own. When called again, as
        by pytest-rerunfailures, it trains a run again that has not ended for good.
        """
        run = self.planned
        if self.asked:
            self.slot.ready.try_again(run)
        self.asked = True
        self.properties.clear()
        result = self.slot.ready.result(run)
        if result is None and self.slot.ready.not_needed(run):
            message = f"{run.id}: not needed, every question of {run.sweep} is answered without it"
            self.end("not needed", message, fails=False)
        if result is None:
            message = f"{run.id}: not in the store, and nothing is trained offline"
            if why := self.slot.ready.no_leader(run):
                message = f"{run.id}: {why}"
            self.end("not trained", message, fails=False)
        outcome = result.outcome
        self.properties += _run_properties(result)
        if outcome.status == "completed":
            return result
        fails = ("diverged" if outcome.status == "diverged" else "failed") in self.slot.fail_on
        self.end(outcome.status, describe(run, outcome), fails=fails)


@dataclass(kw_only=True)
class QuestionItem(Item):
    """One question of a sweep: the ``question`` of a test."""

    sweep: Sweep
    id: str

    def judge(self) -> Verdict:
        """Judge this question, once the runs it needs are finished here or in the store.

        Supported passes. Refuted, inconclusive and unanswerable fail where ``--sweep-fail-on``
        names them; so does a question that has regressed, where it names ``regressed``.
        """
        verdict = self.slot.ready.verdict(self.sweep.name, self.id)
        self.properties[:] = _verdict_properties(self.sweep.name, verdict)
        if verdict.verdict == "supported":
            return verdict
        message = verdict.answer
        if verdict.reason and verdict.reason not in message:
            message += f" ({verdict.reason})"
        if verdict.decided:
            message += f"; {verdict.decided}"
        regression = self.slot.ready.regression(self.sweep.name, self.id)
        regressed = regression is not None and regression.regressed
        if regression is not None:
            message += f"; {regression.answer}"
            self.properties.append(("sweep.regressed", regressed))
        gone = regressed and "regressed" in self.slot.fail_on
        fails = gone or verdict.verdict in self.slot.fail_on
        if fails:
            message = f"{'regressed, ' if gone else ''}{verdict.verdict}: {message}"
        self.end(verdict.verdict, message, fails=fails)


@dataclass(kw_only=True)
class SweepItem(Item):
    """A whole sweep: the ``sweep`` of a test, for plain asserts that are not pre-registered."""

    declared: Sweep

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.declared.name

    @property
    def runs(self) -> tuple[Result, ...]:
        """The results of all its runs, arms too, once those selected are finished."""
        results = self.slot.ready.results(self.name)
        missing = self.slot.ready.missing(self.name)
        if missing is not None:
            self.end("not judged", f"not judged: {missing}", fails=False)
        return results

    def __iter__(self) -> Iterator[Result]:
        return iter(self.runs)


def describe(run: Run, outcome: Outcome) -> str:
    """Describe in one line the end of a run that is not ``completed``."""
    at = f" at step {outcome.stopped_at} of {run.steps}" if outcome.stopped_at is not None else ""
    return f"{run.id}: {outcome.status}{at}" + (f": {outcome.error}" if outcome.error else "")


def _run_properties(result: Result) -> list[tuple[str, object]]:
    outcome = result.outcome
    names: tuple[str, ...] = ("status", "value", "delta_perf", "delta_perf_se")
    names += ("perf_before", "perf_after", "seconds")
    return _properties(
        {
            "sweep": result.run.sweep,
            "id": result.run.id,
            "arm": result.run.arm,
            **{name: getattr(outcome, name) for name in names},
            **{f"config.{name}": value for name, value in result.run.config.items()},
        }
    )


def question_id(sweep: str, question: str) -> str:
    """Return the id of a question among those of all sweeps, as a run's begins with its sweep."""
    return f"{sweep}-{question}"


def _verdict_properties(sweep: str, verdict: Verdict) -> list[tuple[str, object]]:
    names = (
        "verdict",
        "answer",
        "estimate",
        "low",
        "high",
        "level",
        "p_value",
        "p_holm",
        "n",
    )
    values: dict[str, object] = {"sweep": sweep, "id": question_id(sweep, verdict.id)}
    values["question"] = verdict.id
    values |= {name: getattr(verdict, name) for name in (*names, "method")}
    if verdict.decided:
        values["decided"] = str(verdict.decided)
    return _properties(values)


def _properties(values: Mapping[str, object]) -> list[tuple[str, object]]:
    return [(f"sweep.{name}", value) for name, value in values.items() if value is not None]


def values(item: pytest.Item) -> Iterator[Item]:
    """Yield the runs, questions and sweeps that a pytest item was parametrized with."""
    callspec = getattr(item, "callspec", None)
    params: Mapping[str, object] = callspec.params if callspec is not None else {}
    return (value for value in params.values() if isinstance(value, Item))


def sweep_of(value: Item) -> str:
    """Return the name of the sweep that an item belongs to."""
    if isinstance(value, RunItem):
        return value.planned.sweep
    if isinstance(value, QuestionItem):
        return value.sweep.name
    assert isinstance(value, SweepItem)
    return value.name
