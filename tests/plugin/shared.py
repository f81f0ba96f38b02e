"""Sweep files that several of these tests run, and what the sessions reported."""

import json

BASE = """
base = toy("base", questions={}, arms={})
sweep = toy(baseline="base", questions=dict(mean_vs_baseline=mean_gain.above_baseline()), arms={})
"""

GRPO = """
space = dict(learning_rate=LogUniform(1e-7, 1e-6), batch_size=8, generations=4)
sweep = toy(trainer=None, space=space, arms={})
"""


def report(sweeps, name="toy", folder=".sweep/reports"):
    return json.loads((sweeps.path / folder / name / "report.json").read_text())


def compared(sweeps, name="toy"):
    return {q["id"]: q for q in report(sweeps, name)["questions"]}["mean_vs_baseline"]
