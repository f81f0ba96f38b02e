"""Finished runs, read once: one reading for verdicts, audit and reports alike."""

from harness.observations.conditions import (
    at_equal_noise,
    evaluated_differently,
    mismatched,
    mixed,
    unstated,
)
from harness.observations.sample import (
    FloatArray,
    Observations,
    SuccessCount,
    count_successes,
    identity,
    learning_rates,
    moved_by,
    observe,
    paired_differences,
    parameter_names,
    partner,
    rule_text,
    shared_rule,
    window_of,
    worst_value,
)

__all__ = [
    "FloatArray",
    "Observations",
    "SuccessCount",
    "at_equal_noise",
    "count_successes",
    "evaluated_differently",
    "identity",
    "learning_rates",
    "mismatched",
    "mixed",
    "moved_by",
    "observe",
    "paired_differences",
    "parameter_names",
    "partner",
    "rule_text",
    "shared_rule",
    "unstated",
    "window_of",
    "worst_value",
]
