"""Nights made up for tests: metrics around a mean, a fault in the last ones."""

import json
from datetime import date, timedelta
from pathlib import Path
from random import Random
from statistics import NormalDist

from harness.tables.nights import History, night

FIRST = date(2026, 1, 1)
USUAL = {"accuracy": (0.8, 0.02), "val_loss": (0.5, 0.03)}


def metrics(rng, usual=None, **moved):
    """Draw a night's metrics; those ``moved`` are so many SDs higher.

    Of `Random` only ``random`` gives the same in every version of Python.
    """
    normal = NormalDist().inv_cdf
    return {
        name: mean + sd * (normal(rng.random()) + moved.get(name, 0.0))
        for name, (mean, sd) in (usual or USUAL).items()
    }


def drawn(nights, seed=1, faulty=0, usual=None, **moved):
    """Draw the metrics of nights, the last ``faulty`` of which are ``moved``."""
    rng = Random(seed)
    return [
        metrics(rng, usual, **(moved if number >= nights - faulty else {}))
        for number in range(nights)
    ]


def as_nights(rows):
    """Return tonight, the last of the rows, and the history of the others."""
    found = [night(Path(f"n{number}.json"), json.dumps(row)) for number, row in enumerate(rows)]
    return found[-1], History(tuple(found[:-1]), "name")


def write_nights(folder, rows):
    """Write a folder ``history`` of dated nights and, as tonight, ``metrics.json``."""
    history = folder / "history"
    history.mkdir(exist_ok=True)
    for number, row in enumerate(rows):
        day = str(FIRST + timedelta(number))
        file = folder / "metrics.json" if number == len(rows) - 1 else history / f"{day}.json"
        file.write_text(json.dumps({"date": day, **row}))
