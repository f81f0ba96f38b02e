"""The made-up table of the broad sweep holds every count that was published of it."""

from collections import Counter

import pytest

from tests import published_broad
from tests.published_broad import GENERATIONS, RANGES, SCHEDULES, WARMUPS

ROWS = published_broad.rows()
HIGHS = [row for row in ROWS if row["delta_perf"] > 0.1]


def test_the_runs_are_those_of_the_space():
    assert len(ROWS) == len({row["run"] for row in ROWS}) == 48
    assert {row["batch_size"] for row in ROWS} == {4, 8, 12}
    for row in ROWS:
        assert 1e-7 <= row["learning_rate"] <= 2e-6
        assert row["generations"] in GENERATIONS[row["batch_size"]]
        assert row["warmup_steps"] in WARMUPS[row["lr_schedule"]]
        assert row["entropy_coef"] in published_broad.ENTROPIES
        assert -1 < row["delta_perf"] < 1


def test_the_high_performers_are_the_published_ones():
    assert len(HIGHS) == 16 == sum(row["delta_perf"] > 0 for row in ROWS)
    assert {row["batch_size"] for row in HIGHS} == {8}
    assert {row["generations"] for row in HIGHS} == {16, 24, 32}
    rates = [row["learning_rate"] for row in HIGHS]
    assert (min(rates), max(rates)) == (1.02e-7, 1.37e-6)
    assert Counter(row["lr_schedule"] for row in HIGHS) == SCHEDULES


@pytest.mark.parametrize(("low", "high", "runs", "successes", "mean"), RANGES)
def test_the_ranges_are_the_published_ones(low, high, runs, successes, mean):
    inside = [row["delta_perf"] for row in ROWS if low <= row["learning_rate"] < high]
    assert (len(inside), sum(delta > 0 for delta in inside)) == (runs, successes)
    assert sum(inside) / runs == pytest.approx(mean, abs=1e-9)


def test_the_table_is_the_same_every_time(tmp_path):
    one = published_broad.write(tmp_path / "one.csv").read_bytes()
    assert one == published_broad.write(tmp_path / "two.csv").read_bytes()
    assert one.splitlines()[1].startswith(b"broad-00,")
    assert len(published_broad.results()) == 48
