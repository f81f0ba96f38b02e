"""Write runs to W&B's folder for what is offline, which ``wandb sync`` uploads."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.integrations.trackers.base import (
    VERDICTS,
    TrackedRun,
    TrackedSweep,
    Tracker,
    TrackerError,
    quietly,
)
from harness.records import digest
from harness.tables.stores.common import CURVE
from harness.tables.stores.wandb import OURS, has_ended

MARK = "sweep.content"
"""A file in a run's folder: the digest of all that was written of it, once it is whole."""


ALONE = {"WANDB_ERROR_REPORTING": "false"}
"""W&B would send its own statistics over the network even of what is offline."""

PATIENCE = 30
"""Seconds that W&B may take to write a run to its folder."""


class WandB:
    """A folder of W&B. A sweep is a project and a group, an arm a type of job."""

    def __init__(self, folder: Path) -> None:
        with quietly(("wandb",), ALONE):
            import wandb

        self._wandb = wandb
        self._folder = folder

    def begin(self, sweep: TrackedSweep) -> None:
        """Make the folder, in place of which W&B would take a temporary one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        probe = self._folder / f".{os.getpid()}"
        probe.touch()
        probe.unlink()

    def write_run(self, sweep: TrackedSweep, run: TrackedRun) -> None:
        """Write the folder of a run, whose id is its key."""
        measures = dict(run.measures)
        if run.value is not None:
            measures[sweep.metric] = run.value
        points = [
            {"step": p.step, CURVE: p.perf} | ({f"{CURVE}_se": p.se} if p.se == p.se else {})
            for p in run.curve
        ]
        config = {**run.config, OURS: dict(run.tags)}
        status = 0 if run.status == "completed" else 1
        about = {"name": run.name, "job_type": run.arm, "config": config}
        self._replace(
            sweep, run.key, run.content, about, points=points, summary=measures, status=status
        )

    def write_verdicts(self, sweep: TrackedSweep, verdicts: Mapping[str, str], scope: str) -> None:
        """Write the verdicts as the summary of a run, one for each scope."""
        name = " ".join(filter(None, (sweep.name, scope, VERDICTS)))
        config = {OURS: {"key": VERDICTS, "scope": scope}}
        about = {"name": name, "job_type": VERDICTS, "config": config}
        id_, content = digest([sweep.name, scope, VERDICTS]), digest(dict(verdicts))
        self._replace(sweep, id_, content, about, summary=verdicts)

    def close(self) -> None:
        """Do nothing: every run is finished."""

    def _replace(
        self,
        sweep: TrackedSweep,
        id_: str,
        content: str,
        about: Mapping[str, Any],
        *,
        summary: Mapping[str, Any],
        points: Sequence[Mapping[str, Any]] = (),
        status: int = 0,
    ) -> None:
        """Write a run, and remove its folder of other content; equal content is left as it is."""
        with quietly(("wandb",), ALONE):
            self._write(sweep, id_, content, about, summary=summary, points=points, status=status)

    def _write(
        self,
        sweep: TrackedSweep,
        id_: str,
        content: str,
        about: Mapping[str, Any],
        *,
        summary: Mapping[str, Any],
        points: Sequence[Mapping[str, Any]],
        status: int,
    ) -> None:
        for folder in (self._folder / "wandb").glob(f"*run-*-{id_}"):
            mark = folder / MARK
            if mark.is_file() and mark.read_text(encoding="utf-8") == content:
                return
            shutil.rmtree(folder)
        quiet = self._wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
        )
        run = self._wandb.init(
            mode="offline",
            dir=str(self._folder),
            project=os.environ.get("WANDB_PROJECT") or sweep.name,
            group=sweep.name,
            id=id_,
            reinit="create_new",
            settings=quiet,
            **about,
        )
        try:
            for point in points:
                run.log({name: x for name, x in point.items() if name != "step"}, point["step"])
            run.summary.update(dict(summary))
        finally:
            run.finish(exit_code=status)
        folder = Path(run.dir).parent
        _wait(folder / f"run-{id_}.wandb")
        (folder / MARK).write_text(content, encoding="utf-8")


def open_tracker(place: str, home: Path, here: Path) -> Tracker:
    """Open the folder ``place``; without one, that of WANDB_DIR, or else ``home``.

    As W&B does, the runs are in a folder ``wandb`` below it.
    """
    place = place or os.environ.get("WANDB_DIR", "")
    return WandB(here / place if place else home)


def _wait(file: Path) -> None:
    """Wait until a run's file is whole: W&B's own process still writes when the run is finished."""
    until = time.monotonic() + PATIENCE
    while not has_ended(file):
        if time.monotonic() > until:
            raise TrackerError(f"W&B has not written {file} in {PATIENCE} s")
        time.sleep(0.005)
