"""Programs: a run's config goes in, and its output comes out as scores."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Any

import psutil

from harness.errors import HarnessError, blamed, nearest
from harness.records import Job, Value
from harness.training.scores import number

LOOK = 0.5
"""Seconds between two looks at a program that prints nothing."""

MARK = "SWEEP_PROGRAM"
"""The variable that tells the processes of a program from all others."""

PATIENCE = 2.0
"""Seconds that a program has to end by itself once it is told to."""

_PLACE = re.compile(r"\{\{(\w+)\}\}|\{(\w+)\}")
_NOT_PLAIN = re.compile(r"[^A-Z0-9]")
_Pattern = re.Pattern[str]


def text(value: Value) -> str:
    """Return a value as a program gets it: ``true``, ``1e-06`` or ``64,64``; nothing for None."""
    if isinstance(value, tuple):
        return ",".join(map(text, value))
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def filled(given: object, facts: Mapping[str, Value]) -> str:
    """Return an argument with each ``{name}`` replaced by the fact of that name.

    ``{{name}}`` stands for ``{name}``; other braces are left alone. Raises `UsageError`, with the
    user's own line, for a name that is none.
    """

    def replaced(found: re.Match[str]) -> str:
        name = found[2]
        if name is None:
            return f"{{{found[1]}}}"
        if name not in facts:
            raise blamed(
                f"run.command: {str(given)!r} has {{{name}}}, which is not one of "
                f"{', '.join(facts)}{nearest(name, facts)}; write {{{{{name}}}}} to mean {{{name}}}"
            )
        return text(facts[name])

    if not isinstance(given, str | os.PathLike | int | float):
        raise blamed(f"run.command: got the argument {given!r}; expected text, a path or a number")
    return _PLACE.sub(replaced, str(given))


def arguments(config: Mapping[str, Value], form: str) -> list[str]:
    """Return the parameters that are set as arguments, each in ``form``."""
    given = config.items()
    return [form.format(name=name, value=text(at)) for name, at in given if at is not None]


@dataclass(frozen=True, slots=True)
class Point:
    """Scores that a program printed for a point of the curve."""

    step: int
    scores: object
    se: object = None


class Program:
    """A program that is to be run for a job, and where its scores are found.

    The parameters are those of `TrainingRun.command`. Raises `UsageError`, with the user's own
    line, where one cannot be used.
    """

    def __init__(
        self,
        job: Job,
        argv: Sequence[object],
        metric: str | _Pattern | None,
        *,
        curve: _Pattern | None,
        file: str | os.PathLike[str] | None,
        env: Mapping[str, object] | None,
        cwd: str | os.PathLike[str] | None,
    ) -> None:
        run = job.run
        facts: dict[str, Value] = {"id": run.id, "arm": run.arm, "seed": run.seed}
        facts |= {"steps": run.steps, "evaluate_every": run.evaluate_every, "folder": job.folder}
        facts |= run.config
        if isinstance(argv, str) or not isinstance(argv, Iterable):
            raise blamed(f"run.command: got {argv!r}; expected a list, as {shlex.split(str(argv))}")
        self._argv = [filled(one, facts) for one in argv]
        if not self._argv:
            raise blamed("run.command: got no program; expected a list with its name first")
        _check("metric", metric, 1)
        _check("curve", curve, 2)
        self._metric = metric or job.metric or None
        self._is_needed = metric is not None or file is not None
        self._curve = curve
        self._file = None if file is None else Path(job.folder, filled(file, facts))
        self._folder = Path(job.folder)
        self._config = json.dumps(dict(run.config))
        beside = Path(job.conditions.trainer.rpartition(":")[0]).parent
        self._cwd = beside / filled(cwd or "", facts)
        self._env = {f"SWEEP_{_NOT_PLAIN.sub('_', n.upper())}": text(v) for n, v in facts.items()}
        self._env |= {"SWEEP_CONFIG": self._config, "PYTHONUNBUFFERED": "1"}
        self._env[MARK] = secrets.token_hex(8)
        self._env |= {name: filled(value, facts) for name, value in (env or {}).items()}
        self._name = _short(shlex.join(self._argv), 80)

    def run(
        self,
        on_point: Callable[[Point], None],
        on_look: Callable[[], None],
        found: object = None,
    ) -> object:
        """Run the program to its end, and return the metric that came last.

        It is ``found`` where none comes: what came before an interruption.
        If this is left early, the program is ended with all that it has started. What it prints
        goes to our standard output at once; ``on_point`` gets each point of the curve, and
        ``on_look`` is called every `LOOK` seconds or so. None where the metric never came and is
        not needed.

        Raises
        ------
        UsageError
            Where there is no such program or folder, the metric never came or is no number.
        HarnessError
            Where it ends with another status than 0: the message has its last line.
        """
        if not self._cwd.is_dir():
            raise blamed(f"run.command: there is no folder {self._cwd} to run {self._name} in")
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "config.json").write_text(self._config, encoding="utf-8")
        was, last = self._written(), {True: "", False: ""}
        process = self._start()
        tree = _Tree(process.pid, self._env[MARK])
        try:
            for is_output, line in _lines(process, on_look):
                _echo(line)
                last[is_output] = line.strip() or last[is_output]
                if is_output:
                    point, value = self._read(line)
                    found = found if value is None else value
                    if point is not None:
                        on_point(point)
        finally:
            tree.end()
            process.wait()
        # A program that fails says why in its errors.
        words = last[not process.returncode] or last[bool(process.returncode)]
        said = f"; it last said: {_short(words, 300)}" if words else "; it printed nothing"
        if process.returncode:
            raise HarnessError(f"{self._name} {_ended(process.returncode)}{said}")
        if self._file is not None:
            if self._written() == was:
                raise blamed(f"run.command: {self._name} has not written {self._file}{said}")
            found = _from_file(self._file, self._metric)
            said = f" in {self._file}"
        if found is None and self._is_needed:
            what = self._metric.pattern if isinstance(self._metric, re.Pattern) else self._metric
            raise blamed(f"run.command: {self._name} gave no {what}{said}{self._reads()}")
        if found is not None and not isinstance(found, list) and number(found) is None:
            raise blamed(f"run.command: {self._name} gave {found!r}; expected a number")
        return found

    def _reads(self) -> str:
        """Say how else a metric is found, where it was looked for in JSON alone."""
        if isinstance(self._metric, re.Pattern) or self._file is not None:
            return ""
        text = f'metric=re.compile(r"{self._metric}=(\\S+)")'
        return f"; a line of JSON is read, text like {self._metric}=0.3 by {text}"

    def _start(self) -> subprocess.Popen[str]:
        try:
            # It stays in our process group, which is killed as a whole with a worker.
            return subprocess.Popen(
                self._argv,
                cwd=self._cwd,
                env={**os.environ, **self._env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            why = f"{self._argv[0]!r} cannot be started in {self._cwd} ({error.strerror})"
            raise blamed(f"run.command: {why}; expected a program and its arguments") from None

    def _written(self) -> object:
        """Return what tells the file from what it is once it has been written again."""
        with suppress(OSError):
            found = self._file.stat() if self._file else None
            return found and (found.st_mtime_ns, found.st_size, found.st_ino)
        return None

    def _read(self, line: str) -> tuple[Point | None, object]:
        """Return the point of the curve and the metric in a line, each None if it has none."""
        point: Point | None = None
        value: object = None
        if isinstance(self._metric, re.Pattern):
            if match := self._metric.search(line):
                value = _number(match[1])
        elif self._metric is not None and (said := _object(line)) is not None:
            value = _entry(said, self._metric)
            if value is not None and said.get("step") is not None:
                point = Point(_whole(said["step"]), value, said.get("se"))
        if self._curve is not None and (match := self._curve.search(line)):
            point = Point(_whole(match[1]), _number(match[2]))
        return point, value


def _from_file(path: Path, metric: str | _Pattern | None) -> object:
    """Return the metric in a file; None where it has none.

    It is the last match of a pattern; else what the file has under the metric's name, if it is a
    JSON object or has one in a line, the last one; else all of the file, as a number.
    """
    content = path.read_text(encoding="utf-8", errors="replace")
    if isinstance(metric, re.Pattern):
        found = [match[1] for match in metric.finditer(content)]
        return _number(found[-1]) if found else None
    for said in (_object(content), *map(_object, reversed(content.splitlines()))):
        value = None if said is None or metric is None else _entry(said, metric)
        if value is not None:
            return value
    with suppress(ValueError):
        return float(content)
    return None


def _object(line: str) -> dict[str, Any] | None:
    line = line.strip()
    if line[:1] == "{" and line[-1:] == "}":
        with suppress(ValueError):
            found = json.loads(line)
            return found if isinstance(found, dict) else None
    return None


def _entry(said: Mapping[str, Any], name: str) -> object:
    if name in said:
        return said[name]
    found: Any = said
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _number(said: str) -> float:
    try:
        return float(said.replace(",", ""))
    except ValueError:
        raise blamed(f"run.command: the pattern found {said!r}, which is no number") from None


def _whole(step: Any) -> int:  # noqa: ANN401  whatever JSON has
    with suppress(TypeError, ValueError, OverflowError):
        if int(step) == float(step):
            return int(step)
    raise blamed(f"run.command: the program printed step {step!r}; expected a whole number")


def _lines(
    process: subprocess.Popen[str], on_look: Callable[[], None]
) -> Iterator[tuple[bool, str]]:
    """Yield what a program prints, and whether it is standard output, until it has ended."""
    queue: SimpleQueue[tuple[bool, str] | None] = SimpleQueue()

    def read(stream: IO[str], is_output: bool) -> None:
        with stream:
            for line in stream:
                queue.put((is_output, line))
        queue.put(None)

    assert process.stdout is not None
    assert process.stderr is not None
    for stream, is_output in ((process.stdout, True), (process.stderr, False)):
        Thread(target=read, args=(stream, is_output), daemon=True).start()
    still_open, next_look, has_ended = 2, 0.0, False
    while still_open:
        try:
            line = queue.get(timeout=LOOK)
        except Empty:
            if has_ended:  # what it has left behind holds its output open
                return
            has_ended = process.poll() is not None
        else:
            if line is None:
                still_open -= 1
            else:
                yield line
        if time.monotonic() >= next_look:
            on_look()
            next_look = time.monotonic() + LOOK
    while process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK)
        on_look()


class _Tree:
    """A program with all that it has started, also what no longer descends from it.

    That has the program's ``mark`` in its environment.
    """

    def __init__(self, pid: int, mark: str) -> None:
        self._mark = mark
        self._root = None
        with suppress(psutil.Error):
            self._root = psutil.Process(pid)

    def end(self) -> None:
        """Tell all of them to end, and kill those that have not after `PATIENCE` seconds."""
        known: set[psutil.Process] = set()
        while new := self._running() - known:  # what is halted starts nothing more
            known |= new
            for process in new:
                with suppress(psutil.Error):
                    process.suspend()
        for process in known:
            with suppress(psutil.Error):
                process.terminate()
                process.resume()
        _, alive = psutil.wait_procs([*known], timeout=PATIENCE)
        for process in alive:
            with suppress(psutil.Error):
                process.kill()

    def _running(self) -> set[psutil.Process]:
        found = set()
        if self._root is not None:
            with suppress(psutil.Error):
                found = {self._root, *self._root.children(recursive=True)}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self._mark:
                    found.add(process)
        return found


def _check(name: str, given: object, groups: int) -> None:
    """Check that a metric or a curve can be used."""
    expected = ("re.compile(…) with ", "a name, or re.compile(…) with ")[groups == 1]
    expected += ("two groups: the step and the score", "a group: the number")[groups == 1]
    is_name = groups == 1 and isinstance(given, str)
    if given is None or is_name or (isinstance(given, re.Pattern) and given.groups == groups):
        return
    shown = given.pattern if isinstance(given, re.Pattern) else given
    raise blamed(f"run.command: {name}={shown!r}; expected {expected}")


def _short(said: str, most: int) -> str:
    return said if len(said) <= most else f"{said[: most - 1]}…"


def _echo(line: str) -> None:
    """Print a line at once; what cannot be printed counts less than the run."""
    encoding = sys.stdout.encoding or "utf-8"
    with suppress(OSError, ValueError):
        sys.stdout.write(line.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()


def _ended(code: int) -> str:
    if code > 0:
        return f"ended with status {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
