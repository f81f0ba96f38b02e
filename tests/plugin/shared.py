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


OWN_NOISE = "random.Random(f'{job.run.seed}{job.run.config}').gauss(0, 1)"
"""Noise that differs between configs of one seed, which the usual trainer's does not."""


def by_config(sweeps):
    """Have the trainer's outcomes depend on the config: the larger the rank, the better."""
    file = sweeps.path / "experiments" / "toy_trainer.py"
    text = file.read_text()
    assert "rng.gauss(0, 1)" in text
    better = "0.2 * job.run.config.get('rank', 0.0)"
    file.write_text(text.replace("0.01 * rng.gauss(0, 1)", f"0.01 * {OWN_NOISE} + {better}"))
