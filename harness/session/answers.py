"""Decide when sweeps are answered, for a session that trains until they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from harness.judging.baselines import Named
from harness.judging.evidence import Gathered, baseline_of
from harness.sweeps.plan import Plan

if TYPE_CHECKING:
    from harness.judging.early import EarlyAnswers


class Answers:
    """Decides when a sweep is answered. It looks again only after another run has ended.

    ``gather`` returns the evidence on a sweep so far, ``ended`` the number of runs that have ended.
    """

    def __init__(
        self,
        plans: Mapping[str, Plan],
        baseline: Named | None,
        gather: Callable[[str], Gathered],
        ended: Callable[[], int],
    ) -> None:
        self._plans = plans
        self._baseline = baseline
        self._gather = gather
        self._ended = ended
        self._early: dict[str, EarlyAnswers] = {}
        self._answered: set[str] = set()
        self._looked_after: dict[str, int] = {}

    def is_answered(self, name: str) -> bool:
        """Return whether every question of a sweep is answered."""
        if name not in self._answered and self._looked_after.get(name) != self._ended():
            self._looked_after[name] = self._ended()
            self._look(name)
        return name in self._answered

    def is_over(self, name: str) -> bool:
        """Return whether a sweep and all that are compared with it are answered."""
        others = users(name, self._plans, self._baseline)
        return all(self.is_answered(other) for other in (name, *others))

    def _look(self, name: str) -> None:
        from harness.judging.early import EarlyAnswers

        found = self._gather(name)
        early = self._early.get(name)
        if early is None or early.planned is not found.planned:  # its leaders are known now
            early = self._early[name] = EarlyAnswers(found.planned)
        if early.all_answered(found.evidence, baseline_ready=found.absent is None):
            self._answered.add(name)


def in_order(plans: Mapping[str, Plan], baseline: Named | None = None) -> list[tuple[str, str]]:
    """Return sweep and key of all planned runs, in the order in which answers come soonest.

    A baseline comes before the sweeps that are compared with it. ``baseline`` replaces the declared
    one.
    """
    from harness.judging.early import launch_order

    first = sorted(plans, key=lambda name: not users(name, plans, baseline))
    return [(name, key) for name in first for key in launch_order(plans[name])]


def users(name: str, plans: Mapping[str, Plan], baseline: Named | None = None) -> list[str]:
    """Return the other sweeps among ``plans`` that ask a question about this one."""
    others = {other: planned.sweep for other, planned in plans.items() if other != name}
    return [
        other
        for other, sweep in others.items()
        if baseline_of(sweep, baseline) == name
        and any(claim.uses_baseline for claim in sweep.questions.values())
    ]
