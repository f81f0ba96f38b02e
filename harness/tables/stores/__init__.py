"""Read the trackers' own stores, without an export: which there are, and how each is read.

A store is read as the table that the tracker would export, so that its columns are recognised in
the same way; beside it there are the metrics along training.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal

from harness.errors import UsageError
from harness.tables.stores import mlflow, ray, wandb
from harness.tables.stores.common import SQLITE, opened_database
from harness.tables.stores.mlflow import meta_of, without_parents
from harness.tables.table import Table

__all__ = ["Kind", "kind_of", "read_store", "without_parents"]

WEB = ("http", "https", "ftp", "s3", "gs", "hf")

Kind = Literal["Optuna", "MLflow", "Ray Tune", "W&B"]


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
    if path.suffix == ".wandb":
        return "W&B"
    return _kind_of_file(path) if path.is_file() else None


def _kind_of_folder(path: Path) -> Kind | None:
    def has(*patterns: str) -> bool:
        return any(any(path.glob(pattern)) for pattern in patterns)

    if has("*.wandb", "offline-run-*/*.wandb", "run-*/*.wandb"):
        return "W&B"
    if has("experiment_state-*.json", "*/experiment_state-*.json", "*/params.json"):
        return "Ray Tune"
    metas = [path / "meta.yaml", *path.glob("*/meta.yaml")]
    return "MLflow" if any("experiment_id" in meta_of(meta) for meta in metas) else None


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
    line = begins.partition(b"\n")[0]
    return "Optuna" if line.startswith(b"{") and b'"op_code"' in line else None


def _tables_in(path: Path) -> set[str]:
    try:
        with closing(opened_database(path)) as database:
            found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {name for (name,) in found}
    except sqlite3.Error:
        return set()


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

            return read_optuna(name, part)
        if kind == "MLflow":
            read = mlflow.read_folder if path.is_dir() else mlflow.read_database
            return read(path, part)
        if kind == "Ray Tune":
            return ray.read_folder(path, part)
        return wandb.read_wandb(path, part)
    except (OSError, UnicodeDecodeError, sqlite3.Error) as error:
        raise UsageError(f"{name} cannot be read as a store of {kind}: {error}") from error
