"""What is well here and what is not: the store, the machine, the software. Repairs nothing."""

from harness.doctor.check import Check
from harness.doctor.examining import Places, examine

__all__ = ["Check", "Places", "examine"]
