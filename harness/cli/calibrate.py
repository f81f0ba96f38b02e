"""``sweep calibrate``: find the learning rates of a model by a range test, and keep the factor."""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli import common
from harness.errors import UsageError, short
from harness.records import Result
from harness.session.arguments import at_least_zero, interval
from harness.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from harness.judging.range_test import Limits
    from harness.report.documents.calibration import CalibrationPage
    from harness.session.calibration import Ladder, Trained
    from harness.session.settings import Settings
    from harness.sweeps.plan import Plan
    from harness.sweeps.transfer import Calibration

HELP = "find the learning rates of a model by a range test, and keep lr_transfer for its sweeps"

SHARE, FEWEST = 0.25, 10
"""By default a run has this share of the sweep's steps, and at least so many."""

BEGIN, BEGIN_ADAPTERS = 1e-6, 1e-5
"""Where the ladder begins for all weights and for adapters, if nothing tells better."""

LOWEST, HIGHEST = 1e-8, 1e-2
"""The ends that it does not pass."""


def rate(text: str) -> float:
    """Return a learning rate above 0 and up to 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a learning rate above 0 and up to 1")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument(
        "name", metavar="NAME", help="the sweep whose settings are used, in the middle of its space"
    )
    common.add_options(
        parser,
        "model",
        "task",
        "steps",
        "backend",
        "device",
        "precision",
        "threads",
        "checkpoint-every",
        "report",
        steps="steps of each run (default: quarter, of the sweep's, but at least 10)",
    )
    parser.add_argument(
        "--from",
        dest="low",
        type=rate,
        metavar="LR",
        help="the lowest learning rate; nothing below it is tried (default: "
        "1e-6, or 1e-5 for adapters; then lower ones are tried too where they may be better)",
    )
    parser.add_argument(
        "--to",
        dest="high",
        type=rate,
        metavar="LR",
        default=HIGHEST,
        help="the highest learning rate; where the policy collapses below it, nothing higher is "
        "tried (default: 0.01)",
    )
    parser.add_argument(
        "--seed",
        type=at_least_zero,
        metavar="N",
        help="the seed of the runs (default: declared, the sweep's)",
    )
    common.add_strict(parser, "when no rate is found")
    common.add_experiments(parser)
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Train the range test, print what it shows, and keep the factor.

    Return 1 where a run failed, and with --strict where no rate is found.

    Raises
    ------
    UsageError
        Where the sweep, the model, the task or a value cannot be used: before anything is trained.
    """
    from harness.report.documents.calibration import document
    from harness.report.renderers.document_json import calibration_data
    from harness.report.renderers.write import write_document

    sweep = common.chosen(options.name, common.declared(options))
    if sweep.trainer is not None:
        raise UsageError(
            f"sweep {sweep.name!r} has a training function of its own, which no lr_transfer "
            "reaches; calibrate is for the harness's own training"
        )
    settings, planned, ladder, own = _prepared(options, sweep)
    trained = _trained(settings, planned, ladder)
    page = _kept(settings, planned, ladder, own, trained)
    data = calibration_data(page)
    folder = settings.reports / ladder.name
    write_document(document(page), data, folder, title=ladder.name)
    if options.json:
        common.print_json(data)
    else:
        print(common.document_text(document(page)), end="")
        print(f"\nThe page with its picture: {short(folder / 'report.html')}")
    if trained.failed is not None:
        return 1
    return 1 if options.strict and page.test.standing != "found" else 0


def _prepared(
    options: argparse.Namespace, sweep: Sweep
) -> tuple[Settings, Plan, Ladder, float | None]:
    """Return what is trained and where, and the factor that the task itself declares.

    All is checked before the first run.
    """
    from harness.session.calibration import Ladder
    from harness.session.jobs import check_trainable, check_writable
    from harness.session.settings import Settings
    from harness.sweeps.plan import Plan, conditions_of
    from harness.sweeps.transfer import TASK, declared_rates, middle, middle_rate

    home, root = common.home(options), common.root(options)
    selection = replace(
        common.trained_as(options),
        steps=options.steps,
        backend=options.backend,
        device=options.device,
    )
    conditions = conditions_of(sweep, selection, trains=True)
    fixed = not conditions.model_source or conditions.lr_origin == TASK
    own = conditions.lr_transfer if fixed else None
    config = middle(sweep)
    usual = own and middle_rate(declared_rates(sweep)) * own / 10
    begin = usual or (BEGIN_ADAPTERS if config.get("lora_rank") else BEGIN)
    ladder = Ladder(
        sweep=sweep,
        config=config,
        steps=options.steps or min(sweep.steps, max(FEWEST, math.ceil(SHARE * sweep.steps))),
        seed=sweep.seed if options.seed is None else options.seed,
        limits=_limits(options.low, options.high, begin),
    )
    first = ladder.run(ladder.limits.begin)
    planned = Plan(
        sweep, selection, replace(conditions, lr_transfer=1.0, lr_origin=""), {first.id: first}
    )
    settings = Settings(
        root=root,
        home=home,
        store=common.store_url(options),
        reports=Path(options.report) if options.report else home / "reports",
        selection=selection,
        workers=1,
        threads=options.threads,
        checkpoint_every=interval(every) if (every := options.checkpoint_every) else None,
    )
    check_trainable(planned, settings)
    check_writable(settings, [planned])
    return settings, planned, ladder, own


