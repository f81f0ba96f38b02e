"""The Ray executor on a cluster of two nodes, both on this machine."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from harness.executors import make_executor
from harness.protocols import Finished, Progressed, Started
from tests.executors.contract import drain, make_job, outcomes

pytestmark = [pytest.mark.ray, pytest.mark.slow]

STORE = 80 * 2**20
SEES = """
import os
from tests.executors.trainers import completed

def train(job, notify):
    print(os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ["OMP_NUM_THREADS"])
    return completed(job)
"""


@pytest.fixture
def cluster():
    """A head node that has no place for a run; what takes part in it is ended after the test."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": False,
            "object_store_memory": STORE,
        },
    )
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def add_node(cluster, **has):
    return cluster.add_node(object_store_memory=STORE, **has)


def test_a_node_that_is_killed_in_the_middle_costs_its_runs_only(cluster, tmp_path):
    doomed = add_node(cluster, num_cpus=2)
    add_node(cluster, num_cpus=2)
    jobs = {f"key-{i}": make_job(tmp_path, i, "steps_slowly") for i in range(12)}
    executor = make_executor("ray", None, address=cluster.address)
    assert executor.workers == 4, "as many as it has CPUs for"
    events, tries = [], []
    try:
        executor.submit(list(jobs.values()))
        spoken = set()
        while len(spoken) < 4:
            events += executor.poll(0.1)
            spoken = {event.key for event in events if isinstance(event, Progressed)}
        cluster.remove_node(doomed, allow_graceful=False)
        until = time.monotonic() + 200
        completed = {}
        while len(completed) < 12:
            assert time.monotonic() < until
            for event in executor.poll(0.5):
                events.append(event)
                if not isinstance(event, Finished):
                    continue
                if event.outcome.status == "completed":
                    assert event.key not in completed, f"{event.key} ended twice"
                    completed[event.key] = event.outcome
                else:  # as a session does, once
                    tries.append(event)
                    executor.submit([jobs[event.key]])
    finally:
        executor.close()
    assert 1 <= len(tries) <= 2, "those that the node trained"
    for event in tries:
        assert event.outcome.status == "crashed"
        assert " was lost: " in event.outcome.error
        if event.key in spoken:  # another may have begun since, and said nothing yet
            assert event.outcome.error.endswith(" ends: step 1 of 20")
    for index in range(12):
        assert completed[f"key-{index}"].delta_perf == index / 100
    begun = sum(isinstance(event, Started) for event in events)
    assert begun == 12 + len(tries)


def test_a_cluster_is_left_as_it_was(cluster, tmp_path, monkeypatch):
    import ray

    add_node(cluster, num_cpus=2)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    executor = make_executor("ray", 5, threads=2, address="auto")
    assert executor.workers == 5
    try:
        executor.submit([make_job(tmp_path, index) for index in range(3)])
        ended = outcomes(drain(executor, 3, 60))
    finally:
        executor.close()
    assert {outcome.status for outcome in ended.values()} == {"completed"}
    assert not ray.is_initialized()
    assert not (tmp_path / "logs" / "ray").exists()
    ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    until = time.monotonic() + 30
    while ray.available_resources().get("CPU") != 2.0:
        assert time.monotonic() < until
        time.sleep(0.5)
    assert sum(node["Alive"] for node in ray.nodes()) == 2


def test_nodes_with_gpus(cluster, tmp_path, monkeypatch):
    """Of two on one node and one on another, four shares of a half are on two."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    add_node(cluster, num_cpus=4, num_gpus=2)
    add_node(cluster, num_cpus=4, num_gpus=1)
    (tmp_path / "sees.py").write_text(SEES)
    executor = make_executor("ray", None, gpus=3, per_gpu=2, address=cluster.address)
    assert executor.workers == 6
    try:
        jobs = [make_job(tmp_path, i, f"{tmp_path}/sees.py:train", alone=i == 6) for i in range(7)]
        executor.submit(jobs)
        ended = outcomes(drain(executor, 7, 120))
    finally:
        executor.close()
    assert {outcome.error for outcome in ended.values()} == {None}
    seen = {Path(job.log).read_text() for job in jobs}
    assert seen <= {"0 1\n", "1 1\n"}


def test_a_run_that_asks_for_what_no_node_has_is_given_up(cluster, tmp_path, monkeypatch):
    from harness.executors import ray

    monkeypatch.setattr(ray, "NOWHERE", 2.0)
    add_node(cluster, num_cpus=1)
    executor = make_executor("ray", 2, gpus=1, address=cluster.address)
    try:
        executor.submit([make_job(tmp_path, index) for index in range(3)])
        ended = outcomes(drain(executor, 3, 60))
    finally:
        executor.close()
    for outcome in ended.values():
        assert outcome.status == "failed"
        assert outcome.error.startswith(
            "no node has room for a run: it needs 1 CPU, 1 GPU, and the Ray cluster at "
            f"{cluster.address} has "
        )


def test_a_node_that_comes_later_is_used(cluster, tmp_path):
    executor = make_executor("ray", 2, address=cluster.address)
    try:
        executor.submit([make_job(tmp_path, index) for index in range(4)])
        assert executor.poll(3) == []
        add_node(cluster, num_cpus=1)
        ended = outcomes(drain(executor, 4, 120))
    finally:
        executor.close()
    assert {outcome.status for outcome in ended.values()} == {"completed"}
