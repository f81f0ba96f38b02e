"""Values of declarations: which plain value is taken, and in which words others are refused."""

import copy
import math
import pickle
from collections import namedtuple
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from harness import (
    Choice,
    Constant,
    Counts,
    Given,
    LogInt,
    LogUniform,
    Pairs,
    Space,
    Sweep,
    SweepError,
    Uniform,
)
from harness.claims import best_inside, lower_tail, no_worse, still_improves, success_rate
from harness.sweeps.checks import plain


class Size(IntEnum):
    SMALL = 8


class Mode(StrEnum):
    FAST = "fast"


class Colour(Enum):
    RED = object()


class Odd:
    def __repr__(self):
        raise RuntimeError("no repr")


Shape = namedtuple("Shape", "wide high")
NAN, INF = math.nan, math.inf


def make(**changes):
    return Sweep(**{"name": "s", "runs": 4, "steps": 10, "space": {"h": 1}, **changes})


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        *((kind(8), 8) for kind in (np.int8, np.uint8, np.int64, np.uint64, np.intp, int)),
        (np.float32(0.5), 0.5),
        (np.float64(1e-6), 1e-6),
        (np.float16(0.25), 0.25),
        (np.longdouble(0.25), 0.25),
        (np.bool_(True), True),
        (np.str_("cosine"), "cosine"),
        (np.array(8), 8),
        (np.array("a"), "a"),
        (Size.SMALL, 8),
        (Mode.FAST, "fast"),
        (Shape(np.int64(8), None), (8, None)),
        ((1, (True, ("a",))), (1, (True, ("a",)))),
        ((), ()),
        (None, None),
        (2**64, 2**64),
    ],
    ids=repr,
)
def test_a_value_is_taken_as_the_plain_one_it_is(given, taken):
    found = plain(given)
    assert found == taken
    assert type(found) is type(taken)
    if isinstance(taken, tuple):
        assert [*map(type, found)] == [*map(type, taken)]
    assert Choice(given, "other").options == (taken, "other")
    assert Constant(given) == Constant(taken)
    assert Space({"h": given}).config([0.5])["h"] == taken


def test_declarations_of_numpy_s_numbers_are_those_of_python_s():
    def declared(number):
        return make(
            runs=number(4),
            seed=number(7),
            space={"h": Choice(number(4), number(8), weights=np.array([1, 2]))},
            arms={"h": Pairs(number(2), values=np.array([number(4), number(8)]))},
            questions={"q": no_worse("h", number(8), than=[number(4)])},
        )

    ours, theirs = declared(int), declared(np.int64)
    assert ours.plan() == theirs.plan()
    assert ours.declaration == theirs.declaration
    assert repr([r.config for r in ours.plan()]) == repr([r.config for r in theirs.plan()])
    assert ours.questions["q"].describe() == theirs.questions["q"].describe()


