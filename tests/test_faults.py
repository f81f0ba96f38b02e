"""The fault suite at a modest size: each scenario once.

On Ray, what can go wrong in a run goes wrong in one session, all at once; one by one is for the
command, and for the executor's own tests.
"""

import time

import faults
import pytest
from fault_scenarios import ONE_RUN, SCENARIOS
from fault_trials import Found

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
    for scenario in SCENARIOS
    for executor in scenario.executors
    if executor == "local" or scenario.name not in {name for name, *_ in ONE_RUN.values()}
]


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "executor"), CASES)
def test_a_fault_costs_no_more_than_it_must(scenario, executor):
    seed = time.time_ns()  # another moment each time: it is in what is printed of a failure
    assert faults.once(scenario, executor, seed, 0) == Found(0, 0, True, ()), seed
