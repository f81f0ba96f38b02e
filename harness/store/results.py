"""Runs in, runs out: the results of every sweep, and what its questions were before the data.

What came of a training is kept once, under its key; each sweep that has a run with that key has a
row of its own that refers to it. Documents are JSON text, whose numbers read back bit for bit.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

import sqlalchemy as sa

from harness.records import FINAL, MAIN, Result, Run, Status
from harness.store import codec
from harness.store.database import Database
from harness.store.leases import Holder, Leases
from harness.store.tables import OUTCOMES, QUESTIONS, RUNS, joined, keeping, listing, outcomes

_PER_QUERY = 500


class Registration(NamedTuple):
    """What a question was before there were data: the hash of its claim's line, and since when."""

    hash: str
    registered_at: str


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """A sweep in the store: its runs by status and by arm, and when the last one finished."""

    sweep: str
    runs: int
    statuses: Mapping[Status, int] = field(default_factory=dict)
    arms: Mapping[str, int] = field(default_factory=dict)
    finished_at: str | None = None


class Store:
    """The results of all sweeps. Made by `Store.open`; only its session writes it.

    A result is on disk when `save` returns: the end of the process, in whatever way, loses nothing
    saved. Every failure of the database is a `StoreError` of one line.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leases = Leases(database)
        self._keeping = {fresh: keeping(database.insert, fresh=fresh) for fresh in (False, True)}
        self._listing = listing(database.insert)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        create: bool = True,
        read_only: bool = False,
        busy_timeout: float = 30.0,
    ) -> Store:
        """Open the store at ``url``: ``sqlite:///path``, or the path alone.

        Parameters
        ----------
        create
            Make the file, and the folders to it, where there is none; otherwise that is an error.
        read_only
            Change nothing, not even to create; also works where nothing may be written.
        busy_timeout
            Seconds to wait for another process that has locked the store.

        Raises
        ------
        StoreError
            Where it cannot be used: it is not there, not writable, locked, damaged, no sweep
            store, of a newer version, or of an unknown kind. Nothing is left open.
        """
        return cls(
            Database.open(url, create=create, read_only=read_only, busy_timeout=busy_timeout)
        )

    def close(self) -> None:
        """Release all leases and close the store; closing it again does nothing."""
        self._leases.close()
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def save(self, result: Result, *, fresh: bool = False) -> bool:
        """Keep ``result`` under its key, and list its run in its sweep; True if it was kept.

        A result that is not final gives way to the next one; a final one stays what it is, except
        that with ``fresh`` it gives way to another final one. The run is listed in its sweep either
        way, so a training that two sweeps share is found in both.
        """
        outcome = outcome_row(result, *codec.encode_outcome(result))
        run = run_row(result, codec.encode_run(result.run))

        def saved(connection: sa.Connection) -> bool:
            kept = connection.execute(self._keeping[fresh], outcome)
            connection.execute(self._listing, run)
            self._leases.end(connection, result.key)
            return kept.rowcount > 0

        kept = self._database.write(saved)
        self._leases.ended(result.key)
        return kept

    def acquire(self, key: str, *, again: bool = False) -> bool:
        """Acquire the lease on a run; return True if this session is to train it now.

        It is not where a final result is stored under the key, unless ``again``, nor where another
        living session has the lease: no two sessions, on whatever machines, have one run at once.
        Acquiring a lease that this session has already is True. A lease ends with `save`,
        `release`, `close` or the death of this process: at once for sessions that see the process
        end, for others a minute later.
        """
        return self._leases.acquire(key, again=again)

    def release(self, keys: Iterable[str]) -> None:
        """Release the leases of this session on runs that it will not train; ignore all others."""
        self._leases.release(keys)

    def leases(self, keys: Iterable[str]) -> dict[str, Holder]:
        """Return who has a lease on which of these runs, among other sessions that live."""
        return self._leases.of_others(keys)

    def abandoned(self, keys: Iterable[str]) -> dict[str, Holder]:
        """Return who had a lease on which of these runs and died with it."""
        return self._leases.abandoned(keys)

    def get(self, keys: Iterable[str], *, traces: bool = True) -> dict[str, Result]:
        """Return the results with these keys, as far as there are any, final or not.

        The run of a training that several sweeps share is that of one of them.
        """
        query = joined(traces=traces).order_by(RUNS.c.sweep)
        return self._among(list(dict.fromkeys(keys)), query, codec.decode)

    def of(
        self, runs: Mapping[str, Run], *, traces: bool = True, check: bool = False
    ) -> dict[str, Result]:
        """Return the results of ``runs`` by key, as far as there are any, final or not.

        They are of the runs as given, whatever a sweep that shares a training calls its own. With
        ``check`` a trace that is damaged is an error now, and not only to who looks at it.
        """
        found = self._among(
            list(runs),
            outcomes(traces=traces),
            lambda key, *documents: codec.decode(key, runs[key], *documents),
        )
        for result in found.values() if check else ():
            if isinstance(result.outcome.trace, codec.PackedTrace):
                result.outcome.trace.check()
        return found

    def results(
        self, sweep: str | None = None, arm: str | None = None, *, traces: bool = True
    ) -> tuple[Result, ...]:
        """Return the results of a sweep (of all), of an arm (of all): main runs first, in order.

        Without ``traces`` they come with an empty trace, and many times faster.
        """
        query = joined(traces=traces)
        if sweep is not None:
            query = query.where(RUNS.c.sweep == sweep)
        if arm is not None:
            query = query.where(RUNS.c.arm == arm)
        main_first = sa.case((RUNS.c.arm == MAIN, 0), else_=1)
        runs = RUNS.c
        return self._select(
            query.order_by(runs.sweep, main_first, runs.arm, runs.position, runs.key)
        )

    def sweeps(self) -> tuple[SweepSummary, ...]:
        """Summarise the stored runs of each sweep, by name."""
        query = (
            sa.select(
                RUNS.c.sweep,
                RUNS.c.arm,
                OUTCOMES.c.status,
                sa.func.count(),
                sa.func.max(OUTCOMES.c.finished_at),
            )
            .join(OUTCOMES, RUNS.c.key == OUTCOMES.c.key)
            .group_by(RUNS.c.sweep, RUNS.c.arm, OUTCOMES.c.status)
            .order_by(RUNS.c.sweep)
        )
        statuses: dict[str, Counter[Status]] = {}
        arms: dict[str, Counter[str]] = {}
        last: dict[str, str] = {}
        rows = self._database.read(lambda connection: connection.execute(query).all())
        for sweep, arm, status, count, finished_at in rows:
            statuses.setdefault(sweep, Counter())[status] += count
            arms.setdefault(sweep, Counter())[arm] += count
            last[sweep] = max(last.get(sweep, ""), finished_at or "")
        return tuple(
            SweepSummary(
                sweep, arms[sweep].total(), dict(by), dict(arms[sweep]), last[sweep] or None
            )
            for sweep, by in statuses.items()
        )

    def register(self, sweep: str, declaration: str, questions: Mapping[str, str]) -> None:
        """Record what the questions of a sweep are, question id to the hash of its claim's line.

        While there are no data, the last word counts. Once there are, nothing is changed: only a
        question registered with the same hash before, under another declaration of the same sweep,
        is taken over. Data are measurements of any run of that sweep, however small.
        """
        self._database.write(
            lambda connection: self._register(connection, sweep, declaration, questions)
        )

    def registered(self, sweep: str, declaration: str) -> dict[str, Registration]:
        """Return each question as it was registered before there were data (see `register`).

        A question that is not among them, or that has another hash by now, came after the data.
        """
        columns = QUESTIONS.c
        query = sa.select(columns.question, columns.hash, columns.registered_at).where(
            columns.sweep == sweep, columns.declaration == declaration
        )
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return {row.question: Registration(row.hash, row.registered_at) for row in rows}

    def _have_data(self, connection: sa.Connection, sweep: str) -> bool:
        measured = (
            sa.select(OUTCOMES.c.key)
            .join(RUNS, RUNS.c.key == OUTCOMES.c.key)
            .where(OUTCOMES.c.measured.is_(True), RUNS.c.sweep == sweep)
        )
        return connection.execute(measured.limit(1)).first() is not None

    def _register(
        self,
        connection: sa.Connection,
        sweep: str,
        declaration: str,
        questions: Mapping[str, str],
    ) -> None:
        have_data = self._have_data(connection, sweep)
        before = connection.execute(
            sa.select(QUESTIONS)
            .where(QUESTIONS.c.sweep == sweep)
            .order_by(QUESTIONS.c.registered_at)
        ).all()
        for question, claim in questions.items():
            same = [row for row in before if (row.question, row.hash) == (question, claim)]
            here = [r for r in before if (r.declaration, r.question) == (declaration, question)]
            if have_data and (here or not same):
                continue
            row = {
                "sweep": sweep,
                "declaration": declaration,
                "question": question,
                "hash": claim,
                "registered_at": same[0].registered_at if same else _now(),
            }
            connection.execute(
                self._database.insert(QUESTIONS)
                .values(row)
                .on_conflict_do_update(
                    index_elements=["sweep", "declaration", "question"],
                    set_={"hash": row["hash"], "registered_at": row["registered_at"]},
                )
            )

    def _among(
        self, keys: list[str], query: sa.Select[Any], decode: Callable[..., Result]
    ) -> dict[str, Result]:
        """Decode the first row of each key, in the order of ``keys``."""

        def read(connection: sa.Connection) -> dict[str, Result]:
            found: dict[str, Result] = {}
            for start in range(0, len(keys), _PER_QUERY):
                among = OUTCOMES.c.key.in_(keys[start : start + _PER_QUERY])
                for key, *documents in connection.execute(query.where(among)).all():
                    if key not in found:
                        found[key] = decode(key, *documents)
            return found

        with _collector_paused():
            found = self._database.read(read)
        return {key: found[key] for key in keys if key in found}

    def _select(self, query: sa.Select[Any]) -> tuple[Result, ...]:
        with _collector_paused():
            return self._database.read(
                lambda connection: tuple([codec.decode(*row) for row in connection.execute(query)])
            )


def outcome_row(result: Result, record: str, trace: bytes | None) -> dict[str, Any]:
    """Return a run's outcome as a row of its table; `codec` writes the documents."""
    status = result.outcome.status
    return {
        "key": result.key,
        "status": status,
        "final": status in FINAL,
        "measured": status in FINAL or bool(result.outcome.curve),
        "delta_perf": result.outcome.delta_perf,
        "finished_at": result.finished_at,
        "record": record,
        "trace": trace,
    }


def run_row(result: Result, document: str) -> dict[str, Any]:
    """Return a run as a row of those of its sweep; the document is `codec`'s."""
    run = result.run
    return {
        "sweep": run.sweep,
        "key": result.key,
        "arm": run.arm,
        "position": run.index,
        "run": document,
    }


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep Python from walking through all that has been read, again and again, for cycles.

    There are none, and that takes as long as reading 100,000 runs does.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
