"""Read the sweep of a Hydra configuration: the overrides of ``hydra.sweeper.params``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import UsageError
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
    mapping,
    nothing,
    real,
    sequence,
    size_of,
    whole,
)
from harness.sweeps.checks import shown
from harness.text import listed

CASTS = {"int": int, "float": float, "str": str, "bool": bool}
FUNCTIONS = ("choice", "range", "interval", "tag", "sort", "shuffle", "extend_list", "glob")

_USED = ("params", "search_space", "n_trials", "direction", "study_name", "_target_")


@dataclass(frozen=True, slots=True)
class Several:
    """The values of a comma list, which are those of a sweep."""

    values: tuple[Any, ...]


def is_hydra(given: Mapping[str, Any]) -> bool:
    """Return whether a configuration is Hydra's: the main one, or that of a sweeper."""
    return "hydra" in given or ("params" in given and "_target_" in given)


def from_hydra(given: Mapping[str, Any]) -> FoundSpace:
    """Read the parameters, trials, direction and seed of ``hydra.sweeper``.

    Raises
    ------
    UsageError
        Where there are no parameters, or an override cannot be read; the message names the place.
    """
    hydra = mapping("hydra", given.get("hydra", {"sweeper": given}))
    sweeper = mapping("hydra.sweeper", hydra.get("sweeper") or {})
    searches = _searches(given, sweeper)
    gathered = Gathered()
    if sweeper.get("params"):
        for key, text in mapping("hydra.sweeper.params", sweeper["params"]).items():
            if key[:1] == "~":
                gathered.add_note(key, "takes a value away, which a sweep cannot")
                continue
            with at(f"hydra.sweeper.params.{key}"):
                gathered.add(key.lstrip("+"), _override(text, inclusive=searches))
    elif sweeper.get("search_space"):
        for key, one in mapping("hydra.sweeper.search_space", sweeper["search_space"]).items():
            with at(f"hydra.sweeper.search_space.{key}"):
                gathered.add(key, _searched(mapping("it", one)))
    else:
        raise UsageError("hydra.sweeper.params is not there; expected the parameters of a sweep")
    sampler = mapping("hydra.sweeper.sampler", sweeper.get("sampler") or {})
    if "_target_" in sampler:
        gathered.say(
            f"sampler {sampler['_target_']}: runs are drawn beforehand, whatever the others have "
            "shown"
        )
    for key in sweeper:
        if key not in (*_USED, "sampler"):
            gathered.say(f"hydra.sweeper.{key}: {shown(sweeper[key])}: not used")
    runs, goals = (
        counted("hydra.sweeper.n_trials", sweeper.get("n_trials")),
        sweeper.get("direction"),
    )
    if not searches and runs is None:
        runs = size_of(gathered.space)
        gathered.say(f"the {runs or 'many'} combinations are drawn from at random")
    if isinstance(goals, list):
        gathered.say(f"hydra.sweeper.direction: a sweep has one metric, not {len(goals)}")
        goals = None
    seed = sampler.get("seed")
    return FoundSpace(
        "a Hydra sweep",
        gathered.space,
        tuple(gathered.notes),
        name=sweeper.get("study_name"),
        runs=runs,
        seed=seed if isinstance(seed, int) else None,
        metric="value" if goals is not None else None,
        direction=direction("hydra.sweeper.direction", goals),
    )


def _searches(given: Mapping[str, Any], sweeper: Mapping[str, Any]) -> bool:
    """Return whether the sweeper searches by trials; Hydra's own takes every combination."""
    chosen = [one for one in given.get("defaults") or () if isinstance(one, Mapping)]
    named = {str(key).split()[-1]: value for one in chosen for key, value in one.items()}
    basic = named.get("hydra/sweeper", "basic") == "basic"
    target = str(sweeper.get("_target_", "")).rpartition(".")[2]
    return not basic or "n_trials" in sweeper or target not in ("", "BasicSweeper")


