"""Read the spaces that trackers have: a W&B sweep, Optuna's distributions and trials."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import UsageError, nearest
from harness.spaces.found import (
    Drawn,
    FoundSpace,
    Gathered,
    at,
    beta,
    choice,
    constant,
    counted,
    direction,
    finite,
    integral,
    mapping,
    normal,
    real,
    sequence,
    size_of,
    weights,
    whole,
)
from harness.sweeps.checks import shown
from harness.sweeps.distributions import Choice, Given
from harness.text import listed

# ---- W&B -----------------------------------------------------------------------------------------

_WANDB = {
    "uniform": (False, False),
    "log_uniform": (True, True),
    "log_uniform_values": (True, False),
    "inv_log_uniform": (True, True),
    "inv_log_uniform_values": (True, False),
}
"""W&B's distributions between min and max: on a logarithmic scale, and ends that are exponents."""

LARGEST_EXPONENT = 300

_WANDB_KINDS = (
    *_WANDB,
    *(f"q_{name}" for name in ("uniform", "log_uniform", "log_uniform_values")),
    *(f"{q}{name}" for q in ("", "q_") for name in ("normal", "log_normal", "beta")),
    *("constant", "categorical", "categorical_w_probabilities", "int_uniform"),
)
_WANDB_USED = ("program", "parameters", "metric", "name", "run_cap", "method")
_WANDB_SAID = ("description", "project", "entity")
"""Keys that say nothing of what is trained."""


def from_wandb(given: Mapping[str, Any]) -> FoundSpace:
    """Read a W&B sweep's configuration: its parameters, metric, method and number of runs.

    Raises
    ------
    UsageError
        Where it is not one; the message names the place.
    """
    gathered = Gathered()
    _wandb_parameters("", mapping("parameters", given["parameters"]), gathered)
    metric = mapping("metric", given.get("metric") or {})
    method, runs = given.get("method"), counted("run_cap", given.get("run_cap"))
    if method == "grid":
        combinations = size_of(gathered.space)
        runs = runs or combinations
        gathered.say(
            f"method grid: the {combinations or 'many'} combinations are drawn from at random"
        )
    elif method == "bayes":
        gathered.say("method bayes: runs are drawn beforehand, whatever the others have shown")
    if "target" in metric:
        gathered.say(f"metric.target {metric['target']}: no run ends the sweep")
    if "program" in given:
        gathered.say(f"program {given['program']}: train runs it, with run.command")
    for key in given:
        if key not in (*_WANDB_USED, *_WANDB_SAID):
            gathered.say(f"{key}: {_short(given[key])}: not used")
    return FoundSpace(
        "a W&B sweep",
        gathered.space,
        tuple(gathered.notes),
        name=given.get("name"),
        runs=runs,
        metric=metric.get("name"),
        direction=direction("metric.goal", metric.get("goal", "minimize" if metric else None)),
    )


def _wandb_parameters(above: str, given: Mapping[str, Any], gathered: Gathered) -> None:
    for name, one in given.items():
        what = f"parameters.{above}{name}"
        settings = mapping(what, one)
        if "parameters" in settings:
            inner = mapping(f"{what}.parameters", settings["parameters"])
            _wandb_parameters(f"{above}{name}.", inner, gathered)
        else:
            with at(what):
                gathered.add(f"{above}{name}", _wandb_parameter(settings))


def _wandb_parameter(given: Mapping[str, Any]) -> Drawn:  # noqa: PLR0911  a kind each
    def finite_(key: str, default: float | None = None) -> Any:  # noqa: ANN401  as it was given
        return finite(key, given.get(key, default))

    kind = given.get("distribution")
    if kind is not None and kind not in _WANDB_KINDS:
        raise UsageError(
            f"distribution is {shown(kind)}; expected one of "
            f"{listed(_WANDB_KINDS, 'or')}{nearest(kind, _WANDB_KINDS)}"
        )
    if "value" in given:
        return constant(given["value"])
    if "values" in given:
        values = sequence("values", given["values"])
        shares = given.get("probabilities")
        return choice(values, None if shares is None else weights("probabilities", shares, values))
    step = finite_("q", 1.0) if str(kind)[:2] == "q_" else None
    name = str(kind).removeprefix("q_")
    if name in ("normal", "log_normal"):
        mean, sd = finite_("mu", 0.0), finite_("sigma", 1.0)
        return normal(mean, sd, log=name == "log_normal", step=step)
    if name == "beta":
        return beta(finite_("a"), finite_("b"), 0.0, 1.0)
    if "min" not in given or "max" not in given:
        raise UsageError(
            f"it has {listed(given) or 'nothing'}; expected value, values, or min and max"
        )
    low, high = finite_("min"), finite_("max")
    are_whole = isinstance(low, int) and isinstance(high, int)
    if kind == "int_uniform" or (kind is None and are_whole):
        return whole(integral("min", low), integral("max", high))
    log, by_exponent = _WANDB.get(name, (False, False))
    if by_exponent:
        if max(abs(low), abs(high)) > LARGEST_EXPONENT:
            raise UsageError(
                f"{kind} has exponents of e as its ends, and {low:g} to {high:g} are too large; "
                f"{kind}_values has the values themselves"
            )
        low, high = (float(f"{math.exp(end):.6g}") for end in sorted((low, high)))
        if name == "inv_log_uniform":
            low, high = (float(f"{1 / end:.6g}") for end in (high, low))
    if step is not None:
        first, last = math.ceil(low / step) * step, math.floor(high / step) * step
        low, high = (float(f"{end:.12g}") for end in (first, last))
        if all(float(one).is_integer() for one in (low, high, step)):
            return whole(int(low), int(high), step=int(step), log=log)
    return real(low, high, log=log, step=step)


