"""pytest-sweep: hyperparameter sweeps of RL fine-tuning as pytest runs.

All that a sweep file, a training function and a notebook need is imported from here. A name is
loaded when it is first used, so that the plugin costs a project without sweeps next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness import claims, statistics
    from harness.claims import (
        BaseClaim,
        best_inside,
        best_value,
        lower_tail,
        matters,
        mean_gain,
        no_worse,
        spread,
        still_improves,
        success_rate,
        winner,
    )
    from harness.errors import HarnessError, SweepError, UsageError
    from harness.metrics import DELTA_PERF, Metric
    from harness.notebook import judge, load
    from harness.records import (
        Config,
        Evaluation,
        Job,
        Outcome,
        Progress,
        Result,
        Run,
        StepTrace,
    )
    from harness.sweeps.confirming import Confirm
    from harness.sweeps.distributions import (
        Choice,
        Constant,
        Given,
        LogInt,
        LogUniform,
        Uniform,
    )
    from harness.sweeps.space import Space
    from harness.sweeps.strategies import configs
    from harness.sweeps.sweep import Pairs, Sweep
    from harness.training.checkpoints import Checkpoint
    from harness.training.run import TrainingRun
    from harness.training.schedules import scale_steps
    from harness.training.text.arithmetic import arithmetic
    from harness.training.text.rewarding import Reward
    from harness.training.text.tasks import TextTask
    from harness.verdicts import Counts, Difference, Effect, Evidence, Need, Pricing, Verdict

__version__ = "0.1.0"

_HOMES = {
    "harness.claims": (
        "BaseClaim",
        "best_inside",
        "best_value",
        "lower_tail",
        "matters",
        "mean_gain",
        "no_worse",
        "spread",
        "still_improves",
        "success_rate",
        "winner",
    ),
    "harness.errors": ("HarnessError", "SweepError", "UsageError"),
    "harness.records": (
        "Config",
        "Evaluation",
        "Job",
        "Outcome",
        "Progress",
        "Result",
        "Run",
        "StepTrace",
    ),
    "harness.metrics": ("DELTA_PERF", "Metric"),
    "harness.notebook": ("judge", "load"),
    "harness.sweeps.confirming": ("Confirm",),
    "harness.sweeps.distributions": (
        "Choice",
        "Constant",
        "Given",
        "LogInt",
        "LogUniform",
        "Uniform",
    ),
    "harness.sweeps.space": ("Space",),
    "harness.sweeps.strategies": ("configs",),
    "harness.sweeps.sweep": ("Pairs", "Sweep"),
    "harness.training.text.arithmetic": ("arithmetic",),
    "harness.training.checkpoints": ("Checkpoint",),
    "harness.training.text.rewarding": ("Reward",),
    "harness.training.run": ("TrainingRun",),
    "harness.training.schedules": ("scale_steps",),
    "harness.training.text.tasks": ("TextTask",),
    "harness.verdicts": (
        "Counts",
        "Difference",
        "Effect",
        "Evidence",
        "Need",
        "Pricing",
        "Verdict",
    ),
}
"""The module that each public name is loaded from."""

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = ("claims", "statistics")

__all__ = [
    "DELTA_PERF",
    "BaseClaim",
    "Checkpoint",
    "Choice",
    "Config",
    "Confirm",
    "Constant",
    "Counts",
    "Difference",
    "Effect",
    "Evaluation",
    "Evidence",
    "Given",
    "HarnessError",
    "Job",
    "LogInt",
    "LogUniform",
    "Metric",
    "Need",
    "Outcome",
    "Pairs",
    "Pricing",
    "Progress",
    "Result",
    "Reward",
    "Run",
    "Space",
    "StepTrace",
    "Sweep",
    "SweepError",
    "TextTask",
    "TrainingRun",
    "Uniform",
    "UsageError",
    "Verdict",
    "arithmetic",
    "best_inside",
    "best_value",
    "claims",
    "configs",
    "judge",
    "load",
    "lower_tail",
    "matters",
    "mean_gain",
    "no_worse",
    "scale_steps",
    "spread",
    "statistics",
    "still_improves",
    "success_rate",
    "winner",
]


def __getattr__(name: str) -> object:
    """Load a public name at its first use (PEP 562)."""
    if name in _MODULES:
        return importlib.import_module(f"harness.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    found: object = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the public surface."""
    return sorted([*__all__, "__version__"])
