"""From finished runs to verdicts: one path for stored sweeps and for tables."""
