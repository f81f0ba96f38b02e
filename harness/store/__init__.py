"""Runs in, runs out: the results of every sweep, in an SQL database."""

from harness.store.results import Registration, Store, SweepSummary

__all__ = ["Registration", "Store", "SweepSummary"]
