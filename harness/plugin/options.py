"""The options that the plugin adds to pytest, and the settings they make."""

from __future__ import annotations

import pytest

from harness.errors import UsageError, nearest
from harness.session.arguments import (
    HOME,
    arms,
    at_least_one,
    at_least_zero,
    gpus,
    names,
    seconds,
    size,
)
from harness.session.settings import Settings
from harness.sweeps.baseline import counted, is_table
from harness.sweeps.plan import UNTIL, Selection, check_until

FAIL_ON = ("failed", "refuted", "inconclusive", "unanswerable", "diverged", "regressed")
"""What ``--sweep-fail-on`` can name."""
DEFAULT_FAIL_ON = ("failed", "refuted")


def add_options(parser: pytest.Parser) -> None:
    """Add every ``--sweep…`` option, with its help."""
    group = parser.getgroup("sweep", "hyperparameter sweeps (pytest-sweep)")
    option = group.addoption
    option(
        "--sweep",
        metavar="NAME[,NAME]",
        action="extend",
        type=names,
        help="run these sweeps; without it their items are deselected",
    )
    option(
        "--sweep-arms",
        metavar="all|none|NAME,…",
        type=names,
        default=("all",),
        help="control arms to run beside the main runs (default: all)",
    )
    option(
        "--sweep-backend",
        metavar="auto|torch|jax",
        default="auto",
        help="what trains (default: auto, the first that is installed with all it needs)",
    )
    option(
        "--sweep-device",
        metavar="DEVICE",
        default="auto",
        help="auto, cpu, cuda, cuda:N, tpu or tpu:N (default: auto, a GPU or TPU where the backend "
        "finds one)",
    )
    option(
        "--sweep-precision",
        metavar="float32|bfloat16",
        default="float32",
        help="number format of training (default: float32)",
    )
    option(
        "--sweep-executor",
        metavar="local|inline|ray",
        default="local",
        help="local: worker processes; inline: this process, for a debugger; ray: on Ray, here or "
        "on a cluster (default: local)",
    )
    option(
        "--sweep-ray-address",
        metavar="ADDRESS",
        help="with --sweep-executor ray, train on this running cluster: auto, HOST:PORT or "
        "ray://HOST:PORT (default: none, a Ray of the session's own)",
    )
    option(
        "--sweep-workers",
        metavar="N",
        type=at_least_one,
        help="runs trained at the same time (default: 2, or what --sweep-gpus or the Ray cluster "
        "has room for)",
    )
    option(
        "--sweep-threads",
        metavar="N",
        type=at_least_one,
        default=1,
        help="threads that numerical libraries may use in a worker (default: 1)",
    )
    option(
        "--sweep-gpus",
        metavar="N|LIST",
        type=gpus,
        help="train on the first N GPUs, or on those of a list of indices or UUIDs; each run sees "
        "its own alone",
    )
    option(
        "--sweep-per-gpu",
        metavar="N",
        type=at_least_one,
        help="runs trained at the same time on each of --sweep-gpus (default: 1)",
    )
    option(
        "--sweep-store",
        metavar="URL",
        help="where runs are kept: a path, sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME "
        f"(default: {HOME}/store.db at the rootdir)",
    )
    option(
        "--sweep-baseline",
        metavar="NAME|TABLE|K/N|published",
        help="compare with this sweep of the store, a table of finished runs, or K successes in N "
        "runs, instead of the declared baseline",
    )
    option(
        "--sweep-runs",
        metavar="N",
        type=at_least_one,
        help="only the first N runs of the declared sample, and their arms",
    )
    option(
        "--sweep-steps",
        metavar="N",
        type=at_least_one,
        help="steps of a run instead of the declared; warmups shrink in proportion",
    )
    option(
        "--sweep-until",
        metavar="all|answered",
        default=UNTIL[0],
        help="answered: stop a sweep once no further run can change what is answered "
        "(default: all, every run)",
    )
    option(
        "--sweep-timeout",
        metavar="SECONDS",
        type=seconds,
        help="stop a run that takes longer",
    )
    option(
        "--sweep-memory",
        metavar="SIZE",
        type=size,
        help="stop a run whose process takes more memory, as 4G or 500M",
    )
    option(
        "--sweep-retries",
        metavar="N",
        type=at_least_zero,
        default=1,
        help="how often a run is tried again that crashed, ran out of memory or took too long "
        "(default: 1)",
    )
    option(
        "--sweep-checkpoint-every",
        metavar="N",
        type=at_least_one,
        help="save every run's state every N steps, and resume from there what was interrupted",
    )
    option(
        "--sweep-offline",
        action="store_true",
        help="judge what is stored, train nothing",
    )
    option(
        "--sweep-fresh",
        action="store_true",
        help="train every selected run again, ignoring stored ones",
    )
    option(
        "--sweep-report",
        metavar="DIR",
        help=f"where reports are written (default: {HOME}/reports at the rootdir)",
    )
    option(
        "--sweep-reference",
        metavar="PATH",
        action="append",
        help="the report.json that regressed compares with; may be given more than once "
        "(default: reference.json beside the sweep's reports)",
    )
    option(
        "--sweep-fail-on",
        metavar="WHAT,…",
        type=names,
        default=DEFAULT_FAIL_ON,
        help=f"what fails an item: any of {', '.join(FAIL_ON)}, or none "
        f"(default: {','.join(DEFAULT_FAIL_ON)})",
    )


