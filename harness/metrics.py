"""The metric that runs are judged by: which way is better, and what its numbers mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from harness.records import Conditions
from harness.words import Direction


class Way(NamedTuple):
    """A direction that a metric goes in, as a verb, a noun and a participle: rises, rise, rising.

    ``higher`` compares two values, ``above`` says on which side of another one lies, and ``sign``
    is that of the comparison.
    """

    rises: str
    rise: str
    rising: str
    higher: str
    above: str
    sign: str


UP = Way("rises", "rise", "rising", "higher", "above", ">")
DOWN = Way("falls", "fall", "falling", "lower", "below", "<")


@dataclass(frozen=True, slots=True)
class Metric:
    """The metric that runs are judged by, held as ``delta_perf`` of an outcome: more is better.

    ``zero`` says what the outcome 0 means: "no change" from before training, which half of useless
    runs exceed; that the metric is at the user's "target"; or nothing ("arbitrary"), so that no run
    is a success by itself. The outcome is the metric less its ``target``, with the sign turned
    where it is ``minimised``. What is written for people or programs is turned back: a value by
    `level`, a difference of two by `change`, an interval by `ends`.
    """

    name: str = "ΔPerf"
    zero: Literal["no change", "target", "arbitrary"] = "no change"
    minimised: bool = False
    target: float = 0.0

    @classmethod
    def final(cls, name: str, direction: Direction, target: float | None = None) -> Metric:
        """Return the metric of a final value, of which more or less (``min``) is better."""
        zero: Literal["target", "arbitrary"] = "arbitrary" if target is None else "target"
        return cls(name, zero, direction == "min", 0.0 if target is None else target)

    @classmethod
    def of(cls, conditions: Conditions) -> Metric:
        """Return the metric that runs were trained or imported for, which have no target."""
        if not conditions.metric:
            return cls()
        return cls.final(conditions.metric, "min" if conditions.direction == "min" else "max")

    @property
    def direction(self) -> Direction:
        """Whether more (``max``) or less (``min``) is better."""
        return "min" if self.minimised else "max"

    @property
    def knows_success(self) -> bool:
        """Return whether a run can be a success by itself."""
        return self.zero != "arbitrary"

    @property
    def is_change(self) -> bool:
        """Return whether it is a change from before training, written with its sign."""
        return self.zero == "no change"

    @property
    def measure(self) -> str:
        """The name of what the learning curve measures: perf, where the metric is a gain of it."""
        return "perf" if self.is_change and not self.minimised else self.name.removeprefix("Δ")

    @property
    def improving(self) -> Way:
        """The direction towards better values."""
        return DOWN if self.minimised else UP

    @property
    def worsening(self) -> Way:
        """The direction towards worse values."""
        return UP if self.minimised else DOWN

    def outcome(self, value: float) -> float:
        """Return the outcome of a run with this value of the metric: more is better."""
        return -(value - self.target) if self.minimised else value - self.target

    def level(self, outcome: float) -> float:
        """Return the value of the metric that an outcome stands for."""
        return self.change(outcome) + self.target

    def change(self, difference: float) -> float:
        """Return a difference of two outcomes as one of the metric; of its curve likewise."""
        return -difference if self.minimised else difference

    def ends(self, low: float, high: float) -> tuple[float, float]:
        """Return the interval of the metric, the lower end first, that one of outcomes means."""
        ends = self.level(low), self.level(high)
        return (ends[1], ends[0]) if self.minimised else ends


DELTA_PERF = Metric()
"""The metric of every sweep that the harness trains."""


MARGIN, MIN_GAIN = 0.02, 0.05
"""The usual margin and least gain of scores from 0 to 1; other metrics have no usual margin."""
