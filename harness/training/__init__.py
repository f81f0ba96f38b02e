"""Train a run: tasks, schedules, randomness, a NumPy reference, and the backends' trainers.

Only modules named ``…_torch`` import Torch, and only those named ``…_jax`` import JAX.
"""
