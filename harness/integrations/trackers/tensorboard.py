"""Write runs to a folder that TensorBoard shows: scalars, hyperparameters and text.

A run has a folder of its own with one file of events, which is written whole or not at all.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.integrations.trackers.base import (
    VERDICTS,
    TrackedRun,
    TrackedSweep,
    Tracker,
    plain_name,
)
from harness.records import digest, is_number
from harness.tables.stores.common import CURVE

_PREFIX = "events.out.tfevents."


class TensorBoard:
    """A log folder of TensorBoard, with a folder for each sweep."""

    def __init__(self, folder: Path) -> None:
        import tensorboard.summary.writer.record_writer  # noqa: F401

        self._folder = folder

    def begin(self, sweep: TrackedSweep) -> None:
        """Make the sweep's folder."""
        folder = self._folder / sweep.name
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{os.getpid()}"
        probe.touch()
        probe.unlink()

    def write_run(self, sweep: TrackedSweep, run: TrackedRun) -> None:
        """Write the file of a run, which has its key in its name, and remove an earlier one."""
        name = f"{run.ended:017.6f}.{run.key}.{run.content}"
        folder = self._folder / sweep.name / f"{run.name[:100]}-{run.key[:8]}"
        _replace(folder, name, run.key, self._events(sweep, run))

    def write_verdicts(self, sweep: TrackedSweep, verdicts: Mapping[str, str], scope: str) -> None:
        """Write the verdicts as text, in a folder for each scope that has one file."""
        folder = self._folder / sweep.name / "-".join(filter(None, (VERDICTS, scope)))
        number = 1 + max((int(file.name.split(".")[3]) for file in _files(folder)), default=0)
        name = f"{number:010}.{VERDICTS}.{digest(dict(verdicts))}"
        events = [_event(0.0, summary=_text(tag, text)) for tag, text in verdicts.items()]
        _replace(folder, name, VERDICTS, events)

    def close(self) -> None:
        """Do nothing: every file is complete."""

    def _events(self, sweep: TrackedSweep, run: TrackedRun) -> list[Any]:
        from tensorboard.plugins.hparams.api_pb2 import Status
        from tensorboard.plugins.hparams.plugin_data_pb2 import (
            HParamsPluginData,
            SessionEndInfo,
            SessionStartInfo,
        )

        at, measures = run.ended, dict(run.measures)
        if run.value is not None:
            measures[sweep.metric] = run.value
        begins = SessionStartInfo(group_name=run.name, start_time_secs=at - run.seconds)
        for name, value in {**run.config, "arm": run.arm}.items():
            if isinstance(value, bool):
                begins.hparams[name].bool_value = value
            elif is_number(value):
                begins.hparams[name].number_value = value
            else:
                begins.hparams[name].string_value = str(value)
        done = Status.Value("STATUS_SUCCESS" if run.status == "completed" else "STATUS_FAILURE")
        ends = SessionEndInfo(status=done, end_time_secs=at)
        points = [(point.step, CURVE, point.perf) for point in run.curve]
        points += [(p.step, f"{CURVE}_se", p.se) for p in run.curve if p.se == p.se]
        points += [(0, name, number) for name, number in measures.items()]
        return [
            _event(at, file_version="brain.Event:2"),
            _event(at, summary=_hparams(HParamsPluginData(session_start_info=begins))),
            *(_event(at, step, summary=_scalar(tag, number)) for step, tag, number in points),
            *(_event(at, summary=_text(name, str(text))) for name, text in run.tags.items()),
            _event(at, summary=_hparams(HParamsPluginData(session_end_info=ends))),
        ]


def open_tracker(place: str, home: Path, here: Path) -> Tracker:
    """Open the log folder ``place``; without one, a folder in ``home``."""
    return TensorBoard(here / place if place else home / "tensorboard")


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}*"))


def _replace(folder: Path, name: str, key: str, events: Iterable[Any]) -> None:
    """Write events to a file of this name, and remove those of the same key.

    A file whose name ends in the same content is left as it is.
    """
    from tensorboard.summary.writer.record_writer import RecordWriter

    others = [file for file in _files(folder) if key in file.name.split(".")]
    content = name.rpartition(".")[2]
    if any(file.name.rpartition(".")[2] == content for file in others):
        return
    folder.mkdir(parents=True, exist_ok=True)
    written = io.BytesIO()
    writer = RecordWriter(written)
    for event in events:
        writer.write(event.SerializeToString())
    part = folder / f".{name}.{os.getpid()}.part"
    try:
        part.write_bytes(written.getvalue())
        part.replace(folder / f"{_PREFIX}{name}")
    finally:
        part.unlink(missing_ok=True)
    for file in others:
        file.unlink(missing_ok=True)


def _event(at: float, step: int = 0, **content: Any) -> Any:  # noqa: ANN401 (TensorBoard's)
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=at, step=step, **content)


def _scalar(tag: str, value: float) -> Any:  # noqa: ANN401 (TensorBoard's)
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=plain_name(tag), simple_value=value)])


def _text(tag: str, text: str) -> Any:  # noqa: ANN401 (TensorBoard's)
    from tensorboard.plugins.text.summary_v2 import text_pb

    return text_pb(plain_name(tag), text)


def _hparams(data: Any) -> Any:  # noqa: ANN401 (TensorBoard's)
    """Return the summary that begins or ends a run for TensorBoard's page of hyperparameters."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    begins = data.WhichOneof("data") == "session_start_info"
    tag = metadata.SESSION_START_INFO_TAG if begins else metadata.SESSION_END_INFO_TAG
    about = metadata.create_summary_metadata(data)
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)])
