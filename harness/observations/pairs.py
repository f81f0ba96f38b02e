"""Main runs and the runs of an arm that they are paired with."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from harness.observations.sample import FloatArray, Observations, identity, partner
from harness.records import Result


@dataclass(frozen=True, eq=False)
class PairedRuns:
    """Main runs with the mean of their runs in an arm: ``main`` and ``arm``, each [pairs].

    Of the other pairs, only the main run diverged where ``lost`` are the values of the arm, and
    only the arm's run, or half of its runs, where ``won`` are those of the main runs. In ``both``
    pairs both did.
    """

    main: FloatArray
    arm: FloatArray
    lost: FloatArray
    won: FloatArray
    both: int

    @classmethod
    def of(cls, main: Observations, arm: Observations) -> PairedRuns:
        """Match the runs of an ``arm`` with their main runs; each main run counts once."""
        matched: dict[Hashable, list[Result]] = {}
        for result in arm.final:
            matched.setdefault(partner(result), []).append(result)
        outcomes = dict(zip(map(id, arm.completed), arm.delta.tolist(), strict=True))
        ours: list[float] = []
        theirs: list[float] = []
        lost: list[float] = []
        won: list[float] = []
        both = 0
        deltas = [*main.delta.tolist(), *(None for _ in main.diverged)]
        for result, delta in zip(main.final, deltas, strict=True):
            others = matched.get(identity(result), [])
            known = [outcomes[id(other)] for other in others if id(other) in outcomes]
            diverged = 2 * len(known) <= len(others)
            if others and not diverged:
                (lost if delta is None else theirs).append(float(np.mean(known)))
            if others and delta is not None:
                (won if diverged else ours).append(delta)
            both += bool(others) and delta is None and diverged
        return cls(_array(ours), _array(theirs), _array(lost), _array(won), both)

    @property
    def differences(self) -> FloatArray:
        """Main run minus arm [pairs]."""
        return self.main - self.arm

    @property
    def number(self) -> int:
        """The number of pairs, those with a diverged run too."""
        return self.main.size + self.lost.size + self.won.size + self.both

    def lost_and_won(self, arm: str) -> str:
        """Return the line on the pairs with a diverged run; empty where there are none."""
        if self.number == self.main.size:
            return ""
        return (
            f"pairs without a difference: only the main run diverged in {self.lost.size}, only "
            f"that of the arm {arm} in {self.won.size}, both in {self.both}"
        )


def _array(values: list[float]) -> FloatArray:
    return np.array(values, dtype=np.float64)
