"""Python processes that tests start beside themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python(code, *arguments, **options):
    """Start Python on ``code``, with the project and its tests to import, its output a pipe."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(ROOT)!r}]\n{code}", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
