"""What refining returns: the next sweep, and why each of its parameters is what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.protocols import Claim
from harness.sweeps.space import Distribution
from harness.sweeps.sweep import Pairs, Sweep

Action = Literal["keep", "narrow", "widen", "move", "fix", "reopen"]
"""What becomes of a parameter. "move" is narrower on one side and wider on the other, "reopen" a
fixed value that is free again. A parameter that is fixed has an arm of pairs."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The comparison that a revision rests on, in the metric's unit.

    ``p_value`` is that of what is shown (a range that falls, a value that is worse), ``needed`` the
    level it is held against; the interval of the ``estimate`` is at confidence ``level``.
    """

    p_value: float
    needed: float
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """What becomes of a parameter, why, and what that gives up.

    ``before`` and ``after`` are its distributions, ``pairs`` the arm that tests a fixed value.
    """

    parameter: str
    action: Action
    before: Distribution
    after: Distribution
    why: str
    gives_up: str = ""
    figure: Figure | None = None
    pairs: Pairs | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of the next sweep: its claim, and the Python of the call that makes it."""

    id: str
    claim: Claim
    function: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """The next sweep after ``source``, a sweep or a table.

    ``runs`` of it had finished. Each of ``tests`` tests that could narrow something is held against
    ``alpha`` over their number. ``sizes`` says why there are so many runs, and so many steps,
    ``arms`` what each arm is for, ``beside`` what else is to be known. ``trainer`` is the module
    and the name of the training function, where the sweep has its own; ``stub`` says that it is
    still to be written, as for a table of parameters that the harness does not train.
    """

    source: str
    sweep: Sweep
    revisions: tuple[Revision, ...]
    questions: tuple[Asked, ...]
    runs: int
    tests: int
    alpha: float
    sizes: tuple[str, str]
    arms: tuple[tuple[str, str], ...]
    beside: tuple[str, ...] = ()
    trainer: tuple[str, str] | None = None
    stub: bool = False

    @property
    def narrows(self) -> bool:
        """Whether anything is left out of the next sweep that this one had."""
        return any(revision.gives_up for revision in self.revisions)
