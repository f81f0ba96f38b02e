"""Options that several verbs have, the places they name, and printing."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from harness.errors import UsageError, nearest
from harness.session.arguments import HOME, arms
from harness.session.options import OPTIONS
from harness.sweeps.plan import Selection, check_arms
from harness.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from harness.report.blocks import Document, Table
    from harness.store import Store

ROOTS = (HOME, "pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "setup.py", ".git")
"""The root is the nearest directory upwards that has one of these."""


def add_experiments(parser: argparse.ArgumentParser) -> None:
    """Add ``--experiments``."""
    parser.add_argument(
        "--experiments",
        action="append",
        metavar="PATH",
        help="file or directory with sweep files; may be given more than once "
        "(default: experiments/ at the root)",
    )


def add_options(parser: argparse.ArgumentParser, *names: str, **helps: str) -> None:
    """Add options that the plugin has too; ``helps`` are the help texts that differ."""
    for name in names:
        changed = {"help": helps[name]} if name in helps else {}
        parser.add_argument(f"--{name}", **OPTIONS[name] | changed)


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add ``--store``."""
    add_options(parser, "store")


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the runs of a sweep."""
    add_options(parser, "runs", "steps", "arms", "backend", "precision")


def add_strict(parser: argparse.ArgumentParser, when: str = "when a claim is refuted") -> None:
    """Add ``--strict``."""
    parser.add_argument("--strict", action="store_true", help=f"exit with status 1 {when}")


def selection(options: argparse.Namespace, sweep: Sweep) -> Selection:
    """Return what ``options`` choose of ``sweep``.

    Raises
    ------
    UsageError
        Where it has no arm of a given name.
    """
    kept = arms(options.arms)
    check_arms(kept or (), [sweep])
    return Selection(
        runs=options.runs,
        steps=options.steps,
        arms=kept,
        backend=options.backend,
        precision=options.precision,
    )


def root() -> Path:
    """Return the project's root, which is pytest's: ``.sweep`` is in it."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if any((folder / name).exists() for name in ROOTS):
            return folder
    return here


def experiments(options: argparse.Namespace) -> list[Path]:
    """Return where to look for sweep files."""
    return [Path(path) for path in options.experiments or [root() / "experiments"]]


def sweeps(options: argparse.Namespace) -> dict[str, Sweep]:
    """Return the declared sweeps by name."""
    from harness.sweeps.discovery import discover

    return discover(experiments(options))


def sweeps_if_any(options: argparse.Namespace) -> dict[str, Sweep]:
    """Return the declared sweeps; none where there is no folder of experiments to look in."""
    if not options.experiments and not experiments(options)[0].exists():
        return {}
    return sweeps(options)


def chosen(name: str, among: dict[str, Sweep]) -> Sweep:
    """Return the sweep called ``name``.

    Raises
    ------
    UsageError
        Where there is none; the message lists those there are.
    """
    if name not in among:
        there = f"there are {', '.join(sorted(among))}" if among else "no sweep is declared"
        raise UsageError(f"no sweep {name!r}; {there}{nearest(name, among)}")
    return among[name]


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
    """Return the URL of the store: the one given, or that at the root."""
    return options.store or f"sqlite:///{root() / HOME / 'store.db'}"


def width() -> int:
    """Return the number of characters in a line."""
    return shutil.get_terminal_size().columns


def colour() -> bool:
    """Return whether to use colour: on a terminal that has it, unless NO_COLOR is set."""
    return rewrites(sys.stdout) and not os.environ.get("NO_COLOR")


def rewrites(stream: TextIO) -> bool:
    """Return whether ``stream`` is a terminal that understands escape codes."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def print_json(data: object) -> None:
    """Print ``data`` as JSON."""
    print(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False))


def print_wrapped(lines: Iterable[str]) -> None:
    """Print each line within the width of the terminal, its rest indented."""
    from harness.report.renderers.layout import wrap

    for line in lines:
        print("\n".join(wrap(line, width(), hanging=2)))


def print_table(table: Table) -> None:
    """Print a table within the width of the terminal."""
    from harness.report.renderers.layout import table_text

    print("\n".join(table_text(table, width())))


def document_text(document: Document) -> str:
    """Return a document as the terminal shows it."""
    from harness.report.renderers.terminal import render_document

    return render_document(document, width(), colour=colour())
