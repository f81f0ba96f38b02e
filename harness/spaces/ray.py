"""Read search spaces of Ray Tune from Python, which is parsed and never run, or from JSON."""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import UsageError
from harness.records import is_number
from harness.spaces.found import (
    Call,
    Drawn,
    FoundSpace,
    Gathered,
    at,
    choice,
    constant,
    counted,
    direction,
    finite,
    integral,
    normal,
    nothing,
    real,
    sequence,
    size_of,
    whole,
)
from harness.sweeps.checks import shown
from harness.sweeps.distributions import Distribution
from harness.text import first

GRID = "grid_search"

DOMAINS: Mapping[str, tuple[str, ...]] = {
    "uniform": ("lower", "upper"),
    "quniform": ("lower", "upper", "q"),
    "loguniform": ("lower", "upper", "base"),
    "qloguniform": ("lower", "upper", "q", "base"),
    "randint": ("lower", "upper"),
    "qrandint": ("lower", "upper", "q"),
    "lograndint": ("lower", "upper", "base"),
    "qlograndint": ("lower", "upper", "q", "base"),
    "randn": ("mean", "sd"),
    "qrandn": ("mean", "sd", "q"),
    "choice": ("categories",),
    GRID: ("values",),
    "sample_from": ("func",),
}
"""The functions of ray.tune that make a search space, with their arguments."""

_DEFAULTS = {"base": 10, "q": 1, "mean": 0.0, "sd": 1.0}

_OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
_LARGEST_POWER = 100
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Unread:
    """An expression whose value is known only by running it; ``line`` is None in JSON."""

    text: str
    line: int | None = None


def parsed(text: str, mode: str = "exec") -> Any:  # noqa: ANN401  of the mode
    """Return the syntax of Python, without the warnings that are meant for its author."""
    with warnings.catch_warnings(action="ignore"):
        return ast.parse(text, mode=mode)


def is_ray(given: object) -> bool:
    """Return whether something in JSON is a grid, or text of a call of ray.tune."""
    if isinstance(given, Mapping):
        return set(given) == {GRID} or any(map(is_ray, given.values()))
    return isinstance(_revived(given, _Names(ast.Module([], []))), Call | Unread)


def from_json(given: Mapping[str, Any]) -> FoundSpace:
    """Read a search space that was written to JSON: ``grid_search``, and calls as text.

    Raises
    ------
    UsageError
        Where a distribution has arguments that it cannot have.
    """
    gathered, grids = Gathered(), dict[str, Distribution]()
    names = _Names(ast.Module([], []))
    _add("", {key: _revived(one, names) for key, one in given.items()}, gathered, grids)
    return FoundSpace(
        "a search space of Ray Tune", gathered.space, tuple(gathered.notes), runs=size_of(grids)
    )


def configuration(tree: ast.Module) -> Mapping[str, Any] | None:
    """Return the configuration of a W&B sweep that a file writes as a plain dictionary, if one."""
    names = _Names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict) and not any(map(names.domain, ast.walk(node))):
            found: Mapping[str, Any] = names.value(node)
            is_read = not any(isinstance(part, Unread) for part in _parts(found))
            if is_read and {"method", "parameters"} <= set(found):
                return found
    return None


def from_python(tree: ast.Module, part: str = "") -> FoundSpace:
    """Read the search space that a file of Python writes as a dictionary.

    ``part`` is the name of the variable or argument that has it, where there are several.
    What the file says of samples, metric and mode is read from its ``TuneConfig`` or ``tune.run``.

    Raises
    ------
    UsageError
        Where there is no such dictionary, or there are several.
    """
    names = _Names(tree)
    found = dict(_dictionaries(tree, names))
    listed = first((f"{name} (line {node.lineno})" for name, node in found.items()), 6)
    if not found:
        raise UsageError(
            "there is no dictionary with a search space, as {'lr': tune.uniform(0, 1)}"
        )
    if (part and part not in found) or (not part and len(found) > 1):
        which = f"no search space {part!r}" if part else f"{len(found)} search spaces"
        raise UsageError(f"there are {which}: {listed}; name one, as FILE#{next(iter(found))}")
    gathered, grids = Gathered(), dict[str, Distribution]()
    _add("", names.value(found[part or next(iter(found))]), gathered, grids)
    settings = _settings(tree, names, gathered)
    samples, metric = settings.get("num_samples"), settings.get("metric")
    goal = direction("mode", settings.get("mode"))
    if metric is not None and goal is None:
        gathered.say(f"metric {metric}: no mode says whether more or less of it is better")
    runs = None if samples == -1 else counted("num_samples", samples)
    combinations = size_of(grids) if grids else 1
    if grids:
        gathered.say(f"grid_search: the {combinations} combinations are drawn from at random")
    return FoundSpace(
        "a search space of Ray Tune",
        gathered.space,
        tuple(gathered.notes),
        runs=(runs or 1) * (combinations or 1) if runs or grids else None,
        metric=None if goal is None else metric,
        direction=None if metric is None else goal,
    )


