"""Checkpoints as files: whole or none, of this run or none, and never at the cost of the run."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import resource
import threading
import time
import tracemalloc
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from harness.training import checkpoints
from harness.training.checkpoints import Checkpoint, discard, packed, unpacked
from harness.training.run import train

ARRAYS = {
    "weights": np.arange(7, dtype=np.float32) / 3,
    "count": np.array(5, dtype=np.int32),
    "none": np.zeros((0, 4)),
    "a name/with.all ~ sorts": np.array([True, False]),
}
FACTS = {"tokens": 12, "seconds": 0.1 + 0.2, "curve": [[0, 0.1, float("nan"), None]], "text": "é"}


@pytest.fixture(params=["copied", "written at once"], scope="module", autouse=True)
def way(request):
    """Save as a small model does, and as a large one."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpoints, "LARGE", math.inf if request.param == "copied" else 0)
        yield request.param


@pytest.fixture
def job(make_job, tmp_path):
    path = tmp_path / "checkpoints" / "key"
    return replace(make_job(steps=20), checkpoint=str(path), checkpoint_every=4)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoints" / "key"


def saved(job, step=8, **made_with):
    """Leave a checkpoint, as a run does that is interrupted."""
    checkpoint = Checkpoint(job, **made_with)
    checkpoint.save(step, ARRAYS, FACTS)
    checkpoint.close(done=False)


def said(capsys):
    return capsys.readouterr().out.splitlines()


def test_what_was_saved_is_loaded(job, path, capsys):
    saved(job)
    found = Checkpoint(job).load()
    assert found.step == 8
    assert list(found.arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)
    assert found.facts["seconds"] == FACTS["seconds"]
    assert np.isnan(found.facts["curve"][0][2])
    assert {key: found.facts[key] for key in ("tokens", "text")} == {"tokens": 12, "text": "é"}
    assert said(capsys) == [f"checkpoint {path} has 8 of 20 steps; training continues from there"]
    assert list(path.parent.iterdir()) == [path]


@given(
    array=arrays_of.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]),
        arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
@settings(max_examples=30, deadline=None)
def test_any_array_comes_back_bit_for_bit(array, tmp_path_factory, make_any_job):
    job = make_any_job(tmp_path_factory.mktemp("any") / "key")
    checkpoint = Checkpoint(job)
    checkpoint.save(4, {"array": array, "turned": array.T}, {})
    checkpoint.close(done=False)
    found = Checkpoint(job).load().arrays
    assert (found["array"].dtype, found["array"].shape) == (array.dtype, array.shape)
    assert found["array"].tobytes() == array.tobytes()
    assert found["turned"].tobytes() == array.T.tobytes()


@pytest.fixture(scope="session")
def make_any_job(warm_cache):
    from harness.records import Conditions, Config, Job, Run

    run = Run("r", "s", 0, "main", None, Config({}), 0, 20, 20, 5)
    conditions = Conditions("t", "1", "torch", "float32", "cpu", "addition", "1", "m")
    return lambda path: Job("key", run, conditions, "", "", checkpoint=str(path))


