"""The factor between a sweep's learning rates and a model's own: where it comes from.

A sweep's rates are written for a model of 124 million parameters. Of another one the task says
`lr_transfer`, or `sweep calibrate` has found it and keeps it in the file `FILE`, or it is 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from harness.errors import UsageError, short
from harness.files import write_whole
from harness.records import Config, Value, is_number
from harness.sweeps.sweep import Sweep

FILE = "lr_transfer.json"
"""The file at the project's root that has the calibrations. It is meant to be committed."""

SCHEMA = 1

TASK: Literal["task"] = "task"
CALIBRATED: Literal["calibrated"] = "calibrated"
Origin = Literal["task", "calibrated", ""]
"""Who says the factor: the task itself, a calibration, or nobody."""

_ADAPTERS = ("lora_rank", "lora_alpha", "lora_modules")


@dataclass(frozen=True, slots=True)
class Calibration:
    """A factor that a range test has found, what it holds for, and what it was found by.

    It holds for one ``model`` and task, by their content, and for what of the model is trained:
    ``adapters`` has the settings of LoRA, and is empty where all weights are. The sweep's own rates
    lie between the ends of ``declared``, whose geometric middle becomes ``learning_rate``. The best
    rate lies between ``low`` and ``high``; an end is None where the test did not reach it.
    """

    model: str
    task: str
    task_version: str
    adapters: Mapping[str, Value]
    lr_transfer: float
    learning_rate: float
    low: float | None
    high: float | None
    sweep: str
    declared: tuple[float, float]
    steps: int
    delta_perf: float | None
    delta_perf_se: float | None
    backend: str
    precision: str
    found_at: str

    @property
    def holds_for(self) -> tuple[str, str, str, str]:
        """Return what it holds for; two calibrations of the same are one that was found again."""
        return self.model, self.task, self.task_version, _plain(self.adapters)


@dataclass(frozen=True, slots=True)
class Transfer:
    """The factor, who says it, and a sentence on that; the sentence says where nobody does."""

    factor: float
    origin: Origin
    said: str


def _plain(adapters: Mapping[str, Value]) -> str:
    return json.dumps(dict(adapters), sort_keys=True)


# ---- what of a sweep it depends on --------------------------------------------------------------


def middle(sweep: Sweep) -> Config:
    """Return the config in the middle of every distribution of the sweep's space."""
    return sweep.parameters.config([0.5] * len(sweep.parameters))


def declared_rates(sweep: Sweep) -> tuple[float, float]:
    """Return the lowest and the highest learning rate that the sweep declares.

    Raises
    ------
    UsageError
        Where its space has none.
    """
    drawn = sweep.parameters.distributions.get("learning_rate")
    rates = [float(rate) for rate in drawn.values() if is_number(rate)] if drawn else []
    if not rates:
        raise UsageError(f"sweep {sweep.name!r} has no learning_rate in its space")
    return min(rates), max(rates)


def middle_rate(declared: tuple[float, float]) -> float:
    """Return the geometric middle of a range of learning rates."""
    return math.sqrt(declared[0] * declared[1])


def factor_of(rate: float, declared: tuple[float, float]) -> float:
    """Return the factor that takes the middle of a declared range to ``rate``, to three digits."""
    return float(f"{rate / middle_rate(declared):.3g}")


def adapters_of(config: Config) -> dict[str, Value]:
    """Return the settings of LoRA in a config; empty where all weights are trained."""
    if not config.get("lora_rank"):
        return {}
    return {name: config[name] for name in _ADAPTERS if config.get(name) is not None}


def trained_part(adapters: Mapping[str, Value]) -> str:
    """Say what of a model is trained: ``all weights`` or ``adapters of rank 8``."""
    return f"adapters of rank {adapters['lora_rank']}" if adapters else "all weights"


# ---- the file -----------------------------------------------------------------------------------


