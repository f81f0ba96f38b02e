"""``sweep doctor``: check the installation, and say how to mend what is wrong."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import TYPE_CHECKING

from harness.cli import common

if TYPE_CHECKING:
    from harness.doctor import Check

HELP = "check the store, the disk, the versions, the devices and the sweeps; repair nothing"

_COLOURS = {"error:": "31", "warning:": "33"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    common.add_strict(parser, "where there is a warning")
    common.add_experiments(parser)
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Print what was found; return 1 for an error, and with --strict for a warning too."""
    from harness.doctor import examine

    declared = common.declared(options)
    home, unread = common.home(options), declared.unread.values()
    checks = tuple(examine(common.store_url(options), home, declared.sweeps, unread))
    count = Counter(check.level for check in checks)
    if options.json:
        common.print_json(
            {
                "checks": [asdict(check) for check in checks],
                "errors": count["error"],
                "warnings": count["warning"],
            }
        )
    else:
        print("\n".join(_text(checks)))
    return 1 if count["error"] or (options.strict and count["warning"]) else 0


def _text(checks: Sequence[Check]) -> Iterator[str]:
    from harness.report.renderers.layout import wrap
    from harness.text import plural

    rows = [("check", "result", "what to do")] + [
        (c.name, c.found if c.level == "ok" else f"{c.level}: {c.found}", c.advice) for c in checks
    ]
    names = max(len(name) for name, _, _ in rows)
    room = max(common.width() - names - 4, 20)
    # Few checks have advice, and it is shorter than what was found.
    advice = 2 * room // 5 if any(check.advice for check in checks) else len(rows[0][2])
    for name, found, todo in rows:
        cells = ([name], wrap(found, room - advice), wrap(todo, advice))
        for line in zip_longest(*cells, fillvalue=""):
            text = f"{line[0]:{names}}  {line[1]:{room - advice}}  {line[2]}".rstrip()
            yield _coloured(text) if common.colour() else text
        if name == "check":
            yield "─" * min(common.width(), names + room + 4)
    levels = Counter(check.level for check in checks)
    wrong = [plural(levels[level], level) for level in ("error", "warning") if levels[level]]
    yield ", ".join(wrong) or "all is well"


def _coloured(line: str) -> str:
    for word, code in _COLOURS.items():
        line = line.replace(f" {word} ", f" \033[{code}m{word}\033[0m ", 1)
    return line
