"""``python -m harness.cli``: the ``sweep`` command where it is not installed."""

import sys

from harness.cli import command

if __name__ == "__main__":
    sys.exit(command())
