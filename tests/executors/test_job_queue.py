"""Which of the waiting jobs a worker is to have."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.executors.scheduling import JobQueue
from tests.executors.contract import make_job


def queue(*programs):
    """Jobs with these programs, numbered in their order."""
    waiting = JobQueue()
    waiting.add(make_job(Path(), index, program=name) for index, name in enumerate(programs))
    return waiting


def taken(waiting, *asked):
    """The indices of the jobs taken: each of ``asked`` is a worker's program and the others'."""
    return [waiting.pop(program, others).run.index for program, others in asked]


def test_a_worker_stays_with_its_program_while_there_are_jobs_of_it():
    waiting = queue("a", "b", "c", "a", "b", "c")
    assert taken(waiting, ("b", {"a"}), ("b", {"a"})) == [1, 4]
    assert waiting.has("a")
    assert not waiting.has("b")


def test_a_worker_without_one_takes_a_program_that_no_other_is_on():
    waiting = queue("a", "a", "b", "c")
    assert taken(waiting, ("", {"a"}), ("b", {"a"}), ("c", {"a", "b"})) == [2, 3, 0]


def test_where_others_are_on_all_programs_the_first_job_is_taken():
    assert taken(queue("b", "a", "b"), ("c", {"a", "b"}), ("c", {"a", "b"})) == [0, 1]


def test_a_job_put_back_is_the_next_whoever_takes_it():
    waiting = queue("a", "b", "a")
    back = waiting.pop("b", {"a"})
    waiting.put_back(back)
    assert len(waiting) == 3
    assert taken(waiting, ("a", {"b"}), ("a", {"b"}), ("a", {"b"})) == [1, 0, 2]
    assert not waiting


def test_nothing_overtakes_a_job_without_a_program():
    waiting = queue("a", "", "b", "", "a")
    worker = ("b", {"a"})
    assert not waiting.has("b")
    assert taken(waiting, worker, worker, worker, worker, worker) == [0, 1, 2, 3, 4]


def test_jobs_that_come_later_wait_behind():
    waiting = queue("a", "b")
    waiting.add([make_job(Path(), 2, program="b"), make_job(Path(), 3, program="a")])
    assert taken(waiting, ("b", ()), ("b", ()), ("b", ()), ("b", ())) == [1, 2, 0, 3]
    waiting.add([make_job(Path(), 4)])
    waiting.put_back(make_job(Path(), 5))
    waiting.clear()
    assert len(waiting) == 0


programs = st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=30)
workers = st.tuples(st.sampled_from(["", "a", "b", "d"]), st.sets(st.sampled_from("abc")))


@given(programs, st.lists(workers, min_size=30, max_size=30))
def test_every_job_is_taken_once_and_in_order_within_its_program(names, asked):
    waiting = queue(*names)
    order = taken(waiting, *asked[: len(names)])
    assert sorted(order) == list(range(len(names)))
    for name in names:
        of = [index for index in order if names[index] == name]
        assert of == sorted(of)
    plain = [index for index in order if names[index] == ""]
    for index in plain:
        assert all(earlier < index for earlier in order[: order.index(index)])


@given(st.sampled_from(["", "a"]), st.integers(0, 20), st.lists(workers, min_size=20, max_size=20))
def test_with_one_program_or_none_the_order_is_that_of_the_queue(name, count, asked):
    assert taken(queue(*[name] * count), *asked[:count]) == list(range(count))


@pytest.mark.parametrize("names", [("a", "b", "c"), ("",)])
def test_ten_thousand_jobs_cost_little(names):
    job = make_job(Path(), 0)
    waiting = JobQueue()
    waiting.add(replace(job, program=names[index % len(names)]) for index in range(10_000))
    began = time.perf_counter()
    while waiting:
        waiting.has("a")
        waiting.pop("a", {"b"})
    assert time.perf_counter() - began < 2  # 0.03 s when nothing else runs
