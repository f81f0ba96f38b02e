"""A session: what it trains, in which order, and the progress that it shows. No pytest."""
