"""The fault suite at a modest size: each scenario once on each executor that it is for."""

import time

import fault_trials
import faults
import pytest
from fault_scenarios import SCENARIOS

CASES = [
    pytest.param(
        scenario,
        executor,
        id=f"{scenario.name}-{executor}",
        marks=[
            getattr(pytest.mark, need)
            for need in (*scenario.needs, *(["ray"] if executor == "ray" else []))
            if need != "xdist"
        ],
    )
    for scenario in SCENARIOS
    for executor in scenario.executors
]


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "executor"), CASES)
def test_a_fault_costs_no_more_than_it_must(scenario, executor):
    seed = time.time_ns()  # another moment each time: it is in what is printed of a failure
    assert faults.once(scenario, executor, seed, 0) == fault_trials.Found(0, 0, True, ()), seed