def _limits(low: float | None, high: float, begin: float) -> Limits:
    """Return the limits of the ladder: of two that are given, the lower one is where it begins."""
    from harness.judging.range_test import STEP, Limits

    begin = min(float(f"{begin:.1e}"), high / STEP) if low is None else low
    if low is not None and high < low * STEP:
        raise UsageError(
            f"--from {low:g} --to {high:g}: expected at least a factor of {STEP:.3g} between them, "
            "which is a step of the ladder"
        )
    return Limits(begin, LOWEST if low is None else low, high)


def _trained(settings: Settings, planned: Plan, ladder: Ladder) -> Trained:
    """Train the ladder, with a line for each run that is in."""
    from statistics import median

    from harness.judging.range_test import FEWEST_SEEDS, MOST_SEEDS, most_runs
    from harness.session.calibration import Bench, climb
    from harness.text import Digits, duration, plural

    most = most_runs(ladder.limits)
    print(
        f"sweep: runs of {plural(ladder.steps, 'step')}, one learning rate after the other from "
        f"{ladder.limits.begin:g}, until the policy collapses, then {FEWEST_SEEDS} to {MOST_SEEDS} "
        f"with fresh seeds at the best; at most {most} in all",
        file=sys.stderr,
        flush=True,
    )
    took: list[float] = []

    def tell(result: Result, stored: bool, more: int) -> None:
        outcome = result.outcome
        found: str = outcome.status
        if outcome.status == "completed":
            found = f"ΔPerf {Digits().with_error(outcome.delta_perf, outcome.delta_perf_se)}"
        took.append(outcome.seconds or 0.0)
        time = "in the store" if stored else duration(outcome.seconds)
        rate, fresh = result.run.config["learning_rate"], result.run.index
        left = f"; at most {plural(more, 'more run')}, {duration(more * median(took))}"
        which = f"{rate:g}, fresh seed {fresh}" if fresh else f"{rate:g}"
        print(f"sweep: {which}: {found}, {time}{left * bool(more)}", file=sys.stderr, flush=True)

    bench = Bench(settings, planned, common.observer())
    try:
        with bench:
            return climb(bench, ladder, planned.sweep.alpha / 2, tell)
    except KeyboardInterrupt:
        print(
            "sweep: interrupted; finished runs are stored, the same command goes on from there",
            file=sys.stderr,
        )
        raise


def _kept(
    settings: Settings, planned: Plan, ladder: Ladder, own: float | None, trained: Trained
) -> CalibrationPage:
    """Keep the factor in the project's file, where one is found, and return the page on it."""
    from harness.report.documents.calibration import CalibrationPage
    from harness.sweeps.transfer import FILE, declared_rates, factor_of, keep

    test, declared = trained.test, declared_rates(planned.sweep)
    factor = factor_of(test.rate, declared) if test.rate and test.standing == "found" else None
    page = CalibrationPage(
        sweep=planned.sweep,
        ladder=ladder.name,
        config=ladder.config,
        steps=ladder.steps,
        declared=declared,
        conditions=planned.conditions,
        test=test,
        factor=factor,
        own=own,
        results=trained.results,
        failed=trained.failed,
    )
    if factor is None or own is not None:
        return page
    replaced = keep(_calibration(page, factor), settings.root)
    return replace(page, kept=short(settings.root / FILE), replaced=replaced)


def _calibration(page: CalibrationPage, factor: float) -> Calibration:
    """Return the entry of the project's file for a rate that was found."""
    from harness.sweeps.transfer import Calibration, adapters_of

    test, known = page.test, page.conditions
    assert test.rate is not None
    assert test.again is not None
    return Calibration(
        model=known.model,
        task=known.task,
        task_version=known.task_version,
        adapters=adapters_of(page.config),
        lr_transfer=factor,
        learning_rate=test.rate,
        low=test.low,
        high=test.high,
        sweep=page.sweep.name,
        declared=page.declared,
        steps=page.steps,
        delta_perf=test.again.value,
        delta_perf_se=test.again_error,
        backend=known.backend,
        precision=known.precision,
        found_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
