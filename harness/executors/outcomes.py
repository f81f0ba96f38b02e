"""Turn what a trainer returns or raises into an outcome that can be stored."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

from harness.errors import HarnessError
from harness.executors.load import check_unchanged, load_trainer
from harness.executors.logs import tail
from harness.protocols import Notify, takes_run
from harness.records import Evaluation, ItemScores, Job, Outcome, Status, StepTrace, finite
from harness.text import byte_size

if TYPE_CHECKING:
    from harness.training.run import TrainingFunction

OURS = Path(__file__).parents[1]
"""The package of the harness, whose own lines tell a user nothing."""

Point = TypeVar("Point", Evaluation, StepTrace)

_FLOATS = (
    "perf_before",
    "perf_after",
    "delta_perf",
    "delta_perf_se",
    "clusters",
    "train_delta_perf",
    "value",
    "seconds",
    "evaluation_seconds",
    "weights_moved",
)
_INTEGERS = (
    "prompts",
    "samples",
    "prompts_changed",
    "clusters_changed",
    "tokens",
    "peak_memory",
    "stopped_at",
)
_WHOLE = ("step", "completions")
"""Fields of a point of the curve or the trace that are integers."""

_MAY_LACK = ("se",)
"""Fields that a point may lack; there NaN means unknown."""

TOLERANCE = 1e-6
"""The most that a trainer's ΔPerf may differ from the difference of its two perfs."""

_OUT_OF_MEMORY = (
    "out of memory",  # CUDA, ROCm, MPS
    "can't allocate memory",  # Torch's CPU allocator
    "RESOURCE_EXHAUSTED",  # XLA
)


def train(job: Job, notify: Notify) -> Outcome:
    """Train ``job`` and return its sound outcome. An exception of the trainer is not caught.

    A trainer with one parameter gets a `TrainingRun`, one with two the job and ``notify``.
    Importing the trainer's file is not training: its time does not count.
    """
    trainer = load_trainer(job.conditions.trainer)
    check_unchanged(job.conditions)
    if takes_run(trainer):
        from harness.training.run import train as train_run

        trainer = partial(train_run, cast("TrainingFunction", trainer))
    began = time.monotonic()
    outcome = sound(trainer(job, notify), job.metric)
    return filled(outcome, (), time.monotonic() - began)


def sound(outcome: object, metric: str = "") -> Outcome:
    """Return ``outcome`` in plain, finite numbers; TypeError if it is not an outcome.

    With a ``metric`` of the sweep's own, its value counts in the place of perf and ΔPerf, and any
    finite number is one.

    A number that is not finite becomes None, and a point of the curve or the trace with one is left
    out, unless only its standard error is missing; so are scores by item, if one is not finite. If
    the outcome says ``completed``, it becomes ``diverged`` where perf or ΔPerf is not finite, and
    ``failed`` where ΔPerf is missing or figures contradict each other.
    """
    if not isinstance(outcome, Outcome):
        raise TypeError(f"the trainer returned {type(outcome).__name__}, expected an Outcome")
    if outcome.status not in get_args(Status):
        raise TypeError(f"the trainer returned the unknown status {outcome.status!r}")
    numbers: dict[str, Any] = {name: _number(getattr(outcome, name)) for name in _FLOATS}
    numbers |= {name: _integer(getattr(outcome, name)) for name in _INTEGERS}
    plain = replace(
        outcome,
        **numbers,
        curve=tuple(_finite_points(outcome.curve, Evaluation)),
        trace=tuple(_finite_points(outcome.trace, StepTrace)),
        items=_plain_items(outcome.items),
        device=None if outcome.device is None else str(outcome.device),
        error=None if outcome.error is None else str(outcome.error),
    )
    if plain.status != "completed":
        return plain
    scores = (outcome.perf_before, outcome.perf_after, outcome.delta_perf)
    measured = (outcome.value,) if metric else scores
    if any(value is not None and not math.isfinite(value) for value in measured):
        error = plain.error or f"{metric or 'perf'} is not a finite number"
        plain = replace(plain, status="diverged", value=None, error=error)
        return replace(plain, delta_perf=None, delta_perf_se=None)
    if (plain.value if metric else plain.delta_perf) is None:
        lacks = f"a value, the final {metric}" if metric else "a delta_perf"
        error = plain.error or f"the trainer returned 'completed' without {lacks}"
        if plain.value is not None:
            error += '; for a value of a metric, declare it: Sweep(metric="…", direction="min")'
        return replace(plain, status="failed", error=error)
    wrong = _inconsistency(plain, metric) or _uneven(plain.items)
    if wrong is not None:
        return replace(plain, status="failed", error=f"the trainer returned {wrong}")
    return plain


def _inconsistency(outcome: Outcome, metric: str) -> str | None:  # noqa: PLR0911 (one each)
    """Return the figures of a completed run that cannot be true; None if all can."""
    before, after, delta = outcome.perf_before, outcome.perf_after, outcome.delta_perf
    if metric:
        if (se := outcome.delta_perf_se) is not None and se < 0.0:
            return f"a standard error of {metric} of {se:g}, expected at least 0"
    elif (beyond := _beyond(outcome)) is not None:
        return beyond
    elif before is not None and after is not None and delta is not None:
        gained = after - before
        if abs(gained - delta) > TOLERANCE:
            return f"delta_perf {delta:g}, but perf_after - perf_before is {gained:g}"
    prompts, changed = outcome.prompts, outcome.prompts_changed
    if prompts is not None and prompts < 1:
        return f"prompts {prompts}, expected at least 1"
    if changed is not None and not 0 <= changed <= (changed if prompts is None else prompts):
        return f"prompts_changed {changed} of {prompts} prompts"
    moved = outcome.weights_moved
    if moved is not None and not 0.0 <= moved <= 1.0:
        return f"weights_moved {moved:g}, expected a share from 0 to 1"
    return None


