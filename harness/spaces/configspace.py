"""Read a ConfigSpace from its own JSON."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from harness.errors import UsageError
from harness.spaces.found import (
    Drawn,
    FoundSpace,
    Gathered,
    at,
    beta,
    choice,
    constant,
    finite,
    integral,
    mapping,
    normal,
    real,
    sequence,
    weights,
    whole,
)
from harness.sweeps.checks import shown
from harness.sweeps.distributions import Choice, Constant, Distribution, Given

_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "EQ": operator.eq,
    "NEQ": operator.ne,
    "LT": operator.lt,
    "GT": operator.gt,
    "IN": lambda value, among: value in among,
}


def from_configspace(given: Mapping[str, Any]) -> FoundSpace:
    """Read a ConfigSpace of its own JSON: hyperparameters, conditions, forbidden combinations.

    A parameter with a condition on one other is given by it. The rest is noted.
    """
    gathered, orders = Gathered(), dict[str, list[Any]]()
    parameters = sequence("hyperparameters", given["hyperparameters"])
    for place, one in enumerate(parameters):
        settings = mapping(f"hyperparameters[{place}]", one)
        name = str(settings.get("name"))
        with at(name):
            gathered.add(name, _parameter(settings))
        orders[name] = list(settings.get("sequence", ()))
    for condition in _parents_first(given.get("conditions") or ()):
        _add_condition(condition, gathered, orders)
    for clause in given.get("forbiddens") or ():
        words = _clause(mapping("a forbidden clause", clause))
        gathered.say(f"forbidden: {words}: such runs are drawn too")
    if any("default_value" in one and one.get("type") != "constant" for one in parameters):
        gathered.say("default values: a sweep has none")
    return FoundSpace(
        "a ConfigSpace", gathered.space, tuple(gathered.notes), name=given.get("name") or None
    )


def _parameter(given: Mapping[str, Any]) -> Drawn:  # noqa: PLR0911  a kind each
    kind = str(given.get("type"))
    if kind in ("constant", "unparametrized"):
        return constant(given.get("value"))
    if kind == "ordinal":
        return choice(sequence("sequence", given.get("sequence")))
    if kind == "categorical":
        options = sequence("choices", given.get("choices"))
        shares = given.get("weights") or given.get("probabilities")
        return choice(options, None if shares is None else weights("weights", shares, options))
    family, _, of = kind.partition("_")
    if family not in ("uniform", "normal", "beta") or of not in ("float", "int"):
        raise UsageError(
            f"it is of the type {shown(given.get('type'))}; expected constant, categorical, "
            "ordinal, or uniform, normal or beta, each _float or _int"
        )
    are_whole, log = of == "int", bool(given.get("log"))

    def finite_(key: str) -> Any:  # noqa: ANN401  as it was given
        return finite(key, given.get(key))

    if family == "normal" and given.get("lower") is None:
        return normal(finite_("mu"), finite_("sigma"), log=log, are_whole=are_whole)
    low, high = finite_("lower"), finite_("upper")
    if family == "normal":
        within = low, high
        return normal(finite_("mu"), finite_("sigma"), are_whole=are_whole, within=within)
    if family == "beta":
        return beta(finite_("alpha"), finite_("beta"), low, high, are_whole=are_whole)
    step = given.get("q")
    if are_whole:
        by = 1 if step is None else integral("q", step)
        return whole(integral("lower", low), integral("upper", high), log=log, step=by)
    return real(low, high, log=log, step=step)


def _parents_first(given: Iterable[object]) -> list[Mapping[str, Any]]:
    """Return the conditions, those on a parameter after those on its parents."""
    waiting = [mapping("a condition", one) for one in given]
    found: list[Mapping[str, Any]] = []
    while waiting:
        children = {one.get("child") for one in waiting}
        ready = [
            one
            for one in waiting
            if not any(part.get("parent") in children for part in one.get("conditions", (one,)))
        ] or waiting
        found += ready
        waiting = [one for one in waiting if one not in ready]
    return found


def _add_condition(
    given: Mapping[str, Any], gathered: Gathered, orders: Mapping[str, Sequence[Any]]
) -> None:
    """Make a parameter given by the one that its condition names, or note that it is not."""
    child = str(given.get("child"))
    if child not in gathered.space:
        raise UsageError(f"a condition is on {child!r}, which is no hyperparameter")
    ones = [mapping("a condition", one) for one in given.get("conditions", (given,))]
    if not ones or any(one.get("type") not in _COMPARED for one in ones):
        return gathered.add_note(child, f"its condition {_condition(given)} is not kept")
    parents = list(dict.fromkeys(str(one.get("parent")) for one in ones))
    every = given.get("type") == "AND"
    # An ancestor's condition holds where its child's does: the nearest parent is enough.
    near = [p for p in parents if not any(p in _above(other, gathered.space) for other in parents)]
    kept = near[0] if every or len(parents) == 1 else ""
    parent = gathered.space.get(kept)
    is_given = isinstance(gathered.space[child], Given)
    if is_given or not isinstance(parent, Choice | Constant | Given):
        return gathered.add_note(child, f"its condition {_condition(given)} is not kept")
    holds = all if every else any
    cases = {
        value: gathered.space[child]
        if holds(_is_true(one, value, orders) for one in ones if one.get("parent") == kept)
        else None
        for value in parent.values()
    }
    gathered.space[child] = Given(kept, cases)
    if len(near) > 1:
        gathered.add_note(child, f"of its condition {_condition(given)} only {kept} is kept")
    return None


def _above(name: str, space: Mapping[str, Distribution]) -> Iterable[str]:
    """Yield the parameters that one is given by, directly and through others."""
    while isinstance(drawn := space.get(name), Given):
        name = drawn.parameter
        yield name


def _is_true(given: Mapping[str, Any], value: object, orders: Mapping[str, Sequence[Any]]) -> bool:
    """Return whether a condition holds at a value of its parent; not where that is not set."""
    other = given.get("values", given.get("value"))
    order = orders.get(str(given.get("parent")))
    if given["type"] in ("LT", "GT") and order and value in order and other in order:
        value, other = order.index(value), order.index(other)
    try:
        return value is not None and _COMPARED[given["type"]](value, other)
    except TypeError:
        raise UsageError(
            f"the condition {_condition(given)} compares {shown(value)} with another kind"
        ) from None


def _condition(given: Mapping[str, Any]) -> str:
    """Return a condition in words."""
    parts = given.get("conditions")
    return (
        _words(given, "parent")
        if parts is None
        else f" {_kind(given)} ".join(map(_condition, parts))
    )


def _clause(given: Mapping[str, Any]) -> str:
    """Return a forbidden clause in words."""
    if "clauses" in given:
        return " and ".join(map(_clause, given["clauses"]))
    if "left" in given:
        return f"{given['left']} {_kind(given)} {given.get('right')}"
    return _words(given, "name")


def _words(given: Mapping[str, Any], of: str) -> str:
    return f"{given.get(of)} {_kind(given)} {given.get('values', given.get('value'))}"


def _kind(given: Mapping[str, Any]) -> str:
    return str(given.get("type")).lower()
