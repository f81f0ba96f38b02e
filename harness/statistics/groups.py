"""Runs in groups: the indicators of levels, and the indices of blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.statistics.values import FloatArray


def one_hot(codes: NDArray[np.intp]) -> FloatArray:
    """Return the indicators [n, levels] of level numbers [n]."""
    levels, index = np.unique(codes, return_inverse=True)
    return np.eye(levels.size)[index.ravel()]


def parts_of(blocks: ArrayLike | None, n: int) -> list[NDArray[np.intp]]:
    """Return the indices of the runs of each block; of all ``n`` in one without ``blocks`` [n]."""
    if blocks is None:
        return [np.arange(n)]
    labels = np.asarray(blocks)
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]
