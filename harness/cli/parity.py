"""``sweep parity``: train the same runs on two backends, and say whether they are the same."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.cli import common
from harness.errors import UsageError
from harness.records import Outcome, Run
from harness.session.arguments import at_least_one, share
from harness.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from harness.session.session import SweepSession
    from harness.sweeps.plan import Selection

HELP = "train runs of a sweep on Torch and on JAX, and say whether they are the same experiment"

FIRST, SECOND = "torch", "jax"
RUNS = 6
"""Runs compared by default."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument("name", metavar="NAME", help="the sweep whose main runs are trained")
    common.add_options(
        parser,
        "runs",
        "steps",
        "precision",
        "model",
        "task",
        runs="the first N runs of the declared sample "
        f"(default: {RUNS}, or all of a sweep that has fewer)",
    )
    parser.add_argument(
        "--margin",
        type=share,
        metavar="X",
        help="the difference in mean ΔPerf below which backends count as the same "
        "(default: declared, as the sweep has it)",
    )
    parser.add_argument(
        "--workers",
        type=at_least_one,
        metavar="N",
        default=2,
        help="runs trained at the same time (default: 2)",
    )
    common.add_strict(parser, "when parity is refuted")
    common.add_experiments(parser)
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Train what is not stored and print the comparison.

    Return 1 where a run failed, and with --strict where parity is refuted.

    Raises
    ------
    UsageError
        Where the sweep, a backend or a value cannot be used: before anything is trained.
    """
    from harness.judging.parity import compare
    from harness.metrics import MARGIN
    from harness.report.documents.parity import document
    from harness.report.renderers.document_json import parity_data
    from harness.sweeps.plan import plan

    sweep = common.chosen(options.name, common.declared(options))
    if sweep.trainer is not None:
        raise UsageError(
            f"parity compares the harness's own backends; sweep {sweep.name!r} has a training "
            f"function of its own"
        )
    chosen = replace(
        common.trained_as(options),
        runs=options.runs or min(RUNS, sweep.runs),
        steps=options.steps,
        seeds=1,
        arms=(),
    )
    selections = [replace(chosen, backend=backend) for backend in (FIRST, SECOND)]
    conditions, _ = (plan(sweep, selection).conditions for selection in selections)
    trained = _trained(options, sweep, selections)
    found = compare(
        sweep.name,
        (FIRST, SECOND),
        options.precision,
        trained,
        margin=options.margin or sweep.margin or MARGIN,
        alpha=sweep.alpha,
        model=conditions.model if conditions.model_source else "",
        task=conditions.task if conditions.model_source else "",
    )
    if options.json:
        common.print_json(parity_data(found))
    else:
        print(common.document_text(document(found)), end="")
    refuted = options.strict and found.verdict.verdict == "refuted"
    return 1 if refuted or found.unfinished else 0


def _trained(
    options: argparse.Namespace, sweep: Sweep, selections: list[Selection]
) -> list[tuple[Run, Outcome, Outcome]]:
    """Return every run with its outcome on each backend.

    Both sessions are made, and so all is checked, before either trains its first run.
    """
    from harness.session.session import SweepSession
    from harness.session.settings import Settings
    from harness.sweeps.plan import planned

    home = common.home(options)
    observer = common.observer()
    sessions: list[SweepSession] = []
    runs = planned(sweep, selections[0])
    try:
        with ExitStack() as stack:
            for selection in selections:
                settings = Settings(
                    root=common.root(options),
                    home=home,
                    store=common.store_url(options),
                    reports=home / "reports",
                    selection=selection,
                    workers=options.workers,
                )
                session = SweepSession(settings, {sweep.name: sweep}, observer)
                stack.callback(session.close)
                session.choose({sweep.name: runs})
                sessions.append(session)
            for selection, session in zip(selections, sessions, strict=True):
                _announce(selection.backend, session, sweep.name, runs)
                session.finish()
                session.stop()  # its workers hold memory that the next backend's may need
            ours, theirs = (
                [result.outcome for result in session.results(sweep.name)] for session in sessions
            )
        return list(zip(runs, ours, theirs, strict=True))
    except KeyboardInterrupt:
        stored = sum(session.stored(sweep.name) for session in sessions)
        print(
            f"sweep: interrupted; {stored} of {len(selections) * len(runs)} runs are stored, the "
            f"same command goes on from there",
            file=sys.stderr,
        )
        raise


def _announce(backend: str, session: SweepSession, name: str, runs: tuple[Run, ...]) -> None:
    from harness.text import plural

    size = f"{plural(len(runs), 'run')} of {plural(runs[0].steps, 'step')}"
    stored = session.stored(name)
    print(f"sweep: {backend}: {size}, {stored} in the store", file=sys.stderr, flush=True)
