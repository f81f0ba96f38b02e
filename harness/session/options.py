"""The options of a session, of which the ``sweep`` command has some too."""

from __future__ import annotations

from typing import Any

from harness.session.arguments import (
    HOME,
    HOME_VARIABLE,
    at_least_one,
    at_least_zero,
    checked_interval,
    gpus,
    names,
    seconds,
    size,
    trackers,
)

FAIL_ON = ("failed", "refuted", "inconclusive", "unanswerable", "diverged", "regressed")
"""The values of ``fail-on``."""
DEFAULT_FAIL_ON = ("failed", "refuted")

OPTIONS: dict[str, dict[str, Any]] = {
    "arms": dict(
        metavar="all|none|NAME,…",
        type=names,
        default=("all",),
        help="control arms beside the main runs (default: all)",
    ),
    "backend": dict(
        metavar="auto|torch|jax",
        default="auto",
        help="what trains the runs (default: auto, the first that is installed with all it needs)",
    ),
    "device": dict(
        metavar="DEVICE",
        default="auto",
        help="auto, cpu, cuda, cuda:N, tpu or tpu:N (default: auto, a GPU or TPU where the backend "
        "finds one)",
    ),
    "precision": dict(
        metavar="float32|bfloat16",
        default="float32",
        help="number format of training (default: float32)",
    ),
    "model": dict(
        metavar="MODEL",
        help="train this language model in place of the sweep's: a folder in transformers' format, "
        "a GGUF file, or a name on the hub (default: declared, or else the task's small decoder)",
    ),
    "task": dict(
        metavar="TASK",
        help="train on this task in place of the sweep's: FILE.jsonl, FILE.py:NAME, module:NAME or "
        "a built-in name such as arithmetic-2 (default: declared, or else addition)",
    ),
    "executor": dict(
        metavar="local|inline|ray",
        default="local",
        help="local: worker processes; inline: this process, for a debugger; ray: on Ray, here or "
        "on a cluster (default: local)",
    ),
    "ray-address": dict(
        metavar="ADDRESS",
        help="with --sweep-executor ray, train on this running cluster: auto, HOST:PORT or "
        "ray://HOST:PORT (default: none, a Ray of the session's own)",
    ),
    "workers": dict(
        metavar="N",
        type=at_least_one,
        help="runs trained at the same time (default: 2, or what --sweep-gpus or the Ray cluster "
        "has room for)",
    ),
    "threads": dict(
        metavar="N",
        type=at_least_one,
        default=1,
        help="threads that numerical libraries may use in a worker (default: 1)",
    ),
    "gpus": dict(
        metavar="N|LIST",
        type=gpus,
        help="train on the first N GPUs, or on those of a list of indices or UUIDs; each run sees "
        "its own alone",
    ),
    "per-gpu": dict(
        metavar="N",
        type=at_least_one,
        help="runs trained at the same time on each of --sweep-gpus (default: 1)",
    ),
    "dir": dict(
        metavar="DIR",
        help="the folder for everything that is written: store, reports, logs, cache, checkpoints "
        f"(default: {HOME} at the root, or the folder that {HOME_VARIABLE} names)",
    ),
    "store": dict(
        metavar="URL",
        help="where runs are kept: a path, sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME "
        f"(default: {HOME}/store.db at the root)",
    ),
    "baseline": dict(
        metavar="NAME|TABLE|K/N|published",
        help="compare with this sweep of the store, a table of finished runs, or K successes in N "
        "runs, instead of the declared baseline",
    ),
    "runs": dict(
        metavar="N",
        type=at_least_one,
        help="only the first N runs of the declared sample, and their arms",
    ),
    "steps": dict(
        metavar="N",
        type=at_least_one,
        help="steps of a run instead of the declared; warmups shrink in proportion",
    ),
    "seeds": dict(
        metavar="K",
        type=at_least_one,
        help="the first K seeds of each config (default: declared, as many as the sweep has)",
    ),
    "until": dict(
        metavar="all|answered",
        default="all",
        help="answered: a sweep stops once no further run can change what is answered "
        "(default: all, every run)",
    ),
    "timeout": dict(metavar="SECONDS", type=seconds, help="stop a run that takes longer"),
    "memory": dict(
        metavar="SIZE",
        type=size,
        help="stop a run whose process takes more memory, as 4G or 500M",
    ),
    "retries": dict(
        metavar="N",
        type=at_least_zero,
        default=1,
        help="how often a run is tried again that crashed, ran out of memory or took too long "
        "(default: 1)",
    ),
    "checkpoint-every": dict(
        metavar="N|TIME",
        type=checked_interval,
        help="save every run's state every N steps, or every 90s, 10m or 2h, and resume from there "
        "what was interrupted; of saves of over a second, fewer: a twentieth of the time at most",
    ),
    "offline": dict(action="store_true", default=False, help="judge what is stored, train nothing"),
    "fresh": dict(
        action="store_true",
        default=False,
        help="train every selected run again, ignoring stored ones",
    ),
    "report": dict(
        metavar="DIR",
        help=f"where reports are written (default: {HOME}/reports at the root)",
    ),
    "track": dict(
        metavar="TRACKER[:PLACE],…",
        type=trackers,
        help="also write runs and verdicts to mlflow, tensorboard, wandb or optuna, each with a "
        "URI, folder or database if you like, as mlflow:http://host:5000 (default: none)",
    ),
    "reference": dict(
        metavar="PATH",
        action="append",
        help="the report.json that regressed compares with; may be given more than once "
        "(default: reference.json beside the sweep's reports)",
    ),
    "fail-on": dict(
        metavar="WHAT,…",
        type=names,
        default=DEFAULT_FAIL_ON,
        help=f"what fails an item: any of {', '.join(FAIL_ON)}, or none "
        f"(default: {','.join(DEFAULT_FAIL_ON)})",
    ),
}
"""Option → the keywords of its parser.

The plugin has each with the prefix ``--sweep-``, and verbs have some with ``--``.
"""
