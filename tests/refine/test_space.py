"""What a table lets be inferred of the space that it was drawn from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import Choice, Constant, Given, LogInt, LogUniform, Uniform
from harness.errors import UsageError
from harness.refine import refine
from harness.refine.sample import rounded
from harness.refine.space import distribution_of
from tests.factories import make_result
from tests.refine.sweeps import revision


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([8] * 9, Constant(8)),
        ([8, 4, 8, 12], Choice(4, 8, 12)),
        (["b", "a", None], Choice("a", "b", None)),
        ([True, False, True], Choice(False, True)),
        ([1.2e-5, 1.3e-4, 0.00123, 0.0111, 0.5, 0.6], LogUniform(1.2e-5, 0.6)),
        ([0.101, 0.2, 0.3, 0.4004, 0.5], Uniform(0.101, 0.5)),
        ([*range(0, 300, 3)], Choice(0, 27, 54, 81, 108, 135, 162, 189, 216, 243, 270, 297)),
        ([*range(3, 99, 3)], LogInt(3, 96)),
        ([1, 2, 4, 8, 16, 32, 64, 128], Choice(1, 2, 4, 8, 16, 32, 64, 128)),
        ([(64,), (64, 64)], Choice((64,), (64, 64))),
        ([-1.0, -0.5, 0.25, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], Uniform(-1.0, 7.0)),
    ],
    ids=repr,
)
def test_what_values_may_be_drawn_from(values, drawn):
    assert distribution_of("p", values) == drawn


def test_a_learning_rate_is_always_on_a_logarithmic_scale():
    values = [float(v) for v in np.linspace(8.01e-8, 3.99e-7, 9)]
    assert distribution_of("learning_rate", values) == LogUniform(8.01e-8, 3.99e-7)
    assert isinstance(distribution_of("p", values), Uniform)


def test_a_range_that_another_parameter_decides_is_given():
    rng = np.random.default_rng(0)
    results = []
    for index in range(60):
        adam = bool(rng.integers(2))
        low, high = (1e-5, 1e-3) if adam else (1e-2, 1.0)
        config = {
            "learning_rate": float(np.exp(rng.uniform(np.log(low), np.log(high)))),
            "optimizer": "adam" if adam else "sgd",
            "momentum": None if adam else float(rng.choice([0.8, 0.9])),
        }
        delta = rng.normal(0, 0.05)
        results.append(make_result(id=f"t-{index}", config=config, delta=delta, curve=()))
    proposal = refine("t.csv", results, rng=rng, is_table=True, margin=0.02)
    rate, momentum = (revision(proposal, n).after for n in ("learning_rate", "momentum"))
    assert (rate.parameter, set(rate.cases)) == ("optimizer", {"adam", "sgd"})
    assert rate.cases["adam"].high < 1.1e-3 < 9e-3 < rate.cases["sgd"].low
    assert momentum == Given("optimizer", adam=None, sgd=Choice(0.8, 0.9))
    assert proposal.stub


def test_too_many_words_cannot_be_drawn_from():
    with pytest.raises(UsageError, match=r"parameter 'note' has 101 values.*--params"):
        distribution_of("note", [f"note {index}" for index in range(101)])


@given(st.floats(1e-12, 1e12), st.integers(1, 6))
def test_rounding_goes_the_way_it_is_told(value, digits):
    below, above = (rounded(value, up=up, digits=digits) for up in (False, True))
    assert below <= value * (1 + 1e-6)
    assert above >= value * (1 - 1e-6)
    assert above - below <= 1.001 * 10.0 ** (np.floor(np.log10(value)) + 1 - digits)
