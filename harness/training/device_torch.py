"""The device that Torch computes on: CPU or CUDA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from harness.training.backends import resolve_device
from harness.training.measurement import peak_memory

PRECISIONS: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def available_devices() -> tuple[str, ...]:
    """Return the devices of this machine: ``cpu`` and each ``cuda:N``."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ("cpu", *(f"cuda:{index}" for index in range(count)))


def open_device(asked: str, available: Sequence[str] | None = None) -> torch.device:
    """Return the device that ``asked`` means here; raises as `resolve_device` does.

    Its count of peak memory starts again.
    """
    device = torch.device(resolve_device(asked, available or available_devices()))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    return device


def describe(device: torch.device) -> str:
    """Return the device in words, for the record of a run."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return f"{device} ({threads} {'thread' if threads == 1 else 'threads'})"


def peak_bytes(device: torch.device) -> int:
    """Return the most memory used: by this process on a CPU, else on the opened device."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_memory()


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one CPU thread.

    Then sums have one order, so that equal jobs give equal results bit for bit, whichever executor
    runs them. Models as small as ours are no faster with more threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def out_of_memory() -> Iterator[None]:
    """Raise Torch's out-of-memory errors as ``MemoryError``."""
    try:
        yield
    except RuntimeError as error:
        on_device = isinstance(error, torch.OutOfMemoryError)
        if not on_device and "can't allocate memory" not in str(error):
            raise
        raise MemoryError(str(error).splitlines()[0]) from error
