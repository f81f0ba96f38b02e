"""Make documents of values: what a report of each kind says, in order."""
