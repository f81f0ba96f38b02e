"""The options that the plugin adds to pytest."""

from __future__ import annotations

from typing import Any

import pytest

from harness.session.arguments import (
    SHARED,
    at_least_one,
    at_least_zero,
    gpus,
    names,
    seconds,
    size,
)

FAIL_ON = ("failed", "refuted", "inconclusive", "unanswerable", "diverged", "regressed")
"""The values of ``--sweep-fail-on``."""
DEFAULT_FAIL_ON = ("failed", "refuted")

OPTIONS: dict[str, dict[str, Any]] = {
    "--sweep": dict(
        metavar="NAME[,NAME]",
        action="extend",
        type=names,
        help="run these sweeps; without it their items are deselected",
    ),
    "--sweep-arms": SHARED["arms"],
    "--sweep-backend": SHARED["backend"],
    "--sweep-device": dict(
        metavar="DEVICE",
        default="auto",
        help="auto, cpu, cuda, cuda:N, tpu or tpu:N (default: auto, a GPU or TPU where the backend "
        "finds one)",
    ),
    "--sweep-precision": SHARED["precision"],
    "--sweep-executor": dict(
        metavar="local|inline|ray",
        default="local",
        help="local: worker processes; inline: this process, for a debugger; ray: on Ray, here or "
        "on a cluster (default: local)",
    ),
    "--sweep-ray-address": dict(
        metavar="ADDRESS",
        help="with --sweep-executor ray, train on this running cluster: auto, HOST:PORT or "
        "ray://HOST:PORT (default: none, a Ray of the session's own)",
    ),
    "--sweep-workers": dict(
        metavar="N",
        type=at_least_one,
        help="runs trained at the same time (default: 2, or what --sweep-gpus or the Ray cluster "
        "has room for)",
    ),
    "--sweep-threads": dict(
        metavar="N",
        type=at_least_one,
        default=1,
        help="threads that numerical libraries may use in a worker (default: 1)",
    ),
    "--sweep-gpus": dict(
        metavar="N|LIST",
        type=gpus,
        help="train on the first N GPUs, or on those of a list of indices or UUIDs; each run sees "
        "its own alone",
    ),
    "--sweep-per-gpu": dict(
        metavar="N",
        type=at_least_one,
        help="runs trained at the same time on each of --sweep-gpus (default: 1)",
    ),
    "--sweep-store": SHARED["store"],
    "--sweep-baseline": SHARED["baseline"],
    "--sweep-runs": SHARED["runs"],
    "--sweep-steps": SHARED["steps"],
    "--sweep-until": SHARED["until"],
    "--sweep-timeout": dict(metavar="SECONDS", type=seconds, help="stop a run that takes longer"),
    "--sweep-memory": dict(
        metavar="SIZE",
        type=size,
        help="stop a run whose process takes more memory, as 4G or 500M",
    ),
    "--sweep-retries": dict(
        metavar="N",
        type=at_least_zero,
        default=1,
        help="how often a run is tried again that crashed, ran out of memory or took too long "
        "(default: 1)",
    ),
    "--sweep-checkpoint-every": dict(
        metavar="N",
        type=at_least_one,
        help="save every run's state every N steps, and resume from there what was interrupted",
    ),
    "--sweep-offline": dict(
        action="store_true", default=False, help="judge what is stored, train nothing"
    ),
    "--sweep-fresh": dict(
        action="store_true",
        default=False,
        help="train every selected run again, ignoring stored ones",
    ),
    "--sweep-report": SHARED["report"],
    "--sweep-reference": dict(
        metavar="PATH",
        action="append",
        help="the report.json that regressed compares with; may be given more than once "
        "(default: reference.json beside the sweep's reports)",
    ),
    "--sweep-fail-on": dict(
        metavar="WHAT,…",
        type=names,
        default=DEFAULT_FAIL_ON,
        help=f"what fails an item: any of {', '.join(FAIL_ON)}, or none "
        f"(default: {','.join(DEFAULT_FAIL_ON)})",
    ),
}
"""Option → the keywords of pytest's ``addoption``."""


def add_options(parser: pytest.Parser) -> None:
    """Add every ``--sweep…`` option, with its help."""
    group = parser.getgroup("sweep", "hyperparameter sweeps (pytest-sweep)")
    for name, keywords in OPTIONS.items():
        group.addoption(name, **keywords)


def any_given(config: pytest.Config) -> bool:
    """Return whether any option of this plugin has a value other than its default."""
    return any(
        config.getoption(name) != keywords.get("default") for name, keywords in OPTIONS.items()
    )
