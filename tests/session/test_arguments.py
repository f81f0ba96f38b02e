"""Values of options: what is read, and what is refused in one line."""

from argparse import ArgumentTypeError

import pytest

from harness.session.arguments import gpus, size


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
