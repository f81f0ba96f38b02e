"""Save and read the results of every sweep, and the questions it had before the data.

An outcome is stored once, under its run's key. Each sweep with that run has a row that refers to
it. Documents are JSON text, whose numbers read back bit for bit.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

import sqlalchemy as sa

from harness.errors import StoreError
from harness.records import MAIN, Result, Run, Status
from harness.store import codec
from harness.store.database import Database
from harness.store.leases import Holder, Leases
from harness.store.packed import Packed, PackedLabels, damaged
from harness.store.tables import (
    ITEM_LABELS,
    META,
    OUTCOMES,
    QUESTIONS,
    RUNS,
    having,
    joined,
    keeping,
    listing,
    outcomes,
)

SCHEMA_WITH_ITEMS = 3
"""The first schema whose stores hold scores by item."""

_HAD_DATA = "had data: "
"""Begins the name of a note that a sweep, or an arm of it, had data which have been forgotten."""


class Registration(NamedTuple):
    """A question before there were data: the hash of its claim's line, and the time."""

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
    """The results of all sweeps, opened by `Store.open`.

    A result is on disk when `save` returns, however the process ends. Every error of the database
    is a `StoreError` of one line.
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
        """Open the store at ``url``: ``sqlite:///path``, a path, or ``postgresql+psycopg://…``.

        Parameters
        ----------
        create
            Make the file and its folders if there is none. Without it, that is an error.
        read_only
            Change nothing and create nothing. Works where nothing may be written.
        busy_timeout
            Seconds to wait for another process that has locked the store.

        Raises
        ------
        StoreError
            Where it is missing, not writable, locked, damaged, not a sweep store, of a newer
            version, or of an unknown kind. Nothing is left open.
        """
        return cls(
            Database.open(url, create=create, read_only=read_only, busy_timeout=busy_timeout)
        )

    def close(self) -> None:
        """Release all leases and close the store. Closing it again does nothing."""
        self._leases.close()
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def save(self, result: Result, *, fresh: bool = False) -> bool:
        """Store ``result`` under its key and list its run in its sweep; return whether it was kept.

        A new result replaces one that is not final. It replaces a final one only with ``fresh``,
        and if it is final too. The run is listed in its sweep in any case, so that two sweeps that
        share a run both have it.
        """
        outcome, labels = codec.outcome_row(result)
        run = codec.run_row(result)

        def saved(connection: sa.Connection) -> bool:
            self._keep_labels(connection, [labels])
            kept = connection.execute(self._keeping[fresh], outcome)
            connection.execute(self._listing, run)
            self._leases.end(connection, result.key)
            return kept.rowcount > 0

        kept = self._database.write(saved)
        self._leases.ended(result.key)
        return kept

    def forget(self, results: Iterable[Result]) -> None:
        """Delete runs from the sweeps they are listed in, and outcomes that no sweep then lists.

        That there were data stays known, so that questions which change later stay post hoc.

        Raises
        ------
        StoreError
            Where another living session is training one of them. Nothing is deleted then.
        """
        results = tuple(results)
        rows = [(result.run.sweep, result.key) for result in results]
        if held := self.leases(key for _, key in rows):
            holder = next(iter(held.values()))
            are = "are" if len(held) > 1 else "is"
            raise StoreError(
                f"{len(held)} of these runs {are} being trained by process {holder.pid} on "
                f"{holder.host}: nothing was forgotten"
            )

        def forgotten(connection: sa.Connection) -> None:
            had = {
                name
                for sweep in {sweep for sweep, _ in rows}
                for arm in (None, *{result.run.arm for result in results})
                if self._have_data(connection, sweep, arm)
                for name in (sweep if arm is None else f"{sweep}:{arm}",)
            }
            for name in had:
                row = self._database.insert(META).values(name=_HAD_DATA + name, value=_now())
                connection.execute(row.on_conflict_do_nothing())
            for sweep, key in rows:
                connection.execute(sa.delete(RUNS).where(RUNS.c.sweep == sweep, RUNS.c.key == key))
                listed = sa.exists().where(RUNS.c.key == key)
                connection.execute(sa.delete(OUTCOMES).where(OUTCOMES.c.key == key, ~listed))
            self._drop_labels(connection)

        self._database.write(forgotten)

    def acquire(self, key: str, *, again: bool = False, take_over: bool = True) -> bool:
        """Acquire the lease on a run; return whether this session may train it now.

        It may not if another living session has the lease, on any machine, nor if a final result is
        stored under the key, except ``again``. Acquiring a lease twice returns True twice. A lease
        ends with `save`, `release` or `close`, and with this process: at once for sessions that can
        see the process end, for others after a minute. Without ``take_over`` a dead session keeps
        its leases too.
        """
        return self._leases.acquire(key, again=again, take_over=take_over)

    def release(self, keys: Iterable[str]) -> None:
        """Release this session's leases on runs that it will not train; ignore other keys."""
        self._leases.release(keys)

    def leases(self, keys: Iterable[str]) -> dict[str, Holder]:
        """Return the other living sessions that have leases on these runs, by key."""
        return self._leases.held_by_others(keys, living=True)

    def abandoned(self, keys: Iterable[str]) -> dict[str, Holder]:
        """Return the dead sessions that have leases on these runs, by key."""
        return self._leases.held_by_others(keys, living=False)

    def get(self, keys: Iterable[str], *, traces: bool = True) -> dict[str, Result]:
        """Return the stored results with these keys, final or not.

        If several sweeps share a run, the result has the run of one of them. For ``traces`` see
        `results`.
        """
        query = joined(traces=traces, items=self._have_items(traces)).order_by(RUNS.c.sweep)
        return self._among(list(dict.fromkeys(keys)), query, codec.decode)

    def of(
        self, runs: Mapping[str, Run], *, traces: bool = True, check: bool = False
    ) -> dict[str, Result]:
        """Return the stored results of ``runs`` by key, final or not.

        They have the given runs, even if other sweeps share them. With ``check`` a damaged trace,
        or damaged scores by item, are an error now, not when somebody looks at them. For ``traces``
        see `results`.
        """
        found = self._among(
            list(runs),
            outcomes(traces=traces, items=self._have_items(traces)),
            lambda key, *documents: codec.decode(key, runs[key], *documents),
        )
        for result in found.values() if check else ():
            items = result.outcome.items
            for part in (result.outcome.trace, *((items.after, items.ids) if items else ())):
                if isinstance(part, Packed):
                    part.check()
        return found

    def results(
        self, sweep: str | None = None, arm: str | None = None, *, traces: bool = True
    ) -> tuple[Result, ...]:
        """Return the results of a sweep or of all, of an arm or of all: main runs first, in order.

        Without ``traces`` their traces are empty and they have no scores by item, and reading is
        many times faster.
        """
        query = joined(traces=traces, items=self._have_items(traces))
        if sweep is not None:
            query = query.where(RUNS.c.sweep == sweep)
        if arm is not None:
            query = query.where(RUNS.c.arm == arm)
        main_first = sa.case((RUNS.c.arm == MAIN, 0), else_=1)
        runs = RUNS.c
        query = query.order_by(runs.sweep, main_first, runs.arm, runs.position, runs.key)
        with _collector_paused():
            return self._database.read(
                lambda connection: tuple(
                    [
                        codec.decode(*row)
                        for row in _with_labels(connection, connection.execute(query))
                    ]
                )
            )

    def sweeps(self) -> tuple[SweepSummary, ...]:
        """Return a summary of each sweep's stored runs, by name."""
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

    def register(
        self,
        sweep: str,
        declaration: str,
        questions: Mapping[str, str],
        arms: Mapping[str, str] | None = None,
    ) -> None:
        """Record the questions of a sweep: each id with the hash of its claim's line.

        While there are no data, a new registration replaces an older one. Once there are, nothing
        changes, except that a question already registered with the same hash under another
        declaration of the sweep is copied. Data are measurements of any run of that sweep, however
        small. ``arms`` has the questions that the runs of one arm alone decide: for them, only
        measurements of that arm are data.
        """

        def written(connection: sa.Connection) -> None:
            decided_by = {None, *(arms or {}).values()}
            have = {arm: self._have_data(connection, sweep, arm) for arm in decided_by}
            query = sa.select(QUESTIONS).where(QUESTIONS.c.sweep == sweep)
            before = connection.execute(query.order_by(QUESTIONS.c.registered_at)).all()
            for question, claim in questions.items():
                same = [row for row in before if (row.question, row.hash) == (question, claim)]
                here = [r for r in before if (r.declaration, r.question) == (declaration, question)]
                if have[(arms or {}).get(question)] and (here or not same):
                    continue
                registered_at = same[0].registered_at if same else _now()
                changed = {"hash": claim, "registered_at": registered_at}
                connection.execute(
                    self._database.insert(QUESTIONS)
                    .values(sweep=sweep, declaration=declaration, question=question, **changed)
                    .on_conflict_do_update(
                        index_elements=["sweep", "declaration", "question"], set_=changed
                    )
                )

        self._database.write(written)

    def registered(self, sweep: str, declaration: str) -> dict[str, Registration]:
        """Return the questions that were registered before there were data (see `register`).

        A question that is not among them, or has another hash now, came after the data.
        """
        columns = QUESTIONS.c
        query = sa.select(columns.question, columns.hash, columns.registered_at).where(
            columns.sweep == sweep, columns.declaration == declaration
        )
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return {row.question: Registration(row.hash, row.registered_at) for row in rows}

    def _have_items(self, wanted: bool) -> bool:
        """Return whether scores by item are ``wanted`` of a store that may hold some."""
        return wanted and self._database.schema >= SCHEMA_WITH_ITEMS

    def _keep_labels(
        self, connection: sa.Connection, rows: Iterable[dict[str, Any] | None]
    ) -> None:
        """Store what names the items of runs, each content once; None where nothing does."""
        if kept := {row["digest"]: row for row in rows if row is not None}:
            new = self._database.insert(ITEM_LABELS).on_conflict_do_nothing()
            connection.execute(new, list(kept.values()))

    def _drop_labels(self, connection: sa.Connection) -> None:
        """Delete what names the items of no run."""
        used = sa.exists().where(OUTCOMES.c.item_labels == ITEM_LABELS.c.digest)
        connection.execute(sa.delete(ITEM_LABELS).where(~used))

    def _have_data(self, connection: sa.Connection, sweep: str, arm: str | None = None) -> bool:
        """Return whether there are measurements of a sweep, of all arms or one, or once were."""
        measured = (
            sa.select(OUTCOMES.c.key)
            .join(RUNS, RUNS.c.key == OUTCOMES.c.key)
            .where(OUTCOMES.c.measured.is_(True), RUNS.c.sweep == sweep)
        )
        name = sweep
        if arm is not None:
            measured, name = measured.where(RUNS.c.arm == arm), f"{sweep}:{arm}"
        had = sa.select(META.c.name).where(META.c.name == _HAD_DATA + name)
        return any(connection.execute(query.limit(1)).first() for query in (measured, had))

    def _among(
        self, keys: list[str], query: sa.Select[Any], decode: Callable[..., Result]
    ) -> dict[str, Result]:
        """Decode the first row of each key, in the order of ``keys``."""

        def read(connection: sa.Connection) -> dict[str, Result]:
            found: dict[str, Result] = {}
            for key, *documents in _with_labels(connection, having(connection, query, keys)):
                if key not in found:
                    found[key] = decode(key, *documents)
            return found

        with _collector_paused():
            found = self._database.read(read)
        return {key: found[key] for key in keys if key in found}


def _with_labels(
    connection: sa.Connection, rows: Iterable[sa.Row[Any]]
) -> Iterator[tuple[Any, ...]]:
    """Yield ``rows`` with what names their items in the place of its digest, shared by them."""
    known: dict[str, PackedLabels] = {}
    for row in rows:
        documents, digest = row[:-1], row[-1]
        if digest is not None and digest not in known:
            query = sa.select(ITEM_LABELS.c.labels).where(ITEM_LABELS.c.digest == digest)
            packed = connection.scalar(query)
            if packed is None:
                raise damaged(row.key, f"the labels {digest} of its items are not there")
            known[digest] = PackedLabels(row.key, packed)
        yield (*documents, known.get(digest))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Stop Python from looking for cycles among the results while they are read.

    There are none, and looking takes as long as reading.
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
