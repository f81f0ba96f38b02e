"""Cut a batch into equal tiles for a compiled trainer, so that few shapes are compiled.

A program is compiled for one shape, and a batch is computed as a number of tiles of that shape. So
all batch sizes share their programs, and so do numbers of generations that are rounded up to the
same one. The rest of a tile is padding, which is computed and does not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

ROWS = 4
"""The most prompts of a tile. The batch sizes of the sweeps in ``experiments`` are multiples."""

MEMBERS = 8
"""Generations are rounded up to a multiple of this."""

Cut = tuple[slice, slice]
"""The rows and the members of each group that a tile holds; at the edges fewer than its shape."""


@dataclass(frozen=True, slots=True)
class Tile:
    """The shape of a tile: ``rows`` prompts with ``members`` completions each."""

    rows: int
    members: int

    @property
    def name(self) -> str:
        """The shape in one word, such as ``4x16``."""
        return f"{self.rows}x{self.members}"

    def cuts(self, rows: int, group: int) -> Iterator[Cut]:
        """Yield the tiles that cover a batch of ``rows`` prompts with ``group`` completions."""
        for row in range(0, rows, self.rows):
            for member in range(0, group, self.members):
                yield (
                    slice(row, min(rows, row + self.rows)),
                    slice(member, min(group, member + self.members)),
                )

    def fill(self, part: npt.NDArray[Any], *, grouped: bool = True) -> npt.NDArray[Any]:
        """Return ``part`` padded with zeros to the tile's shape.

        ``part`` is ``[rows, members, …]``, or ``[rows, …]`` if it is not ``grouped``. It is no
        larger than the tile.
        """
        leading = (self.rows, self.members) if grouped else (self.rows,)
        if part.shape[: len(leading)] == leading:
            return part
        full = np.zeros((*leading, *part.shape[len(leading) :]), dtype=part.dtype)
        full[tuple(slice(0, size) for size in part.shape)] = part
        return full


def training_tile(batch_size: int, generations: int, microbatch: int | None = None) -> Tile:
    """Return the tile of a training step: at most ``microbatch`` sequences, if that is given."""
    members = -(-generations // MEMBERS) * MEMBERS
    rows = min(ROWS, batch_size)
    if microbatch is not None and rows * members > microbatch:
        members = min(generations, microbatch)
        rows = min(rows, max(1, microbatch // members))
    return Tile(rows, members)


def evaluation_tile(prompts: int, samples: int, most: int) -> Tile:
    """Return the tile of an evaluation: at most ``most`` sequences, a prompt's samples together."""
    members = min(samples, most)
    return Tile(min(prompts, max(1, most // members)), members)
