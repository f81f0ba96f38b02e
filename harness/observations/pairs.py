"""Main runs and the runs of an arm that they are paired with."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from harness.observations.sample import FloatArray, Observations, identity, partner
from harness.records import Result


@dataclass(frozen=True, eq=False)
class PairedRuns:
    """Main runs with the mean of their runs in an arm: ``main`` and ``arm``, each [pairs]."""

    main: FloatArray
    arm: FloatArray
    lost: int
    """Pairs in which only the main run diverged."""
    won: int
    """Pairs in which only the arm's run diverged, or half of its runs did."""
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
        lost = won = both = 0
        deltas = [*main.delta.tolist(), *(None for _ in main.diverged)]
        for result, delta in zip(main.final, deltas, strict=True):
            others = matched.get(identity(result), [])
            known = [outcomes[id(other)] for other in others if id(other) in outcomes]
            diverged = 2 * len(known) <= len(others)
            if not others:
                continue
            if delta is not None and not diverged:
                ours.append(delta)
                theirs.append(float(np.mean(known)))
            lost += delta is None and not diverged
            won += delta is not None and diverged
            both += delta is None and diverged
        return cls(np.array(ours), np.array(theirs), lost, won, both)

    @property
    def differences(self) -> FloatArray:
        """Main run minus arm [pairs]."""
        return self.main - self.arm

    @property
    def number(self) -> int:
        """The number of pairs, those with a diverged run too."""
        return int(self.main.size) + self.lost + self.won + self.both

    def lost_and_won(self, arm: str) -> str:
        """Return the line on the pairs with a diverged run; empty where there are none."""
        if not (self.lost or self.won or self.both):
            return ""
        return (
            f"pairs without a difference: the main run diverged in {self.lost}, that of the arm "
            f"{arm} in {self.won}, both in {self.both}"
        )
