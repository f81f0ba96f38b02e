"""A run interrupted at any step goes on from its checkpoint to the same result, bit for bit."""

from __future__ import annotations

import errno
import importlib
import itertools
import json
import os
import pickle
import random
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.training import course, tasks
from harness.training.checkpoints import Checkpoint
from harness.training.tasks import ModelShape
from tests.training.contract import timeless

STEPS = 7
SMALL = replace(
    tasks.get_task("addition"),
    name="small",
    shape=ModelShape(width=8, layers=1, heads=2),
    samples=2,
    warm_start=replace(tasks.get_task("addition").warm_start, steps=3, warmup=1),
)
"""A policy that learns nothing worth speaking of, quickly."""

CONFIG = dict(
    learning_rate=1e-6,
    batch_size=4,
    generations=8,
    warmup_steps=2,
    kl_warmup_steps=3,
    kl_coef=0.1,
    weight_decay=0.1,
)

pytestmark = pytest.mark.parametrize(
    "backend",
    [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("torch", "jax")],
)


class Interrupted(Exception):
    pass


def train(job, notify=lambda progress: None):
    return importlib.import_module(f"harness.training.grpo_{job.conditions.backend}").train(
        job, notify
    )


def trained_until(step, job, seen=None):
    """Train ``job`` until it has told of ``step``, and interrupt it there."""

    def notify(progress):
        if seen is not None:
            seen.append(progress)
        if progress.stage == "train" and progress.step == step:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(job, notify)


@pytest.fixture
def job(make_job, backend, monkeypatch, tmp_path):
    monkeypatch.setitem(tasks.TASKS, "small", SMALL)
    job = make_job(
        backend,
        trainer=f"harness.training.grpo_{backend}:train",
        task="small",
        steps=STEPS,
        evaluate_every=3,
        **CONFIG,
    )
    return replace(job, checkpoint=str(tmp_path / "checkpoints" / "key"), checkpoint_every=2)


@pytest.fixture
def whole(job):
    return whole_of(replace(job, checkpoint=None, checkpoint_every=None, log=""))


@cache
def whole_of(job):
    return train(job)


@pytest.fixture
def kept(tmp_path):
    """Return what lies where checkpoints do."""
    return lambda: sorted(path.name for path in (tmp_path / "checkpoints").glob("*"))


