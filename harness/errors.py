"""Errors of a user's making: one clear line each, never a traceback."""


class HarnessError(Exception):
    """What was given, what was expected, and what to do, in one line."""


class SweepError(HarnessError):
    """A sweep is declared in a way that cannot be run."""


class UsageError(HarnessError):
    """An option or an argument has a value that cannot be used."""


class BackendError(UsageError):
    """A training backend or device was asked for that this machine does not have."""


class StoreError(HarnessError):
    """The store cannot be opened, read or written."""