# ---- Optuna --------------------------------------------------------------------------------------

_OPTUNA = {
    "FloatDistribution": (False, None),
    "UniformDistribution": (False, False),
    "LogUniformDistribution": (False, True),
    "DiscreteUniformDistribution": (False, False),
    "IntDistribution": (True, None),
    "IntUniformDistribution": (True, False),
    "IntLogUniformDistribution": (True, True),
}
"""Optuna's distributions, former ones too: of whole numbers, logarithmic always or never."""

_CATEGORICAL = "CategoricalDistribution"


def is_optuna(given: Mapping[str, Any]) -> bool:
    """Return whether every value is what `optuna.distributions.distribution_to_json` makes."""
    return bool(given) and all(_optuna_json(one) is not None for one in given.values())


def from_optuna(given: Mapping[str, Any]) -> FoundSpace:
    """Read distributions of Optuna by their parameters, each as JSON or as text of it."""
    gathered = Gathered()
    for name, one in given.items():
        with at(name):
            gathered.add(name, _optuna_parameter(one))
    return FoundSpace("Optuna's distributions", gathered.space, tuple(gathered.notes))


def _optuna_parameter(given: object) -> Drawn:
    """Return the distribution of ours for one of Optuna's in JSON."""
    found = _optuna_json(given)
    if found is None:
        raise UsageError(f"it is {shown(given)}; expected a distribution of Optuna in JSON")
    kind, values = found["name"], mapping("attributes", found["attributes"])
    if kind == _CATEGORICAL:
        return choice(sequence("choices", values.get("choices")))
    if kind not in _OPTUNA:
        known = (*_OPTUNA, _CATEGORICAL)
        raise UsageError(f"it is a {kind}; expected {listed(known, 'or')}")
    are_whole, always = _OPTUNA[kind]
    low, high = (finite(end, values.get(end)) for end in ("low", "high"))
    log = bool(values.get("log")) if always is None else always
    step = values.get("step") or values.get("q")
    if are_whole:
        by = 1 if log or step is None else integral("step", step)
        return whole(integral("low", low), integral("high", high), log=log, step=by)
    return real(float(low), float(high), log=log, step=None if step is None else float(step))


def from_study(file: str, part: str) -> FoundSpace:
    """Read the space, the metric and the number of trials of a study of Optuna.

    A parameter that some trials lack, or that has several distributions, is given by the first
    categorical parameter whose value decides which; where none does, the note says so.
    """
    from harness.tables.stores.optuna import read_study

    study = read_study(file, part)
    gathered = Gathered()
    for name in dict.fromkeys(name for trial in study.distributions for name in trial):
        had = [trial.get(name) for trial in study.distributions]
        with at(name):
            gathered.add(name, _of_trials(had, study.params, gathered))
    several = len(study.directions) > 1
    if several:
        gathered.say(f"{len(study.directions)} objectives: a sweep has one metric")
    return FoundSpace(
        "a study of Optuna",
        gathered.space,
        tuple(gathered.notes),
        name=study.name,
        runs=len(study.params),
        metric=None if several else (study.metrics or ["value"])[0],
        direction=None if several else direction("direction", study.directions[0]),
    )


def _of_trials(
    had: Sequence[str | None],
    params: Sequence[Mapping[str, Any]],
    gathered: Gathered,
) -> Drawn:
    """Return the distribution of a parameter by those that each trial ``had``, None for none."""
    kinds = [one for one in dict.fromkeys(had) if one is not None]
    if None not in had and len(kinds) == 1:
        return _optuna_parameter(kinds[0])
    parent = next((p for p in gathered.space if _decides(p, gathered, had, params)), None)
    if parent is not None:
        by = {one.get(parent): kind for one, kind in zip(params, had, strict=True)}
        drawn = {kind: _optuna_parameter(kind) for kind in kinds}
        cases = {
            value: None if (kind := by.get(value)) is None else drawn[kind].by
            for value in gathered.space[parent].values()
        }
        return Drawn(Given(parent, cases), next((d.note for d in drawn.values() if d.note), ""))
    last = _optuna_parameter(kinds[-1])
    said = f"it had {len(kinds)} distributions, and the last is taken" if len(kinds) > 1 else ""
    lacked = "some trials lack it, and no categorical parameter tells which: all runs have it"
    words = [said, lacked if None in had else "", last.note]
    return Drawn(last.by, "; ".join(filter(None, words)))


def _decides(
    parent: str, gathered: Gathered, had: Sequence[str | None], params: Sequence[Mapping[str, Any]]
) -> bool:
    """Return whether a parameter's value tells which distribution another one had."""
    if not isinstance(gathered.space[parent], Choice | Given):
        return False
    by: dict[object, set[str | None]] = {}
    for values, kind in zip(params, had, strict=True):
        by.setdefault(values.get(parent), set()).add(kind)
    # A value of one trial each tells everything, and means nothing.
    return 1 < len(by) <= len(params) / 2 and all(len(one) == 1 for one in by.values())


def _optuna_json(given: object) -> Mapping[str, Any] | None:
    """Return a distribution of Optuna as JSON; None where it is anything else."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            return None
    is_one = isinstance(given, Mapping) and {"name", "attributes"} == set(given)
    return given if is_one else None  # type: ignore[return-value]


def _short(given: object) -> str:
    return given if isinstance(given, str) else shown(given)
