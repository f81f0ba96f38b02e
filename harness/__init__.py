"""pytest-sweep: hyperparameter sweeps of RL fine-tuning as pytest runs.

A sweep file needs nothing but these names and the claims of `harness.claims`.
"""

from harness.errors import HarnessError, SweepError, UsageError
from harness.records import Config, Counts, Outcome, Result
from harness.space import Choice, Constant, Given, LogUniform, Space, Uniform
from harness.sweep import Pairs, Sweep

__version__ = "0.1.0"
__all__ = [
    "Choice",
    "Config",
    "Constant",
    "Counts",
    "Given",
    "HarnessError",
    "LogUniform",
    "Outcome",
    "Pairs",
    "Result",
    "Space",
    "Sweep",
    "SweepError",
    "Uniform",
    "UsageError",
]
