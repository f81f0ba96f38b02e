"""The device that JAX computes on (CPU, GPU or TPU), and where compiled programs are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.compilation_cache import compilation_cache
from jax.typing import DTypeLike

from harness.text import plural
from harness.training.backends import resolve_device
from harness.training.measurement import peak_memory

PRECISIONS: dict[str, DTypeLike] = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}

_KINDS = {"gpu": "cuda"}
"""Our names of JAX's platforms, where they differ."""


def _devices(threads: int = 1) -> dict[str, jax.Device]:
    """Return JAX's devices by name: ``cpu``, and each ``cuda:N`` or ``tpu:N``."""
    with _frugal(threads):
        found = {"cpu": jax.devices("cpu")[0]}
        for index, device in enumerate(jax.devices()):
            if device.platform != "cpu":
                found[f"{_KINDS.get(device.platform, device.platform)}:{index}"] = device
    return found


def available_devices() -> tuple[str, ...]:
    """Return the devices of this machine: ``cpu``, and each ``cuda:N`` or ``tpu:N``."""
    return tuple(_devices())


def open_device(
    asked: str, available: Sequence[str] | None = None, *, threads: int = 1
) -> jax.Device:
    """Return the device that ``asked`` means here; raises as `resolve_device` does.

    A CPU computes with ``threads``, if this is the first time that the process looks for devices.
    """
    devices = _devices(threads)
    return devices[resolve_device(asked, available or tuple(devices))]


def threads_given() -> int:
    """Return the threads that this process may compute with: ``OMP_NUM_THREADS``, or 1."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else 1


def describe(device: jax.Device, threads: int = 1) -> str:
    """Return the device in words, for the record of a run; a CPU with its ``threads``."""
    if device.platform == "cpu":
        return f"cpu ({plural(threads, 'thread')})"
    return f"{_KINDS.get(device.platform, device.platform)}:{device.id} ({device.device_kind})"


def peak_bytes(device: jax.Device) -> int:
    """Return the most memory used by this process: on a CPU its own, else the device's."""
    statistics = None if device.platform == "cpu" else device.memory_stats()
    return int(statistics["peak_bytes_in_use"]) if statistics else peak_memory()


@contextmanager
def computing_on(device: jax.Device) -> Iterator[None]:
    """Compute on ``device``, and multiply float32 in full precision.

    On a GPU or TPU, JAX by default rounds the factors of a float32 product to fewer bits. The run
    would differ from another backend's.
    """
    with jax.default_device(device), jax.default_matmul_precision("highest"):
        yield


def keep_programs(folder: Path, device: jax.Device) -> None:
    """Keep the programs compiled for ``device`` in ``folder`` and load them from there.

    On a CPU they are found again when the folder is moved or copied. On a GPU XLA keeps more files
    there, and compiles anew for another folder. Does nothing if the user has set
    ``JAX_COMPILATION_CACHE_DIR``.
    """
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        _configure(_cache_in(folder, device))


@contextmanager
def keeping_programs(folder: Path, device: jax.Device) -> Iterator[None]:
    """Do as `keep_programs`, and put JAX's configuration back: a notebook goes on after a run."""
    before = {name: jax.config.values[name] for name in _cache_in(folder, device)}
    keep_programs(folder, device)
    try:
        yield
    finally:
        _configure(before)


def _cache_in(folder: Path, device: jax.Device) -> dict[str, Any]:
    """Return JAX's settings for a cache of programs in ``folder``."""
    settings: dict[str, Any] = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    if device.platform == "cpu":
        # The files are for GPUs alone, but their path would be part of every program's name.
        settings["jax_persistent_cache_enable_xla_caches"] = "none"
    return settings


def _configure(settings: Mapping[str, Any]) -> None:
    """Change JAX's settings of its cache of programs, which then opens anew."""
    if all(jax.config.values[name] == value for name, value in settings.items()):
        return
    for name, value in settings.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]
    compilation_cache.reset_cache()


@contextmanager
def out_of_memory() -> Iterator[None]:
    """Raise JAX's out-of-memory error as ``MemoryError``."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise MemoryError(str(error).splitlines()[0]) from error


@contextmanager
def _frugal(threads: int = 1) -> Iterator[None]:
    """Make XLA compute with few CPU ``threads`` and take memory as it needs it.

    Both only if it has not started in this process. With its first device it makes a pool of
    ``NPROC`` threads. The embedded task's model is no faster with more than one, and workers would
    fight over cores. By default it takes most of a GPU's memory at once, and leaves none for
    another worker.
    """
    asked = {"NPROC": str(threads)}
    if "XLA_PYTHON_CLIENT_PREALLOCATE" not in os.environ:
        asked["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    before = {name: os.environ.get(name) for name in asked}
    os.environ.update(asked)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