def test_it_goes_with_the_run_and_stays_with_an_interruption(job, path):
    def interrupted():
        with Checkpoint(job) as checkpoint:
            checkpoint.save(4, ARRAYS, FACTS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.exists()
    with Checkpoint(job) as checkpoint:
        assert checkpoint.load().step == 4
        checkpoint.save(8, ARRAYS, FACTS)
    assert list(path.parent.iterdir()) == []


def test_the_arrays_are_those_of_the_call(job):
    array = np.zeros(2**20)
    checkpoint = Checkpoint(job)
    checkpoint.save(4, {"array": array}, {})
    array += 1
    checkpoint.close(done=False)
    assert not Checkpoint(job).load().arrays["array"].any()


def test_a_slow_disk_keeps_the_order(job, monkeypatch):
    """What is saved later stays, though the one before took long to write."""
    whole, delays = checkpoints.whole_file, [0.3, 0.0]

    def slow(path):
        time.sleep(delays.pop(0))
        return whole(path)

    monkeypatch.setattr(checkpoints, "whole_file", slow)
    checkpoint = Checkpoint(job)
    checkpoint.save(4, ARRAYS, FACTS)
    checkpoint.save(8, ARRAYS, FACTS)
    checkpoint.close(done=False)
    time.sleep(0.4)
    assert Checkpoint(job).load().step == 8


def test_both_ways_write_the_same_file(job, path, monkeypatch):
    contents = set()
    for large in (0, math.inf):
        monkeypatch.setattr(checkpoints, "LARGE", large)
        saved(job)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_of_large_arrays_no_copy_is_made(job, way):
    if way == "copied":
        return
    array = np.arange(2**24, dtype=np.float32)
    checkpoint = Checkpoint(job)
    tracemalloc.start()
    checkpoint.save(4, {"half": array[1::2], "array": array}, {})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    checkpoint.close(done=False)
    assert most < array.nbytes / 1.5
    found = Checkpoint(job).load().arrays
    np.testing.assert_array_equal(found["half"], array[1::2])


class Clock:
    """A clock that the test turns; saves take as long as it says."""

    def __init__(self, monkeypatch, takes=0.0):
        self.now, self.takes = 1000.0, takes
        whole = checkpoints.whole_file

        @contextlib.contextmanager
        def slow(path):
            with whole(path) as file:
                yield file
            self.now += self.takes

        monkeypatch.setattr(checkpoints, "whole_file", slow)

    def __call__(self):
        return self.now

    def train(self, job, step_takes, steps=20):
        """Return the steps after which a run of 20 steps is saved."""
        checkpoint, found = Checkpoint(job, clock=self), []
        for step in range(1, steps + 1):
            self.now += step_takes
            if checkpoint.is_due(step):
                checkpoint.save(step, ARRAYS, FACTS)
                checkpoint.close(done=False)  # waits for the thread
                found.append(step)
        return found


def test_it_is_due_when_so_much_time_has_passed(job, monkeypatch):
    clock = Clock(monkeypatch)
    job = replace(job, checkpoint_every=timedelta(seconds=60))
    assert clock.train(job, step_takes=25) == [3, 6, 9, 12, 15, 18]
    assert clock.train(job, step_takes=61) == [*range(1, 20)]
    assert clock.train(job, step_takes=2) == []


def test_saves_of_a_second_or_less_are_as_many_as_asked_for(job, monkeypatch):
    job = replace(job, checkpoint_every=1)
    assert Clock(monkeypatch, takes=1.0).train(job, step_takes=0.1) == [*range(1, 20)]


@pytest.mark.parametrize("every", [1, timedelta(seconds=1)])
def test_longer_saves_take_a_twentieth_of_the_time_at_most(job, monkeypatch, every):
    clock = Clock(monkeypatch, takes=3.0)
    saves = clock.train(replace(job, checkpoint_every=every), step_takes=10)
    assert saves == [1, 7, 13, 19]  # 57 seconds of training after each save of 3
    clock.takes = 50.0
    assert clock.train(replace(job, checkpoint_every=every), step_takes=10) == [1]


def test_a_save_that_is_still_being_written_is_waited_for_a_second_only(job, way, monkeypatch):
    if way != "copied":
        return
    written = threading.Event()
    whole = checkpoints.whole_file
    monkeypatch.setattr(checkpoints, "whole_file", lambda path: (written.wait(30), whole(path))[1])
    now = [0.0]
    checkpoint = Checkpoint(replace(job, checkpoint_every=1), clock=lambda: now[0])
    checkpoint.save(1, ARRAYS, FACTS)
    due = []
    for now[0] in (0.5, 1.0, 1.5, 100.0):
        due.append(checkpoint.is_due(2))
    assert due == [True, True, False, False]
    written.set()
    checkpoint.close(done=False)


def test_it_is_due_every_so_many_steps_but_not_after_the_last(job):
    due = [step for step in range(1, 21) if Checkpoint(job).is_due(step)]
    assert due == [4, 8, 12, 16]
    for without in (replace(job, checkpoint_every=None), replace(job, checkpoint=None)):
        assert not any(Checkpoint(without).is_due(step) for step in range(1, 21))


def test_a_run_without_a_place_keeps_nothing(job):
    with Checkpoint(replace(job, checkpoint=None)) as checkpoint:
        assert checkpoint.load() is None
        checkpoint.save(4, ARRAYS, FACTS)


def test_one_is_used_where_none_are_asked_for_any_more(job):
    saved(job)
    assert Checkpoint(replace(job, checkpoint_every=None)).load().step == 8


def test_no_checkpoint_is_nothing_to_speak_of(job, capsys):
    assert Checkpoint(job).load() is None
    assert said(capsys) == []


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (lambda job: replace(job, key="other"), "is of run 'key', not 'other'"),
        (
            lambda job: replace(job, conditions=replace(job.conditions, trainer_version="0")),
            "is of trainer '1', not '0'",
        ),
    ],
)
def test_another_run_s_is_left_alone(job, path, capsys, now, words):
    saved(job)
    content = path.read_bytes()
    assert Checkpoint(now(job)).load() is None
    assert said(capsys) == [f"checkpoint {path} {words}; training starts again"]
    assert path.read_bytes() == content


