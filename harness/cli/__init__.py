"""The ``sweep`` command. A verb is a module of this package, listed in `VERBS`."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from harness import __version__
from harness.cli import (
    analyze,
    calibrate,
    confirm,
    doctor,
    export,
    forget,
    gate,
    importing,
    init,
    judge,
    list_sweeps,
    parity,
    plan,
    refine,
    report,
    runs,
)
from harness.errors import HarnessError, UnclearTableError

VERBS = {
    "init": init,
    "list": list_sweeps,
    "plan": plan,
    "runs": runs,
    "report": report,
    "judge": judge,
    "analyze": analyze,
    "refine": refine,
    "confirm": confirm,
    "calibrate": calibrate,
    "parity": parity,
    "gate": gate,
    "export": export,
    "import": importing,
    "forget": forget,
    "doctor": doctor,
}
"""Each has ``HELP``, ``add_arguments(parser)`` and ``run(options)``, which returns a status."""

DONE, REFUTED, USAGE, FAULT, INTERRUPTED = 0, 1, 2, 3, 130


def command() -> int:
    """Run the command as a process of its own.

    It reads a lot and keeps it until it ends: the garbage collector would take a third of the time.
    """
    gc.set_threshold(5_000_000)
    atexit.register(gc.freeze)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        getattr(sys, name).reconfigure(errors="replace")  # what an encoding lacks is a ?
    return main()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    0 is done, 1 refuted with --strict or a page of the gate, 2 a mistake in how it was used, and 3
    a fault of its own.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser().parse_args(given)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except HarnessError as error:
        _print_mistake(error, given)
        return USAGE
    except BrokenPipeError:
        _print_no_more()
        return DONE
    except OSError as error:
        print(f"sweep: error: {error}", file=sys.stderr)
        _print_no_more()
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:  # noqa: BLE001  Python's own status would be that of a refuted claim
        traceback.print_exc()
        print("sweep: error: a fault of pytest-sweep; please report it", file=sys.stderr)
        return FAULT
    return status


def _print_mistake(error: HarnessError, given: Sequence[str]) -> None:
    """Print a mistake in one line, and the complete commands to choose from if there are any."""
    choices = error.choices if isinstance(error, UnclearTableError) else ()
    said = error.said if isinstance(error, UnclearTableError) else str(error)
    print(f"sweep: error: {' '.join(said.split())}{':' if choices else ''}", file=sys.stderr)
    for choice in choices:
        print(f"  {_command(given, choice)}", file=sys.stderr)


def _command(given: Sequence[str], choice: Sequence[str]) -> str:
    """Return the command that was given, with ``choice``, flags and values, in place of its own."""
    flags, kept = choice[::2], list[str]()
    arguments = iter(given)
    for argument in arguments:
        if argument in flags:
            next(arguments, None)
        elif not any(argument[: len(flag) + 1] == f"{flag}=" for flag in flags):
            kept.append(argument)
    return shlex.join(["sweep", *kept, *choice])


def _print_no_more() -> None:
    """Write what is left for stdout to nowhere: Python would fail on it again as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command and of all its verbs."""
    command = argparse.ArgumentParser(
        prog="sweep",
        description="Plan sweeps, list what is stored, report what it shows, and compare the "
        "training backends.",
        epilog="Sweeps are trained by pytest: pytest experiments/ --sweep NAME",
        allow_abbrev=False,
    )
    command.add_argument(
        "--version",
        action="version",
        version=f"pytest-sweep {__version__}",
        help="print the version and leave",
    )
    verbs = command.add_subparsers(metavar="VERB", required=True, title="verbs")
    for name, module in VERBS.items():
        verb = verbs.add_parser(
            name, help=module.HELP, description=f"{module.HELP}.", allow_abbrev=False
        )
        verb.add_argument("--json", action="store_true", help="print JSON instead of text")
        module.add_arguments(verb)
        verb.set_defaults(run=module.run)
    return command
