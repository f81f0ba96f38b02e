"""What a fault costs: whole sessions on which it is let loose, compared with undisturbed ones.

    python benchmarks/faults.py [--only NAME …] [--repeats N] [--executor local|ray] [--seed N]

Each time is a project of its own with 24 short runs (8 of GRPO), real pytest sessions on it, and a
fault at a random moment. Printed is a row for each scenario and executor: how many runs were lost,
and how many trained twice, in all its times, and in how many the last report equalled an
undisturbed one. The exit status is 1 where anything is not as it should be; what it was is printed
below the table.
``--only`` takes parts of names, ``--repeats`` is how often instead of the full size.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the tests' PostgreSQL server

import tabulate
from fault_scenarios import SCENARIOS, Scenario
from fault_trials import Found, trial

SEED = 20250919


@dataclass
class Row:
    """What came of a scenario on an executor, in all its times."""

    scenario: Scenario
    executor: str
    found: list[Found] = field(default_factory=list)
    seconds: float = 0.0
    lacks: str = ""

    @property
    def cells(self) -> tuple[str | int, ...]:
        """The row as it is printed."""
        remarks = sorted({found.remark for found in self.found} - {""})
        name = f"{self.scenario.name} ({', '.join(remarks)})" if remarks else self.scenario.name
        start = (name, self.executor)
        if self.lacks:
            return (*start, 0, "", "", f"no {self.lacks}", "")
        equal, times = sum(found.equal for found in self.found), len(self.found)
        return (
            *start,
            times,
            sum(found.lost for found in self.found),
            sum(found.twice for found in self.found),
            "yes" if equal == times else f"{equal} of {times}",
            f"{self.seconds:.0f}",
        )


def once(scenario: Scenario, executor: str, seed: int, number: int) -> Found:
    """Let a scenario befall a new trial, and return what was found."""
    chance = random.Random(f"{seed} {scenario.name} {executor} {number}")
    with trial(executor, chance, trainer=scenario.trainer) as made:
        scenario.befall(made)
        return made.found()


def chosen(only: Iterable[str], executors: Iterable[str]) -> list[Row]:
    """Return a row for each scenario whose name has one of some parts, on each executor."""
    return [
        Row(scenario, executor, lacks=scenario.lacks(executor))
        for executor in executors
        for scenario in SCENARIOS
        if executor in scenario.executors
        and (not only or any(part.lower() in scenario.name.lower() for part in only))
    ]


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a table of at most 80 columns."""
    tabulate.MIN_PADDING = 0
    heads = ("\nscenario", "\nexecutor", "\ntimes", "runs\nlost", "trained\ntwice")
    return tabulate.tabulate(
        [row.cells for row in rows],
        (*heads, "report\nequal", "\nseconds"),
        disable_numparse=True,
        colalign=("left", "left", "right", "right", "right", "left", "right"),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME")
    parser.add_argument("--repeats", type=int, metavar="N")
    parser.add_argument("--executor", choices=("local", "ray"))
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    executors = [options.executor] if options.executor else ["local", "ray"]
    rows = chosen(options.only, executors)
    if not rows:
        names = ", ".join(scenario.name for scenario in SCENARIOS)
        parser.error(f"no scenario has {' or '.join(options.only)} in its name: {names}")
    began = time.monotonic()
    todo = [
        (row, number)
        for row in rows
        for number in range(0 if row.lacks else options.repeats or row.scenario.times)
    ]
    for done, (row, number) in enumerate(todo, start=1):
        started = time.monotonic()
        found = once(row.scenario, row.executor, options.seed, number)
        row.found.append(found)
        row.seconds += time.monotonic() - started
        left = (time.monotonic() - began) / done * (len(todo) - done)
        what = "well" if found.is_well else "NOT WELL"
        print(
            f"{done}/{len(todo)} {row.scenario.name}, {row.executor}: {what}; {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
        for wrong in found.wrong:
            print(f"  {wrong}", file=sys.stderr, flush=True)
    print(table(rows))
    ill = [row for row in rows if not all(found.is_well for found in row.found)]
    for row in ill:
        for number, found in enumerate(row.found):
            if not found.is_well:
                print(f"\n{row.scenario.name}, {row.executor}, time {number}: {found}")
    return 1 if ill else 0


if __name__ == "__main__":
    sys.exit(main())
