"""Keep the memory that was freed for what is allocated next.

A training step makes arrays of gigabytes and frees them again. glibc gives those above 32 MiB back
to the system at once, which clears their pages anew each time: for a language model on a CPU that
takes some fifth of a step with Torch. JAX allocates from threads of its own, where this changes
nothing.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Names of glibc's settings, in its malloc.h; mallopt(3) says what they do."""

_USUAL_TRIM_THRESHOLD, _USUAL_MMAP_MAX = 2**25, 2**16


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed memory within it, and give it back at its end.

    The process holds about as much as it ever needed at once. Where the C library is not glibc,
    nothing is changed.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "gnu_get_libc_version"):
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, -1)  # never
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, _USUAL_MMAP_MAX)
        libc.mallopt(_TRIM_THRESHOLD, _USUAL_TRIM_THRESHOLD)
        libc.malloc_trim(0)
