"""Cells as values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.tables.table import identity, is_numeric, levels, value, values


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("8", 8),
        ("+8", 8),
        ("-3", -3),
        (" 16 ", 16),
        ("16.0", 16.0),
        ("1e-7", 1e-7),
        ("2.5E+3", 2500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("True", True),
        ("false", False),
        ("", None),
        ("  ", None),
        ("NA", None),
        ("n/a", None),
        ("None", None),
        ("null", None),
        ("<NA>", None),
        ("cosine", "cosine"),
        (" cosine ", "cosine"),
        ("1_000", "1_000"),
        ("5e444_00000", "5e444_00000"),
        ("0x10", "0x10"),
        ("1,5", "1,5"),
        ("12 0", "12 0"),
        ("٣", "٣"),
        ("1" * 41, "1" * 41),
        (True, True),
        (8, 8),
        (0.5, 0.5),
        (None, None),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
    ],
)
def test_a_cell_is_what_it_says(cell, expected):
    found = value(cell)
    assert found == expected
    assert type(found) is type(expected)


def test_nan_is_a_number_that_is_none():
    assert math.isnan(value("NaN"))
    assert math.isnan(value(math.nan))


@given(st.one_of(st.integers(-(10**30), 10**30), st.floats(allow_nan=False), st.booleans()))
def test_a_number_written_as_text_is_that_number(number):
    assert value(repr(number)) == number
    assert type(value(repr(number))) is type(number)


@given(st.text())
def test_no_text_is_beyond_reading(text):
    found = value(text)
    assert isinstance(found, bool | int | float | str | None)
    assert values([text, text])[0] == found or found != found


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([16.0, 32, None], [16, 32, None]),
        ([16, 24], [16, 24]),
        ([0.5, 1], [0.5, 1.0]),
        ([1e-7, 2e-7], [1e-7, 2e-7]),
        ([8.0, "auto"], [8, "auto"]),
        ([math.nan, 8.0], [None, 8]),
        ([math.inf, 1.5], ["inf", 1.5]),
        ([True, None], [True, None]),
        ([2**60, 0.5], [2**60, 0.5]),
        ([10**400], [str(10**400)]),
        ([1e300, 2.0], [1e300, 2.0]),
    ],
)
def test_levels(found, expected):
    assert levels(found) == expected
    assert [type(item) for item in levels(found)] == [type(item) for item in expected]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("007", "007"), ("1e5", "1e5"), (7, "7"), (7.0, "7"), (0.5, "0.5"), (None, ""), (" a ", "a")],
)
def test_an_id_stays_as_it_is_written(cell, expected):
    assert identity(cell) == expected


def test_a_missing_number_is_no_id():
    assert identity(math.nan) == ""


def test_what_is_numeric():
    assert is_numeric([1, None, 0.5])
    assert not is_numeric([1, True])
    assert not is_numeric([1, "a"])
    assert not is_numeric([None])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(64,)", (64,)),
        ("(64, (0.5, None, True, 'a'))", (64, (0.5, None, True, "a"))),
        ("()", ()),
        ("(64)", "(64)"),
        ("(64,64)", "(64,64)"),  # nobody's repr
        ("(1e999,)", "(1e999,)"),
        ("(1, [2])", "(1, [2])"),
        ("(1, b'2')", "(1, b'2')"),
        ("(see below)", "(see below)"),
        ("(1) (2)", "(1) (2)"),
        ("(" * 5_000, "(" * 5_000),
        ("(" * 100 + "1," + "),)" * 100, "(" * 100 + "1," + "),)" * 100),
    ],
)
def test_a_tuple_as_python_writes_it_is_one(text, expected):
    found = levels([text, None])
    assert found == [expected, None]
    assert type(found[0]) is type(expected)
