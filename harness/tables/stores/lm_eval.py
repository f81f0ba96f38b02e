"""Read what lm-eval writes: ``results_….json``, and ``samples_TASK_….jsonl`` beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.records import finite, is_number
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
from harness.tables.table import Direction

_STDERR = "_stderr"

Json = dict[str, Any]


def read_results(path: Path, clusters: str | None) -> list[EvalLog]:
    """Read the evaluations of a file of results, one for each task in it.

    Groups of tasks have no items of their own and are left out. ``clusters`` is the field of the
    documents that names their cluster.

    Raises
    ------
    UsageError
        Where the file is not one of results.
    """
    data = loaded(path.read_bytes(), path, "the file")
    try:
        groups = {name for name, inside in (data.get("group_subtasks") or {}).items() if inside}
        groups |= set(data.get("groups") or {})
        return [
            _log(path, data, task, found, clusters)
            for task, found in data["results"].items()
            if task not in groups
        ]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{path.name} is no file of results of lm-eval that is known here "
            f"({type(error).__name__}: {error})"
        ) from error


def results_beside(samples: Path) -> tuple[Path, str]:
    """Return the file of results that a file of samples belongs to, and its task.

    Raises
    ------
    UsageError
        Where there is none.
    """
    name, _, stamp = samples.stem.removeprefix("samples_").rpartition("_")
    results = samples.with_name(f"results_{stamp}.json")
    if not name or not results.is_file():
        raise UsageError(
            f"{samples.name} needs lm-eval's results_….json of the same time beside it"
        )
    return results, name


def _log(path: Path, data: Json, task: str, found: Json, clusters: str | None) -> EvalLog:
    config, stamp = data.get("config") or {}, path.stem.removeprefix("results_")
    arguments = _arguments(config.get("model_args"))
    model = str(data.get("model_name") or arguments.get("pretrained") or config.get("model"))
    short = model.rstrip("/").rpartition("/")[2]
    settings = joined(
        ("task", {"num_fewshot": (data.get("n-shot") or {}).get(task)}),
        ("generate", scalars(_arguments(config.get("gen_kwargs")))),
        ("model_args", {n: v for n, v in scalars(arguments).items() if n != "pretrained"}),
    )
    ways = (data.get("higher_is_better") or {}).get(task) or {}
    metrics = dict(_metrics(path.with_name(f"samples_{task}_{stamp}.jsonl"), found, clusters))
    directions: dict[str, Direction] = {}
    for name in metrics:
        if ways.get(name.partition(",")[0]) is not None:
            directions[name] = "max" if ways[name.partition(",")[0]] else "min"
    return EvalLog(
        id=f"{task}-{short}-{stamp}",
        names=frozenset((f"{task}-{short}-{stamp}", path.name, path.stem, model, short)),
        task=task,
        model=model,
        status="completed",
        created=stamp,
        settings={name: value for name, value in settings.items() if value is not None},
        metrics=metrics,
        directions=directions,
    )


def _arguments(given: object) -> dict[str, object]:
    """Return arguments, which older versions write as ``a=1,b=2``."""
    if isinstance(given, str):
        return {k: v for k, equals, v in (p.partition("=") for p in given.split(",")) if equals}
    return dict(given) if isinstance(given, Mapping) else {}


def _metrics(path: Path, found: Json, clusters: str | None) -> Iterator[tuple[str, Measured]]:
    """Yield a task's metrics by name: ``acc`` of ``acc,none``, else ``exact_match,strict``."""
    lines = list(_lines(path)) if path.is_file() else []
    for key, value in found.items():
        name, comma, filter_ = key.partition(",")
        if not comma or name.endswith(_STDERR) or not is_number(value):
            continue
        error = found.get(f"{name}{_STDERR},{filter_}")
        samples = (
            Sample(
                str(line["doc_id"]),
                score_of(line.get(name)),
                cluster_of((line.get("doc"), line), clusters) if clusters else "",
            )
            for line in lines
            if line.get("filter", filter_) == filter_
        )
        yield (
            name if filter_ == "none" else key,
            measured(
                finite(float(value)), finite(float(error)) if is_number(error) else None, samples
            ),
        )


def _lines(path: Path) -> Iterator[Json]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                found = json.loads(line)
                found["doc_id"]
            except (ValueError, RecursionError, KeyError, TypeError) as error:
                raise UsageError(
                    f"{path.name}, line {number}: no sample of lm-eval ({str(error)[:120]}); was "
                    "the file cut off?"
                ) from error
            yield found
