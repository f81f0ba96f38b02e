"""The fault suite at a modest size: each scenario once.

What can go wrong in a run goes wrong in one session, all at once; one by one is for the command,
and for the executors' own tests.
"""

import time
from functools import partial

import fault_trials
import faults
import pytest
from fault_scenarios import ONE_RUN, SCENARIOS, Scenario, some_runs
from fault_trials import Found

ALL = Scenario("each fault of a run", partial(some_runs, tuple(ONE_RUN)), executors=("local",))

CASES = [
    pytest.param(
        scenario,
        executor,
        id=f"{scenario.name}-{executor}",
        marks=[
            getattr(pytest.mark, need)
            for need in (*scenario.needs, *(["ray"] if executor == "ray" else []))
        ],
    )
    for scenario in (ALL, *SCENARIOS)
    for executor in scenario.executors
    if scenario.name not in {name for name, *_ in ONE_RUN.values()}
]


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "executor"), CASES)
def test_a_fault_costs_no_more_than_it_must(scenario, executor, warm_cache, monkeypatch):
    monkeypatch.setattr(fault_trials, "warm_folder", lambda: warm_cache)
    seed = time.time_ns()  # another moment each time: it is in what is printed of a failure
    assert faults.once(scenario, executor, seed, 0) == Found(0, 0, True, ()), seed
