"""Checks that cannot hold each other up: limits, rows of a table, runs of a report, wheels.

Standard library only, so that a machine which lacks packages can begin.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import re
import signal
import subprocess
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


class FailedError(Exception):
    """A check that failed, with the output that says why."""

    def __init__(self, found: str, output: str = "") -> None:
        super().__init__(found)
        self.output = output


class NotRunError(Exception):
    """A check that has nothing to look at."""


@dataclass(frozen=True)
class Found:
    """What a check that passed found, in words and in figures."""

    text: str
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """A check with the most seconds it may take; ``run`` is told how many it has."""

    name: str
    limit: float
    run: Callable[[float], Found]


@dataclass(frozen=True)
class Row:
    """A line of the table; ``output`` is the end of what a failed check printed."""

    check: str
    state: str
    seconds: float
    found: str
    figures: dict[str, float] = field(default_factory=dict)
    output: str = ""

    def __str__(self) -> str:
        return f"{self.check:27} {self.state:8} {self.seconds:6.1f} s  {self.found}"


@dataclass(frozen=True)
class Done:
    """A command that ended by itself."""

    code: int
    stdout: str
    output: str
    seconds: float

    @property
    def last_line(self) -> str:
        """The last error that pytest reported as such, or else the last line printed."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")]
        return (errors or lines or ["no output"])[-1]


def execute(command: Sequence[str], limit: float, folder: Path, env: dict[str, str]) -> Done:
    """Run a command in ``folder`` and end all that it started.

    Raises
    ------
    FailedError
        Where it takes longer than ``limit`` seconds.
    """
    began = time.perf_counter()
    # Files, not pipes: a process that outlives the command would hold a pipe open.
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end_session(process.pid)
            process.wait()
        texts = []
        for stream in (stderr, stdout):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    if code is None:
        raise FailedError(f"no end within {limit:.0f} s", "".join(texts))
    return Done(code, texts[1], "".join(texts), time.perf_counter() - began)


def end_session(leader: int) -> None:
    """Kill what is left of a process's session: workers have process groups of their own."""
    with suppress(OSError):
        os.killpg(leader, signal.SIGKILL)
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(entry.name)) == leader:
                os.kill(int(entry.name), signal.SIGKILL)


class Table:
    """The rows so far: printed as they come, and written to a file with the ``head``."""

    def __init__(self, head: Mapping[str, object], file: Path | None = None) -> None:
        self.rows: list[Row] = []
        self._head, self._file = head, file
        self._began, self._one_at_a_time = time.monotonic(), Lock()
        print(f"{'check':27} {'state':8} {'took':>8}  found")

    @property
    def failed(self) -> list[Row]:
        return [row for row in self.rows if row.state == "failed"]

    def add(self, row: Row) -> None:
        """Add a row; the file has it at once, so that a killed process leaves what it found."""
        with self._one_at_a_time:
            self.rows.append(row)
            print(row, flush=True)
            if self._file:
                took = time.monotonic() - self._began
                table = {**self._head, "seconds": took, "failed": len(self.failed)}
                table["rows"] = [asdict(row) for row in self.rows]
                self._file.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")

    def end(self) -> int:
        """Print how it went and what the failed checks printed; return the exit status."""
        took = time.monotonic() - self._began
        print(f"{len(self.rows)} checks, {len(self.failed)} failed, {took:.0f} s")
        for row in self.failed:
            print(f"\n{row.check}: {row.found}\n{row.output[-2500:]}")
        return 1 if self.failed else 0


def run_checks(stages: Sequence[Sequence[Check]], seconds: float, table: Table) -> None:
    """Run the checks, those of a stage at the same time, and add their rows to the table.

    No check is given more than its limit, nor more than what is left of ``seconds``.
    """
    deadline = time.monotonic() + seconds

    def look(check: Check) -> None:
        began = time.monotonic()
        limit = min(check.limit, deadline - began)
        state, found, output = "ok", Found(""), ""
        try:
            if limit < 1:
                raise NotRunError("no time was left")
            found = check.run(limit)
        except NotRunError as reason:
            state, found = "not run", Found(str(reason))
        except FailedError as reason:
            state, found, output = "failed", Found(str(reason)), reason.output[-6000:]
        except Exception as error:  # noqa: BLE001 - a check that is broken stops no other
            state, found = "failed", Found(f"{type(error).__name__}: {error}")
        took = time.monotonic() - began
        table.add(Row(check.name, state, took, found.text, found.figures, output))

    for stage in stages:
        with ThreadPoolExecutor(len(stage)) as pool:
            list(pool.map(look, stage))


def main_runs(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {run["id"]: run for run in report["runs"] if run["arm"] == "main"}


def in_errors(difference: float, variance: float) -> float:
    """Return the size of a difference in its standard errors."""
    if difference == 0:
        return 0.0
    return abs(difference) / math.sqrt(variance) if variance else math.inf


def exactly_zero(placebos: Sequence[dict[str, Any]]) -> str:
    """Say that every placebo measured exactly 0.

    Raises
    ------
    FailedError
        Where one did not, or there is none.
    """
    if not placebos:
        raise FailedError("no placebo was trained")
    moved = [
        run
        for run in placebos
        if (run["delta_perf"], run["delta_perf_se"], run["prompts_changed"]) != (0, 0, 0)
    ]
    if moved:
        values = ", ".join(
            f"{r['delta_perf']:+} (prompts changed: {r['prompts_changed']})" for r in moved
        )
        raise FailedError(f"{len(moved)} of {len(placebos)} placebos moved: {values}")
    return f"exactly 0 in {len(placebos)} placebo run{'s' * (len(placebos) > 1)}"


def unpack(wheels: Path, site: Path) -> Found:
    """Unpack the wheels of packages that are missing here, or older than the project needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    asked = [
        re.match(r"([\w.-]+)(?:\[.*\])?(?:>=([\d.]+))?", one) for many in lists for one in many
    ]
    needed = {canonical(match[1]): numbers(match[2] or "0") for match in asked if match}
    unpacked: list[str] = []
    here: list[str] = []
    files = sorted(wheels.glob("*.whl"))
    if not files:
        raise FailedError(f"no wheels in {wheels}")
    for file in files:
        name, version = file.name.split("-")[:2]
        try:
            enough = numbers(importlib.metadata.version(name)) >= needed.get(canonical(name), ())
        except importlib.metadata.PackageNotFoundError:
            enough = False
        (here if enough else unpacked).append(f"{name} {version}")
        if not enough:
            with zipfile.ZipFile(file) as archive:
                archive.extractall(site)
    already = f"; left as they are here: {', '.join(here)}" if here else ""
    return Found(f"unpacked: {', '.join(unpacked) or 'none'}{already}")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+", 1)[0]))
