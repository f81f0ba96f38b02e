"""Records made for tests: every field has a plausible value, and any of them can be given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from harness.records import (
    CONFIRM,
    Conditions,
    Config,
    Evaluation,
    Outcome,
    Result,
    Run,
    StepTrace,
    run_key,
)
from harness.report.model import build
from harness.verdicts import Baseline, Counts, Evidence, Judgement

PUBLISHED = Counts(
    name="published",
    successes=6,
    runs=19,
    rule="ΔPerf > 0",
    source="summary of the broad sweep, learning rates 1e-7 to 3e-7",
)

_RUN = {field.name for field in fields(Run)}
_CONDITIONS = {field.name for field in fields(Conditions)}
_OUTCOME = {field.name for field in fields(Outcome)}


def make_curve(
    before: float, delta: float, steps: int, every: int = 10, se: float = 0.01
) -> tuple[Evaluation, ...]:
    """A straight learning curve from ``before`` to ``before + delta``."""
    points = sorted({*range(0, steps, max(1, every)), steps})
    return tuple(
        Evaluation(step, before + delta * step / max(1, steps), se, before + delta * step / steps)
        for step in points
    )


def make_trace(rates: Sequence[float], **values: float) -> tuple[StepTrace, ...]:
    """A trace whose learning rates are ``rates``, a step each."""
    rest = {"reward": 0.1, "kl": 0.0, "entropy": 1.0, "grad_norm": 1.0, "loss": 0.0} | values
    return tuple(
        StepTrace(step=step, learning_rate=rate, **rest) for step, rate in enumerate(rates, 1)
    )


def make_result(
    id: str = "s-00",
    arm: str = "main",
    pair: str | None = None,
    delta: float | None = 0.05,
    se: float | None = 0.01,
    before: float | None = 0.12,
    status: str = "completed",
    config: Mapping[str, Any] | None = None,
    steps: int = 100,
    declared_steps: int = 100,
    curve: tuple[Evaluation, ...] | None = None,
    prompts: int | None = 512,
    samples: int | None = 4,
    **overrides: Any,
) -> Result:
    """A result; ``overrides`` are further fields of its Run, Conditions, Outcome or Result.

    Anything but a completed run has no ΔPerf. The curve is a straight line unless given; pass
    ``()`` for none.
    """
    if status != "completed":
        delta = None
    every = overrides.get("evaluate_every", max(1, round(10 * steps / declared_steps)))
    if curve is None:
        known = delta is not None and before is not None
        curve = make_curve(before, delta, steps, every) if known else ()
    settings = {"learning_rate": 2e-7, "batch_size": 8} if config is None else dict(config)
    run = {
        "id": id,
        "sweep": "s",
        "index": 0,
        "arm": arm,
        "pair": pair,
        "config": Config(settings),
        "seed": 1,
        "steps": steps,
        "declared_steps": declared_steps,
        "evaluate_every": every,
    }
    conditions = {
        "trainer": "harness.training.grpo_torch:train",
        "trainer_version": "1",
        "backend": "torch",
        "precision": "float32",
        "device": "cpu",
        "task": "addition",
        "task_version": "1",
        "model": "decoder-100k",
        "lr_transfer": 1.0,
    }
    outcome = {
        "status": status,
        "perf_before": before,
        "perf_after": None if delta is None or before is None else before + delta,
        "delta_perf": delta,
        "delta_perf_se": None if delta is None else se,
        "prompts": prompts,
        "samples": samples,
        "prompts_changed": None if delta is None or se is None else 200,
        "train_delta_perf": delta,
        "curve": curve,
        "seconds": 3.0,
    }
    result: dict[str, Any] = {}
    for name, value in overrides.items():
        homes = [
            home
            for names, home in ((_RUN, run), (_CONDITIONS, conditions), (_OUTCOME, outcome))
            if name in names
        ]
        for home in homes:
            home[name] = value
        if not homes:
            result[name] = value
    made, under = Run(**run), Conditions(**conditions)
    result.setdefault("key", run_key(made, under))
    return Result(run=made, conditions=under, outcome=Outcome(**outcome), **result)


def make_results(
    deltas: Iterable[float | None],
    prefix: str = "s",
    parameters: Mapping[str, Sequence[Any]] | None = None,
    **common: Any,
) -> tuple[Result, ...]:
    """A result for each ΔPerf, None for a diverged run; ``parameters`` are columns of the configs.

    Without ``parameters`` the learning rates are spread log-evenly over 8e-8 to 4e-7.
    """
    deltas = list(deltas)
    columns = dict(parameters or {})
    if "learning_rate" not in columns:
        columns["learning_rate"] = np.geomspace(8e-8, 4e-7, max(1, len(deltas))).tolist()
    columns.setdefault("batch_size", [8] * len(deltas))
    return tuple(
        make_result(
            id=f"{prefix}-{index:02d}",
            index=index,
            seed=1000 + index,
            delta=delta,
            status="completed" if delta is not None else "diverged",
            config={name: values[index] for name, values in columns.items()},
            **{"sweep": prefix} | common,
        )
        for index, delta in enumerate(deltas)
    )


def make_arm(
    name: str,
    main: Sequence[Result],
    deltas: Iterable[float | None],
    changes: Mapping[str, Any] | None = None,
    **common: Any,
) -> tuple[Result, ...]:
    """The runs of an arm, matched with the main runs in their order; None is a diverged run."""
    return tuple(
        make_result(
            id=f"{run.id}-{name}-{'-'.join(map(str, (changes or {}).values()))}",
            arm=name,
            pair=run.id,
            index=run.index,
            seed=run.seed,
            sweep=run.sweep,
            delta=delta,
            status="completed" if delta is not None else "diverged",
            config=run.config.replace(**(changes or {})),
            **common,
        )
        for run, delta in zip((result.run for result in main), deltas, strict=False)
    )


def make_confirmed(
    outcomes: Sequence[Sequence[float | None]],
    places: Sequence[Result | Mapping[str, Any]],
    **common: Any,
) -> tuple[Result, ...]:
    """The runs that confirm leaders: a row of outcomes for each place, the reference first.

    A place is the main run that has the config, or the config. None is a diverged run.
    """
    return tuple(
        make_result(
            id=f"s-confirm-{place}-s{repeat}",
            arm=CONFIRM,
            pair=of.run.id if isinstance(of, Result) else None,
            index=place,
            repeat=repeat,
            seed=9000 + repeat,
            delta=delta,
            status="completed" if delta is not None else "diverged",
            config=of.run.config if isinstance(of, Result) else of,
            **common,
        )
        for place, (row, of) in enumerate(zip(outcomes, places, strict=True))
        for repeat, delta in enumerate(row)
    )


def make_evidence(
    deltas: Iterable[float | None] = (),
    baseline: Iterable[float | None] | Baseline | Counts | None = None,
    runs: tuple[Result, ...] | None = None,
    arms: Mapping[str, tuple[Result, ...]] | None = None,
    sweep: str = "focused",
    baseline_name: str | None = "broad",
    **fields_: Any,
) -> Evidence:
    """Evidence from ΔPerfs (None for a diverged run), or from ``runs`` as they are."""
    if baseline is not None and not isinstance(baseline, Baseline | Counts):
        baseline = Baseline("broad", make_results(baseline, prefix="broad"))
    return Evidence(
        sweep=sweep,
        runs=make_results(deltas, prefix=sweep) if runs is None else runs,
        arms=dict(arms or {}),
        baseline=baseline,
        baseline_name=baseline_name,
        **fields_,
    )


def report_of(evidence, verdicts=(), findings=(), **facts):
    """Return the report on what was judged; ``facts`` are further fields of the judgement."""
    return build(Judgement(evidence, tuple(verdicts), tuple(findings), **facts))
