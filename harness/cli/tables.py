"""Options of the verbs that read a table of finished runs."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.session.arguments import at_least_one, names
from harness.sweeps.baseline import ENDINGS, PACKED

if TYPE_CHECKING:
    from harness.tables import ReadOptions


READ = (
    f"{', '.join(ENDINGS)}, compressed or not ({', '.join(PACKED)}); - for standard input; a "
    "tracker's store: Optuna's database, journal or address, MLflow's mlruns or database, a "
    "results folder of Ray Tune, a folder of W&B; NAME#PART for a sheet, a study, an experiment; "
    "logs of Inspect (.eval, .json) or lm-eval (results_….json), or a folder of them"
)
"""The sources that are read as tables, in the words of the verbs' help."""

NAMES = f"a table's name ends in {', '.join(ENDINGS)}"
"""Tells a table from a sweep in messages."""


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what the columns of a table are."""
    group = parser.add_argument_group(
        "a table", "how to read a table of finished runs; the output says how it was read"
    )
    group.add_argument(
        "--before", metavar="COL", help="the column with perf before training, beside --after"
    )
    group.add_argument(
        "--after", metavar="COL", help="the column with perf after training, beside --before"
    )
    group.add_argument(
        "--metric",
        metavar="COL",
        help="the column that runs are judged by, where there is no before (default: delta_perf, "
        "else the one metric that the columns' names tell)",
    )
    group.add_argument(
        "--direction",
        choices=("max", "min"),
        help="whether more or less of the metric is better (default: max for ΔPerf, else as the "
        "metric's name tells, which must be plain)",
    )
    group.add_argument(
        "--target", type=number, metavar="X", help="the value of the metric that a success passes"
    )
    group.add_argument(
        "--params",
        type=names,
        metavar="COL[,COL]",
        help="the columns that are parameters (default: recognised)",
    )
    group.add_argument(
        "--ignore",
        type=names,
        metavar="COL[,COL]",
        help="columns to leave out, as if the table did not have them",
    )
    group.add_argument(
        "--at",
        type=at_least_one,
        metavar="STEP",
        help="judge each run by its learning curve at this step (default: its end; where runs were "
        "stopped early, a later step that nearly all have)",
    )
    group.add_argument(
        "--clusters",
        metavar="FIELD",
        help="with logs of evaluations: the field of an item that names its cluster, such as the "
        "text that a question is about; standard errors are then by cluster",
    )
    group.add_argument(
        "--before-log",
        metavar="MODEL|ID",
        help="with logs of evaluations: those made before training; each other evaluation of the "
        "same task becomes a run with its ΔPerf, item by item",
    )


def add_curves(parser: argparse.ArgumentParser) -> None:
    """Add ``--curves``."""
    parser.add_argument(
        "--curves",
        metavar="TABLE",
        help="learning curves: a table with the columns run, step, perf and optionally se",
    )


def read_options(options: argparse.Namespace) -> ReadOptions:
    """Return how to read the table, from the options that the verb has."""
    from harness.tables import ReadOptions

    return ReadOptions(
        params=options.params or (),
        ignore=options.ignore or (),
        before=options.before,
        after=options.after,
        metric=options.metric,
        direction=options.direction,
        target=options.target,
        by=getattr(options, "by", None) or (),
        curves=getattr(options, "curves", None),
        at=options.at,
        clusters=options.clusters,
        before_log=options.before_log,
    )


def source(names_: Sequence[str]) -> str | tuple[str, ...]:
    """Return the source that a verb's arguments name: one, or several logs of evaluations."""
    return names_[0] if len(names_) == 1 else tuple(names_)


def given(options: argparse.Namespace) -> str:
    """Return the first given option that says how to read a table; empty where none is."""
    names_ = ("before", "after", "metric", "direction", "target", "params", "ignore", "at")
    flags = {name: f"--{name}" for name in (*names_, "clusters")} | {"before_log": "--before-log"}
    return next((flag for name, flag in flags.items() if getattr(options, name) is not None), "")


def positive(text: str) -> float:
    """Return a positive, finite number."""
    value = number(text)
    if not value > 0.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def number(text: str) -> float:
    """Return a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value
