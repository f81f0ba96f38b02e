"""Values of options that the pytest plugin and the ``sweep`` command both have."""

from __future__ import annotations

import argparse

HOME = ".sweep"
"""The folder at the root that everything is written under, unless told otherwise."""

ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
"""How the name of a table of finished runs ends."""


def is_table(name: str) -> bool:
    """Whether ``name`` reads like the path of a table, not like the name of a sweep."""
    return name.lower().endswith(ENDINGS) or "/" in name or "\\" in name


def arms(given: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the arms that an option of arms names; None means all of them."""
    if given == ("all",):
        return None
    return () if given == ("none",) else given


def names(text: str) -> tuple[str, ...]:
    """Return the names of a comma-separated list of at least one."""
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not parts:
        raise argparse.ArgumentTypeError(f"{text!r} names nothing; give NAME or NAME,NAME")
    return parts


def at_least_one(text: str) -> int:
    """Return a whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def seconds(text: str) -> float:
    """Return a positive, finite number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def share(text: str) -> float:
    """Return a number above 0 and below 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and below 1")
    return value
