"""Options that the pytest plugin and the ``sweep`` command both have, and their values."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

HOME = ".sweep"
"""The folder at the root that everything is written under, unless told otherwise."""


def arms(given: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the arms that an option of arms names; None means all of them."""
    if given == ("all",):
        return None
    return () if given == ("none",) else given


def names(text: str) -> tuple[str, ...]:
    """Return the names of a comma-separated list of at least one."""
    parts = _parts(text)
    if not parts:
        raise argparse.ArgumentTypeError(f"{text!r} names nothing; give NAME or NAME,NAME")
    return parts


def at_least_one(text: str) -> int:
    """Return a whole number of at least 1."""
    return _number(text, int, lambda value: value >= 1, "a whole number of at least 1")


def at_least_zero(text: str) -> int:
    """Return a whole number of at least 0."""
    return _number(text, int, lambda value: value >= 0, "a whole number of at least 0")


def seconds(text: str) -> float:
    """Return a positive, finite number of seconds."""
    return _number(text, float, lambda value: 0 < value < math.inf, "a number of seconds above 0")


def share(text: str) -> float:
    """Return a number above 0 and below 1."""
    return _number(text, float, lambda value: 0 < value < 1, "a number above 0 and below 1")


def size(text: str) -> int:
    """Return the bytes of an amount of memory, as ``4G`` or ``500M``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT])(?:i?B)?", text.strip(), re.IGNORECASE)
    value = int(float(found[1]) * 1024 ** ("KMGT".index(found[2].upper()) + 1)) if found else 0
    if value < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an amount of memory; give a number and K, M, G or T, as in 4G or 500M"
        )
    return value


def gpus(text: str) -> int | tuple[str, ...]:
    """Return how many GPUs, or which: a UUID, or a list with a comma, names them."""
    entries = _parts(text)
    if text.strip().isdecimal():
        if int(text) > 0:
            return int(text)
    elif entries and all(re.fullmatch(r"\d+(:\d+)?|(GPU|MIG)-\S+", entry) for entry in entries):
        return entries
    raise argparse.ArgumentTypeError(
        f"{text!r} is neither a number of GPUs, at least 1, nor a list of indices or UUIDs as "
        "nvidia-smi prints them; a list of one index ends in a comma, as '0,'"
    )


def _parts(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _number(text: str, kind: Callable[[str], T], fits: Callable[[T], bool], expected: str) -> T:
    with suppress(ValueError):
        value = kind(text)
        if fits(value):
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")


SHARED: dict[str, dict[str, Any]] = {
    "arms": dict(
        metavar="all|none|NAME,…",
        type=names,
        default=("all",),
        help="control arms beside the main runs (default: all)",
    ),
    "backend": dict(
        metavar="auto|torch|jax",
        default="auto",
        help="what trains the runs (default: auto, the first that is installed with all it needs)",
    ),
    "baseline": dict(
        metavar="NAME|TABLE|K/N|published",
        help="compare with this sweep of the store, a table of finished runs, or K successes in N "
        "runs, instead of the declared baseline",
    ),
    "precision": dict(
        metavar="float32|bfloat16",
        default="float32",
        help="number format of training (default: float32)",
    ),
    "report": dict(
        metavar="DIR",
        help=f"where reports are written (default: {HOME}/reports at the root)",
    ),
    "runs": dict(
        metavar="N",
        type=at_least_one,
        help="only the first N runs of the declared sample, and their arms",
    ),
    "steps": dict(
        metavar="N",
        type=at_least_one,
        help="steps of a run instead of the declared; warmups shrink in proportion",
    ),
    "store": dict(
        metavar="URL",
        help="where runs are kept: a path, sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME "
        f"(default: {HOME}/store.db at the root)",
    ),
    "until": dict(
        metavar="all|answered",
        default="all",
        help="answered: a sweep stops once no further run can change what is answered "
        "(default: all, every run)",
    ),
}
"""Options of the plugin, there with the prefix ``--sweep-``, that verbs have as well."""
