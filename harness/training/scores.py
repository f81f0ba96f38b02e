"""The scores that a training function measured, in whatever form it has them."""

from __future__ import annotations

import math
import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import blamed
from harness.records import ItemScores
from harness.statistics.groups import clustered_error
from harness.text import plural
from harness.training.measurement import standard_error

Items = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One evaluation: its mean with the standard error, and the scores by item where given.

    ``items`` are ``[items]``, each the mean of its ``samples``; None where only the mean is known.
    ``se`` is NaN where it is not known. ``ids`` and ``clusters`` are empty where not given.
    """

    mean: float
    se: float
    items: Items | None = None
    samples: int | None = None
    ids: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()

    @property
    def effective_clusters(self) -> float | None:
        """The effective number of clusters; None where each item is by itself."""
        if self.items is None or not self.clusters:
            return None
        return clustered_error(self.items, self.clusters).clusters


@dataclass(frozen=True, slots=True)
class Change:
    """Scores after training less those before, with the standard error (NaN where unknown).

    ``items``, ``samples`` and ``changed`` are how many items there are, how many samples of each,
    and how many items changed their score; None where scores are not by item. ``clusters`` is the
    effective number of clusters, and ``clusters_changed`` how many changed; None without clusters.
    """

    delta: float
    se: float
    items: int | None = None
    samples: int | None = None
    changed: int | None = None
    clusters: float | None = None
    clusters_changed: int | None = None


def read(
    call: str,
    scores: object,
    se: object = None,
    items: Iterable[object] | None = None,
    clusters: Iterable[object] | None = None,
) -> Scores:
    """Return the scores given to ``call``, such as ``run.before``.

    ``scores`` are ``[items]`` or ``[items, samples]`` in a list or in an array of any library, or
    one number with its ``se``. Raises `UsageError`, with the user's own line, for anything else.
    """
    found = plain(scores)
    problem = _problem(found, scores)
    if problem:
        raise blamed(
            f"{call}: {problem}; expected a score for each held-out item, as [items] or "
            "[items, samples], or one number"
        )
    values = np.asarray(found, dtype=np.float64)
    if values.ndim == 0:
        if items is not None or clusters is not None:
            given = "items=" if items is not None else "clusters="
            raise blamed(f"{call}: {given} names items, but the score is one number")
        return Scores(float(values), _error(call, se))
    if se is not None:
        raise blamed(f"{call}: se= goes with one number; scores by item have their own")
    count, samples = len(values), 1 if values.ndim == 1 else values.shape[1]
    by_item = values if values.ndim == 1 else values.mean(axis=1)
    ids = _names(call, "items", items, count)
    if twice := [one for one, times in Counter(ids).items() if times > 1][:1]:
        raise blamed(f"{call}: items= has {twice[0]!r} twice; expected an id for each item")
    groups = _names(call, "clusters", clusters, count)
    error = standard_error(by_item, groups)
    return Scores(float(by_item.mean()), error, by_item, samples, ids, groups)


def like(call: str, scores: Scores, first: Scores | None) -> Scores:
    """Return ``scores`` in the order, and with the clusters, of the ``first`` of the same items.

    Raises `UsageError`, with the user's own line, where the items are not the same.
    """
    if first is None or first.items is None or scores.items is None:
        return scores
    if len(scores.items) != len(first.items):
        raise blamed(
            f"{call}: {plural(len(scores.items), 'item')}, but there were {len(first.items)} at "
            "first; score the same items each time"
        )
    if scores.ids and first.ids and scores.ids != first.ids:
        place = {one: at for at, one in enumerate(scores.ids)}
        strange = next((one for one in first.ids if one not in place), None)
        if strange is not None:
            raise blamed(f"{call}: items= has no {strange!r}, which was scored at first")
        order = [place[one] for one in first.ids]
        clusters = tuple(scores.clusters[at] for at in order) if scores.clusters else ()
        scores = replace(scores, items=scores.items[order], ids=first.ids, clusters=clusters)
    if scores.clusters and first.clusters and scores.clusters != first.clusters:
        raise blamed(f"{call}: clusters= differs from what was given at first")
    if not first.clusters or scores.items is None:
        return scores
    error = standard_error(scores.items, first.clusters)
    return replace(scores, clusters=first.clusters, se=error)


def change(before: Scores, after: Scores) -> Change:
    """Return ``after`` less ``before``, paired by item where both are by item.

    Two plain numbers are taken as independent: the squares of their standard errors add up.
    """
    if before.items is None or after.items is None:
        return Change(after.mean - before.mean, math.hypot(before.se, after.se))
    differences = after.items - before.items
    clusters = after.clusters or before.clusters
    grouped = clustered_error(differences, clusters) if clusters else None
    return Change(
        delta=float(differences.mean()),
        se=standard_error(differences) if grouped is None else grouped.se,
        items=len(differences),
        samples=after.samples if after.samples == before.samples else None,
        changed=int(np.count_nonzero(differences)),
        clusters=None if grouped is None else grouped.clusters,
        clusters_changed=None if grouped is None else grouped.changed,
    )


def by_item(before: Scores | None, after: Scores) -> ItemScores | None:
    """Return the scores by item of a run; None where they are not known by item."""
    if after.items is None:
        return None
    known = before if before is not None and before.items is not None else None
    return ItemScores(
        after=tuple(after.items.tolist()),
        before=() if known is None or known.items is None else tuple(known.items.tolist()),
        ids=after.ids or (known.ids if known else ()),
        clusters=after.clusters or (known.clusters if known else ()),
    )


def plain(values: Any) -> Any:  # noqa: ANN401  any array, or what is none
    """Return ``values`` as a NumPy array, whatever library they are of; as they are if they cannot.

    Torch keeps a tensor's device and gradient apart from its values, and has types of numbers that
    NumPy lacks.
    """
    if isinstance(values, str | bytes | Mapping | Set) or np.ma.is_masked(values):
        return values
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if values.is_floating_point():
            values = values.double()
        return values.numpy()
    if isinstance(values, Iterable) and not hasattr(values, "__array__"):
        values = [
            plain(one) if isinstance(one, list | tuple) or hasattr(one, "detach") else one
            for one in values
        ]
    try:
        found = np.asarray(values)
    except (ValueError, TypeError):  # rows of unequal length
        return values
    if found.dtype.kind == "O" and found.ndim and all(map(_is_number, found.ravel())):
        with suppress(OverflowError):
            return found.astype(np.float64)
    return found


def number(value: object) -> float | None:
    """Return ``value`` as a float if it is one number of any library; True and False are none."""
    found = plain(value)
    if not isinstance(found, np.ndarray) or found.ndim or found.dtype.kind not in "iuf":
        return None
    return float(found)


def _problem(found: object, given: object) -> str:
    """Say why ``found``, made of the ``given`` scores, are no scores; nothing if they are."""
    if not isinstance(found, np.ndarray) or np.ma.is_masked(found):
        return _problem_of_kind(found, type(given).__name__)
    if found.dtype.kind not in "biuf" and found.dtype.name != "bfloat16":
        same = np.array(given, dtype=object) if isinstance(given, list | tuple) else found
        strange = next((one for one in same.ravel().tolist() if not _is_number(one)), given)
        return f"{reprlib.repr(strange)} is no number"
    if found.ndim > 2:
        return f"scores of shape {list(found.shape)}"
    if found.size == 0:
        return "no scores"
    return ""


def _problem_of_kind(found: object, kind: str) -> str:
    if isinstance(found, np.ma.MaskedArray):
        return "some scores are masked"
    if isinstance(found, Set):
        return f"got a {kind}, which has no order and nothing twice"
    return "rows of unequal length" if isinstance(found, list) else f"got a {kind}"


def _is_number(value: object) -> bool:
    return isinstance(value, bool | int | float | np.number | np.bool_)


def _error(call: str, se: object) -> float:
    if se is None:
        return math.nan
    found = number(se)
    if found is None or found < 0 or math.isinf(found):
        raise blamed(f"{call}: se={se!r}; expected the standard error of the number")
    return found


def _names(call: str, what: str, given: Iterable[object] | None, count: int) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str | Set) or not isinstance(given, Iterable):
        shown = reprlib.repr(given)
        raise blamed(f"{call}: {what}={shown}; expected a list with an entry for each item")
    found = plain(given)
    entries = found.tolist() if isinstance(found, np.ndarray) else [*found]
    if missing := [one for one in entries if _is_missing(one)][:1]:
        raise blamed(f"{call}: {what}= has {missing[0]!r}; expected a name for each item")
    names = tuple(map(str, entries))
    if len(names) != count:
        raise blamed(
            f"{call}: {what}= has {plural(len(names), 'entry', 'entries')} for "
            f"{plural(count, 'item')}; expected one for each"
        )
    return names


def _is_missing(name: object) -> bool:
    """Return whether a name is none: None, NaN, or what pandas has for them."""
    if isinstance(name, float):
        return math.isnan(name)
    return name is None or type(name).__name__ in ("NAType", "NaTType")
