"""Connect to Ray or start it, and run hosts there. Only this module imports Ray."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import psutil
import ray
import ray.exceptions

from harness.errors import BackendError, UsageError
from harness.executors.devices import VISIBLE, Device
from harness.executors.host import Host
from harness.executors.outcomes import one_line
from harness.text import byte_size

Actor: TypeAlias = Any
"""A `Host` on some node: a handle of Ray, or of its client."""
Pending: TypeAlias = Any
"""An answer that is awaited: a reference of Ray, or of its client."""

OBJECT_STORE = 80 * 2**20
"""Bytes of shared memory for objects in a Ray that we start, near Ray's minimum: runs and results
are small."""

REACH = 5.0
"""Seconds to wait for a machine to answer at an address."""
CHECK = 60.0
"""Seconds to wait for an answer that shows it is Ray."""

_ADDRESS = re.compile(r"auto|(ray://)?[^\s/:]+:\d{1,5}|(ray://)?\[[0-9a-fA-F:]+\]:\d{1,5}")


@dataclass(frozen=True, slots=True)
class Needs:
    """The resources that a worker needs. ``gpus`` may be a part of one; ``memory`` is in bytes."""

    cpus: int = 1
    gpus: float = 0.0
    memory: int | None = None

    @property
    def sharers(self) -> int:
        """The number of workers that share a GPU; 0 without one."""
        return round(1 / self.gpus) if self.gpus else 0

    @property
    def resources(self) -> dict[str, float]:
        """The needs by Ray's names."""
        asked = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory or 0}
        return {name: value for name, value in asked.items() if value}

    def __str__(self) -> str:
        return _worded(self.resources)


class LostError(Exception):
    """An actor is gone. Says why in one line, and whether memory ran out."""

    def __init__(self, why: str, *, of_memory: bool = False) -> None:
        super().__init__(why)
        self.of_memory = of_memory