UNQUOTED = "; write it without quotes: "


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: Choice([64], [128]), "Choice([64], [128]): [64] is a list; write a tuple, (64,)"),
        (lambda: Choice([64, 128]), "its one option is [64, 128]; put a * before it"),
        (lambda: Choice((64, 128)), "its one option is (64, 128); put a * before it"),
        (lambda: Choice(np.array([4, 8])), "its one option is array([4, 8]); put a * before it"),
        (lambda: Choice(range(3)), "its one option is range(0, 3); put a * before it"),
        (lambda: Choice((1, [2]), 3), "[2] is a list; write a tuple, (2,)"),
        (lambda: Choice(1.0, NAN), "Choice(1.0, nan): nan is not a finite number; use a finite"),
        (lambda: Choice(np.float64(INF), 1), "inf is not a finite number"),
        (lambda: Choice(10**400, 1), "is too large for a number"),
        (lambda: Choice(10**5_000, 1), "<int> is too large for a number"),
        (lambda: Choice(4, "8"), "'8' is text among numbers; write it without quotes: 8"),
        (lambda: Choice(len, abs), "<built-in function len> is a function; write its name as text"),
        (lambda: Choice(lambda: 0, 1), "is a function; write its name as text"),
        (lambda: Choice(dict, 1), "<class 'dict'> is a class; write its name as text"),
        (lambda: Choice(object(), 1), "is an object; use a number, text, True, False, None, or a"),
        (lambda: Choice(Odd(), 1), "<Odd> is an Odd"),
        (lambda: Choice(b"a", 1), "b'a' is bytes; write it as text"),
        (lambda: Choice({"a": 1}, 1), "{'a': 1} is a dict"),
        (lambda: Choice({1, 2}, 1), "{1, 2} is a set"),
        (lambda: Choice(Decimal("0.1"), 1), "is a Decimal; write it as a float"),
        (lambda: Choice(Fraction(1, 3), 1), "is a Fraction; write it as a float"),
        (lambda: Choice(date(2025, 1, 1), 1), "is a date; write it as text"),
        (lambda: Choice(np.datetime64("2025"), 1), "is a datetime64"),
        (lambda: Choice(Path("a"), 1), "is a PosixPath; write it as text"),
        (lambda: Choice(Colour.RED, 1), "write its value or its name, 'RED'"),
        (lambda: Choice(1j, 1), "1j is a complex"),
        (lambda: Choice(Uniform(0, 1), 1), "is a Uniform"),
        (lambda: Choice(1, 2, weights=("1", 2)), f"{UNQUOTED}1"),
        (lambda: Choice(1, 2, weights=3), "weights is 3; expected several, as (4, 8)"),
        (lambda: Choice(1, 2, weights="12"), "weights is '12'; expected several"),
        (lambda: Choice(1, 2, weights=(1e308, 1e308)), "must be finite numbers"),
        (lambda: Choice(1, 2, weight=(1, 2)), "no argument 'weight'; did you mean 'weights'?"),
        (lambda: LogUniform("1e-6", 1e-5), f"'1e-6' is not a finite number{UNQUOTED}1e-6"),
        (lambda: LogUniform(1e-300, 1e300), "too wide to draw from"),
        (lambda: Uniform(-1e308, 1e308), "too wide to draw from"),
        (lambda: Uniform(0, NAN), "Uniform(0, nan): nan is not a finite number"),
        (lambda: Uniform(0), "Uniform: missing a required argument: 'high'"),
        (lambda: LogInt(1.5, 8), "LogInt(1.5, 8): 1.5 is not a whole number"),
        (lambda: LogInt("4", 8), f"'4' is not a whole number{UNQUOTED}4"),
        (lambda: LogInt(0, 8), "both ends must be above zero"),
        (lambda: LogInt(8, 8), "the lower end must be below the upper"),
        (lambda: Given("a", {1: [2]}), "Given('a'), case 1: [2] is neither a distribution nor a"),
        (lambda: Given("a", 5), "Given('a'): the cases are 5; expected {value: …}"),
        (lambda: Given(5, {1: 2}), "the parameter is 5; expected text in one line"),
        (lambda: Given("a", {NAN: 1}), "Given('a'), case nan: nan is not a finite number"),
        (lambda: Constant([1]), "[1] is a list; write a tuple, (1,)"),
        (lambda: Space({5: 1}), "the name of a parameter is 5; expected text in one line"),
        (lambda: Space({"h": np.array([4, 8])}), "h: array([4, 8]) is an array; write a tuple"),
        (lambda: Space({"h": Choice}), "Choice'> is neither a distribution nor a plain value"),
        (lambda: Space({"h": NAN}), "h: nan is not a finite number"),
        (lambda: Space({"learning_rate": "1e-6"}), f"'1e-6' is not a number{UNQUOTED}1e-6"),
        (lambda: Pairs("2", values=(3,)), f"Pairs: runs is '2'; expected a whole {{}}{UNQUOTED}2"),
        (lambda: Pairs(2, values=3), "Pairs: values is 3; expected several"),
        (lambda: Pairs(2, values="abc"), "Pairs: values is 'abc'; expected several"),
        (lambda: Pairs(2, values=()), "Pairs: values are (); expected at least one other value"),
        (lambda: Pairs(2, values=(3, 3)), "expected at least one other value, each once"),
        (lambda: Pairs(2, values=(3, NAN)), "Pairs: nan is not a finite number"),
        (lambda: Pairs(2, value=(3,)), "did you mean 'values'? (it has: count and values)"),
        (lambda: make(runs="4"), f"sweep 's': runs is '4'; expected a whole {{}}{UNQUOTED}4"),
        (lambda: make(runs=True), "runs is True; expected a whole number"),
        (lambda: make(runs=4.0), "runs is 4.0; expected a whole number"),
        (lambda: make(alpha="0.05"), f"alpha is '0.05'; {{}}{UNQUOTED}0.05"),
        (lambda: make(margin=NAN), "margin is nan; expected a number above 0 and below 1"),
        (lambda: make(task=5), "task is 5; expected text in one line, as 'addition', 'tasks"),
        (lambda: make(depends_on=["\x1e"]), r"depends_on is ['\x1e'], which needs a trainer"),
        (lambda: make(sampler=["sobol"]), "did you mean 'sobol'?"),
        (lambda: make(baseline=5), "baseline is 5; expected the name of a sweep, or Counts"),
        (lambda: make(baseline=Counts("a", "6", 9, "", "")), f"successes is '6'; {{}}{UNQUOTED}6"),
        (lambda: make(arms={5: 1}), "arm 5 is not one of"),
        (lambda: make(arms={"null": "8"}), f"arm 'null': runs is '8'; {{}}{UNQUOTED}8"),
        (lambda: make(arms={"h": Pairs(1, ("a b", "a_b"))}), "would give its runs the same ids"),
        (lambda: make(questions={5: success_rate.above(0.5)}), "the id of a question is 5"),
        (lambda: make(questions={"q": success_rate.above}), "which is no claim"),
        (lambda: make(weights="gpt2"), "Sweep has no argument 'weights' (it has: name, "),
        (lambda: make(step=5), "Sweep has no argument 'step'; did you mean 'steps'?"),
        (lambda: Sweep("s", runs=4), "Sweep: missing a required argument: 'steps'"),
        (lambda: Sweep("s", 4, 10, {"h": 1}, name="t"), "multiple values for argument 'name'"),
        (lambda: success_rate.above("0.5"), f"success_rate is '0.5'; {{}}{UNQUOTED}0.5"),
        (lambda: success_rate.above(50), "success_rate is 50; expected a number above 0 and below"),
        (success_rate.above, "success_rate.above: missing a required argument: 'rate'"),
        (lambda: still_improves(since="5"), f"since is '5'; {{}}{UNQUOTED}5"),
        (lambda: still_improves(since=5.5), "since is 5.5; expected a whole number"),
        (lambda: still_improves(sinse=5), "still_improves has no argument 'sinse'; did you mean"),
        (lambda: still_improves(margin=INF), "margin is inf; expected a number above 0"),
        (lambda: still_improves(margin="0.02"), f"margin is '0.02'; {{}}{UNQUOTED}0.02"),
        (lambda: lower_tail.above_baseline("0.1"), f"share is '0.1'; {{}}{UNQUOTED}0.1"),
        (lambda: best_inside(5), "best_inside: the parameter is 5; expected text in one line"),
        (lambda: best_inside("h", within=5), "best_inside: within is 5; expected text in one line"),
        (lambda: no_worse("h", 8, than=4), "no_worse('h'): than is 4; expected several, as (4, 8)"),
        (lambda: no_worse("h", 8, than="412"), "no_worse('h'): than is '412'; expected several"),
        (lambda: no_worse("h", [8], than=(4,)), "no_worse('h'): [8] is a list; write a tuple, (8"),
        (lambda: no_worse("h", 8, than=(4, 4)), "needs other values to compare with, each once"),
        (lambda: no_worse("h", 8, than=(8,)), "8 needs other values to compare with"),
        (lambda: no_worse("h", 8, than=(4, "12")), f"'12' is text among numbers{UNQUOTED}12"),
        (lambda: make(questions={"q": no_worse("h", "1", than=("2",))}),
         f"question 'q': '1' is text among numbers{UNQUOTED}1, as the space has h"),
        (lambda: make(arms={"h": Pairs(1, ("2",))}), f"arm 'h': '2' is text among{{}}{UNQUOTED}2"),
        (lambda: Space({"h": Given("a", {"1": 2}), "a": 1}), f"no case for a = 1; {{}}{UNQUOTED}1"),
        (lambda: no_worse("h", 8, then=(4,)), "no_worse has no argument 'then'; did you mean"),
    ],
)  # fmt: skip
def test_what_cannot_be_declared_is_one_line_with_the_value_and_what_to_write(declare, said):
    with pytest.raises(SweepError) as error:
        declare()
    text, place = str(error.value), 0
    for part in said.split("{}"):
        assert part in text[place:], text
        place = text.index(part, place)
    assert "\n" not in text
    assert len(text) < 330


