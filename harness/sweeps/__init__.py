"""What to run: spaces, samples, sweeps, and the plan of a sweep."""
