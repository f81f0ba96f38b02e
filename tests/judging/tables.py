"""Rows of tables, and what is judged of them."""

import numpy as np

from harness.judging.table import judge_table
from harness.judging.table_questions import Terms
from harness.report.model import build


def judged(reading, against=None, **terms):
    """Return the report of a table without groups, and its verdicts by id."""
    (group,) = judge_table(reading, against, Terms(**terms)).groups
    report = build(group.judgement)
    return report, {verdict.id: verdict for verdict in report.verdicts}


def runs(n, seed=0, mean=0.05, sd=0.02, **columns):
    rng = np.random.default_rng(seed)
    return [
        {
            "run": f"r{i}",
            "lr": f"{10 ** rng.uniform(-7, -6):.6g}",
            "delta_perf": mean + sd * rng.normal(),
            "delta_perf_se": 0.01,
            **{name: values[i % len(values)] for name, values in columns.items()},
        }
        for i in range(n)
    ]


def grid(peak=-6.0, seeds=3, by_batch=0.5):
    """A grid of learning rates and batch sizes, in which the batch size moves perf most."""
    rng = np.random.default_rng(5)
    return [
        {
            "lr": f"{10.0**exponent:.3g}",
            "batch_size": batch,
            "seed": seed,
            "delta_perf": -0.2 * (exponent - peak) ** 2 + by_batch * (batch == 8)
            + 0.02 * rng.normal(),
        }
        for exponent in np.linspace(-7, -5, 5)
        for batch in (4, 8, 12)
        for seed in range(seeds)
    ]  # fmt: skip
