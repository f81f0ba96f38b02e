"""The order of what the next runs could be spent on, by the values of the options alone."""

import pytest

from harness.refine.options import (
    Beyond,
    ConfirmOption,
    Known,
    Narrower,
    Nothing,
    Seeds,
    Wider,
    order,
)

KNOWN = Known(noise=True, apart=False, alike=False, confirmed=False, settled=False)
EDGE = Wider((Beyond("width", "upper", 64.0, None),), runs=24, with_arms=24, proposed=False)
LIKELY = ConfirmOption(("a", "b"), seeds=8, noise="residual", chance=0.5)
UNLIKELY = ConfirmOption(("a", "b"), seeds=8, noise="residual", chance=0.49)
UNKNOWN = ConfirmOption(("a", "b"), seeds=8)
MORE = Seeds(now=1, then=2, configs=24, with_arms=24, known=0.8)
CHANGED, SAME = (Narrower(runs=24, with_arms=46, changed=n) for n in (2, 0))
DONE = Nothing("told apart")


def known(**changes):
    return Known(**{name: getattr(KNOWN, name) for name in KNOWN.__slots__} | changes)


@pytest.mark.parametrize(
    ("options", "state", "expected"),
    [
        ([CHANGED, MORE, LIKELY, EDGE], KNOWN, [EDGE, LIKELY, CHANGED, MORE]),
        ([CHANGED, MORE, LIKELY], KNOWN, [LIKELY, CHANGED, MORE]),
        ([CHANGED, MORE, UNLIKELY], KNOWN, [CHANGED, MORE, UNLIKELY]),
        ([SAME, MORE, UNLIKELY], KNOWN, [MORE, UNLIKELY, SAME]),
        ([CHANGED, MORE, UNKNOWN], known(noise=False), [MORE, CHANGED, UNKNOWN]),
        ([CHANGED, MORE, LIKELY], known(noise=False), [MORE, CHANGED, LIKELY]),
        ([CHANGED, MORE, LIKELY], known(apart=True), [CHANGED, MORE, LIKELY]),
        ([CHANGED, MORE, LIKELY], known(alike=True), [CHANGED, MORE, LIKELY]),
        ([CHANGED, MORE, LIKELY, DONE], KNOWN, [DONE, LIKELY, CHANGED, MORE]),
    ],
)
def test_the_best_use_of_the_runs_comes_first(options, state, expected):
    assert order(options, state, 24) == tuple(expected)


def test_a_sweep_that_takes_more_runs_than_there_are_comes_last():
    assert order([EDGE, CHANGED, UNLIKELY, MORE], KNOWN, 23) == (MORE, UNLIKELY, EDGE, CHANGED)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (known(settled=True, apart=True), "told apart"),
        (known(settled=True, alike=True, apart=True), "alike"),
        (known(settled=True, confirmed=True), "confirmed"),
        (known(constant=True), "constant"),
        (known(settled=True), None),
        (known(apart=True, alike=True, confirmed=True), None),
    ],
)
def test_no_more_runs_are_right_where_all_is_decided(state, why):
    assert (state.is_enough and state.is_enough.why) == why


def test_what_follows_from_the_numbers_of_an_option():
    assert (LIKELY.runs, LIKELY.at_most) == (24, False)
    assert ConfirmOption(("a",), seeds=8, noise="standard errors", chance=0.9).at_most
    assert (MORE.runs, MORE.chance) == (24, 0.8)
    assert Seeds(1, 4, 10, 30, 0.8).error == 0.5
    assert Seeds(1, 2, 24, 24, 0.8, "matters_width", 0.4, 0.6).chance == 0.6
