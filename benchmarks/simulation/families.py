"""All eight questions of one sweep, where every claim is false: how often any is supported."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from harness.claims import judge_all
from harness.protocols import Claim
from harness.records import Evaluation
from harness.verdicts import Baseline, Evidence

from .cells import ALPHA, Cell
from .comparisons import BETTER, MEAN, SPREAD, TAIL
from .evidence import STEPS, results, seeded
from .samples import NORMAL, Draw, FloatArray, tied
from .singles import BATCH, HALF, INSIDE, SLIGHTEST

QUESTIONS: dict[str, Claim] = {
    "success_above_half": HALF,
    "success_vs_baseline": BETTER,
    "mean_vs_baseline": MEAN,
    "variance_vs_baseline": SPREAD,
    "lower_tail_vs_baseline": TAIL,
    "plateau": SLIGHTEST,
    "lr_sweet_spot": INSIDE,
    "batch_size": BATCH,
}

SAMPLES: dict[str, Draw] = {
    "normal": NORMAL,
    "tied": tied(NORMAL),
    "15% collapse": lambda rng, n: np.where(rng.random(n) < 0.15, -0.20, 0.0) + NORMAL(rng, n),
}


def _nothing(rng: np.random.Generator, n: int, m: int, draw: Draw) -> Evidence:
    """Return a sweep of ``n`` runs that is like its baseline of ``m`` in everything.

    Half of its runs succeed, perf does not gain in the second half of the steps, no learning rate
    is better than another, and both other batch sizes are better by the margin.
    """
    ours = draw(rng, n)
    late = NORMAL.times(0.6)(rng, n)
    curves = []
    for delta, gain in zip(ours.tolist(), late.tolist(), strict=True):
        points = ((0, 0.3), (STEPS // 2, 0.3 + delta - gain), (STEPS, 0.3 + delta))
        curves.append(tuple(Evaluation(step, perf, 0.01, perf) for step, perf in points))
    configs = [{"learning_rate": rate, "batch_size": 8} for rate in np.exp(rng.random(n)).tolist()]
    main = results(ours, se=0.0001, configs=configs, curves=curves)
    main = tuple(
        replace(one, run=replace(one.run, id=f"s-{index}")) for index, one in enumerate(main)
    )
    arms = [
        replace(
            one.run, arm="batch_size", pair=one.run.id, config=one.run.config.replace(batch_size=v)
        )
        for v in (4, 12)
        for one in main[:12]
    ]
    ahead: FloatArray = np.tile(ours[:12], 2) + 0.02 + rng.normal(0, 0.02, 2 * min(n, 12))
    return Evidence(
        "s",
        main,
        arms={"batch_size": results(ahead, runs=arms)},
        baseline=Baseline("b", results(draw(rng, m), se=0.0001)),
        baseline_name="b",
        seed=seeded(rng),
    )


def _family(n: int, m: int, draw: Draw, rng: np.random.Generator) -> Collection[str]:
    verdicts = judge_all(QUESTIONS, _nothing(rng, n, m, draw))
    happened = {"any"} if any(v.verdict == "supported" for v in verdicts) else set()
    if any(v.p_holm is not None and v.p_holm <= ALPHA for v in verdicts):
        happened.add("after Holm")
    return happened


def holm() -> Iterator[Cell]:
    """Whether any of eight false claims is supported, and still after Holm's correction."""
    for name, draw in SAMPLES.items():
        for n, m in ((12, 48), (24, 48), (48, 48)):
            yield Cell(
                "holm",
                f"nothing is better; {name}",
                f"{n}/{m}",
                partial(_family, n, m, draw),
                wrong=("after Holm",),
                shown=("any",),
                weight=0.5,
            )
