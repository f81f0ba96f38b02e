"""Evidence made of simulated results, as a store or a table would bring it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.records import Conditions, Config, Evaluation, Outcome, Result, Run, Value
from harness.verdicts import Baseline, Counts, Evidence

from .samples import FloatArray

SE = 0.01
STEPS = 100

_CONFIG = Config({"learning_rate": 2e-7, "batch_size": 8})
_RUN = Run("s", "s", 0, "main", None, _CONFIG, 1, STEPS, STEPS, 10)
_CONDITIONS = Conditions("t:t", "1", "torch", "float32", "cpu", "addition", "1", "decoder")
_BEFORE, _APART = 0.3, 1e-3


def results(
    deltas: FloatArray,
    *,
    se: float | None = SE,
    prompts: int | None = 512,
    configs: Sequence[Mapping[str, Value]] | None = None,
    curves: Sequence[tuple[Evaluation, ...]] | None = None,
    runs: Sequence[Run] | None = None,
    train: FloatArray | None = None,
) -> tuple[Result, ...]:
    """Return completed runs of these ΔPerf [n]; one that is −inf diverged.

    Without ``prompts`` it is a table's run, of whose evaluation only the standard error is known.
    Perf before is each run's own.
    """
    made = []
    for index, delta in enumerate(deltas.tolist()):
        run = _RUN if runs is None else runs[index]
        if configs is not None:
            run = replace(run, config=Config(configs[index]))
        curve = () if curves is None else curves[index]
        before = _BEFORE + _APART * (index % 10)
        if delta == -np.inf:
            outcome = Outcome("diverged", perf_before=_BEFORE)
        else:
            outcome = Outcome(
                "completed",
                perf_before=before,
                perf_after=before + delta,
                delta_perf=delta,
                delta_perf_se=se,
                prompts=prompts,
                samples=None if prompts is None else 4,
                prompts_changed=None if prompts is None or se is None else 200,
                train_delta_perf=None if train is None else float(train[index]),
                curve=curve,
            )
        made.append(Result("k", run, _CONDITIONS, outcome))
    return tuple(made)


def seeded(rng: np.random.Generator) -> int:
    """Return the seed of an evidence: what the claims draw by."""
    return int(rng.integers(2**31))


def alone(rng: np.random.Generator, runs: tuple[Result, ...]) -> Evidence:
    """Return the evidence of a sweep without a baseline."""
    return Evidence("s", runs, seed=seeded(rng))


def versus(
    rng: np.random.Generator,
    ours: FloatArray,
    theirs: FloatArray | Counts,
    *,
    se: float | None = SE,
    other_se: float | None = SE,
    prompts: int | None = 512,
) -> Evidence:
    """Return the evidence of a sweep and its baseline, of ΔPerf [n] against [m]."""
    baseline: Baseline | Counts
    if isinstance(theirs, Counts):
        baseline = theirs
    else:
        baseline = Baseline("b", results(theirs, se=other_se, prompts=prompts))
    runs = results(ours, se=se, prompts=prompts)
    return Evidence("s", runs, baseline=baseline, baseline_name="b", seed=seeded(rng))


def along(
    rng: np.random.Generator,
    rates: FloatArray,
    deltas: FloatArray,
    blocks: Sequence[Value] | None = None,
) -> Evidence:
    """Return the evidence of runs along learning rates [n]; ``blocks`` are their batch sizes."""
    sizes = [8] * rates.size if blocks is None else blocks
    configs = [
        {"learning_rate": rate, "batch_size": size}
        for rate, size in zip(rates.tolist(), sizes, strict=True)
    ]
    return alone(rng, results(deltas, configs=configs))


def gaining(rng: np.random.Generator, gains: FloatArray, half: FloatArray) -> Evidence:
    """Return the evidence of runs that gain [n] from where they are at half of the steps [n]."""
    curves = []
    for perf, gain in zip(half.tolist(), gains.tolist(), strict=True):
        points = ((0, _BEFORE), (STEPS // 2, perf), (STEPS, perf + gain))
        curves.append(tuple(Evaluation(step, value, SE, value) for step, value in points))
    return alone(rng, results(half + gains - _BEFORE, curves=curves))


def beside_arm(
    rng: np.random.Generator, main: FloatArray, arm: FloatArray, *, paired: bool
) -> Evidence:
    """Return the evidence of main runs [n] and those of the null arm [m], ``paired`` in order."""
    runs = [replace(_RUN, id=f"s-{index}") for index in range(main.size)]
    useless = [
        replace(_RUN, id=f"s-null-{index}", arm="null", pair=f"s-{index}" if paired else None)
        for index in range(arm.size)
    ]
    arms = {"null": results(arm, runs=useless)}
    return Evidence("s", results(main, runs=runs), arms=arms, seed=seeded(rng))


def paired(
    rng: np.random.Generator, reference: FloatArray, arms: Mapping[Value, FloatArray]
) -> Evidence:
    """Return the evidence of main runs of batch size 8 and of the runs matched with them [n]."""
    main = [replace(_RUN, id=f"s-{index}") for index in range(reference.size)]
    matched: tuple[Result, ...] = ()
    for value, deltas in arms.items():
        config = _CONFIG.replace(batch_size=value)
        runs = [replace(run, arm="batch_size", pair=run.id, config=config) for run in main]
        matched += results(deltas, runs=runs)
    return Evidence(
        "s", results(reference, runs=main), arms={"batch_size": matched}, seed=seeded(rng)
    )
