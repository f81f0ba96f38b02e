"""``sweep refine``: propose the next, narrower sweep as code."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli import common, tables
from harness.cli.finished import Finished, finished
from harness.cli.plan import estimate, power_of
from harness.errors import UsageError
from harness.session.arguments import at_least_one
from harness.sweeps.baseline import is_table
from harness.sweeps.confirming import MEDIAN, reference_of
from harness.verdicts import EXPERIMENTS

if TYPE_CHECKING:
    from harness.plugin.declared import Declared
    from harness.records import Result
    from harness.refine import Advice

HELP = "propose the next sweep as Python, narrower only where the runs of this one support it"

SALT = 0x4EF1
"""Separates the permutations from other draws that a sweep's seed makes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument(
        "name",
        metavar="NAME",
        help=f"a sweep whose runs are stored, or a table of finished runs: {tables.READ}",
    )
    parser.add_argument(
        "--name",
        dest="new",
        metavar="NEW",
        help="what the next sweep is called (default: NAME_refined)",
    )
    common.add_options(
        parser,
        "runs",
        "steps",
        runs="main runs of the next sweep (default: declared, or 24 to 48 after a table)",
        steps="steps of its runs (default: declared, or those of the table)",
    )
    parser.add_argument(
        "--next-runs",
        type=at_least_one,
        metavar="N",
        help="say what to do with the next N runs (default: declared, as many main runs as it has)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="write the Python to this file, as experiments/test_NEW.py, which must not exist yet; "
        "without it the Python is printed",
    )
    parser.add_argument(
        "--margin",
        type=tables.positive,
        metavar="X",
        help="what is worse by more than X may be left out (default: declared, as the sweep has "
        "it; 0.02 for a ΔPerf and a score from 0 to 1 of a table)",
    )
    tables.add_table_options(parser)
    common.add_options(parser, "backend", "precision", "model", "task")
    common.add_experiments(parser)
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Print the next sweep and its reasons, or write it to a file and print the reasons."""
    common.use_one_thread()
    import numpy as np

    from harness.observations.repeats import each_run
    from harness.refine import advise, python, refine
    from harness.report.documents.plan import cost_text
    from harness.report.documents.refine import ProposalPage, document, says
    from harness.report.renderers.document_json import refine_data

    declared = common.declared(options)
    found = _found(options, declared)
    evidence, of_table = found.evidence, is_table(options.name)
    every = [*evidence.runs, *chain.from_iterable(evidence.arms.values())]
    asked, margin = found.asked(), options.margin or _margin(found, every)
    proposal = refine(
        options.name if of_table else evidence.sweep,
        every,
        rng=np.random.default_rng([evidence.seed, SALT]),
        sweep=found.sweep,
        is_table=of_table,
        asked=asked,
        metric=evidence.metric,
        margin=margin,
        alpha=evidence.alpha,
        name=options.new,
        runs=options.runs,
        steps=options.steps,
    )
    sweep = proposal.sweep
    if sweep.name in declared.sweeps:
        raise UsageError(
            f"a sweep {sweep.name!r} is declared already; name the next one by --name NEW"
        )
    cost = estimate(
        sweep.plan(), each_run(evidence.runs), f"the runs of {proposal.source} do not say how long"
    )
    power = power_of(sweep, evidence.runs, baseline_runs=len(evidence.runs))
    text = python(proposal, command=_command(options), cost=cost_text(cost), power=says(power))
    advice = advise(
        proposal,
        replace(evidence, margin=margin),
        sweep=found.sweep,
        asked=asked,
        power=power,
        runs=options.next_runs,
    )
    page = ProposalPage(
        proposal,
        cost,
        power,
        text,
        advice,
        commands_of(advice, found, options, sweep.name),
        evidence.metric,
        found.notes,
    )
    if options.output is not None:
        _write(options.output, text)
    if options.json:
        common.print_json(refine_data(page))
        return 0
    reasons = common.document_text(document(page))
    if options.output is None:
        print(reasons, file=sys.stderr)
        print(text, end="")
    else:
        print(reasons)
        print(f"written: {options.output}")
    return 0


def _found(options: argparse.Namespace, declared: Declared) -> Finished:
    """Check the options of the next sweep, and return the runs to refine.

    Raises
    ------
    UsageError
        Where the file to write exists or would not be found, or there are no runs.
    """
    file = options.output
    if file is not None:
        if file.exists():
            raise UsageError(f"--output {file} exists, and refine overwrites nothing: name another")
        if not file.parent.is_dir():
            raise UsageError(f"--output {file}: there is no folder {file.parent}; make it first")
        if not any(file.match(pattern) for pattern in declared.patterns):
            raise UsageError(
                f"--output {file}: pytest finds no tests in a file of that name; it must be like "
                f"{' or '.join(declared.patterns)}"
            )
    # --runs and --steps size the next sweep; all stored runs are looked up.
    asked = vars(options) | {"runs": None, "steps": None, "seeds": None, "arms": ("all",)}
    return finished(argparse.Namespace(**asked), declared)


def _margin(found: Finished, results: list[Result]) -> float | None:
    """Return the sweep's margin, or the usual one of a score; None where there is neither."""
    from harness.metrics import MARGIN
    from harness.tables.units import is_score

    if found.sweep is not None:
        return found.sweep.margin
    return MARGIN if is_score(found.evidence.metric, results) else None


def commands_of(
    advice: Advice, found: Finished, options: argparse.Namespace, name: str
) -> dict[str, tuple[str, ...]]:
    """Return the commands that do the options of ``advice``, by their kind.

    ``name`` is that of the proposed sweep. The runs of a table, and of a sweep that is not declared
    here, cannot be trained again by a command.
    """
    found_in: dict[str, tuple[str, ...]] = {}
    sweep = found.sweep
    selection = common.trained_as(options)
    if sweep is not None:
        selection = replace(selection, backend=options.backend)
    for option in advice.options:
        match option.kind:
            case "confirm" if sweep is not None:
                size = f"--top {len(option.leaders)} --seeds {option.seeds}"
                against = "" if reference_of(sweep) == MEDIAN else f" --against {MEDIAN}"
                means = against + selection.options("--")
                found_in[option.kind] = (f"sweep confirm {sweep.name} {size}{means}",)
            case "seeds" if sweep is not None:
                found_in[option.kind] = (
                    selection.command([sweep.name], f" --sweep-seeds {option.then}"),
                )
            case "narrower" | "wider":
                folder = Path(EXPERIMENTS) if Path(EXPERIMENTS).is_dir() else Path()
                file = options.output or folder / f"test_{name}.py"
                written = f"{_command(options)} --output {shlex.quote(str(file))}"
                trained = replace(selection, place=shlex.quote(str(file))).command([name])
                found_in[option.kind] = (trained,) if options.output else (written, trained)
                if option.kind == "wider" and not option.proposed:
                    # The file draws the ranges as they were: they are edited before it is run.
                    found_in[option.kind] = () if options.output else (written,)
    return found_in


def _command(options: argparse.Namespace) -> str:
    """Return the command that makes this proposal again."""
    words = ["sweep", "refine", options.name]
    named = ("runs", "steps", "margin", "before", "after", "metric", "direction", "target")
    for name in named:
        if getattr(options, name) is not None:
            words += [f"--{name}", str(getattr(options, name))]
    if options.params:
        words += ["--params", ",".join(options.params)]
    return shlex.join(words + (["--name", options.new] if options.new else []))


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as output:
            output.write(text)
    except OSError as error:
        raise UsageError(f"--output {file} cannot be written: {error.strerror}") from None