def read(root: Path) -> tuple[Calibration, ...]:
    """Return the calibrations that the project at ``root`` keeps; none where it has no file.

    Raises
    ------
    UsageError
        Where the file cannot be read, or is not what this version writes.
    """
    path = root / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{short(path)} cannot be read ({error}); mend it, or delete it and run "
            "sweep calibrate again"
        ) from None
    try:
        if found["schema"] != SCHEMA:
            raise ValueError(f"schema {found['schema']!r}, expected {SCHEMA}")
        return tuple(map(_calibration, found["calibrations"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{short(path)} is not as sweep calibrate writes it ({type(error).__name__}: {error}); "
            "mend it, or delete it and run sweep calibrate again"
        ) from None


def _calibration(entry: Mapping[str, Any]) -> Calibration:
    given = {field.name: entry[field.name] for field in fields(Calibration)}
    adapters = Config.from_json(given["adapters"])
    made = Calibration(**given | {"adapters": dict(adapters), "declared": tuple(given["declared"])})
    if not is_number(made.lr_transfer) or not 0 < made.lr_transfer < math.inf:
        raise ValueError(f"lr_transfer {made.lr_transfer!r} is no number above 0")
    return made


def keep(calibration: Calibration, root: Path) -> Calibration | None:
    """Write a calibration into the project's file, and return the one that it replaces.

    Raises
    ------
    UsageError
        Where the file cannot be read or written; it is then left as it was.
    """
    earlier = read(root)
    same = [one for one in earlier if one.holds_for == calibration.holds_for]
    kept = [one for one in earlier if one.holds_for != calibration.holds_for]
    entries = sorted(map(asdict, (*kept, calibration)), key=json.dumps)
    text = json.dumps({"schema": SCHEMA, "calibrations": entries}, indent=1, allow_nan=False)
    try:
        write_whole(root / FILE, f"{text}\n".encode())
    except OSError as error:
        raise UsageError(f"{short(root / FILE)} cannot be written: {error.strerror}") from None
    return same[0] if same else None


# ---- the factor ---------------------------------------------------------------------------------


def transfer_of(
    sweep: Sweep,
    model: str,
    task: tuple[str, str],
    *,
    own: float | None,
    root: Path,
    more: str = "",
) -> Transfer:
    """Return the factor between the rates of ``sweep`` and those of a language model.

    Parameters
    ----------
    sweep
        The sweep, whose middle config says what of the model is trained.
    model, task
        What the model is known by, and the task: its name and its version.
    own
        What the task itself declares, which counts before a calibration; None where nothing.
    root
        The project's root, with the calibrations.
    more
        Options of the command that calibrates; they begin with a space.

    Raises
    ------
    UsageError
        Where the file of calibrations cannot be read.
    """
    if own is not None:
        return Transfer(own, TASK, f"lr_transfer {own:g} is what task {task[0]} declares")
    adapters = adapters_of(middle(sweep))
    wanted = (model, *task, _plain(adapters))
    calibrations = read(root)
    for one in calibrations:
        if one.holds_for == wanted:
            said = (
                f"lr_transfer {one.lr_transfer:g} is calibrated ({FILE}, sweep {one.sweep}, "
                f"{one.found_at[:10]})"
            )
            return Transfer(one.lr_transfer, CALIBRATED, said)
    name = model.partition("@")[0]
    like = [one for one in calibrations if one.model.partition("@")[0] == name]
    stale = max(like, key=lambda one: _in_common(one.holds_for, wanted), default=None)
    but = "" if stale is None else f"; {FILE} has it for {_unlike(stale, wanted)}"
    said = (
        f"lr_transfer is not calibrated for {name} on {task[0]}, {trained_part(adapters)}{but}: "
        f"the sweep's learning rates are used as they are; find it by sweep calibrate "
        f"{sweep.name}{more}"
    )
    return Transfer(1.0, "", said)


def _in_common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    return sum(a == b for a, b in zip(one, other, strict=True))


def _unlike(one: Calibration, wanted: tuple[str, str, str, str]) -> str:
    """Say in what a calibration differs from what is wanted."""
    model, task, version, adapters = wanted
    if one.model != model:
        return f"other weights or files of that name ({one.model}, this is {model})"
    if one.task != task:
        return f"task {one.task}"
    if one.task_version != version:
        return "another version of that task"
    other = trained_part(one.adapters)
    return other if other != trained_part(json.loads(adapters)) else "other settings of adapters"
