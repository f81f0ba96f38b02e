"""The results that a session knows: those stored before it, and those of its own runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from harness.records import Result, Run


class Results:
    """Results of the planned runs, by key.

    A run has "ended" if it did so after ``since``, in this session or in another. With ``fresh``
    only such runs count.
    """

    def __init__(self, *, since: str, fresh: bool) -> None:
        self._since = since
        self._fresh = fresh
        self._known: dict[str, Result] = {}
        self._ended: set[str] = set()

    @property
    def ended(self) -> int:
        """The number of runs that have ended since this session began."""
        return len(self._ended)

    def load(self, stored: Mapping[str, Result]) -> None:
        """Add the results that were stored before this session began."""
        self._known.update(stored)

    def refresh(self, stored: Mapping[str, Result]) -> None:
        """Add the results that the other processes of a shared session have stored."""
        self._known.update(stored)
        self._ended |= {
            key for key, result in stored.items() if (result.finished_at or "") >= self._since
        }

    def add(self, result: Result) -> None:
        """Add the result of a run that has just ended."""
        self._known[result.key] = result
        self._ended.add(result.key)

    def reopen(self, key: str) -> bool:
        """Forget that a run has ended, so that it is trained again; False if it is final."""
        if key not in self._ended or self._known[key].is_final:
            return False
        self._ended.discard(key)
        return True

    def has_ended(self, key: str) -> bool:
        """Return whether a run has ended since this session began."""
        return key in self._ended

    def is_done(self, key: str) -> bool:
        """Return whether a run needs no training."""
        if self._fresh:
            return key in self._ended
        return key in self._known and self._known[key].is_final

    def get(self, key: str) -> Result | None:
        """Return the result of a run, if there is one that counts."""
        return None if self._fresh and key not in self._ended else self._known.get(key)

    def lookup(
        self, runs: Mapping[str, Run], anew: Collection[str] | None = None
    ) -> dict[str, Result]:
        """Return the results of ``runs`` that count, by key.

        With ``anew``, the keys of the runs that are trained again with ``fresh``, those of others
        count as they are stored.
        """
        return {
            key: self._known[key]
            for key in runs
            if key in self._known
            and (not self._fresh or key in self._ended or (anew is not None and key not in anew))
        }