@pytest.mark.parametrize("step", [0, 1, 2, 3, 4, 6, 7])
def test_interrupted_at_any_step_it_is_the_run_it_was(job, whole, kept, step, capsys):
    trained_until(step, job)
    last = min(step // 2 * 2, 6)
    assert kept() == (["key"] if last else [])
    capsys.readouterr()
    assert timeless(train(job)) == timeless(whole)
    assert (f"has {last} of 7 steps" in capsys.readouterr().out) == (last > 0)
    assert kept() == []


def test_saving_changes_nothing(job, whole, kept):
    for every in (1, 3, 7, 100):
        assert timeless(train(replace(job, checkpoint_every=every))) == timeless(whole)
        assert kept() == []


@pytest.mark.parametrize(
    ("arm", "changes"),
    [
        ("null", {}),
        ("random", {}),
        ("main", {"precision": "bfloat16"}),
        ("placebo", {"learning_rate": 0.0}),
    ],
)
def test_every_kind_of_run_resumes(job, backend, arm, changes):
    precision = changes.pop("precision", "float32")
    run = replace(job.run, arm=arm, config=job.run.config.replace(**changes))
    job = replace(job, run=run, conditions=replace(job.conditions, precision=precision))
    trained_until(5, job)
    resumed = train(job)
    assert timeless(resumed) == timeless(train(replace(job, checkpoint=None)))
    if arm == "placebo":
        assert (resumed.delta_perf, resumed.prompts_changed) == (0.0, 0)


def test_interrupted_again_and_again_it_gets_there(job, whole):
    job = replace(job, checkpoint_every=1)
    for step in range(STEPS + 1):
        trained_until(step, job)
    assert timeless(train(job)) == timeless(whole)


@given(every=st.integers(1, STEPS + 1), steps=st.sets(st.integers(0, STEPS), max_size=3))
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_however_often_it_saves_and_wherever_it_stops(job, whole, kept, every, steps):
    """Every example leaves nothing to the next: its run ends, and its checkpoint goes."""
    job = replace(job, checkpoint_every=every)
    for step in sorted(steps):
        trained_until(step, job)
    assert timeless(train(job)) == timeless(whole)
    assert kept() == []


def test_a_run_diverges_where_it_would_have(job, kept):
    config = job.run.config.replace(learning_rate=1e30, warmup_steps=0)
    job = replace(job, run=replace(job.run, config=config), checkpoint_every=1)
    whole = train(replace(job, checkpoint=None))
    assert whole.status == "diverged"
    assert whole.stopped_at > 1
    trained_until(whole.stopped_at - 1, job)
    assert kept() == ["key"]
    assert timeless(train(job)) == timeless(whole)
    assert kept() == []


def test_times_tokens_and_memory_are_those_of_the_whole_run(job, whole):
    trained_until(4, job)
    checkpoint = Checkpoint(job, **made_with(job))
    saved = checkpoint.load()
    facts = dict(saved.facts) | {"seconds": 1e3, "evaluation_seconds": 5e2, "peak_memory": 2**50}
    checkpoint.save(saved.step, saved.arrays, facts)
    checkpoint.close(done=False)
    resumed = train(job)
    assert resumed.tokens == whole.tokens
    assert 1e3 < resumed.seconds < 1e3 + 60
    assert 5e2 < resumed.evaluation_seconds < 5e2 + 60
    assert resumed.peak_memory == 2**50


def made_with(job):
    """Return what the checkpoint of ``job`` says that it was made with."""
    said = json.loads(Path(job.checkpoint).read_bytes().split(b"\n")[1])["of"]
    return {name: value for name, value in said.items() if name not in ("run", "trainer")}


def test_what_was_measured_before_is_told_again(job, whole):
    """So that who records what it hears has the whole of the curve."""
    trained_until(5, job)
    seen = []
    trained_until(6, job, seen)
    assert [progress.step for progress in seen] == [0, 3, 5, 6]
    points = [progress.evaluation for progress in seen if progress.evaluation]
    assert points == list(whole.curve[:3])


def test_a_damaged_checkpoint_costs_the_steps_it_had(job, whole, kept, capsys):
    trained_until(5, job)
    path = Path(job.checkpoint)
    content = path.read_bytes()
    for damaged in (content[:-1], content[: len(content) // 2], b"", content.replace(b"0", b"1")):
        path.write_bytes(damaged)
        capsys.readouterr()
        assert timeless(train(job)) == timeless(whole)
        assert capsys.readouterr().out == (
            f"checkpoint {path} is damaged, or of another version; training starts again\n"
        )
        assert kept() == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("training", lambda m: m.setattr(course, "TRAINING_VERSION", "0")),
        ("weights", lambda m: m.setattr(course, "checksum", lambda weights: "0" * 64)),
    ],
)
def test_one_of_other_training_or_another_start_is_not_gone_on_from(
    job, whole, monkeypatch, capsys, name, change
):
    with monkeypatch.context() as changed:
        change(changed)
        trained_until(5, job)
    capsys.readouterr()
    assert timeless(train(job)) == timeless(whole)
    (line,) = capsys.readouterr().out.splitlines()
    assert f" is of {name} " in line
    assert "training starts again" in line


def test_a_full_disk_costs_no_run(job, whole, kept, monkeypatch, capsys):
    def fsync(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    assert timeless(train(job)) == timeless(whole)
    (line,) = capsys.readouterr().out.splitlines()
    assert "No space left on device" in line
    assert kept() == []


PROGRAM = """
import pickle, sys
from dataclasses import replace
from pathlib import Path
from harness.executors.outcomes import train
from harness.training import tasks
from tests.training.test_resuming import SMALL

tasks.TASKS["small"] = SMALL
job = pickle.loads(sys.stdin.buffer.read())
outcome = train(job, lambda progress: print(progress.step, flush=True))
Path(job.log).write_bytes(pickle.dumps(outcome))
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_is_the_run_it_was(job, tmp_path):
    """Kill -9, of a process of its own, at moments of no step's choosing."""
    run = replace(job.run, steps=200, declared_steps=200, evaluate_every=50)
    job = replace(job, run=run, checkpoint_every=5)
    whole = whole_of(replace(job, checkpoint=None, checkpoint_every=None, log=""))
    draws, said = random.Random(7), []
    for attempt in range(6):
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with program:
            program.stdin.write(pickle.dumps(job))
            program.stdin.close()
            lines = iter(program.stdout.readline, b"")
            if attempt < 5:
                said += itertools.islice(lines, draws.randrange(15, 40))
                time.sleep(draws.random() * 0.02)
                program.kill()
            said += lines
    resumed = [int(line.split()[3]) for line in said if b"training continues from there" in line]
    assert len(resumed) == 5
    assert resumed == sorted(set(resumed))
    assert timeless(pickle.loads(Path(job.log).read_bytes())) == timeless(whole)
