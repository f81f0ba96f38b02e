"""The space that the distributions of parameters span."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from harness.errors import SweepError, unquoted
from harness.records import Config, Value, is_number
from harness.sweeps.checks import plain, text
from harness.sweeps.distributions import Distribution, Given, Range, as_distribution, is_ours


class Space:
    """Parameters and their distributions.

    Raises
    ------
    SweepError
        Where a parameter depends on one that is not there, on itself in a circle, or on a value
        without a case; or where a learning rate is not above zero.
    """

    def __init__(self, parameters: Mapping[str, object]) -> None:
        if not parameters:
            raise SweepError("the space is empty; give at least one parameter, as learning_rate=…")
        self.distributions: dict[str, Distribution] = {}
        for given, value in parameters.items():
            name = text("the name of a parameter", given, "learning_rate")
            try:
                self.distributions[name] = as_distribution(value)
            except SweepError as error:
                raise SweepError(f"{name}: {error}") from None
        places = {name: place for place, name in enumerate(self.distributions)}
        self._order = [(name, places[name]) for name in self._resolution_order()]
        self._check_learning_rate()

    def __len__(self) -> int:
        return len(self.distributions)

    def __iter__(self) -> itertools.chain[str]:
        return itertools.chain(self.distributions)

    def __contains__(self, name: object) -> bool:
        return name in self.distributions

    @property
    def dependencies(self) -> dict[str, str]:
        """The parameters that depend on another → that other."""
        return {
            name: distribution.parameter
            for name, distribution in self.distributions.items()
            if isinstance(distribution, Given)
        }

    @property
    def has_own(self) -> bool:
        """Whether a distribution is of the user's own class, whose values are not known before."""
        return not all(map(is_ours, self.distributions.values()))

    def config(self, point: Sequence[float]) -> Config:
        """Return the config at a point of the unit cube, a coordinate for each parameter."""
        if len(point) != len(self.distributions):
            raise ValueError(f"a point of {len(self.distributions)} coordinates, got {len(point)}")
        drawn: dict[str, Value] = {}
        for name, place in self._order:
            value = self.distributions[name].quantile(float(point[place]), drawn)
            try:
                drawn[name] = plain(value)
            except SweepError as error:  # from a distribution of the user's own
                raise SweepError(f"{name}: its distribution draws {error}") from None
        return Config({name: drawn[name] for name in self.distributions})

    def describe(self) -> dict[str, str]:
        """Return the distribution of each parameter in words."""
        described = {}
        for name, distribution in self.distributions.items():
            by = f"by {distribution.parameter}: " if isinstance(distribution, Given) else ""
            described[name] = by + distribution.describe()
        return described

    def _resolution_order(self) -> list[str]:
        order: list[str] = []
        waiting = dict(self.distributions)
        while waiting:
            ready = [
                name
                for name, distribution in waiting.items()
                if not isinstance(distribution, Given) or distribution.parameter in order
            ]
            if not ready:
                self._explain_dependency(waiting)
            for name in ready:
                distribution = waiting.pop(name)
                if isinstance(distribution, Given):
                    self._check_cases(name, distribution)
                order.append(name)
        return order

    def _explain_dependency(self, waiting: Mapping[str, Distribution]) -> None:
        for name, distribution in waiting.items():
            if isinstance(distribution, Given) and distribution.parameter not in self.distributions:
                raise SweepError(
                    f"{name}: given {distribution.parameter!r}, which is no parameter of this "
                    f"space ({', '.join(self.distributions)})"
                )
        raise SweepError(
            f"{', '.join(waiting)}: each is given another, in a circle; fix one of them"
        )

    def _check_cases(self, name: str, distribution: Given) -> None:
        parent = self.distributions[distribution.parameter]
        if isinstance(parent, Range):
            raise SweepError(
                f"{name}: given {distribution.parameter!r}, which is a range; "
                f"a case can only be given for each value of a Choice"
            )
        lacking = [value for value in parent.values() if value not in distribution.cases]
        if lacking:
            raise SweepError(
                f"{name}: no case for {distribution.parameter} = "
                f"{', '.join(repr(value) for value in lacking)}; "
                f"cases are {', '.join(repr(value) for value in distribution.cases)}"
                f"{next(filter(None, map(unquoted, distribution.cases)), '')}"
            )

    def _check_learning_rate(self) -> None:
        distribution = self.distributions.get("learning_rate")
        if distribution is None:
            return
        for value in distribution.values():
            if not is_number(value) or not value > 0:
                raise SweepError(
                    f"learning_rate: {value!r} is not a number{unquoted(value)}"
                    if not is_number(value)
                    else f"learning_rate: {value!r} is not above zero; a learning rate of zero "
                    "belongs in an arm, arms=dict(placebo=…)"
                )
