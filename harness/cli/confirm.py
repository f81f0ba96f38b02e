"""``sweep confirm``: train the leaders of a sweep and a reference again, with fresh seeds."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli import common
from harness.errors import UsageError
from harness.records import CONFIRM, Config, Value
from harness.session.arguments import at_least_one, interval
from harness.sweeps.confirming import FEWEST_SEEDS, Confirm
from harness.sweeps.plan import Selection, check_until
from harness.sweeps.sweep import Sweep
from harness.text import listed, plural

if TYPE_CHECKING:
    from harness.session.session import SweepSession
    from harness.session.settings import Settings
    from harness.sweeps.plan import Plan

HELP = "train the leaders of a sweep and a reference again with fresh seeds, and say who wins"

QUESTION = "winner"
"""The id of the question where the sweep asks none of its own."""


def fresh_seeds(text: str) -> int:
    """Return a number of fresh seeds."""
    seeds = at_least_one(text)
    if seeds < FEWEST_SEEDS:
        raise argparse.ArgumentTypeError(
            f"{text} fresh seeds are too few to be judged; give {FEWEST_SEEDS} or more"
        )
    return seeds


def reference(text: str) -> str | int | Config:
    """Return what the leaders are compared with: ``median``, a main run, or a whole config."""
    if text.isdecimal():
        return int(text)
    if "=" not in text:
        return text
    pairs = [part.partition("=") for part in text.split(",")]
    if any(not (name.strip() and sign) for name, sign, _ in pairs):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no config; write NAME=VALUE for each parameter, with commas between them"
        )
    return Config({name.strip(): _value(value.strip()) for name, _, value in pairs})


def margin(text: str) -> float:
    """Return a difference that matters."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _value(text: str) -> Value:
    """Return the value of a parameter as Python writes it, or else as text."""
    words: dict[str, Value] = {"None": None, "True": True, "False": False}
    if text in words:
        return words[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip("'\"")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument("name", metavar="NAME", help="the sweep whose leaders are confirmed")
    parser.add_argument(
        "--top",
        type=at_least_one,
        metavar="K",
        help="the number of leaders (default: declared, or else 3)",
    )
    parser.add_argument(
        "--seeds",
        type=fresh_seeds,
        metavar="K",
        help="fresh seeds of each leader and of the reference (default: declared, or else 8)",
    )
    parser.add_argument(
        "--against",
        type=reference,
        metavar="CONFIG",
        help="the reference: median, the number or the id of a main run, or a whole config as "
        "learning_rate=3e-7,batch_size=8 (default: declared, or else median, the middle config)",
    )
    parser.add_argument(
        "--margin",
        type=margin,
        metavar="X",
        help="the lead that matters (default: declared, as the question or the sweep has it)",
    )
    common.add_options(
        parser,
        "until",
        "executor",
        "ray-address",
        "workers",
        "threads",
        "device",
        "timeout",
        "memory",
        "retries",
        "checkpoint-every",
        "report",
        until="answered: no further seed is trained once none could change the answer "
        "(default: all, every seed)",
        workers="runs trained at the same time (default: 2, or what the Ray cluster has room for)",
    )
    common.add_options(parser, "runs", "steps", "backend", "precision", "model", "task")
    common.add_brief(parser)
    common.add_strict(parser)
    common.add_experiments(parser)
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Train what is not stored, print the report and write its files.

    Return 1 where a run failed, and with --strict where the claim is refuted.

    Raises
    ------
    UsageError
        Where main runs are missing, or a value cannot be used: before anything is trained.
    """
    from harness.judging.stored import SMOKE
    from harness.report.documents.summary import summary
    from harness.report.renderers import as_json, terminal
    from harness.report.renderers.write import write_report
    from harness.session.session import SweepSession

    declared = common.declared(options)
    sweep = confirming(common.chosen(options.name, declared), options)
    settings = _settings(options, sweep)
    planned = _with_leaders(sweep, settings)
    session = SweepSession(settings, declared.sweeps | {sweep.name: sweep}, common.observer())
    try:
        _trained(session, planned)
        report = session.report(sweep.name)
        ended = {result.key: result for result in session.results_known()}
        missing = [key for key in planned.of_arms((CONFIRM,)) if key not in ended]
        answered = session.is_answered(sweep.name)
    except KeyboardInterrupt:
        print(
            "sweep: interrupted; finished runs are stored, the same command goes on from there",
            file=sys.stderr,
        )
        raise
    finally:
        session.close()
    unfinished = (missing and not answered) or any(not one.is_final for one in ended.values())
    part = SMOKE if unfinished or planned.is_scaled_down else ""
    folder = settings.reports / f"{sweep.name}-confirm{part}"
    write_report(report, folder)
    common.add_to_job_summary([report], folder)
    if options.json:
        common.print_ascii(as_json.render(report))
    elif options.brief:
        common.print_summary(summary([report]))
    else:
        print(terminal.render(report, common.width(), colour=common.colour()), end="")
        print(f"\nreport: {folder}/report.{{html,md,json}}")
    refuted = any(verdict.verdict == "refuted" for verdict in report.verdicts)
    return 1 if unfinished or (options.strict and refuted) else 0


def confirming(sweep: Sweep, options: argparse.Namespace) -> Sweep:
    """Return ``sweep`` with the arm and the question that are asked for, and no others.

    What is not given is as the sweep declares it. Its own question keeps its id.

    Raises
    ------
    SweepError
        Where the sweep has no such reference, or not as many runs.
    """
    from harness.claims.confirmed import winner_claim

    asked = {
        id_: claim for id_, claim in sweep.questions.items() if claim.confirms_against is not None
    }
    if not asked or options.against is not None or options.margin is not None:
        changed = winner_claim(asked.values(), options.against, options.margin)
        asked = {next(iter(asked), QUESTION): changed}
    size = sweep.arms.get(CONFIRM)
    size = size if isinstance(size, Confirm) else Confirm()
    size = replace(size, top=options.top or size.top, seeds=options.seeds or size.seeds)
    return replace(sweep, arms={CONFIRM: size}, questions=asked)


def _settings(options: argparse.Namespace, sweep: Sweep) -> Settings:
    from harness.session.settings import Settings

    home = common.home(options)
    selection: Selection = replace(
        common.trained_as(options),
        runs=options.runs,
        steps=options.steps,
        backend=options.backend,
        device=options.device,
        until=check_until(options.until),
    )
    given = options.workers or (None if options.ray_address else 2)
    return Settings(
        root=common.root(options),
        home=home,
        store=common.store_url(options),
        reports=Path(options.report) if options.report else home / "reports",
        selection=selection,
        executor=options.executor,
        ray_address=options.ray_address,
        workers=given,
        threads=options.threads,
        timeout=options.timeout,
        memory=options.memory,
        retries=options.retries,
        checkpoint_every=interval(every) if (every := options.checkpoint_every) else None,
    )


def _with_leaders(sweep: Sweep, settings: Settings) -> Plan:
    """Return the plan with the runs that confirm the leaders.

    Raises
    ------
    UsageError
        Where main runs have not finished, or there are no leaders.
    """
    from harness.judging.evidence import once, shortfall, with_leaders
    from harness.store import Store
    from harness.sweeps.plan import plan

    asked = plan(sweep, settings.selection)
    with Store.open(settings.store, create=False, read_only=True) as store:
        lookup = once(store.of)
        found = with_leaders(asked, lookup)
        lacking = shortfall(found.of_arms(), lookup)
    if lacking is not None:
        command = settings.selection.command([sweep.name])
        raise UsageError(
            f"sweep {sweep.name!r}: {lacking}, and the leaders are known once all main runs have "
            f"finished; train them: {command}"
        )
    if not found.of_arms((CONFIRM,)):
        raise UsageError(
            f"sweep {sweep.name!r} has no leaders: fewer than two of its configs have completed"
        )
    return found


def _trained(session: SweepSession, planned: Plan) -> None:
    """Train the runs that confirm the leaders, and say before which they are."""
    name = planned.sweep.name
    runs = planned.of_arms((CONFIRM,))
    session.choose({name: runs.values()})
    stored = {result.key for result in session.results_known() if result.is_final}
    places = {run.index: run.pair or "a config of its own" for run in runs.values()}
    leaders = [run for place, run in sorted(places.items()) if place]
    seeds = 1 + max(run.repeat for run in runs.values())
    done = len(stored & runs.keys())
    print(
        f"sweep: {listed(leaders)} against {places[0]}, each with {plural(seeds, 'fresh seed')}: "
        f"{plural(len(runs), 'run')}" + (f", {done} of them in the store" if done else ""),
        file=sys.stderr,
        flush=True,
    )
    session.finish([name])
