"""The results of every sweep, in an SQL database."""

from harness.store.leases import Holder
from harness.store.results import Registration, Store, SweepSummary

__all__ = ["Holder", "Registration", "Store", "SweepSummary"]
