"""Read a space from elsewhere: whose format a file has, and its text as data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import SweepError, UsageError
from harness.spaces import ray
from harness.spaces.configspace import from_configspace
from harness.spaces.found import FoundSpace
from harness.spaces.hydra import from_hydra, is_hydra
from harness.spaces.trackers import from_optuna, from_study, from_wandb, is_optuna
from harness.sweeps.distributions import Constant
from harness.tables.files import divided
from harness.tables.stores import kind_of

EXPECTED = (
    "a ConfigSpace in JSON, Optuna's distributions in JSON or a study.db, a W&B sweep in YAML, a "
    "Hydra configuration in YAML, or a search space of Ray Tune in Python or JSON"
)
"""The formats that are read, in words."""

INSTALL = 'pip install "pytest-sweep[yaml]"'

_FLOAT = re.compile(r"[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$")
"""A number with an exponent; YAML 1.1 takes 1e-5 for text, as it has no point."""


def read_space(name: str) -> FoundSpace:
    """Read the space in the file called ``name``; ``FILE#PART`` is a study or a search space of it.

    Code is parsed and never run.

    Raises
    ------
    UsageError
        Where there is no such file, it is of another kind, or it cannot be read; the message names
        the file, the place and what was expected.
    """
    file, part = divided(name)
    try:
        found = _space(file, part)
    except (UsageError, SweepError) as error:
        raise UsageError(f"{file}: {error}") from None
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())[:160]
        raise UsageError(f"{file} cannot be read: {type(error).__name__}: {said}") from error
    if all(isinstance(drawn, Constant) for drawn in found.space.values()):
        raise UsageError(
            f"{file}: {found.kind} in which no parameter varies; expected one that does"
        )
    return found if found.name else replace(found, name=part or Path(file).stem)


def _space(file: str, part: str) -> FoundSpace:
    path = Path(file)
    if "://" in file or (path.is_file() and kind_of(file) == "Optuna"):
        return from_study(file, part)
    if not path.is_file():
        raise UsageError("there is no such file" if not path.exists() else f"expected {EXPECTED}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"it is no text; expected {EXPECTED}") from None
    if path.suffix == ".py":
        return _python(text, part)
    if part:
        raise UsageError(f"it has no parts, such as #{part}: leave it out")
    if path.suffix == ".json":
        return _declared(_json(text))
    if path.suffix in (".yaml", ".yml"):
        return _declared(_yaml(text))
    raise UsageError(f"its name ends in {path.suffix or 'nothing'}; expected {EXPECTED}")


def _declared(given: object) -> FoundSpace:
    """Return the space that data declare, by the keys that they have."""
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise UsageError(f"it is no mapping; expected {EXPECTED}")
    if "hyperparameters" in given:
        return from_configspace(given)
    if "parameters" in given:
        return from_wandb(given)
    if is_hydra(given):
        return from_hydra(given)
    if is_optuna(given):
        return from_optuna(given)
    if ray.is_ray(given):
        return ray.from_json(given)
    keys: Sequence[Any] = list(given)[:4]
    raise UsageError(f"its keys are {', '.join(map(str, keys)) or 'none'}; expected {EXPECTED}")


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None


def _yaml(text: str) -> object:
    try:
        import yaml
    except ModuleNotFoundError:
        raise UsageError(f"YAML needs PyYAML to be read: {INSTALL}") from None

    loader: Any = type(
        "Loader", (yaml.SafeLoader,), {}
    )  # a class of its own: a resolver is for good
    loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
    try:
        return yaml.load(text, loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UsageError(f"{place}{error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(" ".join(str(error).split())[:160]) from None


def _python(text: str, part: str) -> FoundSpace:
    try:
        tree = ray.parsed(text)
    except SyntaxError as error:
        raise UsageError(f"line {error.lineno}: {error.msg}") from None
    except ValueError as error:
        raise UsageError(str(error)) from None
    sweep = ray.configuration(tree)
    return ray.from_python(tree, part) if sweep is None else from_wandb(sweep)
