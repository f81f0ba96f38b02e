"""Read the names of columns: their prefixes, and the names that parameters have here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from harness import words
from harness.words import canonical

Kind = Literal["plain", "parameter", "measurement", "attribute", "bookkeeping"]

PREFIXES: dict[str, Kind] = {
    "config": "parameter",
    "params": "parameter",
    "param": "parameter",
    "hparams": "parameter",
    "hyperparameters": "parameter",
    "metrics": "measurement",
    "summary": "measurement",
    "user_attrs": "attribute",
    "userattribute": "attribute",
    "tags": "bookkeeping",
    "system_attrs": "bookkeeping",
}
"""Prefixes of trackers' columns, before a dot, slash or colon → the kind of column."""

_UNDERSCORING = {"datetime_start", "mean_test_score", "mean_fit_time"}
"""Columns of exports that write ``params_x``: those of Optuna and scikit-learn."""


@dataclass(frozen=True, slots=True)
class Name:
    """A column's name: as in the table, without its prefix (``bare``), and canonical."""

    raw: str
    bare: str
    canonical: str
    kind: Kind


def parsed(names: Iterable[str]) -> dict[str, Name]:
    """Parse the names of a table's columns.

    ``params_x`` is a parameter x in an export that writes them so, and where the table has such a
    column of a known parameter: ``params_total`` alone is a name like any other.
    """
    names = tuple(names)
    begun = [name.split("_", 1)[1] for name in names if re.match(r"params?_.", name)]
    underscored = bool(_UNDERSCORING & set(names) or words.KNOWN & set(map(canonical, begun)))
    found: dict[str, Name] = {}
    for raw in names:
        prefix, bare = _divided(raw, underscored)
        kind = PREFIXES[prefix] if prefix else "plain"
        found[raw] = Name(raw, bare, canonical(bare), kind)
    return found


def is_measured(name: Name) -> bool:
    """Return whether a name without a prefix looks like a measurement: ``val/x``, ``accuracy``."""
    return words.sense(name.canonical, name.bare) in ("measurement", "progress")


def is_known(name: Name) -> bool:
    """Return whether a name is always a hyperparameter's; ``actor/lr`` is not, it may be logged."""
    last = name.canonical if "/" in name.bare else name.canonical.rpartition(".")[2]
    return last in words.KNOWN


def _divided(raw: str, underscored: bool) -> tuple[str, str]:
    """Split a name into its prefix in small letters, empty where it has none, and the rest."""
    forms = [r"(\w+?)[./:](.+)", r"(Param|UserAttribute) (.+)", r"((?:user|system)_attrs)_(.+)"]
    forms += [r"(params?)_(.+)"] if underscored else []
    for form in forms:
        match = re.match(form, raw)
        if match is not None and match[1].lower() in PREFIXES:
            return match[1].lower(), match[2]
    return "", raw