def test_what_it_was_made_with_must_be_equal(job, path, capsys):
    saved(job, library="torch 1", device="cpu")
    assert Checkpoint(job, library="torch 1", device="cpu").load().step == 8
    for made_with, words in (
        (dict(library="torch 2", device="cpu"), "library 'torch 1', not 'torch 2'"),
        (dict(library="torch 1"), "device 'cpu', not None"),
        (dict(library="torch 1", device="cpu", weights="x"), "weights None, not 'x'"),
    ):
        capsys.readouterr()
        assert Checkpoint(job, **made_with).load() is None
        assert said(capsys) == [f"checkpoint {path} is of {words}; training starts again"]


def test_a_file_cut_off_anywhere_is_no_checkpoint(job, path, capsys):
    saved(job)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert Checkpoint(job).load() is None
        (line,) = said(capsys)
        assert line == f"checkpoint {path} is damaged, or of another version; training starts again"


def test_a_file_with_any_bit_turned_is_no_checkpoint(job, path):
    saved(job)
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
        assert Checkpoint(job).load() is None
    path.write_bytes(content + b"\0")
    assert Checkpoint(job).load() is None
    path.write_bytes(content)
    assert Checkpoint(job).load() is not None


@pytest.mark.parametrize("content", [b"", b"\n", b"PK\3\4", b"\x80\x04", b"\0" * 4096])
def test_a_foreign_file_is_no_checkpoint(job, path, content, capsys):
    path.parent.mkdir()
    path.write_bytes(content)
    assert Checkpoint(job).load() is None
    assert len(said(capsys)) == 1