class Cluster:
    """A Ray that this process is connected to.

    An ``own`` one was started here, in the folder ``home``, and ends with `close`. One that this
    process was connected to before stays connected.
    """

    def __init__(self, name: str, *, own: bool = False, home: Path | None = None) -> None:
        self.name = name
        self.own = own
        self._home = home
        self._connected_here = own

    @classmethod
    def connect(cls, address: str) -> Cluster:
        """Return the running cluster at ``address``: ``auto``, ``host:port`` or ``ray://…``.

        Raises `UsageError` if there is none, or one of another version.
        """
        if not _ADDRESS.fullmatch(address):
            raise UsageError(
                f"Ray address {address!r} is not an address: give auto, HOST:PORT, or "
                "ray://HOST:PORT"
            )
        if ray.is_initialized():
            return cls._at_hand(address)
        if address.startswith("ray://") and importlib.util.find_spec("grpc") is None:
            raise BackendError(
                f"Ray address {address!r} needs Ray's client: pip install 'ray[client]', or give "
                "HOST:PORT"
            )
        if address != "auto":
            _reach(address)
        if not address.startswith("ray://"):
            _check(address)
        try:
            with _quiet():
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:
            raise UsageError(_not_joined(address, one_line(error))) from error
        found = cls(f"the Ray cluster at {address}")
        found._connected_here = True
        return found

    @classmethod
    def start(cls, cpus: int, devices: Sequence[Device] = ()) -> Cluster:
        """Start a Ray for this process, or use the one that it is connected to already.

        Raises `BackendError` if it cannot be started.
        """
        if ray.is_initialized():
            return cls("the Ray that this process uses")
        # Ray puts its sockets in this folder, and a socket's path has at most 107 characters.
        short = "/tmp" if os.access("/tmp", os.W_OK) else None
        home = Path(tempfile.mkdtemp(prefix="sweep-ray-", dir=short))
        seen = {VISIBLE: ",".join(device.uuid for device in devices)} if devices else {}
        begin = partial(
            ray.init,
            "local",
            num_cpus=cpus,
            num_gpus=len(devices),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(home),
        )
        try:
            with _quiet(**seen):
                try:
                    begin()
                except Exception:  # noqa: BLE001 Ray waits 30 s, too few on a busy machine
                    _end(home)
                    begin()
        except BaseException as error:
            _end(home)
            shutil.rmtree(home, ignore_errors=True)
            if not isinstance(error, Exception):
                raise
            raise BackendError(f"Ray cannot be started here: {one_line(error)}") from error
        return cls("Ray on this machine", own=True, home=home)

    @classmethod
    def _at_hand(cls, address: str) -> Cluster:
        """Return the Ray that this process is connected to; it must be the one at ``address``."""
        joined = ray.get_runtime_context().gcs_address
        if address not in ("auto", joined):
            raise UsageError(
                f"Ray address {address!r}: this process is connected to another Ray, at {joined}"
            )
        return cls(f"the Ray cluster at {joined}")

    def room(self, needs: Needs) -> int:
        """Return the number of workers with these ``needs`` for which all nodes have room."""
        return sum(_times(node, needs.resources) for node in self._nodes())

    def nodes(self) -> str:
        """Return the resources of each node in words."""
        return "; ".join(_worded(node) for node in self._nodes()) or "no node"

    def start_host(self, needs: Needs) -> Actor:
        """Start a `Host` as an actor, on a node that has room for it."""
        path = [os.path.abspath(entry) for entry in sys.path if not _is_rays(entry)]  # noqa: PTH100
        actor = ray.remote(Host).options(
            num_cpus=needs.cpus,
            num_gpus=needs.gpus or None,
            memory=needs.memory,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        return actor.remote(needs.cpus, needs.sharers, path, str(Path.cwd()))

    def ask(self, host: Actor, method: str, *arguments: object) -> Pending:
        """Call a method of a host; return its pending answer."""
        return getattr(host, method).remote(*arguments)

    def answered(self, asked: Iterable[Pending], timeout: float) -> list[Pending]:
        """Return the answered ones of ``asked``; wait up to ``timeout`` seconds for the first."""
        asked = list(asked)
        if not ray.wait(asked, timeout=max(0.0, timeout))[0]:
            return []
        return list(ray.wait(asked, num_returns=len(asked), timeout=0)[0])

    def answer(self, asked: Pending) -> bytes:
        """Return a host's answer; `LostError` if the host is gone or failed."""
        try:
            answer: bytes = ray.get(asked)
        except ray.exceptions.OutOfMemoryError as error:
            raise LostError(_why(error), of_memory=True) from error
        except Exception as error:
            raise LostError(_why(error)) from error
        return answer

    def kill_host(self, host: Actor) -> None:
        """Kill a host; its worker ends with it."""
        with contextlib.suppress(Exception):
            ray.kill(host)

    def close(self, logs: Path | None = None) -> None:
        """Disconnect if `connect` connected; end what was started and keep its logs in ``logs``."""
        if self._connected_here:
            with _quiet():
                ray.shutdown()
        self._connected_here = False
        home, self._home = self._home, None
        if home is not None:
            _keep_logs(home, logs)
            shutil.rmtree(home, ignore_errors=True)

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _reach(address: str) -> None:
    """Check that a program listens at ``address``, since Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH).close()
    except (OSError, OverflowError) as error:
        raise UsageError(_not_joined(address, one_line(error))) from None


def _check(address: str) -> None:
    """Check in another process, which Ray may end, that this is a Ray of our version."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK, check=False)
    except subprocess.TimeoutExpired:
        raise UsageError(_not_joined(address, f"no answer in {CHECK:g} s")) from None
    if done.returncode != 0:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise UsageError(_not_joined(address, said[-1] if said else "it is not healthy"))


def _not_joined(address: str, why: str) -> str:
    if "version" in why.lower():
        advice = "install the same Ray and Python here and on its nodes"
    elif address == "auto":
        advice = "start one with 'ray start --head', or leave the address out"
    else:
        advice = "give the address that 'ray start --head' printed, or leave it out"
    return f"no Ray cluster at {address!r}: {why}; {advice}"


@contextlib.contextmanager
def _quiet(**variables: str) -> Iterator[None]:
    """Set ``variables`` for Ray, and keep the signal handlers that it would replace."""
    # Without the first variable, Ray hides all GPUs from a worker that asks for none, as the local
    # executor does not. With the second, Ray reports nothing to anybody.
    environment = {
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        **variables,
    }
    before = {name: os.environ.get(name) for name in environment}
    ours = threading.current_thread() is threading.main_thread()
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        if ours:
            for one, handler in handlers.items():
                signal.signal(one, handler)


def _end(home: Path) -> None:
    """End a Ray that failed to start in the folder ``home``, with its processes."""
    ray.shutdown()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(str(home) in argument for argument in process.cmdline()):
                process.kill()


def _keep_logs(home: Path, logs: Path | None) -> None:
    """Move the logs of a Ray that has ended to the folder ``logs``, and replace older ones."""
    found = next(home.glob("session_2*/logs"), None)
    if logs is None or found is None:
        return
    with contextlib.suppress(OSError, shutil.Error):
        shutil.rmtree(logs, ignore_errors=True)
        logs.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(found, logs)


def _why(error: Exception) -> str:
    """Return the line of Ray's message that says what happened."""
    text = re.sub(r"\x1b\[\d+m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    if isinstance(error, ray.exceptions.RayTaskError) or getattr(error, "actor_init_failed", False):
        return lines[-1][:300]  # the exception itself
    chosen = next((line for line in lines if "dead because" in line), lines[0])
    return chosen.split(". ")[0][:300]


def _times(node: dict[str, float], asked: dict[str, float]) -> int:
    """Return how many times a node has the resources ``asked``."""
    return min((int(node.get(name, 0) / value + 1e-6) for name, value in asked.items()), default=0)


def _worded(resources: dict[str, float]) -> str:
    """Return CPUs, GPUs and memory in words."""
    words = [
        f"{resources[name]:g} {name}{'s' * (resources[name] > 1)}"
        for name in ("CPU", "GPU")
        if resources.get(name)
    ]
    if resources.get("memory"):
        words.append(f"{byte_size(int(resources['memory']))} of memory")
    return ", ".join(words) or "nothing"


def _is_rays(entry: str) -> bool:
    """Return whether Ray has added this entry to sys.path, for its own libraries."""
    return Path(entry).name == "thirdparty_files"