def _add(
    above: str, given: Mapping[str, Any], gathered: Gathered, grids: dict[str, Distribution]
) -> None:
    """Add the parameters of a dictionary, those of one in it with its name and a point before."""
    for key, value in given.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and set(value) != {GRID}:
            _add(f"{name}.", value, gathered, grids)
            continue
        written = Call(GRID, (value[GRID],)) if isinstance(value, Mapping) else value
        with at(name):
            gathered.add(name, _drawn(written))
        if isinstance(written, Call) and written.name == GRID and name in gathered.space:
            grids[name] = gathered.space[name]


def _drawn(value: object) -> Drawn:
    """Return the distribution of a value in a search space."""
    inside = (*value.given, *value.named.values()) if isinstance(value, Call) else (value,)
    for part in _parts(inside):
        if isinstance(part, Call):
            return nothing(f"{part.name}(…) is a part of a value, and a sweep draws whole ones")
        if isinstance(part, Unread):
            where = f" (line {part.line})" if part.line else ""
            return nothing(f"{part.text}{where} is known only by running it: write its values")
    return _domain(value) if isinstance(value, Call) else constant(value)


def _parts(value: object) -> Iterator[object]:
    """Yield a value and all that is in it."""
    yield value
    inside = value.values() if isinstance(value, Mapping) else value
    if isinstance(inside, list | tuple) or inside is not value:
        for one in inside:  # type: ignore[attr-defined]
            yield from _parts(one)


def _domain(call: Call) -> Drawn:
    names = DOMAINS[call.name]
    values = dict(zip(names, call.arguments(*names, **_DEFAULTS), strict=True))
    if call.name in ("choice", GRID):
        return choice(sequence(call.name, next(iter(values.values()))))
    if call.name == "sample_from":
        return nothing(
            "sample_from(…) is a function: write a distribution, or work it out in train"
        )
    numbers = {key: finite(f"{call.name}: {key}", value) for key, value in values.items()}
    step = numbers.get("q") if call.name[:1] == "q" else None
    if "mean" in numbers:
        return normal(numbers["mean"], numbers["sd"], step=step)
    low, high, log = numbers["lower"], numbers["upper"], "log" in call.name
    if "int" not in call.name:
        return real(float(low), float(high), log=log, step=step)
    low, high = integral(f"{call.name}: lower", low), integral(f"{call.name}: upper", high)
    by = 1 if step is None else integral(f"{call.name}: q", step)
    return whole(low, high if step is not None else high - 1, log=log, step=by)


def _revived(value: object, names: _Names) -> object:
    """Return a value of JSON with the text of calls, as ``tune.uniform(0, 1)``, read as calls."""
    if isinstance(value, Mapping):
        return {key: _revived(one, names) for key, one in value.items()}
    if isinstance(value, str):
        if value[:5] == "<ray.":
            return Unread(f"{value.split(' object')[0]}…>")
        try:
            node = parsed(value, "eval").body
        except (SyntaxError, ValueError):
            return value
        if isinstance(node, ast.Call) and isinstance(read := names.value(node), Call):
            return read
    return value


# ---- Python --------------------------------------------------------------------------------------


