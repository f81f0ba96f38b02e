"""Evidence on which each claim comes to each verdict, and what every verdict holds to."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np

from harness.claims import (
    best_inside,
    lower_tail,
    mean_gain,
    no_worse,
    spread,
    still_improves,
    success_rate,
)
from harness.records import Evaluation
from harness.verdicts import Verdict
from tests.factories import PUBLISHED, make_arm, make_evidence, make_result, make_results

QUESTIONS = {
    "success_above_half": success_rate.above(0.5),
    "success_vs_baseline": success_rate.above_baseline(),
    "mean_vs_baseline": mean_gain.above_baseline(),
    "variance_vs_baseline": spread.below_baseline(),
    "lower_tail_vs_baseline": lower_tail.above_baseline(),
    "plateau": still_improves(since=50, margin=0.02),
    "lr_sweet_spot": best_inside("learning_rate", margin=0.02),
    "batch_size": no_worse("batch_size", 8, than=(4, 12), margin=0.02),
}


BASELINE_IDS = [name for name, claim in QUESTIONS.items() if claim.uses_baseline]


VERSUS = ["mean_vs_baseline", "variance_vs_baseline", "lower_tail_vs_baseline"]


def spaced(low, high, n=24):
    return list(np.linspace(low, high, n))


def judge(id, evidence):
    return QUESTIONS[id].judge(id, evidence)


def with_gains(gains, **common):
    """Runs that gain as given from step 50 to 100, whatever they gained before."""
    runs = []
    for index, gain in enumerate(gains):
        curve = tuple(
            Evaluation(step, perf, 0.01, perf)
            for step, perf in ((0, 0.12), (50, 0.15), (100, 0.15 + gain))
        )
        runs.append(make_result(id=f"s-{index:02d}", delta=0.03 + gain, curve=curve, **common))
    return tuple(runs)


def with_arms(differences, deltas=None):
    """Evidence with arms for batch sizes 4 and 12, reference minus other as given."""
    rng = np.random.default_rng(0)
    pairs = max(len(row) for row in differences.values())
    deltas = list(rng.normal(0.05, 0.05, pairs)) if deltas is None else deltas
    main = make_results(deltas, prefix="focused")
    arm = ()
    for value, row in differences.items():
        others = [
            None if d is None or ours is None else ours - d
            for ours, d in zip(deltas, row, strict=False)
        ]
        arm += make_arm("batch_size", main, others, {"batch_size": value})
    return make_evidence(runs=main, arms={"batch_size": arm})


def noise(mean, sd=0.005, n=12, seed=0):
    return list(mean + np.random.default_rng(seed).normal(0, sd, n))


def check(verdict):
    """What holds for every verdict, whatever was judged."""
    assert isinstance(verdict, Verdict)
    for value in astuple(verdict):
        if isinstance(value, float):
            assert math.isfinite(value), verdict
    assert verdict.verdict in {"supported", "refuted", "inconclusive", "unanswerable"}
    assert verdict.question.endswith("?")
    assert verdict.answer
    text = " ".join([verdict.answer, verdict.reason, *map(str, verdict.needs), *verdict.details])
    assert "nan" not in text.replace("unanswerable", "").replace("ordinary", ""), text
    assert "inf" not in text.replace("information", ""), text
    if verdict.verdict in {"inconclusive", "unanswerable"} and verdict.claim:
        assert verdict.needs, verdict
    if verdict.verdict in {"supported", "refuted", "inconclusive"}:
        assert verdict.reason
        assert verdict.p_value is not None
        assert (verdict.verdict == "supported") == (verdict.p_value <= 0.05), verdict
    if verdict.low is not None and verdict.high is not None:
        assert verdict.low <= verdict.estimate <= verdict.high
        assert verdict.level is not None


CASES = {
    ("success_above_half", "supported"): lambda: make_evidence([0.1] * 8 + spaced(0.05, 0.2, 16)),
    ("success_above_half", "refuted"): lambda: make_evidence(spaced(-0.1, 0.0)),
    ("success_above_half", "inconclusive"): lambda: make_evidence(
        spaced(0.05, 0.1, 14) + spaced(-0.1, 0.0, 10)
    ),
    ("success_above_half", "unanswerable"): lambda: make_evidence([0.2025] * 24),
    ("success_vs_baseline", "supported"): lambda: make_evidence(
        spaced(0.05, 0.1), spaced(-0.1, 0.04)
    ),
    ("success_vs_baseline", "refuted"): lambda: make_evidence(spaced(-0.1, 0), spaced(0.05, 0.1)),
    ("success_vs_baseline", "inconclusive"): lambda: make_evidence(
        spaced(-0.1, 0.1), spaced(-0.1, 0.1)
    ),
    ("success_vs_baseline", "unanswerable"): lambda: make_evidence(spaced(-0.1, 0.1)),
    ("mean_vs_baseline", "supported"): lambda: make_evidence(spaced(0.05, 0.1), spaced(-0.1, 0)),
    ("mean_vs_baseline", "refuted"): lambda: make_evidence(spaced(-0.1, 0), spaced(0.05, 0.1)),
    ("mean_vs_baseline", "inconclusive"): lambda: make_evidence(spaced(0, 0.1), spaced(0, 0.09)),
    ("mean_vs_baseline", "unanswerable"): lambda: make_evidence(spaced(0, 0.1), PUBLISHED),
    ("variance_vs_baseline", "supported"): lambda: make_evidence(spaced(0, 0.02), spaced(0, 0.3)),
    ("variance_vs_baseline", "refuted"): lambda: make_evidence(spaced(0, 0.3), spaced(0, 0.02)),
    ("variance_vs_baseline", "inconclusive"): lambda: make_evidence(
        spaced(0, 0.1), spaced(0.2, 0.3)
    ),
    ("variance_vs_baseline", "unanswerable"): lambda: make_evidence(spaced(0, 0.1), PUBLISHED),
    ("lower_tail_vs_baseline", "supported"): lambda: make_evidence(
        spaced(0, 0.1), spaced(-0.4, 0.1)
    ),
    ("lower_tail_vs_baseline", "refuted"): lambda: make_evidence(spaced(-0.4, 0.1), spaced(0, 0.1)),
    ("lower_tail_vs_baseline", "inconclusive"): lambda: make_evidence(
        spaced(0, 0.1), spaced(0, 0.1)
    ),
    ("lower_tail_vs_baseline", "unanswerable"): lambda: make_evidence(spaced(0, 0.1), PUBLISHED),
    ("plateau", "supported"): lambda: make_evidence(runs=with_gains(noise(0.05))),
    ("plateau", "refuted"): lambda: make_evidence(runs=with_gains(noise(0.0))),
    ("plateau", "inconclusive"): lambda: make_evidence(runs=with_gains(noise(0.02, 0.1))),
    ("plateau", "unanswerable"): lambda: make_evidence(runs=make_results(spaced(0, 0.1), curve=())),
    ("lr_sweet_spot", "supported"): lambda: make_evidence(spaced(0, 0.2, 12) + spaced(0.2, 0, 12)),
    ("lr_sweet_spot", "refuted"): lambda: make_evidence(noise(0.05, 0.002, 24)),
    ("lr_sweet_spot", "inconclusive"): lambda: make_evidence(spaced(0, 0.2)),
    ("lr_sweet_spot", "unanswerable"): lambda: make_evidence(
        runs=make_results(spaced(0, 0.1), parameters={"learning_rate": [2e-7] * 24})
    ),
    ("batch_size", "supported"): lambda: with_arms({4: noise(0.0), 12: noise(0.01, seed=1)}),
    ("batch_size", "refuted"): lambda: with_arms({4: noise(0.0), 12: noise(-0.06, seed=1)}),
    ("batch_size", "inconclusive"): lambda: with_arms({4: noise(0.0, 0.1), 12: noise(0.0, 0.1)}),
    ("batch_size", "unanswerable"): lambda: make_evidence(spaced(0, 0.1)),
}
