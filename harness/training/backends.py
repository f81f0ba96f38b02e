"""Our own trainers by name, and which of them this machine can run. Imports none of them."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import BackendError, UsageError, nearest
from harness.text import listed


@dataclass(frozen=True, slots=True)
class Backend:
    """A trainer and the libraries it needs.

    ``trainer`` is the reference that a worker loads. The function ``available_devices`` of the
    module ``devices`` names the devices of this machine. ``compiles`` says whether each new shape
    of batch needs a compiled program. ``text_trainer`` trains language models, and needs
    ``text_libraries`` too, and ``adapter_libraries`` for adapters. The function ``text_anatomy``
    says what a model is made of without reading its weights, and refuses what cannot be trained.
    """

    name: str
    libraries: tuple[str, ...]
    trainer: str
    devices: str
    compiles: bool = False
    text_trainer: str = ""
    text_libraries: tuple[str, ...] = ("transformers",)
    adapter_libraries: tuple[str, ...] = ()
    text_anatomy: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory that several runs share while they train.

    ``kind`` is that of the device that computes in it: ``cpu``, or one of `KINDS`. ``available``
    are the bytes that all ``runs`` at the same time have together. ``said`` tells of it in words,
    and ``option`` makes the number of runs smaller.
    """

    kind: str
    available: int
    runs: int
    said: str
    option: str


BACKENDS = {
    "torch": Backend(
        "torch",
        ("torch", "safetensors"),
        "harness.training.grpo_torch:train",
        "harness.training.device_torch",
        text_trainer="harness.training.text.grpo_torch:train",
        adapter_libraries=("peft",),
        text_anatomy="harness.training.text.anatomy_torch:anatomy",
    ),
    "jax": Backend(
        "jax",
        ("jax", "optax", "safetensors"),
        "harness.training.grpo_jax:train",
        "harness.training.device_jax",
        compiles=True,
        text_trainer="harness.training.text.grpo_jax:train",
        text_anatomy="harness.training.text.anatomy:of_decoder",
    ),
}
"""The backends, in the order in which ``auto`` prefers them. Each has an extra of its name."""

PRECISIONS = ("float32", "bfloat16")

KINDS = ("cuda", "tpu")
"""Kinds of devices other than the CPU."""

_PATIENCE = 120.0
"""Seconds that a backend may take to list the devices."""

_ASK = (
    "import sys, json, importlib; sys.path[:] = json.loads(sys.argv[1]); import harness; "
    "sys.path.pop(0); print(json.dumps(importlib.import_module(sys.argv[2]).available_devices()))"
)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def resolve_backend(name: str, *, needed: bool = True) -> Backend:
    """Return the backend called ``name``; ``auto`` is the first whose libraries are all installed.

    Its libraries need not be installed if nothing is ``needed`` but its name, to look up stored
    runs.

    Raises
    ------
    UsageError
        Where there is no such backend.
    BackendError
        Where it cannot be used here. The message says how to install it.
    """
    if name == "auto":
        usable = _usable()
        if usable or not needed:
            return (usable or list(BACKENDS.values()))[0]
        lacking = "; ".join(
            f"{backend.name} lacks {listed(missing_libraries(backend))}"
            for backend in BACKENDS.values()
        )
        offers = " or ".join(pip(backend.name) for backend in BACKENDS.values())
        raise BackendError(f"no training backend is installed ({lacking}); run: {offers}")
    if name not in BACKENDS:
        known = ("auto", *BACKENDS)
        raise UsageError(f"backend {name!r} is not one of {', '.join(known)}{nearest(name, known)}")
    backend = BACKENDS[name]
    missing = missing_libraries(backend) if needed else []
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise BackendError(
            f"backend {name!r}: {listed(missing)} {verb} not installed; run: {pip(name)}"
        )
    return backend


def lacks_text(backend: Backend) -> list[str]:
    """Return the libraries that ``backend`` lacks to train language models."""
    needed = (*backend.libraries, *backend.text_libraries)
    return [library for library in needed if not _installed(library)]


def require_text(backend: Backend) -> None:
    """Check that ``backend`` can train language models; `BackendError` if it lacks a library."""
    missing = lacks_text(backend)
    if missing:
        raise BackendError(f"language models need {listed(missing)}; run: {pip('hf')}")


def require_adapters(backend: Backend) -> None:
    """Check that ``backend`` can train adapters; `BackendError` if it lacks a library."""
    missing = [library for library in backend.adapter_libraries if not _installed(library)]
    if missing:
        raise BackendError(f"adapters (lora_rank) need {listed(missing)}; run: {pip('hf')}")


