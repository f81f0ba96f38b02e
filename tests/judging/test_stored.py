"""Which stored runs are a baseline, and what the audit is told of the declaration."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from importlib import metadata

import pytest

from harness import LogUniform, Pairs, Sweep
from harness.claims import no_worse
from harness.judging.evidence import gathered, resolve_baseline
from harness.judging.stored import changed_since, judge_sweep, not_counted
from harness.records import run_key
from harness.store import Store
from harness.sweeps import sources
from harness.sweeps.plan import Selection, plan
from tests.factories import make_result

SPACE = {"learning_rate": LogUniform(1e-7, 1e-6), "batch_size": 8, "generations": 16}
BASE = Sweep("base", runs=4, steps=50, space=SPACE)
SWEEP = Sweep("s", runs=4, steps=100, space=SPACE, baseline="base")


@pytest.fixture(autouse=True)
def _both_installed(monkeypatch):
    monkeypatch.setattr("harness.training.backends._installed", lambda module: True)


@pytest.fixture
def stored(tmp_path):
    """Store so many runs of the base, trained in the given way; count what is a baseline then."""
    with Store.open(str(tmp_path / "store.db")) as store:

        def keep(backend, count=4, steps=None, **conditions):
            planned = plan(BASE, Selection(backend=backend, steps=steps), trains=False)
            under = replace(planned.conditions, **conditions)
            for run in list(planned.runs.values())[:count]:
                key = f"{backend}-{run.index}-{steps}-{conditions}"
                store.save(replace(make_result(key=key), run=run, conditions=under))

        keep.store = store
        yield keep


def found(stored, backend, declared=True, **selection):
    planned = plan(SWEEP, Selection(backend=backend, **selection), trains=False)
    sweeps = {"s": SWEEP} | ({"base": BASE} if declared else {})
    baseline, lacking = resolve_baseline("base", sweeps, stored.store, planned)
    if baseline is None:
        return None
    kinds = {(r.conditions.backend, r.run.steps) for r in baseline.results}
    assert len(kinds) == 1, "runs of unequal conditions were pooled"
    return (*kinds.pop(), len(baseline.results), lacking and str(lacking))


def test_the_same_backend_is_preferred(stored):
    stored("torch")
    stored("jax")
    assert found(stored, "jax") == ("jax", 50, 4, None)
    assert found(stored, "torch") == ("torch", 50, 4, None)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_backend_s_runs_count_where_those_of_this_one_are_not_all_there(stored, count):
    stored("torch")
    stored("jax", count)
    assert found(stored, "jax") == ("torch", 50, 4, None)


def test_where_neither_is_whole_this_one_is_what_lacks(stored):
    stored("torch", 3)
    stored("jax", 1)
    assert found(stored, "jax") == ("jax", 50, 1, "3 of 4 runs of base missing")


def test_only_as_many_are_wanted_as_this_session_runs(stored):
    stored("torch")
    stored("jax", 2)
    assert found(stored, "jax", runs=2) == ("jax", 50, 2, None)


def test_the_declared_steps_go_before_the_backend(stored):
    stored("torch")
    stored("jax", steps=5)
    assert found(stored, "jax") == ("torch", 50, 4, None)
    assert found(stored, "jax", steps=5) == ("jax", 5, 4, None)


def test_the_task_goes_before_the_backend(stored):
    stored("jax", task_version="0")
    stored("torch", 2)
    assert found(stored, "jax") == ("torch", 50, 2, "2 of 4 runs of base missing")


def test_of_a_sweep_that_is_not_declared_here_the_same_backend_counts(stored):
    stored("torch")
    stored("jax", 2)
    assert found(stored, "jax", declared=False) == ("jax", 50, 2, None)


def test_what_is_not_stored_is_no_baseline(stored):
    assert found(stored, "jax") is None


@pytest.mark.parametrize(
    ("arms", "how"),
    [
        ({"batch_size": Pairs(2, values=(4,))}, "--sweep-arms batch_size"),
        ({}, "declare them: arms"),
    ],
)
def test_an_arm_that_is_suggested_is_one_that_the_sweep_declares(stored, arms, how):
    asked = {"batch_size": no_worse("batch_size", 8, than=(4,), margin=0.02)}
    sweep = replace(BASE, arms=arms, questions=asked)
    only = Selection(backend="torch", arms=())
    runs = {key: make_result(key=key) for key in plan(sweep, only, trains=False).runs}
    found = gathered(plan(sweep, only, trains=False), {}, stored.store, lookup=lambda keys: runs)
    report = judge_sweep(found)
    (finding,) = (f for f in report.findings if f.code == "constant_parameter")
    assert how in finding.message


def test_a_report_reads_each_run_once(stored):
    asked = []

    def lookup(keys):
        asked.extend(keys)
        return {}

    questions = {"a": no_worse("batch_size", 8, than=(4,), margin=0.02)}
    arms = {"batch_size": Pairs(2, values=(4,))}
    sweep = Sweep("s", runs=4, steps=100, space=SPACE, arms=arms, questions=questions)
    planned = plan(sweep, Selection(backend="torch"), trains=False)
    report = judge_sweep(gathered(planned, {}, stored.store, lookup=lookup))
    assert {verdict.id: verdict.verdict for verdict in report.verdicts}["a"] == "not judged"
    assert len(asked) == len(set(asked)) == 6


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A sweep whose training function imports ``helper.py``, stored once; what is said of it."""
    (tmp_path / "helper.py").write_text("GAIN = 1")
    (tmp_path / "run.sh").write_text("echo")
    (tmp_path / "own_trainer.py").write_text(
        "import numpy, helper\ndef train(job, notify):\n    open('run.sh')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("own_trainer", "helper"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    trainer = importlib.import_module("own_trainer").train
    sweep = Sweep("own", runs=4, steps=50, space=SPACE, trainer=trainer)
    with Store.open(str(tmp_path / "store.db")) as store:
        first = plan(sweep, Selection(), trains=False)
        for key, run in first.runs.items():
            store.save(replace(make_result(key=key), run=run, conditions=first.conditions))

        def said(**changed):
            planned = plan(sweep, Selection(), trains=False)
            under = replace(planned.conditions, noted={**planned.conditions.noted, **changed})
            found = store.of(planned.runs)
            return len(found), not_counted(planned, store), changed_since(found.values(), under)

        said.folder, said.store, said.sweep = tmp_path, store, sweep
        yield said
    for name in ("own_trainer", "helper"):  # other tests have files of those names
        sys.modules.pop(name, None)


def test_runs_of_earlier_code_are_not_counted_and_said(own):
    assert own() == (4, "", "")
    (own.folder / "helper.py").write_text("GAIN = 2")
    assert own() == (0, " (4 more not counted: helper.py changed since)", "")
    planned = plan(own.sweep, Selection(), trains=False)
    for key, run in list(planned.runs.items())[:3]:
        own.store.save(replace(make_result(key=key), run=run, conditions=planned.conditions))
    assert own() == (3, " (1 more not counted: helper.py changed since)", "")
    (own.folder / "helper.py").write_text("GAIN = 1")
    assert own() == (4, "", ""), "the first code again"


def test_what_changed_but_is_no_part_of_a_run_is_said(own):
    (own.folder / "run.sh").write_text("echo more")
    used = "changed since 4 of these runs, which are used as they are: "
    assert own() == (4, "", f"{used}run.sh")
    version = metadata.version("numpy")
    assert own(**{"package numpy": "9.9"})[2] == f"{used}numpy {version} → 9.9 and run.sh"
    assert own(new="1")[2] == f"{used}run.sh", "what was not there may be what the runs wrote"


def test_of_many_files_the_first_are_named(own):
    for number in range(6):
        (own.folder / f"h{number}.py").write_text("")
    (own.folder / "helper.py").write_text("import " + ", ".join(f"h{n}" for n in range(6)))
    assert own()[1] == " (4 more not counted: h0.py, h1.py, h2.py and 4 more changed since)"


def test_runs_from_before_files_were_noted_are_said_too(own):
    before = {r.key: r for r in own.store.results()}
    old = replace(next(iter(before.values())).conditions, trainer_version="old", files={}, noted={})
    with Store.open(str(own.folder / "other.db")) as store:
        planned = plan(own.sweep, Selection(), trains=False)
        for run in planned.runs.values():
            store.save(replace(make_result(key=run_key(run, old)), run=run, conditions=old))
        assert not_counted(planned, store) == " (4 more not counted: the code changed since)"


def test_runs_trained_otherwise_by_the_same_code_are_said(own):
    planned = plan(own.sweep, Selection(precision="bfloat16"), trains=False)
    assert not_counted(planned, own.store) == " (4 more not counted: trained otherwise)"


def test_a_run_that_was_scaled_down_is_not_the_same_by_earlier_code(own):
    small = plan(own.sweep, Selection(steps=10), trains=False)
    with Store.open(str(own.folder / "other.db")) as store:
        for key, run in small.runs.items():
            store.save(replace(make_result(key=key), run=run, conditions=small.conditions))
        (own.folder / "helper.py").write_text("GAIN = 3")
        assert not_counted(plan(own.sweep, Selection(), trains=False), store) == ""
        smaller = plan(own.sweep, Selection(steps=10), trains=False)
        assert not_counted(smaller, store) == " (4 more not counted: helper.py changed since)"


def test_the_versions_of_a_backend_are_noted(monkeypatch):
    monkeypatch.setattr(sources, "_installed", {"torch": "2.13.0"}.get)
    planned = plan(BASE, Selection(backend="torch"), trains=False)
    assert planned.conditions.noted == {"package torch": "2.13.0"}
    assert planned.conditions.files == {}
