"""Values of options: what is read, and what is refused in one line."""

from argparse import ArgumentTypeError
from datetime import timedelta

import pytest

from harness.session.arguments import checked_interval, gpus, interval, size


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4G", 4 * 2**30),
        ("500M", 500 * 2**20),
        ("1.5 GiB", 3 * 2**29),
        ("64kb", 64 * 2**10),
        ("2T", 2 * 2**40),
    ],
)
def test_an_amount_of_memory(text, value):
    assert size(text) == value


@pytest.mark.parametrize("text", ["", "4", "G", "-4G", "0G", "4X", "4 4G", "nan", "1e3M", "4GG"])
def test_what_is_no_amount_of_memory(text):
    with pytest.raises(ArgumentTypeError, match="is not an amount of memory; give a number and K"):
        size(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2),
        ("0,1", ("0", "1")),
        ("1,", ("1",)),
        ("0:1, 1", ("0:1", "1")),
        ("GPU-8f2a", ("GPU-8f2a",)),
        ("MIG-1,GPU-2,MIG-1", ("MIG-1", "GPU-2")),
    ],
)
def test_how_many_gpus_or_which(text, value):
    assert gpus(text) == value


@pytest.mark.parametrize("text", ["", ",", "0", "-1", "two", "cuda:0", "1,x", "1.5"])
def test_what_names_no_gpus(text):
    with pytest.raises(ArgumentTypeError, match="is neither a number of GPUs, at least 1, nor a"):
        gpus(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", 10),
        ("90s", timedelta(seconds=90)),
        ("1.5m", timedelta(seconds=90)),
        (" 2h ", timedelta(hours=2)),
    ],
)
def test_an_interval_is_steps_or_a_time(text, expected):
    assert interval(text) == expected
    assert checked_interval(text) == text


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "0s", "m", "10 m", "5d", "9" * 400 + "h"])
def test_what_is_no_interval_is_refused(text):
    with pytest.raises(ArgumentTypeError, match="neither a whole number of steps"):
        checked_interval(text)
