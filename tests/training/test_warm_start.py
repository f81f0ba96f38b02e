"""The cache of weights that runs start from: made once, read by many, remade where damaged."""

from __future__ import annotations

import errno
import multiprocessing
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import filelock
import numpy as np
import pytest

from harness.training import warm_start
from harness.training.tasks import completion_mask, get_task

TASK = get_task("addition")

pytestmark = pytest.mark.torch  # safetensors comes with a backend


def quiet(progress):
    """Hear nothing."""


class Maker:
    """Makes weights in no time, or in some, and counts how often it is asked to."""

    def __init__(self, seconds=0.0):
        self.made = 0
        self.seconds = seconds

    def __call__(self, task, notify):
        self.made += 1
        time.sleep(self.seconds)
        return dict(reversed(warm_start.initial_weights(task).items()))


def test_weights_are_made_once_and_read_after(tmp_path):
    make = Maker()
    made = warm_start.warm_started(TASK, tmp_path / "new", make, quiet)
    read = warm_start.warm_started(TASK, tmp_path / "new", make, quiet)
    assert make.made == 1
    assert list(made) == list(read) == list(warm_start.parameter_shapes(TASK))
    for name, array in warm_start.initial_weights(TASK).items():
        np.testing.assert_array_equal(made[name], array)
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == np.float32


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"not a file of weights",
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[:4000] + bytes([data[4000] ^ 64]) + data[4001:],
    ],
)
def test_a_damaged_file_is_made_again(tmp_path, damage):
    make = Maker()
    warm_start.warm_started(TASK, tmp_path, make, quiet)
    path = warm_start.cache_file(TASK, tmp_path)
    good = path.read_bytes()
    path.write_bytes(damage(good))
    warm_start.warm_started(TASK, tmp_path, make, quiet)
    assert make.made == 2
    assert path.read_bytes() == good


def test_a_file_of_other_shapes_is_made_again(tmp_path):
    wide = replace(TASK, shape=replace(TASK.shape, width=32))
    make = Maker()
    warm_start.warm_started(wide, tmp_path, make, quiet)
    warm_start.cache_file(wide, tmp_path).replace(warm_start.cache_file(TASK, tmp_path))
    weights = warm_start.warm_started(TASK, tmp_path, make, quiet)
    assert make.made == 2
    assert weights["embed"].shape == (16, 64)


def test_a_failed_making_leaves_nothing_behind(tmp_path):
    def fail(task, notify):
        raise RuntimeError("out of patience")

    with pytest.raises(RuntimeError, match="patience"):
        warm_start.warm_started(TASK, tmp_path, fail, quiet)
    assert list(tmp_path.glob("*.safetensors*")) == []
    assert warm_start.warm_started(TASK, tmp_path, Maker(), quiet)


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            warm_start.warm_started(TASK, tmp_path, Maker(), quiet)
    assert list(tmp_path.glob("*.safetensors*")) == []


def test_the_name_says_what_made_it(tmp_path):
    others = [
        replace(TASK, version="2"),
        replace(TASK, shape=replace(TASK.shape, layers=3)),
        replace(TASK, warm_start=replace(TASK.warm_start, noise=0.4)),
    ]
    names = {warm_start.cache_file(task, tmp_path) for task in (TASK, *others)}
    assert len(names) == 4
    assert warm_start.cache_file(replace(TASK, lr_transfer=1.0), tmp_path) in names


def test_of_two_at_once_one_makes_and_one_waits(tmp_path):
    make = Maker(seconds=1.3)
    heard = []
    threads = [
        threading.Thread(target=warm_start.warm_started, args=(TASK, tmp_path, make, heard.append))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert make.made == 1
    assert {progress.stage for progress in heard} == {"warm start"}, "who waits says so"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_done_without(tmp_path, monkeypatch, number):
    def flock(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    make = Maker()
    made = warm_start.warm_started(TASK, tmp_path, make, quiet)
    read = warm_start.warm_started(TASK, tmp_path, make, quiet)
    assert make.made == 1
    assert warm_start.checksum(made) == warm_start.checksum(read)


def _hold_and_die(path, held):
    lock = filelock.FileLock(path)
    lock.acquire()
    held.set()
    time.sleep(60)


def test_a_maker_that_dies_does_not_hold_up_the_next(tmp_path):
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    lock = warm_start.cache_file(TASK, tmp_path).with_suffix(".lock")
    process = context.Process(target=_hold_and_die, args=(lock, held))
    process.start()
    assert held.wait(30)
    process.kill()
    process.join()
    assert warm_start.warm_started(TASK, tmp_path, Maker(), quiet)


def test_initial_weights_have_the_shapes_and_scales():
    weights = warm_start.initial_weights(TASK)
    assert {name: array.shape for name, array in weights.items()} == warm_start.parameter_shapes(
        TASK
    )
    assert 95_000 < sum(array.size for array in weights.values()) < 105_000
    assert weights["layers.0.qkv"].std() == pytest.approx(1 / 8, rel=0.05)
    assert weights["layers.1.down"].std() == pytest.approx(1 / 32, rel=0.05)
    assert (weights["norm"] == 1).all()


def test_demonstrations_are_noisy_and_their_targets_say_how():
    prompts, completions, targets, mask = warm_start.demonstration_batch(TASK, step=4)
    recipe = TASK.warm_start
    answers = TASK.demonstrations(prompts)
    known = {tuple(prompt) for prompt in TASK.prompts("warm_start").tolist()}
    assert {tuple(prompt) for prompt in prompts.tolist()} <= known
    share = recipe.noise * (1 - 1 / len(recipe.alphabet))
    assert np.mean(completions != answers) == pytest.approx(share, abs=0.05)
    np.testing.assert_allclose(targets.sum(axis=-1), 1, rtol=1e-6)
    right = np.take_along_axis(targets, answers[..., None], axis=-1)
    np.testing.assert_allclose(right, 1 - share, rtol=1e-6)
    np.testing.assert_array_equal(mask, completion_mask(completions, TASK.end))
    again = warm_start.demonstration_batch(TASK, step=4)
    np.testing.assert_array_equal(again[1], completions)
    assert (warm_start.demonstration_batch(TASK, step=5)[1] != completions).any()


def test_the_warm_start_s_rate_rises_and_falls():
    recipe = TASK.warm_start
    rates = [warm_start.learning_rate(TASK, step) for step in range(recipe.steps)]
    assert max(rates) == recipe.learning_rate
    assert rates.index(max(rates)) in (recipe.warmup - 1, recipe.warmup)
    assert 0 < rates[-1] < 0.01 * recipe.learning_rate
