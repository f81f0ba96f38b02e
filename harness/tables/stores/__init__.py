"""Read the trackers' own stores, without an export: which there are, and how each is read.

A store is read as the table that the tracker would export, so that its columns are recognised in
the same way; beside it there are the metrics along training.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, TypeGuard

from harness.errors import UsageError
from harness.tables.columns import ReadOptions
from harness.tables.stores import inspect_ai, lm_eval, mlflow, ray, wandb
from harness.tables.stores.common import SQLITE, as_exported, opened_database
from harness.tables.stores.evals import EvalLog, LogKind, table_of
from harness.tables.stores.mlflow import meta_of, without_parents
from harness.tables.table import Table

__all__ = ["Kind", "is_log", "kind_of", "read_logs", "read_store", "without_parents"]

WEB = ("http", "https", "ftp", "s3", "gs", "hf")

Kind = Literal["Optuna", "MLflow", "Ray Tune", "W&B", "Inspect", "lm-eval"]

_INSPECT = re.compile(rb'\s*\{\s*"version":\s*\d+,\s*"status":\s*"\w+",\s*"eval":\s*\{')
_LM_EVAL = re.compile(rb'\s*\{\s*"results":\s*\{')
"""How the JSON that an evaluation writes begins."""


def kind_of(name: str) -> Kind | None:
    """Return whose store a folder, a file or an address is; None where it is no tracker's.

    Raises
    ------
    UsageError
        Where it is an address of the web.
    """
    path = Path(name)
    if name.partition("://")[0] in WEB:
        raise UsageError(
            f"{name} is an address of the web: download it and give the file, or pipe it into "
            "sweep judge -"
        )
    if "://" in name:
        return "Optuna"
    if path.is_dir():
        return _kind_of_folder(path)
    if path.suffix in (".wandb", ".eval"):
        return "W&B" if path.suffix == ".wandb" else "Inspect"
    return _kind_of_file(path) if path.is_file() else None


def _kind_of_folder(path: Path) -> Kind | None:
    def has(*patterns: str) -> bool:
        return any(any(path.glob(pattern)) for pattern in patterns)

    if has("*.wandb", "offline-run-*/*.wandb", "run-*/*.wandb"):
        return "W&B"
    if has("experiment_state-*.json", "*/experiment_state-*.json", "*/params.json"):
        return "Ray Tune"
    metas = [path / "meta.yaml", *path.glob("*/meta.yaml")]
    if any("experiment_id" in meta_of(meta) for meta in metas):
        return "MLflow"
    return next((kind for kind in ("Inspect", "lm-eval") if _logs_in(path, kind)), None)


def _kind_of_file(path: Path) -> Kind | None:
    try:
        with path.open("rb") as file:
            begins = file.read(512)
    except OSError:
        return None  # which is said where it is read
    if begins.startswith(SQLITE):
        tables = _tables_in(path)
        if {"studies", "trials"} <= tables:
            return "Optuna"
        return "MLflow" if {"experiments", "latest_metrics"} <= tables else None
    if path.suffix == ".json" and _INSPECT.match(begins):
        return "Inspect"
    named = path.name.startswith(("results_", "samples_"))
    if named and (_LM_EVAL.match(begins) or (path.suffix == ".jsonl" and b'"doc_id"' in begins)):
        return "lm-eval"
    line = begins.partition(b"\n")[0]
    return "Optuna" if line.startswith(b"{") and b'"op_code"' in line else None


def _tables_in(path: Path) -> set[str]:
    try:
        with closing(opened_database(path)) as database:
            found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {name for (name,) in found}
    except sqlite3.Error:
        return set()


def is_log(kind: Kind) -> TypeGuard[LogKind]:
    """Return whether these are logs of evaluations, several of which may be named."""
    return kind in ("Inspect", "lm-eval")


def read_logs(names: Sequence[str], options: ReadOptions) -> Table:
    """Read logs of evaluations, and the folders that hold some, as a table.

    Raises
    ------
    UsageError
        Where one is not a log, or not of the same kind as the others, or cannot be read.
    """
    kinds = {name: kind_of(name) for name in names}
    for name, kind in kinds.items():
        if kind is None or not is_log(kind):
            raise UsageError(
                f"{name} is no log of Inspect or lm-eval: several names are read together only "
                "where each is one, or a folder of them"
            )
    kind, *others = dict.fromkeys(kinds.values())
    if others:
        raise UsageError(f"there are logs of {kind} and of {others[0]}: judge them apart")
    assert kind is not None
    assert is_log(kind)
    wanted = {"clusters": options.clusters, "before": options.before_log, "metric": options.metric}
    try:
        files = [file for name in names for file in _logs_in(Path(name), kind)]
        path = Path(names[0] if len(names) == 1 else os.path.commonpath(files))
        return table_of(path, kind, _read(kind, dict.fromkeys(files), options.clusters), **wanted)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{names[0]} cannot be read as logs of {kind}: {error}") from error


def _read(kind: LogKind, files: Iterable[Path], clusters: str | None) -> list[EvalLog]:
    if kind == "Inspect":
        return [inspect_ai.read_log(file, clusters) for file in files]
    found: dict[str, EvalLog] = {}
    for file in files:
        is_samples = file.suffix == ".jsonl"
        results, task = lm_eval.results_beside(file) if is_samples else (file, None)
        for log in lm_eval.read_results(results, clusters):
            if task in (None, log.task):
                found[log.id] = log
    return list(found.values())


def _logs_in(path: Path, kind: Kind) -> list[Path]:
    """Return the logs of a kind in a folder and those below it, or the one log itself."""
    if path.is_file():
        return [path]
    if kind == "Inspect":
        found = [*path.rglob("*.eval")]
        return sorted([*found, *(f for f in path.rglob("*.json") if _kind_of_file(f) == kind)])
    return sorted(f for f in path.rglob("results_*.json") if _kind_of_file(f) == kind)


def read_store(name: str, kind: Kind, part: str = "") -> Table:
    """Read a tracker's store as a table; ``part`` names one of its studies or experiments.

    Raises
    ------
    UsageError
        Where the store cannot be read, or has several parts and none is named.
    """
    path = Path(name)
    try:
        if kind == "Optuna":
            from harness.tables.stores.optuna import read_optuna

            found = read_optuna(name, part)
            settings = ("params_", "user_attrs_config.")
            return as_exported(found, "number", "user_attrs_sweep.", settings, ())
        if kind == "MLflow":
            read = mlflow.read_folder if path.is_dir() else mlflow.read_database
            found = read(path, part)
            return as_exported(found, "run_id", "tags.sweep.", ("params.",), ("metrics.",))
        if kind == "Ray Tune":
            return ray.read_folder(path, part)
        tags = f"config.{wandb.OURS}."
        return as_exported(wandb.read_wandb(path, part), "ID", tags, ("config.",), ("summary.",))
    except (OSError, UnicodeDecodeError, sqlite3.Error) as error:
        raise UsageError(f"{name} cannot be read as a store of {kind}: {error}") from error
