"""Training a run: tasks, schedules, the randomness, a NumPy reference, and the backends' trainers.

Only the modules whose name ends in ``_torch`` import Torch; this package and the others are light.
"""
