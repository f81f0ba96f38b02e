"""Read the studies of Optuna, by Optuna: a database, a journal file, the address of a storage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.tables.objects import flattened
from harness.tables.stores.common import CURVE, SQLITE, Row, as_table, chosen_part, curves_of
from harness.tables.table import History, Table

_INSTALL = 'pip install "pytest-sweep[optuna]"'


@dataclass(frozen=True, slots=True)
class Study:
    """A study: its directions and metrics, and the parameters of its trials.

    ``distributions`` are those of each trial's parameters, as Optuna writes them in JSON, and
    ``params`` their values.
    """

    name: str
    directions: tuple[str, ...]
    metrics: tuple[str, ...]
    distributions: tuple[Mapping[str, str], ...]
    params: tuple[Mapping[str, Any], ...]


def read_study(name: str, part: str) -> Study:
    """Read the parameters of a study, to declare its space; raise as `read_optuna` does."""
    study, trials = _opened(name, part, "")
    from optuna.distributions import distribution_to_json

    return Study(
        study.study_name,
        tuple(one.name.lower() for one in study.directions),
        tuple(study.metric_names or ()),
        tuple(
            {key: distribution_to_json(at) for key, at in trial.distributions.items()}
            for trial in trials
        ),
        tuple(dict(trial.params) for trial in trials),
    )


def read_optuna(name: str, part: str) -> Table:
    """Read a study of Optuna: a database, a journal file, or the address of a storage.

    Raises
    ------
    UsageError
        Where Optuna is not installed, it cannot read this, or there is no such study.
    """
    study, trials = _opened(
        name, part, ', or export it: study.trials_dataframe().to_csv("runs.csv")'
    )
    called = study.metric_names or [f"{n}" for n in range(len(study.directions))]
    single = len(study.directions) == 1
    values = ["value"] if single else [f"values_{one}" for one in called]
    rows = [_trial(trial, values) for trial in trials]
    minimised = {
        column: "min" if direction.name == "MINIMIZE" else "max"
        for column, direction in zip(values, study.directions, strict=True)
    }
    points = {
        str(trial.number): list(trial.intermediate_values.items()) if single else []
        for trial in trials
    }
    alike = _same_quantity(
        (trial.values[0], list(trial.intermediate_values.values()))
        for trial in trials
        if trial.state.name == "COMPLETE" and single
    )
    notes = [f"Optuna's study {study.study_name!r}"]
    if any(points.values()) and not alike:
        notes.append("its intermediate values are not those that trials end with: not used")

    def history(column: str) -> History:
        return curves_of(points) if column == CURVE or (alike and column == "value") else {}

    return as_table(
        Path(name.rpartition("/")[2] or name) if "://" in name else Path(name),
        "Optuna",
        rows,
        "trial",
        [trial.number for trial in trials],
        notes=tuple(notes),
        history=history,
        directions=minimised,
    )


def _opened(name: str, part: str, instead: str) -> tuple[Any, list[Any]]:
    """Return a study and its trials; ``instead`` says what to do without Optuna."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise UsageError(f"{name} needs optuna to be read: {_INSTALL}{instead}") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage: Any = _storage(name)
        summaries = optuna.get_all_study_summaries(storage, include_best_trial=False)
        parts = {one.study_name: one.n_trials for one in summaries}
        study = optuna.load_study(
            study_name=chosen_part(name, "study", parts, part, "trial"), storage=storage
        )
        trials = study.get_trials(deepcopy=False)
    except UsageError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0][:160] or type(error).__name__
        raise UsageError(f"{name} cannot be read by Optuna: {reason}") from error
    return study, trials


def _storage(name: str) -> object:
    """Return what Optuna opens as a storage, in which nothing is made that is not there."""
    from optuna.storages import RDBStorage

    if "://" in name:
        return RDBStorage(name, skip_table_creation=True)
    path = Path(name)
    with path.open("rb") as file:
        is_database = file.read(len(SQLITE)) == SQLITE
    if is_database:
        return RDBStorage(f"sqlite:///{path.resolve()}", skip_table_creation=True)
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(path)))


def _trial(trial: Any, values: Sequence[str]) -> Row:  # noqa: ANN401 (Optuna's)
    known = trial.values or [None] * len(values)
    row: Row = {"number": trial.number, **dict(zip(values, known, strict=True))}
    row |= {"datetime_start": _text(trial.datetime_start)}
    row |= {f"params_{name}": item for name, item in trial.params.items()}
    for name, item in trial.user_attrs.items():
        row |= flattened({f"user_attrs_{name}": item})
    return row | {"state": trial.state.name}


def _text(item: object) -> str | None:
    return None if item is None else str(item)


def _same_quantity(trials: Iterable[tuple[float, list[float]]]) -> bool:
    """Return whether trials end with a value that is on their curves: the last one or the best."""
    found = [(end, curve) for end, curve in trials if curve]
    alike = [
        any(math.isclose(end, one, rel_tol=1e-6) for one in (curve[-1], min(curve), max(curve)))
        for end, curve in found
    ]
    return 2 * sum(alike) > len(alike)