class _Names:
    """The values of expressions of a file, by its imports and its constants."""

    def __init__(self, tree: ast.Module) -> None:
        self.imports: dict[str, str] = {}
        self.constants: dict[str, ast.expr | None] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for one in node.names:
                    self.imports[one.asname or one.name.split(".")[0]] = (
                        one.name if one.asname else one.name.split(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom):
                for one in node.names:
                    self.imports[one.asname or one.name] = f"{node.module}.{one.name}"
        for statement in tree.body:
            for name, value in _assigned(statement):
                self.constants[name] = None if name in self.constants else value

    def function(self, node: ast.expr) -> str:
        """Return the full name of a function that is called, as the imports have it."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self.imports.get(node.id, node.id), *parts])

    def domain(self, node: ast.AST) -> str | None:
        """Return which function of ray.tune a call is of; None where it is of none."""
        if not isinstance(node, ast.Call):
            return None
        module, _, name = self.function(node.func).rpartition(".")
        return name if name in DOMAINS and module.split(".")[-1] in ("tune", "sample", "") else None

    def value(self, node: ast.expr, depth: int = 0) -> Any:  # noqa: ANN401, PLR0911  a kind each
        """Return the value of an expression, a `Call`, or `Unread` where it would have to run."""
        unread = Unread(ast.unparse(node), node.lineno)
        if depth > _DEEPEST:
            return unread
        match node:
            case ast.Constant():
                return node.value
            case ast.List() | ast.Tuple() | ast.Set():
                return [self.value(one, depth + 1) for one in node.elts]
            case ast.Dict():
                return self._dictionary(node, depth)
            case ast.Call():
                return self._call(node, unread, depth)
            case ast.Name() if self.constants.get(node.id) is not None:
                return self.value(self.constants[node.id], depth + 1)  # type: ignore[arg-type]
            case ast.UnaryOp(op=ast.USub()) if is_number(
                value := self.value(node.operand, depth + 1)
            ):
                return -value
            case ast.BinOp():
                left, right = (self.value(one, depth + 1) for one in (node.left, node.right))
                found = _calculated(node.op, left, right)
                return unread if found is None else found
        return unread

    def _dictionary(self, node: ast.Dict, depth: int) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            read = self.value(value, depth + 1)
            if key is not None:
                found[str(self.value(key, depth + 1))] = read
            elif isinstance(read, Mapping):
                found |= read
            else:
                found[f"**{ast.unparse(value)}"] = read
        return found

    def _call(self, node: ast.Call, unread: Unread, depth: int) -> Any:  # noqa: ANN401
        given = [self.value(one, depth + 1) for one in node.args]
        named = {str(one.arg): self.value(one.value, depth + 1) for one in node.keywords}
        name = self.domain(node)
        if name is not None:
            return Call(name, tuple(given), named)
        called = self.function(node.func)
        if called == "dict" and not given:
            return named
        if called == "range" and not named and all(isinstance(one, int) for one in given):
            return list(range(*given))
        if called in ("list", "tuple") and len(given) == 1 and isinstance(given[0], list):
            return given[0]
        return unread


def _calculated(op: ast.operator, left: object, right: object) -> int | float | None:
    """Return the result of an operation on numbers; None of another, or where it is very large."""
    function = _OPERATORS.get(type(op))
    if function is None or not is_number(left) or not is_number(right):
        return None
    if isinstance(op, ast.Pow) and abs(right) > _LARGEST_POWER:
        return None
    try:
        found: int | float = function(left, right)
    except ArithmeticError:
        return None
    return found if is_number(found) else None


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names and values of a statement's plain assignments."""
    if isinstance(node, ast.Assign):
        yield from ((t.id, node.value) for t in node.targets if isinstance(t, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        yield node.target.id, node.value


def _dictionaries(tree: ast.Module, names: _Names) -> Iterator[tuple[str, ast.expr]]:
    """Yield the dictionaries with a search space, by the name of what they are given to."""
    inside: set[ast.AST] = set()
    named = {value: name for node in ast.walk(tree) for name, value in _assigned(node)}
    for node in ast.walk(tree):  # outer ones come first
        if isinstance(node, ast.Call):
            named |= {one.value: one.arg for one in node.keywords if one.arg}
        is_dict = isinstance(node, ast.Dict) or (
            isinstance(node, ast.Call) and names.function(node.func) == "dict"
        )
        if node in inside or not is_dict or not isinstance(node, ast.expr):
            continue
        below = [*ast.walk(node)]
        inside.update(below)
        is_grid = any(isinstance(one, ast.Constant) and one.value == GRID for one in below)
        if is_grid or any(map(names.domain, below)):
            yield named.get(node, f"line{node.lineno}"), node


def _settings(tree: ast.Module, names: _Names, gathered: Gathered) -> Mapping[str, Any]:
    """Return the samples, metric and mode that a ``TuneConfig`` or ``tune.run`` has."""
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = names.function(node.func)
        if called.rpartition(".")[2] != "TuneConfig" and called not in ("ray.tune.run", "tune.run"):
            continue
        for one in node.keywords:
            value = names.value(one.value)
            if one.arg in ("num_samples", "metric", "mode") and not isinstance(value, Unread):
                found[one.arg] = value
            elif one.arg in ("scheduler", "search_alg", "stop", "num_samples", "metric", "mode"):
                gathered.say(f"{one.arg}: {shown_code(one.value)}: not used")
    return found


def shown_code(node: ast.expr) -> str:
    """Return an expression in one line, cut where it is long."""
    return shown(ast.unparse(node))
