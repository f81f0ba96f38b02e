"""Spaces, samples, sweeps, and the plan of a sweep."""