def test_a_folder_in_its_place_is_told_of_and_costs_nothing(job, path, capsys):
    (path / "inside").mkdir(parents=True)
    checkpoint = Checkpoint(job)
    assert checkpoint.load() is None
    checkpoint.save(4, ARRAYS, FACTS)
    checkpoint.close(done=False)
    first, second = said(capsys)
    assert "cannot be read" in first
    assert "was not saved" in second
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_costs_the_checkpoint_and_a_line(job, path, capsys, monkeypatch):
    saved(job, step=4)

    def fsync(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    checkpoint = Checkpoint(job)
    for step in (8, 12, 16):
        checkpoint.save(step, ARRAYS, FACTS)
    checkpoint.close(done=False)
    (line,) = said(capsys)
    assert line.startswith(f"checkpoint {path} was not saved ([Errno 28] No space left on device)")
    assert list(path.parent.iterdir()) == [path]
    assert Checkpoint(job).load().step == 4, "the one before is kept"


def test_a_file_that_outgrows_what_is_allowed_costs_the_same(job, path, capsys):
    """Writing itself fails here, in the middle of an array."""
    checkpoint, limits = Checkpoint(job), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        checkpoint.save(4, {"array": np.zeros(10_000)}, {})
        checkpoint.close(done=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (line,) = said(capsys)
    assert "was not saved" in line
    assert list(path.parent.iterdir()) == []


def test_too_little_memory_costs_the_same(job, capsys, monkeypatch):
    def save(*_, **__):
        raise MemoryError

    monkeypatch.setattr(checkpoints.np, "save", save)
    checkpoint = Checkpoint(job)
    checkpoint.save(4, ARRAYS, FACTS)
    checkpoint.close(done=False)
    (line,) = said(capsys)
    assert "was not saved (MemoryError)" in line


def test_a_log_on_the_full_disk_costs_nothing(job, path, monkeypatch):
    class Full:
        def write(self, text):
            raise OSError(errno.ENOSPC, "full")

        flush = write

    path.mkdir(parents=True)
    monkeypatch.setattr("sys.stdout", Full())
    assert Checkpoint(job).load() is None


def test_what_it_cannot_hold_is_told_at_once(job):
    with pytest.raises(TypeError, match="array 'a' of a checkpoint is of object"):
        Checkpoint(job).save(4, {"a": np.array([object()])}, {})
    with pytest.raises(TypeError, match="JSON"):
        Checkpoint(job).save(4, {}, {"a": object()})


def test_what_a_killed_writer_left_goes_with_the_run(job, path):
    saved(job)
    for name in ("key.123.part", "key.77.part", "other", "keys.1.part"):
        (path.parent / name).touch()
    with Checkpoint(job):
        pass
    assert sorted(one.name for one in path.parent.iterdir()) == ["keys.1.part", "other"]


def test_discard_takes_a_file_or_a_folder_or_nothing(tmp_path):
    folder = tmp_path / "folder"
    (folder / "inside").mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "link").symlink_to(outside)
    for name in ("folder", "link", "nothing"):
        discard(tmp_path / name)
        discard(str(tmp_path / name))
    assert list(tmp_path.iterdir()) == [outside]


def test_the_documented_function_ends_where_it_would_have(job, path):
    page = Path(__file__).parents[2] / "docs" / "writing-sweeps.md"
    (text,) = re.findall(
        r"```python\n(# my_resuming_trainer.py\n.*?)```", page.read_text(), re.DOTALL
    )
    example = {}
    exec(text, example)

    def stop(progress):
        if progress.step == 10:
            raise KeyboardInterrupt

    def outcome(job, notify):
        found = replace(train(example["train"], job, notify), seconds=None)
        return repr(found)  # an error that is not known is NaN, which equals nothing

    whole = outcome(replace(job, checkpoint=None), lambda progress: None)
    with pytest.raises(KeyboardInterrupt):
        outcome(job, stop)
    assert path.exists()
    seen = []
    assert outcome(job, seen.append) == whole
    assert [progress.step for progress in seen] == [0, *range(9, 21)]
    assert not path.exists()


kept = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda one: (
        st.lists(one, max_size=3)
        | st.lists(one, max_size=3).map(tuple)
        | st.dictionaries(st.integers() | st.text() | st.none(), one, max_size=3)
    ),
    max_leaves=8,
)


def same(one, other):
    """Whether two states are equal: of the same types, and NaN equal to NaN."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))


@settings(max_examples=50)
@given(kept)
def test_a_nested_state_comes_back_as_it_was(state):
    arrays, facts = packed(state)
    assert same(unpacked(arrays, json.loads(json.dumps(facts))), state)


@pytest.mark.torch
def test_arrays_come_back_with_their_types_and_tensors_as_tensors():
    import torch

    tensor = torch.arange(6.0).reshape(2, 3)
    state = {
        "weights": np.arange(3, dtype=np.int16),
        "number": np.float32(0.1),
        "optimizer": {0: {"step": torch.tensor(3), "exp_avg": tensor.T}},
        "half": tensor.to(torch.bfloat16).requires_grad_(),
    }
    found = unpacked(*packed(state))
    assert found["weights"].dtype == np.int16
    assert found["number"] == np.float32(0.1)
    assert found["optimizer"][0]["step"].dtype == torch.int64
    assert torch.equal(found["optimizer"][0]["exp_avg"], tensor.T)
    assert found["half"].dtype == torch.bfloat16
    assert torch.equal(found["half"], state["half"])
