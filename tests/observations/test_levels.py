import numpy as np
import pytest

from harness.observations.levels import (
    MOST_LEVELS,
    RANGE_FROM,
    in_order,
    is_number,
    is_range,
    levels_of,
)


def test_few_values_are_levels_in_order():
    found = levels_of(["b", 12, None, 4, "a", 12, True])
    assert found.values == (4, 12, True, "a", "b", None)
    assert found.codes.tolist() == [4, 1, 5, 0, 3, 1, 2]
    assert found.numbers is None


def test_many_numbers_are_thirds_and_what_is_not_set_a_level_beside_them():
    values = [*range(9, 0, -1), None]
    found = levels_of(values)
    assert found.values == ((1.0, 3.0), (4.0, 6.0), (7.0, 9.0), None)
    assert found.codes.tolist() == [2, 2, 2, 1, 1, 1, 0, 0, 0, 3]
    assert np.array_equal(found.numbers, [*range(9, 0, -1), np.nan], equal_nan=True)
    whole = levels_of(values[:-1])
    assert whole.values == found.values[:-1]
    assert whole.codes.tolist() == found.codes.tolist()[:-1]


def test_a_range_has_many_numbers_and_nothing_else():
    many = list(range(RANGE_FROM))
    assert is_range(many)
    assert is_range([*many, None, None])
    assert not is_range(many[:-1])
    assert not is_range([*many[:-1], None, many[0]])
    assert not is_range([*many, "none"])
    assert not is_range([*many, float("inf")])
    assert levels_of(many[:-1]).numbers is None
    assert levels_of(many).numbers is not None


@pytest.mark.parametrize("values", [[], [8], [8, 8], [None, None]])
def test_what_does_not_vary_has_no_levels(values):
    assert levels_of(values) is None


def test_words_of_which_each_run_has_another_are_no_levels():
    words = [str(number) for number in range(200)]
    assert levels_of(words[: RANGE_FROM + 1]) is None
    assert len(levels_of(words[:RANGE_FROM]).values) == RANGE_FROM
    assert len(levels_of(words[:MOST_LEVELS] * 4).values) == MOST_LEVELS
    assert levels_of(words[: MOST_LEVELS + 1] * 4) is None


def test_numbers_come_first_and_what_is_not_set_last():
    values = [None, "b", False, 2, "a", 1.5, float("nan")]
    assert sorted(values[:-1], key=in_order) == [1.5, 2, False, "a", "b", None]
    assert [is_number(value) for value in values] == [False, False, False, True, False, True, False]
