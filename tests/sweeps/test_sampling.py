import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import SweepError
from harness.sweeps.sampling import SAMPLERS, unit_points


@pytest.mark.parametrize("sampler", SAMPLERS)
@given(count=st.integers(1, 40), dimensions=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_points_are_a_function_of_the_seed(sampler, count, dimensions, seed):
    once = unit_points(sampler, count, count, dimensions, seed)
    assert once.shape == (count, dimensions)
    assert (once >= 0).all()
    assert (once < 1).all()
    np.testing.assert_array_equal(once, unit_points(sampler, count, count, dimensions, seed))


@pytest.mark.parametrize("sampler", ["random", "sobol"])
@given(count=st.integers(1, 30), more=st.integers(0, 60))
@settings(max_examples=25, deadline=None)
def test_an_enlarged_sample_begins_with_the_old_one(sampler, count, more):
    small = unit_points(sampler, count, count, 4, 7)
    large = unit_points(sampler, count + more, count, 4, 7)
    np.testing.assert_array_equal(large[:count], small)


def test_a_latin_hypercube_has_one_point_a_row_and_cannot_be_enlarged():
    points = unit_points("latin_hypercube", 24, 24, 3, 1)
    for axis in points.T:
        assert sorted(int(24 * u) for u in axis) == list(range(24))
    np.testing.assert_array_equal(unit_points("latin_hypercube", 5, 24, 3, 1), points[:5])
    with pytest.raises(SweepError, match="sample of 24 runs cannot be enlarged to 25"):
        unit_points("latin_hypercube", 25, 24, 3, 1)


def test_sobol_is_more_even_than_chance():
    points = unit_points("sobol", 64, 64, 2, 3)
    counts = np.histogram2d(*points.T, bins=8, range=[[0, 1], [0, 1]])[0]
    assert (counts == 1).all()


def test_random_sampling_imports_no_scipy():
    code = (
        "import sys; from harness.sweeps.sampling import unit_points;"
        "unit_points('random', 3, 3, 2, 1);"
        "assert 'numpy' in sys.modules; print('scipy' in sys.modules)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "False"
