import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness import statistics

truths = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 2)), min_size=1)


def at_most(rate, level, simulations):
    return rate <= level + 2.5 * np.sqrt(level * (1 - level) / simulations)


def dealings(marked, blocks):
    """Every way of dealing the marks to the runs of their block."""
    n = len(marked)
    parts = [[i for i in range(n) if blocks[i] == block] for block in sorted(set(blocks))]
    counts = [sum(marked[i] for i in part) for part in parts]
    combined = itertools.product(
        *(itertools.combinations(part, count) for part, count in zip(parts, counts, strict=True))
    )
    for chosen in combined:
        dealt = np.zeros(n, dtype=bool)
        dealt[[i for some in chosen for i in some]] = True
        yield dealt


def test_all_sixteen_on_one_level_by_the_margins_of_the_table():
    marked, having = np.arange(48) < 16, np.arange(48) < 18
    expected = stats.hypergeom.sf(15, 48, 18, 16)
    assert statistics.overlap(marked, having) == pytest.approx(expected)
    assert expected == pytest.approx(6.8e-11, rel=0.01)


def test_all_sixteen_on_one_given_level_of_three():
    assert statistics.binomial(16, 16, 1 / 3).p_greater == pytest.approx(2.3e-8, rel=0.02)


@given(truths)
def test_overlap_is_the_share_of_all_dealings(rows):
    rows = rows[:9]
    marked, having, blocks = (np.array(column) for column in zip(*rows, strict=True))
    seen = (marked & having).sum()
    shares = [(dealt & having).sum() >= seen for dealt in dealings(marked, blocks)]
    assert statistics.overlap(marked, having, blocks) == pytest.approx(np.mean(shares))


def test_blocks_that_settle_everything_leave_nothing_to_chance():
    having = np.array([True] * 6 + [False] * 6)
    assert statistics.overlap(having, having, having) == 1.0


def test_many_runs():
    rng = np.random.default_rng(0)
    marked, having, blocks = rng.random(60_000) < 0.3, rng.random(60_000) < 0.3, np.arange(60_000)
    p_value = statistics.overlap(marked, having, blocks % 2)
    assert p_value == pytest.approx(statistics.overlap(marked, having), abs=0.02)


def test_levels_covered():
    rng = np.random.default_rng(0)
    codes = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2])
    marked = np.array([1, 1, 0, 0, 0, 0, 0, 1, 0], dtype=bool)
    covered, p_value = statistics.levels_covered(codes, marked, rng, resamples=19_999)
    assert covered == 5
    few = [np.isin(codes, codes[d]).sum() <= 5 for d in dealings(marked, [0] * 9)]
    assert p_value == pytest.approx(np.mean(few), abs=0.012)


def test_levels_covered_within_blocks():
    rng = np.random.default_rng(0)
    codes, marked = np.array([0, 0, 1, 1, 2, 2]), np.array([1, 1, 0, 0, 0, 0], dtype=bool)
    blocks = np.array([0, 0, 1, 1, 1, 1])
    assert statistics.levels_covered(codes, marked, rng, blocks) == (2, 1.0)


@pytest.mark.parametrize("blocks", [None, [0, 1, 0, 1, 0, 1, 0, 1, 0]], ids=["one", "blocks"])
@pytest.mark.parametrize("marks", [[1], [2, 3], [2, 3, 5], [0, 8], [1, 2, 3, 4, 5, 7]])
def test_range_covered_is_the_share_of_all_dealings(marks, blocks):
    x = np.array([1.0, 2, 3, 4, 4, 5, 6, 8, 9])
    marked = np.isin(np.arange(9), marks)

    def between(dealt):
        return ((x >= x[dealt].min()) & (x <= x[dealt].max())).sum()

    rng = np.random.default_rng(0)
    covered, p_value = statistics.range_covered(x, marked, rng, blocks, resamples=19_999)
    assert covered == between(marked)
    few = [between(dealt) <= covered for dealt in dealings(marked, blocks or [0] * 9)]
    assert p_value == pytest.approx(np.mean(few), abs=0.012)


def test_nothing_marked_covers_nothing():
    rng = np.random.default_rng(0)
    assert statistics.range_covered([1.0, 2.0], [False, False], rng) == (0, 1.0)
    none = np.zeros(4, dtype=bool)
    assert statistics.levels_covered(np.array([0, 0, 1, 1]), none, rng) == (0, 1.0)
    assert statistics.overlap(none, none) == 1.0


def test_an_equal_seed_gives_an_equal_p_value():
    x, marked = np.arange(40.0), np.arange(40) % 3 == 0
    found = [statistics.range_covered(x, marked, np.random.default_rng(4)) for _ in range(2)]
    assert found[0] == found[1]


def test_marks_dealt_at_random_are_seldom_called_narrow():
    rng, alpha, simulations = np.random.default_rng(1), 0.05, 400
    codes, x, blocks = np.arange(30) % 4, rng.random(30), np.arange(30) % 2
    hits = np.zeros(4)
    for _ in range(simulations):
        marked = rng.permutation(30) < 8
        hits[0] += statistics.levels_covered(codes, marked, rng, resamples=199)[1] <= alpha
        hits[1] += statistics.range_covered(x, marked, rng, resamples=199)[1] <= alpha
        hits[2] += statistics.range_covered(x, marked, rng, blocks, resamples=199)[1] <= alpha
        hits[3] += statistics.overlap(marked, codes == 0, blocks) <= alpha
    assert all(at_most(hit / simulations, alpha, simulations) for hit in hits), hits / simulations
