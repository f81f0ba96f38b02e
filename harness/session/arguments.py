"""Values of options that the pytest plugin and the ``sweep`` command share."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from harness.errors import nearest

Number = TypeVar("Number", int, float)

HOME = ".sweep"
"""The folder at the root for everything that is written, by default."""
HOME_VARIABLE = "SWEEP_DIR"
"""The environment variable that names another folder in its place."""

STORE = "store.db"
"""The store in that folder."""

DIGESTS = Path("cache", "models.json")
"""The digests of models in that folder."""

ROOTS = (HOME, "pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "setup.py", ".git")
"""The root of a project is the nearest directory upwards that has one of these."""


def is_project(folder: Path) -> bool:
    """Return whether something in ``folder`` says that it is a project's root."""
    return any((folder / name).exists() for name in ROOTS)


def root(experiments: Iterable[str | Path], here: Path) -> Path:
    """Return the project's root, which is pytest's: `HOME` is in it.

    It is looked for upwards from what all of ``experiments`` are in, if there are any, or else from
    ``here``; ``here`` is the root where nothing upwards is one.
    """
    given = [Path(path).resolve() for path in experiments]
    start = Path(os.path.commonpath(given)) if given and all(p.exists() for p in given) else here
    return next(filter(is_project, (start, *start.parents)), here)


def sweep_paths(experiments: Iterable[str | Path], at: Path) -> list[str | Path]:
    """Return where the sweeps of the project ``at`` are: ``experiments``, or its folder of them.

    It is empty where there is neither: then pytest knows where to look.
    """
    usual = at / "experiments"
    return list(experiments) or ([usual] if usual.is_dir() else [])


def home(given: str | None, root: Path, here: Path) -> Path:
    """Return the folder for everything that is written: store, reports, logs, cache, checkpoints.

    It is the one ``given`` by an option, or else by the environment, relative to ``here``; without
    either it is in ``root``.
    """
    named = given or os.environ.get(HOME_VARIABLE)
    return here / Path(named).expanduser() if named else root / HOME


def arms(given: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the arms that an option names; None means all of them."""
    if given == ("all",):
        return None
    return () if given == ("none",) else given


def _unique(text: str) -> tuple[str, ...]:
    """Return the entries of a comma-separated list, each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def names(text: str) -> tuple[str, ...]:
    """Return the names of a comma-separated list of at least one."""
    parts = _unique(text)
    if not parts:
        raise argparse.ArgumentTypeError(f"{text!r} names nothing; give NAME or NAME,NAME")
    return parts


TRACKERS = ("mlflow", "tensorboard", "wandb", "optuna")
"""The trackers that runs can be written to."""

_BETWEEN = re.compile(rf",(?=\s*(?:{'|'.join(TRACKERS)})\s*(?:[:,]|$))")
"""A comma before another tracker; an address may have commas too."""


def is_tracker(text: str) -> bool:
    """Return whether ``text`` begins with the name of a tracker, as ``mlflow:URI`` does."""
    return re.split("[:,]", text, maxsplit=1)[0].strip() in TRACKERS


def trackers(text: str) -> tuple[str, ...]:
    """Return the trackers of a comma-separated list, each ``NAME`` or ``NAME:PLACE``."""
    found = tuple(dict.fromkeys(part.strip() for part in _BETWEEN.split(text)))
    for part in found:
        if part.partition(":")[0] not in TRACKERS:
            name = part.partition(":")[0].rpartition(",")[2]
            raise argparse.ArgumentTypeError(
                f"{name!r} is none of {', '.join(TRACKERS)}{nearest(name, TRACKERS)}; give NAME or "
                "NAME:PLACE, as mlflow:sqlite:///runs.db"
            )
    return found


def _number(
    text: str, kind: Callable[[str], Number], is_right: Callable[[Number], bool], expected: str
) -> Number:
    """Return the number in ``text``, which must be of this kind and right."""
    try:
        value = kind(text)
        if is_right(value):
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")


def at_least_one(text: str) -> int:
    """Return a whole number of at least 1."""
    return _number(text, int, lambda value: value >= 1, "a whole number of at least 1")


def at_least_zero(text: str) -> int:
    """Return a whole number of at least 0."""
    return _number(text, int, lambda value: value >= 0, "a whole number of at least 0")


def seconds(text: str) -> float:
    """Return a positive, finite number of seconds."""
    return _number(
        text, float, lambda value: 0 < value < float("inf"), "a number of seconds above 0"
    )


_TIME = re.compile(r"(\d+(?:\.\d+)?)([smh])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours"}


def interval(text: str) -> int | timedelta:
    """Return a number of steps, as ``10``, or a time, as ``90s``, ``10m`` or ``2h``."""
    try:
        if (found := _TIME.fullmatch(text.strip())) is None:
            return at_least_one(text)
        time = timedelta(**{_UNITS[found[2]]: float(found[1])})
        if time > timedelta(0):
            return time
    except (argparse.ArgumentTypeError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(
        f"{text!r} is neither a whole number of steps of at least 1, nor a time such as 90s, 10m "
        "or 2h"
    )


def checked_interval(text: str) -> str:
    """Return what `interval` reads, as it is: pytest-xdist hands on plain values alone."""
    interval(text)
    return text


def share(text: str) -> float:
    """Return a number above 0 and below 1."""
    return _number(text, float, lambda value: 0 < value < 1, "a number above 0 and below 1")


def size(text: str) -> int:
    """Return the bytes of an amount of memory, such as ``4G`` or ``500M``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT])(?:i?B)?", text.strip(), re.IGNORECASE)
    value = int(float(found[1]) * 1024 ** ("KMGT".index(found[2].upper()) + 1)) if found else 0
    if value < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an amount of memory; give a number and K, M, G or T, as in 4G or 500M"
        )
    return value


def gpus(text: str) -> int | tuple[str, ...]:
    """Return a number of GPUs, or the GPUs that a UUID or a list with a comma names."""
    entries = _unique(text)
    if text.strip().isdecimal():
        if int(text) > 0:
            return int(text)
    elif entries and all(re.fullmatch(r"\d+(:\d+)?|(GPU|MIG)-\S+", entry) for entry in entries):
        return entries
    raise argparse.ArgumentTypeError(
        f"{text!r} is neither a number of GPUs, at least 1, nor a list of indices or UUIDs as "
        "nvidia-smi prints them; a list of one index ends in a comma, as '0,'"
    )