def _override(given: object, *, inclusive: bool) -> Drawn:
    """Return the distribution of an override; ``inclusive`` ranges end with their stop."""
    parsed = _Parser(given).parsed() if isinstance(given, str) else given
    if isinstance(parsed, Several):
        return choice(parsed.values)
    return _sweep(parsed, inclusive=inclusive) if isinstance(parsed, Call) else constant(parsed)


def _sweep(call: Call, *, inclusive: bool, log: bool = False, kind: str = "") -> Drawn:
    """Return the distribution of a call, drawn on a logarithmic scale or as a ``kind`` if so."""
    if call.name in ("tag", *CASTS):
        *tags, inner = (*call.given, *call.named.values()) or (None,)
        kind = call.name if call.name in CASTS else kind
        if isinstance(inner, Call):
            return _sweep(inner, inclusive=inclusive, log=log or "log" in tags, kind=kind)
        within = call.given if call.name in CASTS else (inner,)
        return _choice(Call(call.name, within), inclusive=inclusive, kind=kind)
    if call.name == "interval":
        return _interval(call, log=log, kind=kind)
    if call.name in ("choice", "range", "shuffle", "sort"):
        within = (call,) if call.name == "range" else call.given
        return _choice(Call(call.name, within), inclusive=inclusive, kind=kind)
    if call.name in FUNCTIONS:
        return nothing(f"{call.name}(…) is found by Hydra as it runs: write the values")
    raise UsageError(f"{call.name}(…) is no sweep of Hydra; it has {listed((*FUNCTIONS, *CASTS))}")


def _interval(call: Call, *, log: bool, kind: str) -> Drawn:
    """Return a range; it has whole numbers where its ends are, as Hydra's sweepers take it."""
    low, high = call.arguments("start", "end")
    low, high = finite("interval(…): start", low), finite("interval(…): end", high)
    if kind == "int" or (kind != "float" and isinstance(low, int) and isinstance(high, int)):
        return whole(int(low), int(high), log=log)
    return real(float(low), float(high), log=log)


def _choice(call: Call, *, inclusive: bool, kind: str) -> Drawn:
    values: list[Any] = []
    for one in call.given:
        if isinstance(one, Call) and one.name == "range":
            values += _range(one, inclusive)
        elif isinstance(one, Call):
            raise UsageError(f"{call.name}(…) holds {one.name}(…); expected values")
        else:
            values += one.values if isinstance(one, Several) else [one]
    if not values:
        raise UsageError(f"{call.name}() is empty; expected values")
    return choice([_cast(value, kind) for value in values] if kind else values)


def _cast(value: Any, kind: str) -> Any:  # noqa: ANN401  a plain value
    try:
        return CASTS[kind](value)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{kind}(…) holds {shown(value)}; expected a value of that kind") from None


def _range(call: Call, inclusive: bool) -> Sequence[Any]:
    """Return the numbers of range(stop), range(start, stop) or range(start, stop, step)."""
    given = call
    if len(call.given) == 1 and not call.named:
        given = Call("range", (0, *call.given))
    start, stop, step = given.arguments("start", "stop", "step", step=1)
    for name, value in (("start", start), ("stop", stop), ("step", step)):
        finite(f"range(…): {name}", value)
    if not step:
        raise UsageError("range(…) has a step of 0; expected another")
    size = (stop - start) / step
    size = math.floor(size + 1e-9) + 1 if inclusive else math.ceil(size - 1e-9)
    values = [start + step * n for n in range(size)]
    if not values:
        raise UsageError(f"range({start}, {stop}, {step}) is empty; expected numbers")
    is_whole = all(isinstance(one, int) for one in (start, stop, step))
    return values if is_whole else [float(f"{value:.12g}") for value in values]


def _searched(given: Mapping[str, Any]) -> Drawn:
    """Return a distribution of the former ``search_space``: type, low, high, step, log, choices."""
    if given.get("type") == "categorical":
        return choice(sequence("choices", given.get("choices")))
    if given.get("type") not in ("int", "float"):
        raise UsageError(f"type is {shown(given.get('type'))}; expected int, float or categorical")
    low, high = finite("low", given.get("low")), finite("high", given.get("high"))
    if given["type"] == "int":
        return whole(
            int(low), int(high), log=bool(given.get("log")), step=int(given.get("step") or 1)
        )
    return real(float(low), float(high), log=bool(given.get("log")), step=given.get("step"))


