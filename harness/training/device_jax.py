"""The device that JAX computes on (CPU, GPU or TPU), and where compiled programs are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.experimental.compilation_cache import compilation_cache
from jax.typing import DTypeLike

from harness.training.backends import resolve_device
from harness.training.measurement import peak_memory

PRECISIONS: dict[str, DTypeLike] = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}

_KINDS = {"gpu": "cuda"}
"""JAX's names of platforms, where ours differ."""


def _devices() -> dict[str, jax.Device]:
    """Return JAX's devices by name: ``cpu``, and each ``cuda:N`` or ``tpu:N``."""
    # By itself JAX takes most of a GPU's memory at once, which leaves none to another worker.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    with _one_thread():
        found = {"cpu": jax.devices("cpu")[0]}
        for index, device in enumerate(jax.devices()):
            if device.platform != "cpu":
                found[f"{_KINDS.get(device.platform, device.platform)}:{index}"] = device
    return found


def available_devices() -> tuple[str, ...]:
    """Return the devices of this machine: ``cpu``, and each ``cuda:N`` or ``tpu:N``."""
    return tuple(_devices())


def open_device(asked: str, available: Sequence[str] | None = None) -> jax.Device:
    """Return the device that ``asked`` means here.

    Raises
    ------
    UsageError
        Where ``asked`` is no device's name.
    BackendError
        Where this machine does not have it.
    """
    devices = _devices()
    return devices[resolve_device(asked, available or tuple(devices))]


def describe(device: jax.Device) -> str:
    """Return the device in words, for the record of a run."""
    if device.platform == "cpu":
        return "cpu (1 thread)"
    return f"{_KINDS.get(device.platform, device.platform)}:{device.id} ({device.device_kind})"


def peak_bytes(device: jax.Device) -> int:
    """Return the most memory used: the device's in this process, or this process's on a CPU."""
    statistics = None if device.platform == "cpu" else device.memory_stats()
    return int(statistics["peak_bytes_in_use"]) if statistics else peak_memory()


@contextmanager
def computing_on(device: jax.Device) -> Iterator[None]:
    """Compute on ``device``, with products of float32 in float32.

    By itself JAX rounds the factors of a float32 product to fewer bits on a GPU or TPU; a run of
    that precision would not be the run of another backend.
    """
    with jax.default_device(device), jax.default_matmul_precision("highest"):
        yield


def keep_programs(folder: Path) -> None:
    """Keep compiled programs in ``folder``, and load those that are there.

    A folder that the user has given JAX is left as it is.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    if jax.config.values["jax_compilation_cache_dir"] == str(folder):
        return
    settings = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in settings.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]
    compilation_cache.reset_cache()


@contextmanager
def out_of_memory() -> Iterator[None]:
    """Raise JAX's way of running out of memory as ``MemoryError``."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise MemoryError(str(error).splitlines()[0]) from error


@contextmanager
def _one_thread() -> Iterator[None]:
    """Make XLA compute with one CPU thread, if it has not started in this process.

    Its pool is made with its first device, of as many threads as ``NPROC`` says. Models as small as
    the embedded ones are no faster with more, and workers do not fight over cores.
    """
    before = os.environ.get("NPROC")
    os.environ["NPROC"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["NPROC"]
        else:
            os.environ["NPROC"] = before
