"""The environment of a run: versions, machine and commit. Imports nothing heavy."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import harness
from harness.records import Value

_PACKAGES = ("numpy", "scipy", "torch", "jax", "jaxlib", "optax")
_PATIENCE = 5.0


def environment(root: Path, home: Path | None = None) -> dict[str, Value]:
    """Return versions, machine and the state of the git repository around ``root``.

    A package that is not installed is None. So are ``commit`` and ``clean`` without a commit, a
    repository or git. ``clean`` is False if a file is changed or untracked, except in ``.sweep``
    folders, in ``home`` and what git ignores. Packages are looked up, not imported.
    """
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    changes = None
    if commit is not None:
        ours = [":(top,exclude,glob)**/.sweep/**"]
        if home is not None and home.is_relative_to(root) and home != root:
            ours.append(f":(exclude,literal){home.relative_to(root)}")
        changes = _git(root, "status", "--porcelain", "--", ":(top)", *ours)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": cpus(),
        "harness": version_of("pytest-sweep") or getattr(harness, "__version__", None),
        **{package: version_of(package) for package in _PACKAGES},
        "commit": commit,
        "clean": None if changes is None else not changes,
    }


def version_of(package: str) -> str | None:
    """Return the version of an installed package; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cpus() -> int | None:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _git(root: Path, *command: str) -> str | None:
    """Run git on ``root`` and return its output; None if it fails.

    Variables that point git elsewhere, as in its hooks, are not passed on.
    """
    elsewhere = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    env = {name: value for name, value in os.environ.items() if name not in elsewhere}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *command],
            env=env | {"GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
