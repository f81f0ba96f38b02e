"""The settings of a session, from the options of a pytest run."""

from __future__ import annotations

import pytest

from harness.errors import UsageError, nearest
from harness.session.arguments import DIGESTS, STORE, arms, interval
from harness.session.arguments import home as home_of
from harness.session.options import FAIL_ON
from harness.session.settings import Settings
from harness.sweeps.baseline import counted, is_table
from harness.sweeps.plan import Selection, check_until, located, place

FORKED = (
    "a sweep's items share a session, which would end with the process of the first; leave it out, "
    "for runs have worker processes of their own"
)
"""Why pytest-forked cannot run the items of a sweep, and what to do."""


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
    if get("--sweep") and get("forked", False):
        raise UsageError(f"--forked with --sweep: {FORKED}")
    here = config.invocation_params.dir
    home = home_of(get("--sweep-dir"), config.rootpath, here)
    store = get("--sweep-store")
    folder = get("--sweep-report")
    baseline = get("--sweep-baseline")
    if baseline and is_table(baseline) and counted(baseline) is None:
        baseline = baseline if "://" in baseline else str(here / baseline)
    workers, device = _placed(config)
    every = get("--sweep-checkpoint-every")
    return Settings(
        root=config.rootpath,
        home=home,
        store=store or str(home / STORE),
        reports=here / folder if folder else home / "reports",
        selection=Selection(
            runs=get("--sweep-runs"),
            steps=get("--sweep-steps"),
            seeds=get("--sweep-seeds"),
            arms=arms(get("--sweep-arms")),
            backend=get("--sweep-backend"),
            device=device,
            precision=get("--sweep-precision"),
            model=located(get("--sweep-model"), here),
            task=located(get("--sweep-task"), here),
            root=str(config.rootpath),
            digests=str(home / DIGESTS),
            until=check_until(get("--sweep-until")),
            place=place(config.args, here) if _given(config) else "",
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
        checkpoint_every=interval(every) if every else None,
        offline=get("--sweep-offline"),
        fresh=get("--sweep-fresh"),
        baseline=baseline,
        track=get("--sweep-track") or (),
        references=tuple(here / path for path in get("--sweep-reference") or ()),
        needs_references="regressed" in fail_on(get("--sweep-fail-on")),
        debug=bool(get("usepdb", False)),
        stops=(pytest.exit.Exception,),
    )


def where(config: pytest.Config) -> tuple[str, ...]:
    """Return the options of the command ``sweep`` with which it reads the store of this run."""
    given = {name: config.getoption(f"--sweep-{name}") for name in ("store", "dir")}
    return tuple(word for name, to in given.items() if to for word in (f"--{name}", to))


def _given(config: pytest.Config) -> bool:
    """Return whether somebody told pytest where to look."""
    return config.args_source is pytest.Config.ArgsSource.ARGS


def _placed(config: pytest.Config) -> tuple[int | None, str]:
    """Return the number of runs trained at the same time, and their device.

    None means as many as the GPUs or the Ray cluster have room for.
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
            "--sweep-gpus trains on GPUs, which runs see as cuda:0, and "
            f"--sweep-device {device} names another device; give one of them"
        )
    if get("--sweep-executor") == "inline":
        raise UsageError(
            "--sweep-gpus gives each worker process a GPU of its own, and --sweep-executor inline "
            "has none; use local, or name the GPU with --sweep-device"
        )
    return workers, "cuda"


def _ray_address(config: pytest.Config) -> str | None:
    """Return the address of the Ray cluster to train on."""
    address: str | None = config.getoption("--sweep-ray-address")
    executor = config.getoption("--sweep-executor")
    if address is not None and executor != "ray":
        raise UsageError(
            f"--sweep-ray-address {address} is for --sweep-executor ray, not {executor}: give both "
            "or neither"
        )
    return address


def fail_on(given: tuple[str, ...]) -> frozenset[str]:
    """Return the outcomes that ``--sweep-fail-on`` names.

    Raises
    ------
    UsageError
        Where it names anything else.
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
