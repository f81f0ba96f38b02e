"""Pack what most of a store is, traces and scores by item, and unpack it when somebody looks at it.

Scores are to the bit. Few distinct ones, such as 0 and 1 or shares of 4 samples, are numbered, and
a number takes a byte before compression; else bytes of the same place stand together, since those
of signs and exponents are alike. What names the items is the same in many runs: it is stored once,
under a digest of its content.
"""

from __future__ import annotations

import json
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar, overload

from harness.errors import StoreError
from harness.records import ItemScores, StepTrace, digest

T = TypeVar("T")

_MOST_NUMBERED = 256
"""The most distinct scores that a byte can number."""

_SCORE = 8
"""The bytes of a score."""


def damaged(key: str, error: object) -> StoreError:
    """Return the error of a run with this key that cannot be read."""
    kind = f"{type(error).__name__}: " if isinstance(error, Exception) else ""
    return StoreError(
        f"the store is damaged: the run with key {key} cannot be read "
        f"({kind}{error}); restore it from a copy, or name another store"
    )


class Packed(Sequence[T], ABC, Generic[T]):
    """A sequence as it is stored, equal to the tuple it holds.

    It is unpacked when it is first looked at, and raises `StoreError` then if it is damaged.
    """

    @cached_property
    @abstractmethod
    def _content(self) -> tuple[T, ...]: ...

    @abstractmethod
    def check(self) -> None:
        """Raise `StoreError` if the checksum does not agree; keep nothing unpacked."""

    def __len__(self) -> int:
        return len(self._content)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self._content[index]

    def __iter__(self) -> Iterator[T]:
        return iter(self._content)

    def __eq__(self, other: object) -> bool:
        return self._content == (other._content if isinstance(other, Packed) else other)

    def __hash__(self) -> int:
        return hash(self._content)

    def __repr__(self) -> str:
        return repr(self._content)


class _Bytes:
    """Compressed bytes of the run with ``key``, or that it shares with others."""

    def __init__(self, key: str, packed: bytes) -> None:
        self.key = key
        self.packed = packed

    def unpack(self) -> bytes:
        """Return the bytes; `StoreError` if their checksum does not agree. Keep nothing."""
        try:
            return zlib.decompress(self.packed)
        except zlib.error as error:
            raise damaged(self.key, error) from error


class PackedTrace(Packed[StepTrace]):
    """A trace as it is stored."""

    def __init__(self, key: str, packed: bytes) -> None:
        self._bytes = _Bytes(key, packed)

    def check(self) -> None:
        """Raise `StoreError` if the trace is damaged."""
        self._bytes.unpack()

    @cached_property
    def _content(self) -> tuple[StepTrace, ...]:
        try:
            columns = json.loads(self._bytes.unpack())
            if "parts" in columns:  # JSON's lists were tuples
                columns["parts"] = [
                    tuple((name, mean) for name, mean in parts) for parts in columns["parts"]
                ]
            rows = zip(*columns.values(), strict=True)
            return tuple([StepTrace(**dict(zip(columns, row, strict=True))) for row in rows])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise damaged(self._bytes.key, error) from error


class Labels(NamedTuple):
    """The ids and clusters of items, packed, with a digest of their content: a row of its table."""

    digest: str
    labels: bytes


class PackedLabels:
    """The ids and clusters of items as they are stored, for all runs that share them."""

    def __init__(self, key: str, packed: bytes) -> None:
        self._bytes = _Bytes(key, packed)

    def check(self) -> None:
        """Raise `StoreError` if they are damaged; keep nothing unpacked."""
        self._bytes.unpack()

    @cached_property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """The ids and clusters by name; `StoreError` if they are damaged."""
        try:
            found = json.loads(self._bytes.unpack())
            return {name: tuple(found[name]) for name in ("ids", "clusters")}
        except (ValueError, TypeError, KeyError) as error:
            raise damaged(self._bytes.key, error) from error


class _LabelColumn(Packed[str]):
    """The ids or the clusters of a run's items."""

    def __init__(self, labels: PackedLabels, name: str) -> None:
        self._labels = labels
        self._name = name

    def check(self) -> None:
        """Raise `StoreError` if the names of the items are damaged."""
        self._labels.check()

    @cached_property
    def _content(self) -> tuple[str, ...]:
        return self._labels.columns[self._name]


class _ScoreColumn(Packed[float]):
    """The scores of a run's items after training, or before it."""

    def __init__(self, scores: _Bytes, which: int) -> None:
        self._bytes = scores
        self._which = which

    def check(self) -> None:
        """Raise `StoreError` if the scores are damaged."""
        self._bytes.unpack()

    @cached_property
    def _content(self) -> tuple[float, ...]:
        try:
            return _unpacked(self._bytes.unpack())[self._which]
        except (ValueError, IndexError) as error:
            raise damaged(self._bytes.key, error) from error


def pack_scores(items: ItemScores) -> bytes:
    """Return the scores of ``items`` packed, every one to the bit."""
    import numpy as np

    counts = np.array([len(items.after), len(items.before)], dtype="<i8")
    scores = np.array([*items.after, *items.before], dtype="<f8")
    distinct, numbers = np.unique(scores.view("<i8"), return_inverse=True)
    few = distinct.size <= _MOST_NUMBERED
    head = np.array([*counts, distinct.size if few else -1], dtype="<i8").tobytes()
    if few:
        body = distinct.tobytes() + numbers.astype(np.uint8).tobytes()
    else:
        body = scores.view(np.uint8).reshape(-1, _SCORE).T.tobytes()
    return zlib.compress(head + body, 6)


def _unpacked(data: bytes) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the scores after training and before it; ValueError if they are not whole."""
    import numpy as np

    after, before, few = np.frombuffer(data[: 3 * _SCORE], dtype="<i8").tolist()
    body = data[3 * _SCORE :]
    if few < 0:
        by_place = np.frombuffer(body, dtype=np.uint8).reshape(_SCORE, after + before)
        scores = np.frombuffer(by_place.T.tobytes(), dtype="<f8").tolist()
    else:
        distinct = np.frombuffer(body[: few * _SCORE], dtype="<f8").tolist()
        scores = [distinct[number] for number in body[few * _SCORE :]]
    if len(scores) != after + before:
        raise ValueError(f"{len(scores)} scores, expected {after + before}")
    return tuple(scores[:after]), tuple(scores[after:])


def pack_labels(items: ItemScores) -> Labels | None:
    """Return the ids and clusters of ``items`` packed; None where there are none."""
    columns = {"ids": [*items.ids], "clusters": [*items.clusters]}
    if not any(columns.values()):
        return None
    text = json.dumps(columns, separators=(",", ":"))
    return Labels(digest(columns), zlib.compress(text.encode(), 6))


def packed_items(key: str, scores: bytes, labels: PackedLabels | None) -> ItemScores:
    """Return the scores by item of the run with ``key``, none of them unpacked yet."""
    block = _Bytes(key, scores)
    after, before = (_ScoreColumn(block, which) for which in (0, 1))
    if labels is None:
        return ItemScores(after, before)
    return ItemScores(after, before, _LabelColumn(labels, "ids"), _LabelColumn(labels, "clusters"))
