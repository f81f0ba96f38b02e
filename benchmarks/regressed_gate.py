"""How often `--sweep-fail-on regressed` pages where nothing has changed, and where something has.

    python benchmarks/regressed_gate.py [--references 40] [--nights 60] [--seed 1] [--jobs 2]

A sweep of 24 runs with 12 pairs for each of two batch sizes asks eight questions. A reference is a
report of it; a night is the same configurations trained again with other noise. Every night is
compared with every reference. "Page" is the share of these in which some question has regressed,
"unsupported" the share in which some question that the reference supports is not supported, which
is what a gate on verdicts alone would page for.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
from simulation.planned import finish, place, planned_sweep, seen
from simulation.samples import COLLAPSE, NORMAL, WIDE, FloatArray, Mixture
from tabulate import tabulate

from harness.claims import (
    best_inside,
    judge_all,
    lower_tail,
    mean_gain,
    no_worse,
    spread,
    still_improves,
    success_rate,
)
from harness.judging.reference import Reference
from harness.judging.regressions import compare
from harness.protocols import Claim
from harness.records import Run
from harness.sweeps.plan import Plan
from harness.verdicts import Evidence, Verdict

QUESTIONS: dict[str, Claim] = {
    "half": success_rate.above(0.5),
    "success": success_rate.above_baseline(),
    "mean": mean_gain.above_baseline(),
    "spread": spread.below_baseline(),
    "tail": lower_tail.above_baseline(),
    "plateau": still_improves(since=50, margin=0.01),
    "best": best_inside("learning_rate", margin=0.02),
    "batch_size": no_worse("batch_size", 8, than=(4, 12), margin=0.02),
}
BASELINE: FloatArray = WIDE(np.random.default_rng(7), 48)


@dataclass(frozen=True)
class Truth:
    """What runs gain in the mean, by run, and the noise that a retraining changes."""

    name: str
    mean: Callable[[Run], float]
    noise: Mixture = NORMAL
    diverging: float = 0.0
    late: float = 0.5

    def draw(self, planned: Plan, rng: np.random.Generator) -> Evidence:
        deltas = {
            key: -np.inf
            if rng.random() < self.diverging
            else self.mean(run) + float(self.noise(rng, 1)[0])
            for key, run in planned.runs.items()
        }
        return seen(planned, finish(planned, deltas, self.late), BASELINE)


def peaked(height: float, curvature: float = 0.8) -> Callable[[Run], float]:
    """Return a mean of ``height`` at the middle of the learning rates; other batch sizes −.02."""

    def mean(run: Run) -> float:
        drop = 0.02 if run.arm == "batch_size" else 0.0
        return height - curvature * (place(run) - 0.5) ** 2 - drop

    return mean


SAME = (
    Truth("strong: mean +.13 at best, noise SD .05", peaked(0.2)),
    Truth("moderate: +.07", peaked(0.14)),
    Truth("weak: +.03", peaked(0.1)),
    Truth("hardly any: +.0", peaked(0.07)),
    Truth("moderate, little noise (SD .02)", peaked(0.14), NORMAL.times(0.4)),
    Truth("moderate, 15% collapse", peaked(0.14), COLLAPSE),
    Truth("strong, 10% diverge", peaked(0.2), diverging=0.1),
)
REFERENCE = Truth("strong", peaked(0.2))
CHANGED = (
    Truth("gains nothing any more", peaked(0.0, 0.0)),
    Truth("gains half", peaked(0.1, 0.4)),
    Truth("gains a quarter less", peaked(0.15, 0.6)),
    Truth("15% of the runs collapse", peaked(0.2), COLLAPSE),
    Truth("a quarter of the runs diverges", peaked(0.2), diverging=0.25),
    Truth("noise three times as large", peaked(0.2), NORMAL.times(3.0)),
    Truth("stops to gain after half of the steps", peaked(0.2), late=0.0),
    Truth("best at the upper end", lambda run: 0.3 * place(run) - 0.02 * (run.arm != "main")),
    Truth(
        "batch sizes 4 and 12 better by .06",
        lambda run: peaked(0.2)(run) + 0.08 * (run.arm != "main"),
    ),
)


def paged(pair: tuple[Truth, Truth], references: int, nights: int, seed: int) -> tuple[float, ...]:
    """Return references that support something, questions they support, and the rates."""
    then, now = pair
    planned = planned_sweep(QUESTIONS, 24, 12)
    rng = np.random.default_rng([seed, crc32(f"{then.name} {now.name}".encode())])
    kept = []
    for _ in range(references):
        evidence = then.draw(planned, rng)
        shown = {v.id: v for v in judged(evidence) if v.verdict == "supported"}
        if shown:
            kept.append(Reference(Path("reference.json"), evidence, shown))
    pages = gone = 0
    for _ in range(nights):
        evidence = now.draw(planned, rng)
        verdicts = judged(evidence)
        for reference in kept:
            found = compare(planned.sweep, reference, evidence, verdicts)
            pages += any(one.regressed for one in found)
            gone += any(one.now != "supported" for one in found)
    compared = max(1, nights * len(kept))
    supported = sum(len(reference.supported) for reference in kept) / max(1, len(kept))
    return len(kept), supported, gone / compared, pages / compared


def judged(evidence: Evidence) -> tuple[Verdict, ...]:
    return judge_all(QUESTIONS, evidence)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--references", type=int, default=40)
    options.add_argument("--nights", type=int, default=60)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--jobs", type=int, default=2)
    given = options.parse_args()
    pairs = [(truth, truth) for truth in SAME] + [(REFERENCE, truth) for truth in CHANGED]
    rate = partial(paged, references=given.references, nights=given.nights, seed=given.seed)
    with ProcessPoolExecutor(given.jobs) as pool:
        found = list(pool.map(partial(_numbered, rate), range(len(pairs))))
    for title, chosen in (
        ("Nothing has changed", SAME),
        ("Something has, since a strong reference", CHANGED),
    ):
        start = 0 if chosen is SAME else len(SAME)
        table = [
            (truth.name, *figures) for truth, figures in zip(chosen, found[start:], strict=False)
        ]
        head = ("truth", "references", "they support", "unsupported", "page")
        print(f"\n{title}\n")
        print(tabulate(table, head, tablefmt="github", floatfmt=("", "d", ".1f", ".3f", ".4f")))


def _numbered(rate: Callable[..., tuple[float, ...]], number: int) -> tuple[float, ...]:
    pairs = [(truth, truth) for truth in SAME] + [(REFERENCE, truth) for truth in CHANGED]
    return rate(pairs[number])


if __name__ == "__main__":
    main()
