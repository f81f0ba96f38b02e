"""Call reward functions of the user's own, with a time limit that ends them.

A function that another process can import runs in a process of its own, which is killed when the
limit is over: a thread cannot be ended, and a regular expression that never returns stops all of
them. The process stays for the next call, and ends with ours. A function that has no name
elsewhere, such as a lambda, runs in a thread, which is left behind.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal

IMPORTED_IN = 120.0
"""Seconds in which the process of a function must have imported it."""

_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[2]); import harness; sys.path.pop(0); "
    "from harness.training.text.reward_functions import serve; serve(int(sys.argv[1]))"
)

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where another process finds a function: its module, the file of it, and its name there."""

    module: str
    file: str
    name: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call: rewards, or why there are none.

    A reward is a number, or a text that says what is there in its place. ``text`` is the error that
    was raised, the type of what was returned, or how the process ended.
    """

    kind: Literal["rewards", "raised", "returned", "hung", "ended", "not imported"]
    rewards: Sequence[float | str] = ()
    text: str = ""


def origin(function: Callable[..., object]) -> Origin | None:
    """Return where another process finds ``function``; None where it cannot."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    name = getattr(function, "__qualname__", "")
    file = getattr(module, "__file__", None)
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if module is None or module.__name__ == "__main__" or file is None or found is not function:
        return None
    return Origin(module.__name__, file, name)


class Function:
    """A function that returns a reward for each completion, called in a process or a thread."""

    def __init__(self, function: Callable[..., object], time_limit: float) -> None:
        self._function, self._limit = function, time_limit
        self._origin = origin(function)
        self._process: _Process | None = None

    @property
    def has_process(self) -> bool:
        """Whether it runs in a process, which can be ended."""
        return self._origin is not None

    def begin(self, arguments: Arguments) -> Callable[[], Answer]:
        """Begin a call; the function that is returned waits for what comes of it."""
        if self._origin is None:
            return _in_thread(self._function, arguments, self._limit)
        if self._process is None or not self._process.is_alive():
            self._process = _Process(self._origin)
        return self._process.begin(arguments, self._limit)

    def call(self, arguments: Arguments) -> Answer:
        """Call the function and wait for what comes of it."""
        return self.begin(arguments)()

    def culprit(
        self, arguments: Mapping[str, Sequence[Any]], size: int, constant: Arguments
    ) -> int | None:
        """Return which of ``size`` completions makes the function raise, by itself; else None.

        ``arguments`` have an entry for each, and ``constant`` are the same in each call. Halves are
        tried, as long as the time limit allows.
        """
        until = time.monotonic() + self._limit
        low, high = 0, size
        while high - low > 1:
            middle = (low + high) // 2
            for start, end in ((low, middle), (middle, high)):
                if time.monotonic() > until:
                    return None
                part = {name: value[start:end] for name, value in arguments.items()}
                if self.call({**part, **constant}).kind == "raised":
                    low, high = start, end
                    break
            else:
                return None
        return low

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.end()
            self._process = None


# ---- a process -----------------------------------------------------------------------------------


class _Process:
    """A process that has imported a function and calls it."""

    def __init__(self, of: Origin) -> None:
        self._of = of
        self._pipe, theirs = Pipe()
        package = str(Path(__file__).resolve().parents[2])
        entries = [package, *(os.path.abspath(entry) for entry in sys.path)]  # noqa: PTH100
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, str(theirs.fileno()), json.dumps(entries)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._is_ready = False
        self.end = weakref.finalize(self, _end, self._process, self._pipe)

    def is_alive(self) -> bool:
        return self.end.alive and self._process.poll() is None

    def begin(self, arguments: Arguments, limit: float) -> Callable[[], Answer]:
        failed = None
        try:
            if not self._is_ready:
                self._pipe.send(self._of)
                failed = self._received(IMPORTED_IN)
                self._is_ready = failed.kind == "rewards"
            if self._is_ready:
                self._pipe.send(dict(arguments))
        except OSError:
            failed = self._gone()
            self._is_ready = False
        if not self._is_ready:
            found = failed or self._gone()
            return lambda: found
        until = time.monotonic() + limit
        return lambda: self._received(until - time.monotonic())

    def _received(self, seconds: float) -> Answer:
        try:
            if not self._pipe.poll(max(seconds, 0.0)):
                self.end()
                return Answer("hung")
            answer: Answer = self._pipe.recv()
        except (OSError, EOFError):
            return self._gone()
        except BaseException:
            self.end()
            raise
        return answer

    def _gone(self) -> Answer:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        code = self._process.poll()
        self.end()
        status = f"signal {-code}" if code is not None and code < 0 else f"status {code}"
        return Answer("ended", text=status)


