"""What tests of a session share."""

import pytest

from harness.session.session import SweepSession
from harness.session.settings import Settings
from tests.session.fakes import FakeExecutor


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Return a function that starts a session over sweeps with a fake executor."""
    made = []

    def begin(*sweeps, outcomes=None, select=None, observer=None, on_finished=None, **settings):
        fakes = []

        def make_executor(name, *, on_event, may_begin, **given):
            fakes.append(FakeExecutor(outcomes, on_event, may_begin))
            return fakes[-1]

        monkeypatch.setattr("harness.executors.make_executor", make_executor)
        settings = Settings(
            root=tmp_path,
            home=tmp_path,
            store=f"sqlite:///{tmp_path / 'store.db'}",
            reports=tmp_path / "reports",
            **settings,
        )
        named = {sweep.name: sweep for sweep in sweeps}
        session = SweepSession(settings, named, observer, on_finished)
        runs = {sweep.name: sweep.plan(steps=settings.selection.steps) for sweep in sweeps}
        made.append(session)
        session.choose({name: r if select is None else select(r) for name, r in runs.items()})
        session.fakes = fakes
        return session

    yield begin
    for session in made:
        session.close()


@pytest.fixture
def both_installed(monkeypatch):
    monkeypatch.setattr("harness.training.backends._installed", lambda module: True)
