"""How numbers, units and lists are written: exact texts, and what holds for every value."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness import text

finite = st.floats(-1e300, 1e300)
probabilities = st.floats(0.0, 1.0)
counts = st.integers(0, 10**9)


def plain(written):
    """Return what was written as a float takes it."""
    return float(written.replace("−", "-"))


@dataclass(frozen=True)
class Between:
    low: float
    high: float
    level: float = 0.9


# ---- single numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "number", "signed", "exact"),
    [
        (0.0, "0.000", "+0.000", "+0"),
        (0.0716, "0.072", "+0.072", "+0.0716"),
        (0.2025, "0.203", "+0.203", "+0.2025"),
        (-0.132, "−0.132", "−0.132", "−0.132"),
        (-0.0004, "−0.0004", "−0.0004", "−0.0004"),
        (0.000123, "0.00012", "+0.00012", "+0.000123"),
        (12.3456, "12.35", "+12.35", "+12.3456"),
        (1.0, "1.000", "+1.000", "+1"),
        (2.5e-7, "2.5e-7", "+2.5e-7", "+2.5e-7"),
        (1234567.0, "1.235e6", "+1.235e6", "+1.23457e6"),
    ],
)
def test_a_number_a_change_and_a_change_in_full(value, number, signed, exact):
    assert text.number(value) == number
    assert text.signed(value) == signed
    assert text.exact(value) == exact


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_does_not_exist_is_unknown(value):
    assert text.number(value) == "unknown"


@given(finite)
@example(-0.0)
def test_a_number_is_near_what_is_written_and_its_minus_is_one(value):
    for written in (text.number(value), text.signed(value)):
        assert not written.startswith("-")
        assert plain(written) == pytest.approx(value, rel=0.06, abs=0.0006)
    assert text.signed(value)[0] in "+−"
    assert (text.signed(value)[0] == "−") == (value < 0)
    assert not text.exact(value).startswith("-")


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [
        (1.02e-7, 3, "1.02e-7"),
        (0.005, 3, "0.005"),
        (-0.25, 3, "−0.25"),
        (-2.5e-7, 3, "−2.5e-7"),
        (0.0, 3, "0"),
        (12.3456, 3, "12.3"),
        (1234567.0, 3, "1.23e6"),
        (0.00099999, 2, "1e-3"),
        (4e-7, 3, "4e-7"),
    ],
)
def test_a_number_to_so_many_digits(value, digits, written):
    assert text.significant(value, digits) == written


@given(finite, st.integers(2, 6))
def test_so_many_digits_are_right(value, digits):
    written = text.significant(value, digits)
    assert not written.startswith("-")
    assert plain(written) == pytest.approx(value, rel=10.0 ** (1 - digits), abs=1e-300)


@pytest.mark.parametrize(
    ("value", "written"),
    [(None, "–"), (0.0, "0"), (2.1e-7, "2.1e-7"), (1e-6, "1e-6"), (3e-4, "3e-4"), (0.01, "1e-2")],
)
def test_a_learning_rate(value, written):
    assert text.learning_rate(value) == written


@given(st.floats(1e-12, 1.0))
def test_a_learning_rate_reads_back(rate):
    written = text.learning_rate(rate)
    assert "e-0" not in written
    assert float(written) == pytest.approx(rate, rel=0.06)


# ---- probabilities -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "bare", "named"),
    [
        (0.0, "< 0.001", "p < 0.001"),
        (0.000999, "< 0.001", "p < 0.001"),
        (0.001, "0.001", "p = 0.001"),
        (0.0319, "0.032", "p = 0.032"),
        (0.0999, "0.100", "p = 0.100"),
        (0.1, "0.10", "p = 0.10"),
        (0.456, "0.46", "p = 0.46"),
        (1.0, "1.00", "p = 1.00"),
    ],
)
def test_a_p_value(value, bare, named):
    assert text.p_value(value) == bare
    assert text.p_value(value, "p") == text.p_text(value) == named
    assert text.p_value(value, "Holm's p") == named.replace("p ", "Holm's p ", 1)


@given(probabilities)
def test_no_p_value_is_written_as_zero(p):
    written = text.p_text(p)
    assert "= 0.000" not in written
    assert written.startswith(("p = ", "p < 0.001"))
    assert ("<" in written) == (p < 0.001)
    if "=" in written:
        assert float(written.removeprefix("p = ")) == pytest.approx(p, abs=0.0051)


def test_without_a_p_value_there_is_a_dash():
    assert text.p_value(None) == text.p_value(None, "p") == "–"


@pytest.mark.parametrize(
    ("p", "written"),
    [(0.0, "< 0.001"), (2.3e-8, "2.3e-8"), (9.9e-4, "9.9e-4"), (0.001, "0.001"), (0.456, "0.46")],
)
def test_a_chance_however_small(p, written):
    assert text.chance(p) == written


@given(st.floats(1e-300, 1.0))
def test_a_chance_that_is_not_zero_is_not_written_so(p):
    assert float(text.chance(p)) == pytest.approx(p, rel=0.06, abs=0.0051)
    assert float(text.chance(p)) > 0.0


@pytest.mark.parametrize(
    ("value", "written"),
    [(None, "–"), (0.0, "0%"), (0.714, "71%"), (1.0, "100%"), (0.005, "0%"), (0.006, "1%")],
)
def test_a_percentage(value, written):
    assert text.percent(value) == written


def test_a_range_of_percentages():
    assert text.percent_between(0.506, 0.849) == "51 to 85%"
    assert text.percent_between(None, 0.8) == text.percent_between(0.8, None) == "–"


@pytest.mark.parametrize(
    ("of", "percent", "written"),
    [
        (Between(0.01, 0.05), False, "90% interval +0.010 to +0.050"),
        (Between(-0.01, 0.05, 0.95), False, "95% interval −0.010 to +0.050"),
        (Between(-math.inf, 0.05), False, "90% interval … to +0.050"),
        (Between(0.01, math.inf), False, "90% interval +0.010 to …"),
        (Between(-math.inf, math.inf), False, "no interval"),
        (Between(0.506, 0.849, 0.95), True, "95% interval 51% to 85%"),
    ],
)
def test_an_interval(of, percent, written):
    assert text.interval(of, percent=percent) == written


# ---- units ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "words", "written"),
    [
        (0, ("run",), "0 runs"),
        (1, ("run",), "1 run"),
        (24, ("run",), "24 runs"),
        (1_200, ("run",), "1,200 runs"),
        (1, ("study", "studies"), "1 study"),
        (2, ("study", "studies"), "2 studies"),
    ],
)
def test_a_plural(number, words, written):
    assert text.plural(number, *words) == written


@given(counts)
def test_only_one_is_singular(number):
    written = text.plural(number, "run")
    assert written.endswith(" run") == (number == 1)
    assert int(written.split()[0].replace(",", "")) == number


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (None, "–"),
        (0.0, "0.0 s"),
        (3.14, "3.1 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (250, "4 min 10 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h"),
        (3600, "1 h"),
        (7380, "2 h 3 min"),
        (90_000, "25 h"),
    ],
)
def test_a_duration(seconds, written):
    assert text.duration(seconds) == written


def seconds_of(written):
    units = {"s": 1, "min": 60, "h": 3600}
    words = written.split()
    return sum(
        float(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True)
    )


@given(st.floats(0, 1e7))
def test_a_duration_is_near_what_is_written(seconds):
    written = text.duration(seconds)
    within = 0.06 if seconds < 9.95 else 0.51  # tenths of a second are rounded, then seconds
    assert seconds_of(written) == pytest.approx(seconds, rel=0.01, abs=within)
    assert "60 s" not in written
    assert "60 min" not in written
    assert " 0 " not in f" {written} ".replace("0.0", "")


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(None, "…"), (-3.0, "0:00"), (0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3_725, "1:02:05")],
)
def test_a_clock(seconds, written):
    assert text.clock(seconds) == written


@given(st.floats(0, 1e7))
def test_a_clock_counts_in_sixties(seconds):
    *hours, minutes, left = (int(part) for part in text.clock(seconds).split(":"))
    assert left < 60
    assert minutes < 60
    assert 3600 * sum(hours) + 60 * minutes + left == round(seconds)


@pytest.mark.parametrize(
    ("size", "written"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (1.5 * 2**30, "1.5 GiB"),
        (2**20, "1.0 MiB"),
        (78 * 2**30, "78.0 GiB"),
        (3 * 2**40, "3.0 TiB"),
    ],
)
def test_a_number_of_bytes(size, written):
    assert text.byte_size(size) == written


UNITS = {"byte": 1, "bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def bytes_of(written):
    number, unit = written.split()
    return float(number.replace(",", "")) * UNITS[unit]


@given(st.integers(0, 2**50), st.integers(0, 2**50))
def test_more_bytes_are_never_written_as_fewer(one, other):
    less, more = sorted((one, other))
    assert bytes_of(text.byte_size(less)) <= bytes_of(text.byte_size(more))
    assert bytes_of(text.byte_size(more)) == pytest.approx(more, rel=0.05)


# ---- names, values, lists ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
    ],
)
def test_a_list(words, written):
    assert text.listed(words) == text.listed(iter(words)) == written
    assert text.listed(words, "or") == written.replace(" and ", " or ")


@pytest.mark.parametrize(
    ("words", "most", "written"),
    [
        ([], 2, ""),
        (["a"], 2, "a"),
        (["a", "b"], 2, "a, b"),
        (["a", "b", "c"], 2, "a, b and 1 more"),
        (list("abcdefgh"), 2, "a, b and 6 more"),
    ],
)
def test_the_first_of_a_long_list(words, most, written):
    assert text.first(words, most) == text.first(iter(words), most) == written


@pytest.mark.parametrize(
    ("value", "sentence", "cell", "rate"),
    [
        (None, "not set", "–", "–"),
        (True, "true", "true", "true"),
        (False, "false", "false", "false"),
        (8, "8", "8", "8"),
        (0, "0", "0", "0"),
        ("cosine", "cosine", "cosine", "cosine"),
        (4e-7, "4e-7", "4e-7", "4e-7"),
        (0.005, "0.005", "0.005", "5e-3"),
        (0.12345, "0.123", "0.1235", "1.2e-1"),
        (0.0, "0", "0", "0"),
        (4.0, "4", "4", "4e0"),
    ],
)
def test_a_parameter_s_value_in_a_sentence_and_in_a_table(value, sentence, cell, rate):
    assert text.parameter_value(value) == sentence
    assert text.cell(value) == cell
    assert text.cell(value, rate=True) == rate


def test_values_of_a_parameter():
    assert text.listed_values([4, 8, 12]) == "4, 8 and 12"
    assert text.listed_values([None, 1e-7], "or") == "not set or 1e-7"
    assert text.listed_values([]) == ""
    assert text.parameter_name("learning_rate") == "learning rate"


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        ("loss is nan", "loss is nan"),
        ("\x1b[31;1mred\x1b[0m and \x00\x07", "red and \ufffd\ufffd"),
        ("a\n\tb", "a\n\tb"),
    ],
)
def test_what_can_be_printed(given, printed):
    assert text.printable(given) == printed