# ---- the grammar of overrides --------------------------------------------------------------------

_NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[+-]?\d[\d_]*)?", re.IGNORECASE)
_PLAIN = re.compile(r"(?:\\.|\$\{[^{}]*\}|[^,()\[\]{}\\])*")
_ESCAPED = re.compile(r"\\(.)")
_WORDS = {"true": True, "false": False, "null": None}
_NAME = re.compile(r"[A-Za-z_]\w*")


class _Parser:
    """Reads the text of an override's value: numbers, words, quoted text, lists, calls."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def parsed(self) -> Any:  # noqa: ANN401  a value, a call or several values
        """Return the value, or `Several` of a comma list."""
        values = [self._value()]
        while self._takes(","):
            values.append(self._value())
        if self.at < len(self.text):
            raise self._wrong("the end")
        return Several(tuple(values)) if len(values) > 1 else values[0]

    def _value(self) -> Any:  # noqa: ANN401
        self._blank()
        begins = self.text[self.at : self.at + 1]
        if begins and begins in "'\"":
            return self._quoted(begins)
        if self._takes("["):
            return self._until("]")
        if self._takes("{"):
            return self._mapping()
        name = _NAME.match(self.text, self.at)
        if name and self.text[name.end() : name.end() + 1] == "(":
            self.at = name.end() + 1
            return self._call(name[0])
        return self._plain()

    def _call(self, name: str) -> Call:
        given: list[Any] = []
        named: dict[str, Any] = {}
        while not self._takes(")"):
            self._blank()
            key = re.compile(r"(\w+)\s*=").match(self.text, self.at)
            if key:
                self.at = key.end()
                named[key[1]] = self._value()
            else:
                given.append(self._value())
            if not self._takes(",") and self.text[self.at : self.at + 1] != ")":
                raise self._wrong(", or )")
        return Call(name, tuple(given), named)

    def _until(self, end: str) -> list[Any]:
        values: list[Any] = []
        while not self._takes(end):
            values.append(self._value())
            if not self._takes(",") and self.text[self.at : self.at + 1] != end:
                raise self._wrong(f", or {end}")
        return values

    def _mapping(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self._takes("}"):
            key = re.compile(r"\s*([^:,{}]+?)\s*:").match(self.text, self.at)
            if key is None:
                raise self._wrong("a key and :")
            self.at = key.end()
            found[key[1]] = self._value()
            if not self._takes(",") and self.text[self.at : self.at + 1] != "}":
                raise self._wrong(", or }")
        return found

    def _quoted(self, quote: str) -> str:
        found = re.compile(rf"{quote}((?:\\.|[^\\{quote}])*){quote}").match(self.text, self.at)
        if found is None:
            raise self._wrong(f"a closing {quote}")
        self.at = found.end()
        return found[1].replace(f"\\{quote}", quote)

    def _plain(self) -> Any:  # noqa: ANN401
        found = _PLAIN.match(self.text, self.at)
        if found is None or not found[0].strip():
            raise self._wrong("a value")
        self.at = found.end()
        word = _ESCAPED.sub(r"\1", found[0].strip())
        if word.lower() in _WORDS:
            return _WORDS[word.lower()]
        if _NUMBER.fullmatch(word):
            plain = word.replace("_", "")
            return int(plain) if plain.lstrip("+-").isdigit() else float(plain)
        return word

    def _takes(self, what: str) -> bool:
        self._blank()
        if self.text[self.at : self.at + 1] != what:
            return False
        self.at += 1
        return True

    def _blank(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def _wrong(self, expected: str) -> UsageError:
        return UsageError(f"{shown(self.text)}, character {self.at + 1}: expected {expected}")