def _uneven(items: ItemScores | None) -> str | None:
    """Return a part of ``items`` that has not one for each item; None if there is none."""
    if items is None:
        return None
    n = len(items.after)
    for name in ("before", "ids", "clusters"):
        if (given := len(getattr(items, name))) not in (0, n):
            return f"items with {given} {name}, but {n} scores after training"
    return None


def _beyond(outcome: Outcome) -> str | None:
    """Return a number that no score from 0 to 1 can give; None if there is none."""
    ends = (("perf_before", outcome.perf_before), ("perf_after", outcome.perf_after))
    curve = ((f"perf (step {point.step})", point.perf) for point in outcome.curve)
    for name, perf in (*ends, *curve):
        if perf is not None and not 0.0 <= perf <= 1.0:
            return f"{name} {perf:g}, expected a score from 0 to 1 (divide percentages by 100)"
    for name, least in (("delta_perf", -1.0), ("delta_perf_se", 0.0)):
        value = getattr(outcome, name)
        if value is not None and not least <= value <= 1.0:
            return f"{name} {value:g}, expected {least:g} to 1 (divide percentages by 100)"
    return None


def failure(error: BaseException, log: str | None) -> Outcome:
    """Return the outcome of a run whose trainer raised ``error``: ``oom`` or ``failed``."""
    text = one_line(error)
    where = f" (log: {log})" if log else ""
    return Outcome(status="oom" if _is_out_of_memory(error) else "failed", error=text + where)


def overdue(timeout: float) -> Outcome:
    """Return the outcome of a run that was stopped at its ``timeout``."""
    return Outcome(status="timeout", error=f"stopped at its timeout of {timeout:g} s")


def too_large(used: int, limit: int) -> Outcome:
    """Return the outcome of a run that was stopped because its memory exceeded its ``limit``."""
    had, most = byte_size(used), byte_size(limit)
    error = f"stopped: it had {had} of memory, more than the {most} that a run may have"
    return Outcome(status="oom", error=error, peak_memory=used)


def with_last_lines(outcome: Outcome, log: str) -> Outcome:
    """Return ``outcome`` with the last lines of the log added to its error."""
    said = tail(log)
    end = f"{log} ends: {' | '.join(said)}" if said else f"its log {log} is empty"
    return replace(outcome, error=f"{outcome.error}; {end}")


def filled(outcome: Outcome, seen: Sequence[Evaluation], seconds: float) -> Outcome:
    """Fill in what ``outcome`` does not say and the executor knows.

    This is the wall time and, if the run did not complete, the evaluations ``seen`` so far.
    """
    if outcome.seconds is None:
        outcome = replace(outcome, seconds=seconds)
    if outcome.curve or outcome.status == "completed" or not seen:
        return outcome
    return replace(outcome, curve=tuple(_finite_points(seen, Evaluation)))


def one_line(error: BaseException) -> str:
    """Return the last line of the traceback of ``error``, shortened."""
    message = " ".join(str(error).split())
    if isinstance(error, HarnessError):
        return message
    name = type(error).__name__
    text = f"{name}: {message}" if message else name
    return text if len(text) <= 400 else f"{text[:399]}…"


def traceback_text(error: BaseException) -> str:
    """Return the traceback of ``error`` as it is printed, from the user's own code on.

    Where all of it is the harness's, it is whole. A mistake that a `HarnessError` explains has the
    user's lines alone.
    """
    shown = traceback.TracebackException(type(error), error, error.__traceback__)
    frames = shown.stack
    theirs = [i for i, at in enumerate(frames) if not Path(at.filename).is_relative_to(OURS)]
    if isinstance(error, HarnessError):
        shown.stack = traceback.StackSummary.from_list([frames[i] for i in theirs])
        shown.__cause__, shown.__suppress_context__ = None, True
    elif theirs:
        shown.stack = traceback.StackSummary.from_list(frames[theirs[0] :])
    return "".join(shown.format())


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _OUT_OF_MEMORY)


def _number(value: float | None) -> float | None:
    return finite(None if value is None else float(value))


def _integer(value: float | None) -> int | None:
    return None if value is None or not math.isfinite(value) else int(value)


def _plain_items(items: ItemScores | None) -> ItemScores | None:
    if items is None:
        return None
    after, before = (tuple(map(float, part)) for part in (items.after, items.before))
    if not all(map(math.isfinite, (*after, *before))):
        return None
    ids, clusters = (tuple(map(str, part)) for part in (items.ids, items.clusters))
    return ItemScores(after, before, ids, clusters)


def _finite_points(points: Sequence[Point], kind: type[Point]) -> list[Point]:
    kept = []
    for point in points:
        if not isinstance(point, kind):
            raise TypeError(f"expected {kind.__name__} values, got {type(point).__name__}")
        values = {name: getattr(point, name) for name in kind.__annotations__}
        parts = {name: value for name, value in values.items() if isinstance(value, tuple)}
        numbers: dict[str, Any] = {
            name: None if value is None else float(value)
            for name, value in values.items()
            if name not in parts
        }
        lacking = {name for name in numbers if name in _MAY_LACK and finite(numbers[name]) is None}
        numbers |= dict.fromkeys(lacking, math.nan)
        needed = (numbers[name] for name in numbers if name not in lacking)
        if all(value is None or math.isfinite(value) for value in needed):
            whole = {
                name: int(number)
                for name, number in numbers.items()
                if name in _WHOLE and number is not None
            }
            kept.append(kind(**numbers | whole | parts))
    return kept
