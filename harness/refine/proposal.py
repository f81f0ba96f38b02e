"""The next sweep as a value, with the reason for each of its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.protocols import Claim
from harness.sweeps.distributions import Distribution
from harness.sweeps.sweep import Pairs, Sweep

Action = Literal["keep", "narrow", "widen", "move", "fix", "reopen"]
"""The action on a parameter. "move" is narrower on one side and wider on the other, "fix" leaves
one value and an arm of pairs, and "reopen" frees a fixed value again."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The comparison that a revision rests on, in the metric's unit.

    The test is whether a range falls or a value is worse: its ``p_value`` is held against
    ``needed``. The interval of the ``estimate`` has confidence ``level``.
    """

    p_value: float
    needed: float
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """A decision on a parameter: the action, the reason, and what it gives up.

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
class ProposedQuestion:
    """A question of the next sweep: its claim, and the Python of the call that makes it."""

    id: str
    claim: Claim
    function: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """The next sweep after ``source``, a sweep or a table.

    ``runs`` is the number of finished runs of the source. Each of ``tests`` tests that could narrow
    something is held against ``alpha`` over their number. ``sizes`` explains the number of runs and
    of steps, and ``arms`` the purpose of each arm. ``trainer`` is the module and the name of a
    training function of the sweep's own. ``stub`` says that this function is still to be written,
    as after a table of parameters that the harness does not train.
    """

    source: str
    sweep: Sweep
    revisions: tuple[Revision, ...]
    questions: tuple[ProposedQuestion, ...]
    runs: int
    tests: int
    alpha: float
    sizes: tuple[str, str]
    arms: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
    trainer: tuple[str, str] | None = None
    stub: bool = False

    @property
    def narrows(self) -> bool:
        """Whether the next sweep leaves anything out."""
        return any(revision.gives_up for revision in self.revisions)
