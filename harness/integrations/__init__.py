"""Connect the harness with other tools: trackers, and libraries that train."""