def _end(process: subprocess.Popen[bytes], pipe: Connection) -> None:
    """Kill a process with all that it has started."""
    import psutil

    pipe.close()
    with suppress(psutil.Error):
        if process.poll() is None:
            for below in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    below.kill()
    process.kill()
    process.wait()


def serve(descriptor: int) -> None:
    """Import a function and call it, as the other end of a pipe asks, until that end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever called us ends us
    with suppress(OSError, AttributeError):  # Linux kills us with the thread that started us
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    with Connection(descriptor) as pipe, asyncio.Runner() as runner, suppress(EOFError, OSError):
        try:
            function = _imported(pipe.recv())
        except BaseException as error:  # noqa: BLE001  whatever it is, it is told
            pipe.send(Answer("not imported", text=_raised(error)))
            return
        pipe.send(Answer("rewards"))
        while True:
            arguments = pipe.recv()
            pipe.send(_answer(function, arguments, runner))


def _imported(of: Origin) -> Callable[..., object]:
    from harness.training.references import import_file

    found: object = None
    with suppress(ImportError):
        found = importlib.import_module(of.module)
    if getattr(found, "__file__", None) != of.file:
        found = import_file(Path(of.file), of.file)
    for part in of.name.split("."):
        found = getattr(found, part)
    assert callable(found)
    return found


# ---- a call --------------------------------------------------------------------------------------


def _answer(
    function: Callable[..., object], arguments: Arguments, runner: asyncio.Runner
) -> Answer:
    """Call a function, async or not, and return what came of it."""
    try:
        result: Any = function(**arguments)
        if inspect.isawaitable(result):
            result = runner.run(_awaited(result))
        if hasattr(result, "tolist"):
            result = result.tolist()
        if not isinstance(result, list | tuple):
            return Answer("returned", text=type(result).__name__)
        return Answer("rewards", [_reward(one) for one in result])
    except BaseException as error:  # noqa: BLE001  whatever it is, it is told
        return Answer("raised", text=_raised(error))


async def _awaited(result: Awaitable[object]) -> object:
    return await result


def _reward(one: Any) -> float | str:  # noqa: ANN401
    if hasattr(one, "item"):  # a number of NumPy's or Torch's
        with suppress(Exception):
            one = one.item()
    if isinstance(one, bool | int | float):
        try:
            return float(one)
        except OverflowError:
            return "a number that is too large"
    return "None" if one is None else f"{_cut(repr(one))} of type {type(one).__name__}"


def _raised(error: BaseException) -> str:
    """Return an error in one line, with the last line of the user's code that it passed."""
    ours, at = Path(__file__).parents[1], ""
    place = error.__traceback__
    while place is not None:
        file = Path(place.tb_frame.f_code.co_filename)
        if file.is_absolute() and not file.is_relative_to(ours) and not _is_python(file):
            at = f" ({file.name}:{place.tb_lineno})"
        place = place.tb_next
    said = " ".join(str(error).split())
    return f"{type(error).__name__}{': ' if said else ''}{_cut(said, 200)}{at}"


def _is_python(file: Path) -> bool:
    return file.is_relative_to(Path(os.__file__).parent)


def _cut(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


# ---- a thread ------------------------------------------------------------------------------------


def _in_thread(
    function: Callable[..., object], arguments: Arguments, limit: float
) -> Callable[[], Answer]:
    answers: SimpleQueue[Answer] = SimpleQueue()

    def call() -> None:
        with asyncio.Runner() as runner:
            answers.put(_answer(function, arguments, runner))

    # A thread of an executor would hold up the end of this process.
    threading.Thread(target=call, name=f"reward {function!r}", daemon=True).start()
    until = time.monotonic() + limit

    def wait() -> Answer:
        try:
            return answers.get(timeout=max(until - time.monotonic(), 0.0))
        except Empty:
            return Answer("hung")

    return wait
