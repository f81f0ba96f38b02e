"""Runs in, runs out: the results of every sweep, in an SQL database."""

from harness.store.results import Registration, Store, SweepSummary
from harness.store.taking import Holder

__all__ = ["Holder", "Registration", "Store", "SweepSummary"]
