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
        at = mapping(f"hyperparameters[{place}]", one)
        name = str(at.get("name"))
        gathered.add(name, _configspace_parameter(name, at))
        orders[name] = list(at.get("sequence", ()))
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


def _configspace_parameter(name: str, at: Mapping[str, Any]) -> Drawn:  # noqa: PLR0911  a kind each
    kind = str(at.get("type"))
    if kind in ("constant", "unparametrized"):
        return constant(at.get("value"))
    if kind == "ordinal":
        return choice(sequence(f"{name}.sequence", at.get("sequence")))
    if kind == "categorical":
        options = sequence(f"{name}.choices", at.get("choices"))
        shares = at.get("weights") or at.get("probabilities")
        return choice(options, None if shares is None else weights(name, shares, options))
    family, _, of = kind.partition("_")
    if family not in ("uniform", "normal", "beta") or of not in ("float", "int"):
        raise UsageError(
            f"{name} is of the type {shown(at.get('type'))}; expected constant, categorical, "
            "ordinal, or uniform, normal or beta, each _float or _int"
        )
    are_whole, log = of == "int", bool(at.get("log"))

    def finite_(key: str) -> Any:  # noqa: ANN401  as it was given
        return finite(f"{name}.{key}", at.get(key))

    if family == "normal" and at.get("lower") is None:
        return normal(finite_("mu"), finite_("sigma"), log=log, are_whole=are_whole)
    low, high = finite_("lower"), finite_("upper")
    if family == "normal":
        within = low, high
        return normal(finite_("mu"), finite_("sigma"), are_whole=are_whole, within=within)
    if family == "beta":
        return beta(finite_("alpha"), finite_("beta"), low, high, are_whole=are_whole)
    step = at.get("q")
    if are_whole:
        by = 1 if step is None else integral(f"{name}.q", step)
        return whole(integral(name, low), integral(name, high), log=log, step=by)
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
    at: Mapping[str, Any], gathered: Gathered, orders: Mapping[str, Sequence[Any]]
) -> None:
    """Make a parameter given by the one that its condition names, or note that it is not."""
    child = str(at.get("child"))
    if child not in gathered.space:
        raise UsageError(f"a condition is on {child!r}, which is no hyperparameter")
    ones = [mapping("a condition", one) for one in at.get("conditions", (at,))]
    if not ones or any(one.get("type") not in _COMPARED for one in ones):
        return gathered.add_note(child, f"its condition {_condition(at)} is not kept")
    parents = list(dict.fromkeys(str(one.get("parent")) for one in ones))
    every = at.get("type") == "AND"
    # An ancestor's condition holds where its child's does: the nearest parent is enough.
    near = [p for p in parents if not any(p in _above(other, gathered.space) for other in parents)]
    kept = near[0] if every or len(parents) == 1 else ""
    parent = gathered.space.get(kept)
    is_given = isinstance(gathered.space[child], Given)
    if is_given or not isinstance(parent, Choice | Constant | Given):
        return gathered.add_note(child, f"its condition {_condition(at)} is not kept")
    holds = all if every else any
    cases = {
        value: gathered.space[child]
        if holds(_is_true(one, value, orders) for one in ones if one.get("parent") == kept)
        else None
        for value in parent.values()
    }
    gathered.space[child] = Given(kept, cases)
    if len(near) > 1:
        gathered.add_note(child, f"of its condition {_condition(at)} only {kept} is kept")
    return None


def _above(name: str, space: Mapping[str, Distribution]) -> Iterable[str]:
    """Yield the parameters that one is given by, directly and through others."""
    while isinstance(drawn := space.get(name), Given):
        name = drawn.parameter
        yield name


def _is_true(at: Mapping[str, Any], value: object, orders: Mapping[str, Sequence[Any]]) -> bool:
    """Return whether a condition holds at a value of its parent; not where that one is not set."""
    other = at.get("values", at.get("value"))
    order = orders.get(str(at.get("parent")))
    if at["type"] in ("LT", "GT") and order and value in order and other in order:
        value, other = order.index(value), order.index(other)
    try:
        return value is not None and _COMPARED[at["type"]](value, other)
    except TypeError:
        raise UsageError(
            f"the condition {_condition(at)} compares {shown(value)} with another kind"
        ) from None


def _condition(at: Mapping[str, Any]) -> str:
    """Return a condition in words."""
    if "conditions" in at:
        return f" {str(at.get('type')).lower()} ".join(map(_condition, at["conditions"]))
    return f"{at.get('parent')} {str(at.get('type')).lower()} {at.get('values', at.get('value'))}"


def _clause(at: Mapping[str, Any]) -> str:
    """Return a forbidden clause in words."""
    if "clauses" in at:
        return " and ".join(map(_clause, at["clauses"]))
    if "left" in at:
        return f"{at['left']} {str(at.get('type')).lower()} {at.get('right')}"
    return f"{at.get('name')} {str(at.get('type')).lower()} {at.get('values', at.get('value'))}"