def settings(config: pytest.Config) -> Settings:
    """Return the settings that the options of this pytest run ask for.

    Raises
    ------
    UsageError
        Where options contradict each other.
    """
    get = config.getoption
    if get("--sweep-offline") and get("--sweep-fresh"):
        raise UsageError(
            "--sweep-offline trains nothing and --sweep-fresh trains everything; give one of them"
        )
    home, here = config.rootpath / HOME, config.invocation_params.dir
    store = get("--sweep-store")
    folder = get("--sweep-report")
    baseline = get("--sweep-baseline")
    if baseline and is_table(baseline) and counted(baseline) is None:
        baseline = str(here / baseline)
    workers, device = _placed(config)
    return Settings(
        home=home,
        store=store or f"sqlite:///{home / 'store.db'}",
        reports=here / folder if folder else home / "reports",
        selection=Selection(
            runs=get("--sweep-runs"),
            steps=get("--sweep-steps"),
            arms=arms(get("--sweep-arms")),
            backend=get("--sweep-backend"),
            device=device,
            precision=get("--sweep-precision"),
            until=check_until(get("--sweep-until")),
        ),
        executor=get("--sweep-executor"),
        ray_address=_ray_address(config),
        workers=workers,
        threads=get("--sweep-threads"),
        gpus=get("--sweep-gpus"),
        per_gpu=get("--sweep-per-gpu") or 1,
        timeout=get("--sweep-timeout"),
        memory=get("--sweep-memory"),
        retries=get("--sweep-retries"),
        checkpoint_every=get("--sweep-checkpoint-every"),
        offline=get("--sweep-offline"),
        fresh=get("--sweep-fresh"),
        baseline=baseline,
        references=tuple(here / path for path in get("--sweep-reference") or ()),
        needs_references="regressed" in fail_on(get("--sweep-fail-on")),
        debug=bool(get("usepdb", False)),
        stops=(pytest.exit.Exception,),
    )


def _placed(config: pytest.Config) -> tuple[int | None, str]:
    """Return how many runs are trained at the same time, and on what device each of them.

    None are as many as there is room for on the GPUs that are asked for, or on the Ray cluster.
    """
    get = config.getoption
    asked, per_gpu = get("--sweep-gpus"), get("--sweep-per-gpu")
    workers, device = get("--sweep-workers"), get("--sweep-device")
    if asked is None:
        if per_gpu is not None:
            raise UsageError(
                f"--sweep-per-gpu {per_gpu} needs --sweep-gpus: how many GPUs, or which"
            )
        return workers or (None if get("--sweep-ray-address") else 2), device
    if device not in ("auto", "cuda", "cuda:0"):
        raise UsageError(
            "--sweep-gpus trains on GPUs, each of which its runs see as cuda:0, and "
            f"--sweep-device {device} names another device; give one of them"
        )
    if get("--sweep-executor") == "inline":
        raise UsageError(
            "--sweep-gpus gives each worker process a GPU of its own, and --sweep-executor inline "
            "has none; use local, or name the GPU with --sweep-device"
        )
    return workers, "cuda"


def _ray_address(config: pytest.Config) -> str | None:
    """Return the address of the Ray cluster that is to train."""
    address: str | None = config.getoption("--sweep-ray-address")
    executor = config.getoption("--sweep-executor")
    if address is not None and executor != "ray":
        raise UsageError(
            f"--sweep-ray-address {address} is for --sweep-executor ray, not {executor}: give both "
            "or neither"
        )
    return address


def fail_on(given: tuple[str, ...]) -> frozenset[str]:
    """Return what ``--sweep-fail-on`` names.

    Raises
    ------
    UsageError
        Where it names something that no item can be.
    """
    if given == ("none",):
        return frozenset()
    for name in given:
        if name not in FAIL_ON:
            raise UsageError(
                f"--sweep-fail-on: {name!r} is not one of {', '.join(FAIL_ON)}"
                f"{nearest(name, FAIL_ON)}"
            )
    return frozenset(given)
