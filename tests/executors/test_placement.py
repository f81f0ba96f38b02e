"""On which device the next job begins."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from harness.executors.scheduling import Placement, Spot


def spot(running, alone_waits=False, others_wait=True, devices=("a", "b"), per_device=2):
    placement = Placement(devices, per_device, tuple(running))
    return placement.spot(alone_waits=alone_waits, others_wait=others_wait)


def test_the_emptiest_devices_are_equally_good():
    assert spot([]) == Spot(("a", "b"), alone=False)
    assert spot([("a", False)]) == Spot(("b",), alone=False)
    assert spot([("a", False), ("b", False)]) == Spot(("a", "b"), alone=False)
    assert spot([("a", False), ("a", False), ("b", False)]) == Spot(("b",), alone=False)
    assert spot([("a", False), ("b", False)] * 2) is None


def test_where_nothing_waits_nothing_begins():
    assert spot([], others_wait=False) is None


def test_a_job_that_is_to_be_alone_goes_first_and_takes_an_empty_device():
    assert spot([("a", False)], alone_waits=True) == Spot(("b",), alone=True)
    assert spot([("a", True)], alone_waits=True, others_wait=False) == Spot(("b",), alone=True)


def test_nothing_joins_a_job_that_is_alone():
    assert spot([("a", True)]) == Spot(("b",), alone=False)
    assert spot([("a", True), ("b", True)]) is None


def test_while_one_waits_to_be_alone_the_device_with_the_fewest_takes_no_more():
    running = [("a", False), ("a", False), ("b", False)]
    assert spot(running, alone_waits=True) is None
    assert spot(running[1:], alone_waits=True) == Spot(("b",), alone=False)
    assert spot([("a", False)], alone_waits=True, devices=("a",)) is None


class Machine:
    """Devices on which jobs begin where the placement says, and end in any order."""

    def __init__(self, devices, per_device, workers, jobs):
        self.placement = Placement(tuple("abcd"[:devices]), per_device)
        self.workers = workers
        self.waiting = {alone: jobs.count(alone) for alone in (True, False)}
        self.running = []

    def begin(self, draw):
        while len(self.running) < self.workers:
            spot = Placement(
                self.placement.devices, self.placement.per_device, tuple(self.running)
            ).spot(alone_waits=self.waiting[True] > 0, others_wait=self.waiting[False] > 0)
            if spot is None:
                return
            assert self.waiting[spot.alone] > 0
            self.waiting[spot.alone] -= 1
            self.running.append((draw(st.sampled_from(spot.devices)), spot.alone))
            self.check()

    def check(self):
        count = Counter(device for device, _ in self.running)
        assert max(count.values()) <= self.placement.per_device
        for device, alone in self.running:
            assert not alone or count[device] == 1

    def end(self, draw):
        self.running.remove(draw(st.sampled_from(self.running)))


@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.integers(1, 16), st.lists(st.booleans()))
def test_no_device_has_too_many_who_is_alone_is_alone_and_every_job_begins(
    data, devices, per_device, workers, jobs
):
    machine = Machine(devices, per_device, workers, jobs)
    machine.begin(data.draw)
    for _ in jobs:
        assert machine.running, "jobs wait, and nothing runs"
        machine.end(data.draw)
        machine.begin(data.draw)
    assert not machine.running
    assert machine.waiting == {True: 0, False: 0}


@given(st.data(), st.integers(1, 4), st.integers(1, 4))
def test_a_job_begins_alone_however_many_others_wait(data, devices, per_device):
    longest = 5
    machine = Machine(devices, per_device, devices * per_device, [False] * 10_000)
    left = {}
    for time in range(longest * devices * per_device + 2):
        if time == 1:
            machine.waiting[True] = 1
        for number in [number for number, (until, _) in left.items() if until == time]:
            machine.running.remove(left.pop(number)[1])
        before = len(machine.running)
        machine.begin(data.draw)
        if (True in {alone for _, alone in machine.running}) or (
            not machine.waiting[True] and time
        ):
            return
        for number, job in enumerate(machine.running[before:]):
            left[time, number] = (time + data.draw(st.integers(1, longest)), job)
    raise AssertionError(f"it still waits, beside {machine.running}")