def choice(asked: str, name: str) -> str:
    """Return the name of a backend and how it was chosen: ``torch (auto)``.

    If ``auto`` was ``asked`` for, the text also names the other backends that are installed.
    """
    if asked != "auto":
        return name
    usable = [backend.name for backend in _usable()]
    if name not in usable:
        return f"{name} (auto; none is installed here)"
    others = [other for other in usable if other != name]
    verb = "is" if len(others) == 1 else "are"
    return f"{name} (auto; {listed(others)} {verb} installed too)" if others else f"{name} (auto)"


def check_precision(name: str) -> None:
    """Check that there is a precision called ``name``; `UsageError` if there is none."""
    if name not in PRECISIONS:
        raise UsageError(
            f"precision {name!r} is not one of {', '.join(PRECISIONS)}{nearest(name, PRECISIONS)}"
        )


def check_device(asked: str) -> None:
    """Check that ``asked`` is the name of a device, here or elsewhere; `UsageError` if not."""
    if re.fullmatch(rf"auto|cpu|({'|'.join(KINDS)})(:\d+)?", asked) is None:
        known = ("auto", "cpu", *(name for kind in KINDS for name in (kind, f"{kind}:0")))
        raise UsageError(
            f"device {asked!r} is not auto, cpu, cuda or cuda:N, tpu or tpu:N"
            f"{nearest(asked, known)}"
        )


def resolve_device(asked: str, available: Sequence[str]) -> str:
    """Return the device among ``available``, such as ``("cpu", "cuda:0")``, that ``asked`` means.

    ``auto`` means the first that is not the CPU, or else the CPU; ``cuda`` and ``tpu`` mean the
    first of their kind.

    Raises
    ------
    UsageError
        Where ``asked`` is not the name of a device.
    BackendError
        Where this machine does not have it.
    """
    check_device(asked)
    if asked in available:
        return asked
    if asked == "auto":
        return next((name for name in available if name != "cpu"), available[0])
    found = next((name for name in available if name.startswith(f"{asked}:")), None)
    if found is None:
        raise BackendError(f"device {asked!r} is not here; this machine has {', '.join(available)}")
    return found


def require_device(asked: str, backend: str) -> None:
    """Check that ``backend`` finds the device ``asked`` here; ``auto`` and ``cpu`` are everywhere.

    Raises as `resolve_device` and `devices_here` do.
    """
    check_device(asked)
    if asked not in ("auto", "cpu"):
        resolve_device(asked, devices_here(backend))


def own_device(asked: str) -> str:
    """Return the device that ``asked`` means to a training function of the user's own.

    Torch or JAX looks for it, whichever this process has imported, else the first one installed.
    Without either there is only the CPU. Raises as `resolve_device` does.
    """
    usable = [backend for backend in BACKENDS.values() if _installed(backend.libraries[0])]
    usable.sort(key=lambda backend: backend.libraries[0] not in sys.modules)
    if asked == "cpu" or not usable:
        return resolve_device(asked, ("cpu",))
    return resolve_device(asked, importlib.import_module(usable[0].devices).available_devices())


def devices_here(backend: str, *, patience: float | None = None) -> tuple[str, ...]:
    """Return the devices that ``backend`` finds on this machine, within ``patience`` seconds.

    Another process looks for them, because looking takes something from the workers: the process
    that has looked at a TPU keeps it, and JAX takes most of a GPU's memory. Raises `BackendError`
    if the backend cannot list them.
    """
    patience = _PATIENCE if patience is None else patience
    try:
        return _found(BACKENDS[backend].devices, patience)
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip() or f"exit code {error.returncode}").splitlines()[-1]
    except subprocess.TimeoutExpired:
        said = f"no answer in {patience:g} s"
    raise BackendError(f"backend {backend!r} cannot list the devices: {said}")


@cache
def _found(module: str, patience: float) -> tuple[str, ...]:
    # Our package comes first: before it there may be another one of its name.
    ours = [str(Path(__file__).resolve().parents[2]), *sys.path]
    path = json.dumps([os.path.abspath(entry) for entry in ours])  # noqa: PTH100
    done = subprocess.run(
        [sys.executable, "-P", "-c", _ASK, path, module],
        env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=patience,
        check=True,
    )
    # Libraries may have printed something before.
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def _usable() -> list[Backend]:
    return [backend for backend in BACKENDS.values() if not missing_libraries(backend)]


def missing_libraries(backend: Backend) -> list[str]:
    """Return the libraries of ``backend`` that are not installed."""
    return [library for library in backend.libraries if not _installed(library)]


def pip(extra: str) -> str:
    """Return the command that installs an extra of this package."""
    return f'pip install "pytest-sweep[{extra}]"'