class Own:
    """A distribution of the user's own, which draws what it is given."""

    def __init__(self, *values):
        self.drawn = values

    def quantile(self, u, given):
        return self.drawn[int(u * len(self.drawn))]

    def values(self):
        return (0, 1)

    def describe(self):
        return "own"


def test_what_a_distribution_of_one_s_own_draws_is_plain_too():
    config = Space({"h": Own(np.float64(0.5))}).config([0.5])
    assert repr(config) == "Config({'h': 0.5})"
    with pytest.raises(SweepError, match=r"^sweep 's': h: its distribution draws nan is not a fin"):
        make(space={"h": Own(1, 1, NAN)}, runs=12)
    with pytest.raises(SweepError, match=r"^sweep 's': h: its distribution draws \[1\] is a list"):
        make(space={"a": Choice(1, 2), "h": Given("a", {1: Own([1]), 2: 3})}, runs=12)


def test_a_declaration_can_be_copied_and_pickled():
    sweep = make(space={"h": Choice((64,), (64, 64))}, arms={"h": Pairs(1, values=((1,),))})
    assert copy.copy(sweep).plan() == copy.deepcopy(sweep).plan() == sweep.plan()
    for made in (Choice(1, 2), LogInt(1, 9), Pairs(1, (2,)), Given("a", {1: 2})):
        assert pickle.loads(pickle.dumps(made)) == made
