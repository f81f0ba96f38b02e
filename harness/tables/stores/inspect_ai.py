"""Read the logs of Inspect: ``.eval`` files, which are zip archives, and JSON."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.records import finite, is_number
from harness.tables.files import unpacked_member
from harness.tables.stores.evals import (
    EvalLog,
    Measured,
    Sample,
    cluster_of,
    joined,
    loaded,
    measured,
    scalars,
    score_of,
)

_STATUS = {"success": "completed", "error": "failed", "cancelled": "failed", "started": "running"}

_HOW = {
    "adaptive_connections",
    "attempt_timeout",
    "batch",
    "cache",
    "max_connections",
    "max_retries",
    "timeout",
}
"""Settings of how a model is called, which change no answer."""

Json = dict[str, Any]


def read_log(path: Path, clusters: str | None) -> EvalLog:
    """Read a log; ``clusters`` is the field of the samples' metadata that names their cluster.

    Raises
    ------
    UsageError
        Where the file is not a whole log.
    """
    try:
        return _log(path, *_parts(path), clusters)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path.name} is no log of Inspect that is known here ({type(error).__name__}: {error})"
        ) from error


def _parts(path: Path) -> tuple[Json, list[Json], list[Json]]:
    """Return a log's header, its samples and its scores reduced over epochs."""
    if path.suffix != ".eval":
        whole = loaded(path.read_bytes(), path, "the log")
        return whole, whole.get("samples") or [], whole.get("reductions") or []
    try:
        with zipfile.ZipFile(path) as archive:
            members = {one.filename: one for one in archive.infolist()}

            def part(name: str) -> Any:  # noqa: ANN401
                return loaded(unpacked_member(path, archive, members[name]), path, name)

            if "header.json" not in members:
                start = part("_journal/start.json") if "_journal/start.json" in members else {}
                return {"status": "started", **start}, [], []
            if "summaries.json" in members:
                samples = part("summaries.json")
            else:
                samples = [part(name) for name in members if name.startswith("samples/")]
            reduced = part("reductions.json") if "reductions.json" in members else []
            return part("header.json"), samples, reduced
    except zipfile.BadZipFile as error:
        raise UsageError(
            f"{path.name} is not whole: {error}; was the evaluation interrupted, or the file cut "
            "off?"
        ) from error


def _log(
    path: Path, header: Json, samples: Sequence[Json], reduced: Sequence[Json], clusters: str | None
) -> EvalLog:
    about = header["eval"]
    task, model = str(about["task"]), str(about["model"])
    plan = (header.get("plan") or {}).get("config") or {}
    generation = {**(about.get("model_generate_config") or {}), **plan}
    settings = joined(
        ("task_args", scalars(about.get("task_args") or {})),
        ("generate", {n: v for n, v in scalars(generation).items() if n not in _HOW}),
        ("model_args", scalars(about.get("model_args") or {})),
    )
    short, number = model.rpartition("/")[2], str(about.get("task_id") or path.stem)
    groups = {
        str(one["id"]): cluster_of((one.get("metadata"), one), clusters) if clusters else ""
        for one in samples
    }
    return EvalLog(
        id=f"{task}-{short}-{number[:8]}",
        names=frozenset((f"{task}-{short}-{number[:8]}", path.name, path.stem, model, short)),
        task=task,
        model=model,
        status=_STATUS.get(header.get("status", ""), "failed"),
        created=str(about.get("created") or ""),
        settings={name: value for name, value in settings.items() if name not in ("task", "model")},
        metrics=dict(_metrics(header, samples, reduced, groups)),
    )


def _metrics(
    header: Json, samples: Sequence[Json], reduced: Sequence[Json], groups: Mapping[str, str]
) -> Iterator[tuple[str, Measured]]:
    """Yield a log's metrics by name, that of its scorer before it where several have it."""
    scores = (header.get("results") or {}).get("scores") or []
    found = [
        (score, name, metric)
        for score in scores
        for name, metric in (score.get("metrics") or {}).items()
        if not name.startswith(("stderr", "std", "var", "bootstrap_stderr"))
    ]
    for score, name, metric in found:
        several = sum(other == name for _, other, _ in found) > 1
        error = ((score.get("metrics") or {}).get("stderr") or {}).get("value")
        value = metric.get("value")
        yield (
            f"{score['name']}.{name}" if several else name,
            measured(
                finite(float(value)) if is_number(value) else None,
                finite(float(error)) if is_number(error) else None,
                _samples(score, samples, reduced, groups),
                ((header["eval"].get("config") or {}).get("epochs")) or 1,
            ),
        )


def _samples(
    score: Json, samples: Sequence[Json], reduced: Sequence[Json], groups: Mapping[str, str]
) -> Iterator[Sample]:
    """Yield the items' scores as Inspect reduced them over epochs, or else every sample's."""
    name, scorer = score["name"], score.get("scorer") or score["name"]
    for entry in reduced:
        if (entry.get("scorer"), entry.get("reducer")) == (scorer, score.get("reducer")):
            for one in entry["samples"]:
                item = str(one["sample_id"])
                yield Sample(item, _part(one.get("value"), name), groups.get(item, ""))
            return
    for one in samples:
        given = (one.get("scores") or {}).get(scorer)
        if given is not None:
            item = str(one["id"])
            yield Sample(item, _part(given.get("value"), name), groups.get(item, ""))


def _part(value: object, name: str) -> float | None:
    return score_of(value.get(name) if isinstance(value, Mapping) else value)
