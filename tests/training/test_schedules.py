"""Learning-rate and KL schedules."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.training.schedules import SCHEDULES, kl_coefficient, learning_rate

names = st.sampled_from(sorted(SCHEDULES))
steps = st.integers(1, 300)
warmups = st.integers(0, 300)


def rates(name, steps, warmup, peak=1.0):
    return [learning_rate(name, step, steps, peak, warmup) for step in range(steps)]


@given(names, steps, warmups, st.floats(0, 1e3))
def test_rates_lie_between_zero_and_the_peak(name, steps, warmup, peak):
    for rate in rates(name, steps, warmup, peak):
        assert 0 <= rate <= peak


@given(names, steps, warmups)
def test_rates_rise_through_warmup_and_never_after_it(name, steps, warmup):
    values = rates(name, steps, warmup)
    rising, after = values[:warmup], values[warmup:]
    assert rising == pytest.approx([(step + 1) / warmup for step in range(len(rising))])
    assert all(b <= a for a, b in itertools.pairwise(after))
    if after:
        assert after[0] == 1.0


@given(names, steps, warmups, st.floats(1e-9, 1e3))
def test_rates_are_proportional_to_the_peak(name, steps, warmup, peak):
    for rate, unit in zip(
        rates(name, steps, warmup, peak), rates(name, steps, warmup), strict=True
    ):
        assert rate == pytest.approx(peak * unit)


@given(names, steps, warmups)
def test_every_step_learns(name, steps, warmup):
    assert min(rates(name, steps, warmup)) > 0


@given(st.sampled_from(["advanced", "cosine", "linear"]), st.integers(2, 300), warmups)
def test_the_next_step_after_the_last_would_be_zero(name, steps, warmup):
    assume(warmup < steps)
    assert learning_rate(name, steps, steps, 1.0, warmup) == pytest.approx(0.0, abs=1e-12)


def test_constant():
    assert rates("constant", 5, 2) == [0.5, 1.0, 1.0, 1.0, 1.0]


def test_linear():
    assert rates("linear", 6, 2) == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25])


def test_cosine():
    expected = [(1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    assert rates("cosine", 4, 0) == pytest.approx(expected)
    assert learning_rate("cosine", 60, 110, 2.0, 10) == pytest.approx(1.0)


def test_advanced():
    # 100 steps after warmup: a cosine from 1 to 5% over 70 of them, then a line to 0.
    def at(x):
        return learning_rate("advanced", 10 + x, 110, 1.0, 10)

    assert at(0) == 1.0
    assert at(35) == pytest.approx(0.525)
    assert at(70) == pytest.approx(0.05)
    assert at(69) == pytest.approx(0.05, abs=1e-3)
    assert at(85) == pytest.approx(0.025)
    assert at(99) == pytest.approx(0.05 / 30)


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0, 1))
def test_kl_is_switched_on_after_its_warmup(step, warmup, coefficient):
    assert kl_coefficient(step, coefficient, warmup) == (coefficient if step >= warmup else 0.0)
