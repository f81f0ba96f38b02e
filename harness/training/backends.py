"""The harness's own trainers by name, and which of them this machine can run. Imports none."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.errors import BackendError, UsageError, nearest


@dataclass(frozen=True, slots=True)
class Backend:
    """A trainer with the library it needs.

    ``trainer`` is the reference that a worker loads; None where the harness has none yet.
    """

    name: str
    module: str
    trainer: str | None


BACKENDS = {
    "torch": Backend("torch", "torch", "harness.training.grpo_torch:train"),
    "jax": Backend("jax", "jax", None),
}
"""In the order in which ``auto`` prefers them."""

PRECISIONS = ("float32", "bfloat16")


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def resolve_backend(
    name: str, installed: Callable[[str], bool] | None = None, *, needed: bool = True
) -> Backend:
    """Return the backend called ``name``; ``auto`` is the first that is installed.

    Where none is ``needed``, for looking up what was trained elsewhere, one that is not installed
    will do.

    Raises
    ------
    UsageError
        Where there is no such backend.
    BackendError
        Where it cannot be used here; the message has the line that installs it.
    """
    installed = installed or _installed
    if name == "auto":
        for backend in BACKENDS.values():
            if backend.trainer and installed(backend.module):
                return backend
        if not needed:
            return next(iter(BACKENDS.values()))
        raise BackendError(
            'no training backend is installed; run: pip install "pytest-sweep[torch]"'
        )
    if name not in BACKENDS:
        known = ("auto", *BACKENDS)
        raise UsageError(f"backend {name!r} is not one of {', '.join(known)}{nearest(name, known)}")
    backend = BACKENDS[name]
    if backend.trainer is None:
        raise BackendError(
            f"backend {name!r}: this version has no {name} trainer; use the backend torch"
        )
    if needed and not installed(backend.module):
        raise BackendError(
            f"backend {name!r}: {backend.module} is not installed; "
            f'run: pip install "pytest-sweep[{name}]"'
        )
    return backend


def check_precision(name: str) -> None:
    """Check that there is a precision called ``name``.

    Raises
    ------
    UsageError
        Where there is none.
    """
    if name not in PRECISIONS:
        raise UsageError(
            f"precision {name!r} is not one of {', '.join(PRECISIONS)}{nearest(name, PRECISIONS)}"
        )


def check_device(asked: str) -> None:
    """Check that ``asked`` is a device's name, whether or not it is here.

    Raises
    ------
    UsageError
        Where it is not.
    """
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", asked) is None:
        known = ("auto", "cpu", "cuda", "cuda:0")
        raise UsageError(
            f"device {asked!r} is not auto, cpu, cuda or cuda:N{nearest(asked, known)}"
        )


def resolve_device(asked: str, available: Sequence[str]) -> str:
    """Return which of the ``available`` devices ``asked`` means.

    ``auto`` is the first that is not the CPU, or the CPU; ``cuda`` is the first CUDA device.

    Parameters
    ----------
    asked
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    available
        The names of the devices that a backend finds here, such as ``("cpu", "cuda:0")``.

    Raises
    ------
    UsageError
        Where ``asked`` is no device's name.
    BackendError
        Where it is one, and not here.
    """
    check_device(asked)
    if asked in available:
        return asked
    others = [name for name in available if name != "cpu"]
    if asked == "auto":
        return (others or list(available))[0]
    if asked == "cuda" and others:
        return others[0]
    raise BackendError(f"device {asked!r} is not here; this machine has {', '.join(available)}")
