"""The hooks that a sweep calls, for a ``conftest.py`` or a plugin to implement.

As with all hooks of pytest, an implementation takes those of the arguments that it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.records import Result
    from harness.sweeps.sweep import Sweep
    from harness.verdicts import Verdict


def pytest_sweep_run_finished(config: pytest.Config, sweep: Sweep, result: Result) -> None:
    """Take note of a run that has ended and is in the store.

    It is called for every status, so also for a run that failed, diverged or was interrupted, and
    once for each run that this session trained; not for runs that were in the store before. A run
    that is tried again within the session is told of at its last try. With pytest-xdist it is
    called in the controller, and in no worker.

    An exception is shown as a warning at the end of the session, and costs neither the run nor the
    item; `pytest.exit` and Ctrl-C end the session as usual.

    :param config: The pytest config object.
    :param sweep: The sweep that the run belongs to, as its file declares it.
    :param result: The run with its config, seed, arm, outcome and curve: a `harness.Result`.
    """


def pytest_sweep_verdict(config: pytest.Config, sweep: Sweep, verdict: Verdict, scope: str) -> None:
    """Take note of the verdict on a question.

    It is called at the end of a session for each question of each sweep that was chosen. Questions
    whose runs are missing have the verdict ``not judged``. With pytest-xdist it is called in the
    controller. An exception is shown as a warning.

    :param config: The pytest config object.
    :param sweep: The sweep that was asked.
    :param verdict: The answer, with its interval and p values: a `harness.Verdict`.
    :param scope:
        Empty for a verdict on the whole sweep; ``smoke`` for one on a part of it, or of which runs
        are missing; ``vs-NAME-smoke`` or ``vs-NAME`` where ``--sweep-baseline`` named a baseline.
    """
