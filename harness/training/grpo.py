"""What every GRPO trainer of the harness agrees on: its version and its fixed numbers."""

TRAINING_VERSION = "1"
"""Raised by hand whenever the same config and seed would train differently than before."""

ADVANTAGE_EPSILON = 1e-6
"""Added to a group's standard deviation before its rewards are divided by it."""

ADAM_BETAS = (0.9, 0.999)
"""Decay rates of AdamW's two moments."""

ADAM_EPSILON = 1e-8
"""Added to the root of AdamW's second moment."""
