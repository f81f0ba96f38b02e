"""Judge finished runs: one path for stored sweeps and for tables."""
