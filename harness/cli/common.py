"""Options that several verbs have, the places they name, and printing."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError, nearest
from harness.session.arguments import DIGESTS, STORE, arms, sweep_paths
from harness.session.arguments import home as home_of
from harness.session.arguments import root as root_of
from harness.session.options import OPTIONS
from harness.session.progress import rewrites
from harness.sweeps.plan import Selection, check_arms, located, place
from harness.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from harness.plugin.declared import Declared
    from harness.report.blocks import Document, SummaryLine, Table
    from harness.report.model import Report
    from harness.session.progress import Observer
    from harness.store import Store


def use_one_thread() -> None:
    """Have NumPy calculate in one thread, unless the environment says otherwise.

    Judging works on many small matrices, where handing work to threads takes longer than the work.
    """
    if "numpy" not in sys.modules:
        for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")


NONE_DECLARED = "no sweep is declared here; --experiments PATH names a file or folder with sweeps"


def add_experiments(parser: argparse.ArgumentParser) -> None:
    """Add ``--experiments``."""
    parser.add_argument(
        "--experiments",
        action="append",
        metavar="PATH",
        help="file, directory or package with sweep files; may be given more than once "
        "(default: experiments/ at the root, or where pytest looks)",
    )


def add_options(parser: argparse.ArgumentParser, *names: str, **helps: str) -> None:
    """Add options that the plugin has too; ``helps`` are the help texts that differ."""
    for name in names:
        changed = {"help": helps[name]} if name in helps else {}
        parser.add_argument(f"--{name}", **OPTIONS[name] | changed)


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add ``--store`` and ``--dir``."""
    add_options(parser, "store", "dir")


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the runs of a sweep."""
    add_options(parser, "runs", "steps", "seeds", "arms", "backend", "precision", "model", "task")


def add_strict(parser: argparse.ArgumentParser, when: str = "when a claim is refuted") -> None:
    """Add ``--strict``."""
    parser.add_argument("--strict", action="store_true", help=f"exit with status 1 {when}")


def add_brief(parser: argparse.ArgumentParser) -> None:
    """Add ``--brief``."""
    parser.add_argument(
        "--brief",
        action="store_true",
        help="print the answer alone, in five lines at most: what matters, which values are best, "
        "what is not known, what to beware of",
    )


def selection(options: argparse.Namespace, sweep: Sweep) -> Selection:
    """Return what ``options`` choose of ``sweep``.

    Raises
    ------
    UsageError
        Where it has no arm of a given name.
    """
    kept = arms(options.arms)
    check_arms(kept or (), [sweep])
    return replace(
        trained_as(options),
        runs=options.runs,
        steps=options.steps,
        seeds=options.seeds,
        arms=kept,
        backend=options.backend,
    )


def trained_as(options: argparse.Namespace) -> Selection:
    """Return the precision, model and task that ``options`` choose, of a sweep's every run."""
    paths = sweep_paths(options.experiments or (), root(options))
    return Selection(
        precision=options.precision,
        model=located(options.model, Path.cwd()),
        task=located(options.task, Path.cwd()),
        root=str(root(options)),
        digests=str(home(options) / DIGESTS),
        place=place(map(os.path.relpath, paths), Path.cwd()),
    )


def root(options: argparse.Namespace) -> Path:
    """Return the project's root, which is pytest's: ``.sweep`` is in it.

    It is looked for upwards from ``--experiments``, where a verb has it, or from here.
    """
    return root_of(getattr(options, "experiments", None) or (), Path.cwd())


def home(options: argparse.Namespace) -> Path:
    """Return the folder for everything that is written."""
    return home_of(options.dir, root(options), Path.cwd())


def declared(options: argparse.Namespace) -> Declared:
    """Return the declared sweeps: those of ``--experiments``, or that the project has."""
    from harness.plugin.declared import in_project

    return in_project(options.experiments or (), root(options))


def chosen(name: str, among: Declared) -> Sweep:
    """Return the sweep called ``name``.

    Raises
    ------
    UsageError
        Where there is none; the message lists those there are, and the files that cannot be read.
    """
    sweeps = among.sweeps
    if name not in sweeps:
        there = f"there are {', '.join(sorted(sweeps))}" if sweeps else NONE_DECLARED
        unread = "".join(f"; not read: {line}" for line in among.unread.values())
        raise UsageError(f"no sweep {name!r}; {there}{nearest(name, sweeps)}{unread}")
    return sweeps[name]


def tell_unread(among: Declared) -> None:
    """Print a line for each file of sweeps that cannot be read."""
    for line in among.unread.values():
        print(f"not read: {line}", file=sys.stderr)


def add_to_job_summary(reports: Iterable[Report], folder: Path | None) -> None:
    """Add a summary of reports, which lie in ``folder``, to that of the CI job, if this is one."""
    from harness.report.renderers.write import add_to_job_summary as add

    where = ""
    if folder is not None:
        below = folder.is_relative_to(Path.cwd())
        where = str(folder.relative_to(Path.cwd()) if below else folder)
    if warning := add([(report, where) for report in reports]):
        print(f"sweep: warning: {warning}", file=sys.stderr)


def open_store(options: argparse.Namespace) -> Store:
    """Open the store to read it.

    Raises
    ------
    StoreError
        Where there is none, or it cannot be read.
    """
    from harness.store import Store

    return Store.open(store_url(options), create=False, read_only=True)


def store_url(options: argparse.Namespace) -> str:
    """Return the URL or path of the store: the one given, or that among what is written."""
    return options.store or str(home(options) / STORE)


def width() -> int:
    """Return the number of characters in a line."""
    return shutil.get_terminal_size().columns


def colour() -> bool:
    """Return whether to use colour: on a terminal that has it, unless NO_COLOR is set."""
    return rewrites(sys.stdout) and not os.environ.get("NO_COLOR")


def observer() -> Observer:
    """Return an observer that shows progress on stderr; the table or JSON goes to stdout."""
    from harness.session.progress import LiveLine, LogLine

    stream = sys.stderr
    if rewrites(stream):
        return LiveLine(stream, width(), lambda: 0)
    return LogLine(stream, width(), lambda: 0)


def print_json(data: object) -> None:
    """Print ``data`` as JSON."""
    print(json.dumps(data, indent=1, allow_nan=False))


def print_ascii(text: str) -> None:
    """Print JSON text with what is not ASCII escaped, for any encoding of the terminal."""
    print("".join(c if c.isascii() else json.dumps(c)[1:-1] for c in text), end="")


def print_wrapped(lines: Iterable[str]) -> None:
    """Print each line within the width of the terminal, its rest indented."""
    from harness.report.renderers.layout import wrap

    for line in lines:
        print("\n".join(wrap(line, width(), hanging=2)))


def print_summary(lines: Iterable[SummaryLine]) -> None:
    """Print the answer of a report within the width of the terminal."""
    from harness.report.renderers.terminal import summary_text

    print(summary_text(lines, width(), colour=colour()), end="")


def print_table(table: Table) -> None:
    """Print a table within the width of the terminal."""
    from harness.report.renderers.layout import table_text

    print("\n".join(table_text(table, width())))


def document_text(document: Document) -> str:
    """Return a document as the terminal shows it."""
    from harness.report.renderers.terminal import render_document

    return render_document(document, width(), colour=colour())
