"""How columns of numbers and the numbers of a verdict are written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.text import Digits, verdict_numbers
from tests.test_text import plain


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ([], 3),
        ([None, math.nan, math.inf], 3),
        ([0.1, 0.2], 3),
        ([0.1, 0.1], 4),
        ([0.1, 0.1001], 6),
        ([0.1, 0.10001, None], 6),
        ([100.0, 200.0], 0),
        ([100.0, 101.0], 2),
        ([20.0, 30.0], 3),
        ([1e9, 1.0], 0),
    ],
)
def test_the_decimals_of_a_column(values, places):
    assert Digits.of(values).places == places


def test_a_number_far_off_leaves_the_others_their_digits():
    values = [0.0751, 0.0743, 0.0738, 0.0732, 0.0755, 0.0789, 0.0861, 4574211000.0]
    digits = Digits.of([-value for value in values])
    assert [digits.plain(value) for value in values] == [
        *("0.0751", "0.0743", "0.0738", "0.0732", "0.0755", "0.0789", "0.0861"),
        "4.574e9",
    ]
    assert Digits.of([0.5, 0.61, 0.55, 0.58, 150.0]).plain(0.55) == "0.55"
    assert Digits.of([0.5, 0.61, 0.55, 0.58, 1.5]).figures is None


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=8))
def test_a_column_has_equal_decimals_enough_for_its_spread(values):
    digits = Digits.of(values)
    if digits.figures is not None:  # some are too far off for decimals that suit the others
        ordered, n = sorted(values), len(values)
        assert 0.0 < ordered[(3 * n) // 4] - ordered[n // 4] < 10.0**-digits.places
        return
    written = [digits.plain(value) for value in values]
    assert {len(number.partition(".")[2]) for number in written} == {digits.places}
    assert all(
        abs(plain(number) - value) <= 0.5 * 10.0**-digits.places + 1e-9
        for number, value in zip(written, values, strict=True)
    )


@pytest.mark.parametrize(
    ("digits", "value", "plain_text", "signed_text"),
    [
        (Digits(), None, "–", "–"),
        (Digits(), 0.0721, "0.072", "+0.072"),
        (Digits(), -0.0721, "−0.072", "−0.072"),
        (Digits(), 0.0004, "0.000", "0.000"),
        (Digits(), -0.0004, "0.000", "0.000"),
        (Digits(plus=False), 0.0721, "0.072", "0.072"),
        (Digits(0), 12.4, "12", "+12"),
        (Digits(), 2.5e9, "2.5e9", "+2.5e9"),
        (Digits(), -2.5e9, "−2.5e9", "−2.5e9"),
    ],
)
def test_a_number_of_a_column(digits, value, plain_text, signed_text):
    assert digits.plain(value) == plain_text
    assert digits.signed(value) == signed_text


@given(st.floats(-1e6, 1e6), st.integers(0, 6))
def test_a_sign_stands_only_before_what_is_left_to_sign(value, places):
    written = Digits(places).signed(value)
    assert "-" not in written
    assert (written[0] in "+−") == (plain(written) != 0.0)


def test_a_number_with_its_error_and_an_interval():
    digits = Digits()
    assert digits.with_error(0.072, 0.011) == "+0.072 ± 0.011"
    assert digits.with_error(0.072, None) == "+0.072"
    assert digits.with_error(None, 0.011) == "–"
    assert digits.between(0.041, 0.103) == "+0.041 to +0.103"
    assert digits.between(-0.041, 0.103, signed=False) == "−0.041 to 0.103"
    assert digits.between(0.041, None) == "above +0.041"
    assert digits.between(None, 0.103) == "below +0.103"
    assert digits.between(None, None) == "–"


@pytest.mark.parametrize(
    ("value", "places"),
    [
        (0.5, 3),
        (0.01, 3),
        (0.0099, 4),
        (0.001, 4),
        (0.0009, 5),
        (0.00012, 5),
        (2e-7, 8),
        (0.0, 3),
        (math.nan, 3),
    ],
)
def test_decimals_enough_for_one_more_number(value, places):
    assert Digits().enough_for(value) == Digits(places)
    assert Digits(plus=False).enough_for(value).plus is False


@given(st.floats(1e-10, 10.0))
def test_enough_decimals_show_two_digits(value):
    assert float(Digits().enough_for(value).plain(value)) == pytest.approx(value, rel=0.51e-1)


@pytest.mark.parametrize(
    ("numbers", "signed", "written"),
    [
        ((0.0721, 0.0412, 0.1034), True, ("+0.072", "+0.041 to +0.103")),
        ((0.708, 0.521, None), False, ("0.71", "above 0.52")),
        ((0.708, None, 0.9), False, ("0.71", "below 0.90")),
        ((-0.05, -0.065, -0.035), True, ("−0.050", "−0.065 to −0.035")),
        ((1.7e-7, None, None), False, ("1.7e-7", "–")),
        ((1.7e-7, 1e-7, 2e-7), False, ("1.7e-7", "1e-7 to 2e-7")),
        ((None, None, None), True, ("–", "–")),
        ((0.2, None, None), True, ("+0.200", "–")),
        ((150.2, 120.0, 180.0), False, ("150", "120 to 180")),
    ],
)
def test_the_numbers_of_a_verdict(numbers, signed, written):
    assert verdict_numbers(*numbers, signed=signed) == written
