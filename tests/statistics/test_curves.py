import numpy as np
import pytest

from harness import statistics


def test_gain_is_paired():
    rng = np.random.default_rng(0)
    start = rng.normal(0.3, 0.2, 24)
    end = start + rng.normal(0.02, 0.01, 24)
    found = statistics.gain(start, end)
    assert found.low < found.estimate < found.high
    assert found.low > 0.015
    assert found.level == 0.90
    assert statistics.welch(end, start).low < 0


def test_gain_refuses_curves_that_do_not_match():
    with pytest.raises(ValueError, match="3 and 2 runs"):
        statistics.gain([0, 0, 0], [1, 1])


def test_gain_of_no_runs_or_equal_gains_says_nothing():
    for start, end in (([], []), ([0.1], [0.2]), ([0.1, 0.2], [0.2, 0.3])):
        assert statistics.gain(start, end).p_greater == 1.0


def test_nearest_point():
    steps = [0, 10, 20, 30]
    assert statistics.nearest_point(steps, 20, 1) == 2
    assert statistics.nearest_point(steps, 21, 1) == 2
    assert statistics.nearest_point(steps, 25, 5) == 2
    assert statistics.nearest_point(steps, 25, 1) is None
    assert statistics.nearest_point([], 25, 100) is None


def test_rate_in_window_is_a_share_of_the_peak():
    steps = np.arange(1, 101)
    falling = np.linspace(1, 0, 100) * 3e-7
    window = statistics.rate_in_window([(steps, falling)] * 3, 50, 100)
    assert window.start == pytest.approx(0.505, abs=0.01)
    assert window.end == 0.0
    assert window.annealed
    assert window.runs == 3
    constant = statistics.rate_in_window([(steps, np.full(100, 1e-7))], 50, 100)
    assert (constant.start, constant.end, constant.annealed) == (1.0, 1.0, False)
    assert statistics.rate_in_window([], 50, 100) is None
    assert statistics.rate_in_window([(steps, np.zeros(100))], 50, 100) is None


@pytest.mark.parametrize(("last", "annealed"), [(0.1, False), (0.04, False), (-0.04, True)])
def test_annealed_is_a_mean_below_half_of_the_peak(last, annealed):
    steps = np.arange(101)
    window = statistics.rate_in_window([(steps, np.linspace(1, last, 101) * 3e-7)], 0, 100)
    assert window.mean == pytest.approx((1 + last) / 2)
    assert window.annealed is annealed


def test_half_of_the_peak_is_not_annealed_yet():
    assert not statistics.Window(start=0.75, end=0.25, mean=0.5, runs=1).annealed
