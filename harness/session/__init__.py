"""A session: what it trains, in which order, and what it shows meanwhile. No pytest."""
