"""Write runs to MLflow: an experiment a sweep, its runs below one run that holds the verdicts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from harness.integrations.trackers.base import (
    CONTENT,
    KEY,
    VERDICTS,
    TrackedRun,
    TrackedSweep,
    Tracker,
    TrackerError,
    is_of_scope,
    of_scope,
    plain_name,
    quietly,
)
from harness.records import Status, Value
from harness.tables.stores.common import CURVE

TAG = "sweep."
"""The beginning of the names of our tags."""

LONGEST = 5000
"""Characters of a tag's value; MLflow's own limit for tags. Parameters take a few more."""

AT_ONCE = 100
"""Parameters or tags in one request, MLflow's limit; it takes ten times as many metrics."""

LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
"""A server that is gone is given up in seconds: MLflow itself takes four minutes."""

_STATUS: dict[Status, str] = {"completed": "FINISHED", "interrupted": "KILLED"}


class MLflow:
    """A tracking server, a database or a folder of MLflow."""

    def __init__(self, uri: str) -> None:
        from mlflow import MlflowClient

        with _patience():
            self._client = MlflowClient(tracking_uri=uri)
        self._experiments: dict[str, str] = {}
        self._parents: dict[str, str] = {}

    def begin(self, sweep: TrackedSweep) -> None:
        """Make the sweep's experiment and the run that holds its verdicts."""
        with _patience():
            found = self._client.get_experiment_by_name(sweep.name)
            if found is not None and found.lifecycle_stage == "deleted":
                raise TrackerError(
                    f"its experiment {sweep.name!r} is deleted: restore it, or delete it for good "
                    "by mlflow gc"
                )
            id_ = found.experiment_id if found else self._client.create_experiment(sweep.name)
            self._experiments[sweep.name] = id_
            parent = next(iter(self._found(sweep.name, VERDICTS)), None)
            if parent is None:
                tags = {f"{TAG}{KEY}": VERDICTS, "mlflow.runName": sweep.name}
                parent = self._client.create_run(id_, tags=tags)
                self._client.set_terminated(parent.info.run_id)
            self._parents[sweep.name] = parent.info.run_id

    def write_run(self, sweep: TrackedSweep, run: TrackedRun) -> None:
        """Write a run; one of other content is deleted, since metrics can only be added to."""
        with _patience():
            for other in self._found(sweep.name, run.key):
                if other.data.tags.get(f"{TAG}{CONTENT}") == run.content:
                    return
                self._client.delete_run(other.info.run_id)
            self._create(sweep, run)

    def write_verdicts(self, sweep: TrackedSweep, verdicts: Mapping[str, str], scope: str) -> None:
        """Set the verdicts as tags of the run above the sweep's own."""
        with _patience():
            tags = {plain_name(n): text[:LONGEST] for n, text in of_scope(verdicts, scope).items()}
            parent = self._parents[sweep.name]
            there = self._client.get_run(parent).data.tags
            for name in there.keys() - tags.keys():
                if is_of_scope(name, scope):
                    self._client.delete_tag(parent, name)
            self._log(parent, tags={n: text for n, text in tags.items() if there.get(n) != text})

    def close(self) -> None:
        """Do nothing: every request is finished."""

    def _found(self, sweep: str, key: str) -> list[Any]:
        """Return the runs of an experiment that have a key."""
        found = self._client.search_runs(
            [self._experiments[sweep]], filter_string=f"tags.`{TAG}{KEY}` = '{key}'"
        )
        return list(found)

    def _create(self, sweep: TrackedSweep, run: TrackedRun) -> None:
        from mlflow.entities import Metric

        ended = round(run.ended * 1000)
        started = ended - round(run.seconds * 1000)
        tags = {f"{TAG}{plain_name(name)}": _text(value) for name, value in run.tags.items()}
        tags |= {"mlflow.parentRunId": self._parents[sweep.name], "mlflow.runName": run.name}
        made = self._client.create_run(
            self._experiments[sweep.name], start_time=started, tags={f"{TAG}{KEY}": run.key}
        )
        metrics = [Metric(name, value, ended, 0) for name, value in run.measures.items()]
        metrics += [Metric(CURVE, point.perf, ended, point.step) for point in run.curve]
        metrics += [
            Metric(f"{CURVE}_se", point.se, ended, point.step)
            for point in run.curve
            if point.se == point.se
        ]
        if run.value is not None:
            metrics.append(Metric(plain_name(sweep.metric), run.value, ended, 0))
        config = {plain_name(name): _text(value) for name, value in run.config.items()}
        self._log(made.info.run_id, config, tags, metrics)
        status = _STATUS.get(run.status, "FAILED")
        self._client.set_terminated(made.info.run_id, status, end_time=ended)
        # What says that the run is whole comes last.
        self._client.set_tag(made.info.run_id, f"{TAG}{CONTENT}", run.content)

    def _log(
        self,
        run: str,
        config: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: list[Any] | None = None,
    ) -> None:
        from mlflow.entities import Param, RunTag

        params = [Param(name, text) for name, text in (config or {}).items()]
        marks = [RunTag(name, text) for name, text in (tags or {}).items()]
        rest = metrics or []
        while params or marks or rest:
            self._client.log_batch(run, rest[: 8 * AT_ONCE], params[:AT_ONCE], marks[:AT_ONCE])
            rest, params, marks = rest[8 * AT_ONCE :], params[AT_ONCE:], marks[AT_ONCE:]


def open_tracker(place: str, home: Path, here: Path) -> Tracker:
    """Open MLflow at ``place``: a URI, or the path of a database that ends in ``.db``.

    Without a place it is the one of MLFLOW_TRACKING_URI, or else a database in ``home``.
    """
    place = place or os.environ.get("MLFLOW_TRACKING_URI", "") or f"{home / 'mlflow.db'}"
    if "://" not in place and Path(place).suffix == ".db":
        path = here / place
        path.parent.mkdir(parents=True, exist_ok=True)
        place = f"sqlite:///{path}"
    return MLflow(place)


def _text(value: Value) -> str:
    return str(value)[:LONGEST]


def _patience() -> AbstractContextManager[None]:
    """Give up soon on a server that does not answer, and keep to errors what MLflow logs."""
    return quietly(("mlflow", "alembic"), LIMITS)
