"""A stored run, whole: what was trained, under what, what came of it, its curve and its error."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.cli import common
from harness.records import Result


def text(result: Result) -> Iterator[str]:
    """Yield a run in lines within the width of the terminal."""
    from harness.report.blocks import Column, Table
    from harness.report.renderers.layout import clean, table_text, wrap

    width = common.width()
    facts = list(_facts(result))
    names = max(len(name) for name, _ in facts)
    for name, said in facts:
        first, *rest = wrap(said, max(width - names - 2, 20))
        yield f"{name:{names}}  {first}"
        yield from (" " * (names + 2) + line for line in rest)
    curve = result.outcome.curve
    if curve:
        yield ""
        columns = (Column("step"), Column("perf"), Column("se"), Column("reward"))
        rows = [
            (str(p.step), *(_number(value) for value in (p.perf, p.se, p.reward))) for p in curve
        ]
        yield from table_text(Table(columns, tuple(rows)), width)
    if result.outcome.error:
        yield ""
        yield "error"
        for line in result.outcome.error.splitlines():
            yield from ("  " + part for part in wrap(clean(line), width - 2))


def _facts(result: Result) -> Iterator[tuple[str, str]]:
    """Yield what is known of a run, each fact under its name."""
    from harness.text import Digits, duration
    from harness.text import cell as written

    run, under, outcome = result.run, result.conditions, result.outcome
    digits = Digits()
    yield "run", run.id
    yield "sweep", f"{run.sweep}, arm {run.arm}" + (f", paired with {run.pair}" if run.pair else "")
    yield "key", result.key
    stopped = f" at step {outcome.stopped_at}" if outcome.stopped_at is not None else ""
    yield "status", outcome.status + stopped
    yield "config", ", ".join(f"{name} {written(item)}" for name, item in run.config.items())
    yield "seed", f"{run.seed}, {run.steps:,} steps"
    if outcome.delta_perf is not None:
        yield "ΔPerf", digits.with_error(outcome.delta_perf, outcome.delta_perf_se)
    if outcome.perf_before is not None:
        after = digits.plain(outcome.perf_after)
        yield "perf", f"{digits.plain(outcome.perf_before)} before, {after} after"
    if outcome.prompts is not None:
        changed = outcome.prompts_changed
        yield (
            "measured",
            f"on {outcome.prompts} prompts × {outcome.samples or 1} samples"
            + ("" if changed is None else f", {changed} prompts changed"),
        )
    if source := result.environment.get("imported_from"):
        by = result.environment.get("backend")
        yield "from", f"{source}, imported" + (f"; trained by {by}" if by else "")
    else:
        named = (under.task, under.model, under.backend, under.precision)
        yield "trained", ", ".join(filter(None, named))
    device = outcome.device or under.device
    took = f"{duration(outcome.seconds)} on {device}" if device else duration(outcome.seconds)
    yield "took", took
    if result.finished_at:
        yield "finished", result.finished_at


def _number(value: float) -> str:
    from harness.text import NONE

    return NONE if math.isnan(value) else f"{value:.4f}".replace("-", "−")
