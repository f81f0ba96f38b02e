"""Rules that grade: what is right, what is wrong, and that nothing makes them raise."""

import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.training.text.scoring import (
    RULES,
    as_number,
    chosen_letter,
    last_number,
    marked,
    matches,
    right_answers,
    rule_for,
)


def grouped(number, mark):
    return f"{number:,}".replace(",", mark)


WRITINGS = [
    str,
    lambda n: f"  {n}\n",
    lambda n: f"The answer is {n}.",
    lambda n: f"17 + 25 = {n}",
    lambda n: f"**{n}**",
    lambda n: f"${n}$",
    lambda n: f"\\boxed{{{n}}}",
    lambda n: f"{n}.0",
    lambda n: f"{n}.",
    lambda n: f"{n}%",
    lambda n: f"{n} apples",
    lambda n: f"({n})",
    lambda n: f"x={n}",
    lambda n: f"'{n}'",
    lambda n: grouped(n, ","),
    lambda n: grouped(n, "{,}"),
    lambda n: grouped(n, "\u202f"),
    lambda n: grouped(n, "\u00a0"),
    lambda n: grouped(n, "_"),
    lambda n: grouped(n, "'"),
    lambda n: f"{n}e0",
    lambda n: f"{n}00e-2",
    lambda n: f"{n} × 10^0",
    lambda n: str(n).replace("-", "\u2212"),
    lambda n: str(n).translate({ord("0") + d: ord("٠") + d for d in range(10)}),
    lambda n: f"{n * 2}/2",
    lambda n: f"\\frac{{{n * 3}}}{{3}}",
    lambda n: f"€{n}" if n >= 0 else f"-€{-n}",
]


@given(st.integers(-(10**15), 10**15), st.sampled_from(WRITINGS))
def test_a_whole_number_is_right_however_it_is_written(number, write):
    assert RULES["numeric"].is_right(write(number), str(number))
    assert RULES["final_answer"].is_right(write(number), f"Some steps: 3 - 1 = 2.\n#### {number}")
    assert not RULES["numeric"].is_right(write(number), str(number + 1))


@given(st.decimals(-(10**5), 10**5, places=3), st.sampled_from(["{}", "is ${}.", "{:,}", "{:E}"]))
def test_a_decimal_is_right_however_it_is_written(number, write):
    assert RULES["numeric"].is_right(write.format(number), str(number))
    assert not RULES["numeric"].is_right(write.format(number), str(number + Decimal("0.001")))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("17-25", 25),
        ("5 - 3", 3),
        ("5 - 3 = -2", -2),
        ("(1,2)", 2),
        ("1,234,567 and 12", 12),
        ("it costs $1,234.50", "1234.5"),
        ("3/4", "0.75"),
        ("1 3/4", "1.75"),
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("on 3/4/2024", 2024),
        ("5 cm²", 5),
        ("x2 is a name", None),
        ("one", None),
        ("1/0", None),
        ("Rs.500", 500),
        ("10\\%", 10),
        ("1.5*10**3", 1500),
        ("", None),
    ],
)
def test_the_last_number_is_read(text, number):
    assert last_number(text) == (None if number is None else Decimal(number))


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        *[(text, True) for text in ("42", "$1,000", "-3%", "1" * 5000)],
        *[(text, False) for text in ("42 apples", "3 4", "", "a", "#### 42")],
    ],
)
def test_a_text_is_a_number_or_not(text, is_one):
    assert (as_number(text) is not None) == is_one


def test_large_whole_numbers_are_equal_exactly_and_others_nearly():
    right = RULES["numeric"].is_right
    assert not right("12345678901234567890", "12345678901234567891")
    assert right("1/3", "0.33333333333")
    assert not right("1/3", "0.3333")
    assert not right("1e99999", "42")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a #### 1\n#### 42 \nb", "42"),
        ("\\boxed{1} and \\boxed{\\frac{3}{4}}", "\\frac{3}{4}"),
        ("\\boxed{5} #### 7", "7"),
        ("\\boxed{5", None),
        ("5", None),
    ],
)
def test_what_is_marked_is_found(text, part):
    assert marked(text) == part


def test_a_final_answer_falls_back_to_the_last_number_and_a_marked_one_does_not():
    final, only = RULES["final_answer"].is_right, RULES["marked_answer"].is_right
    gsm8k = "She sold 48/2 = <<48/2=24>>24 clips.\n#### 72"
    assert final("She sold 72", gsm8k)
    assert not only("She sold 72", gsm8k)
    assert only("So #### 72 clips", gsm8k)
    assert final("#### 72\nThat took 3 steps", gsm8k)
    assert not final("#### 3\nor 72", gsm8k)
    assert only("\\boxed{ Paris. }", "paris")
    assert not final("Paris", "Paris is not marked")


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b)", "B"),
        ("(B)", "B"),
        ("**B**", "B"),
        ("B. It is wet", "B"),
        ("The answer is B because A is wrong", "B"),
        ("I thought the answer is A. No: the answer is (C).", "C"),
        ("Answer: c", "C"),
        ("the correct option is **D**.", "D"),
        ("I think (C) is right", "C"),
        ("(A) or (B)", "A"),
        ("Between (A) and (B)", None),
        ("A dog", None),
        ("the answer is a dog", None),
        ("", None),
    ],
)
def test_the_letter_that_is_chosen_is_found(text, letter):
    assert chosen_letter(text) == letter
    assert RULES["multiple_choice"].is_right(text, "(b)") == (letter == "B")


def test_exact_is_exact_but_for_white_space_around_it():
    right = RULES["exact"].is_right
    assert right(" Paris\n", "Paris")
    assert not right("paris", "Paris")
    assert not right("Paris.", "Paris")


SOUP = st.text(alphabet=st.sampled_from("0123456789.,-+eE/×^*_'$#{}()\\boxed frac AaBb:\n٣²−"))


@given(st.one_of(st.text(), SOUP), st.one_of(st.text(), SOUP))
def test_grading_never_raises(completion, answer):
    for rule in RULES.values():
        rule.reads(answer)
        assert isinstance(rule.is_right(completion, answer), bool)
        assert isinstance(rule.is_right(answer, completion), bool)


@given(SOUP)
def test_a_readable_answer_is_right_for_itself(answer):
    for name, rule in RULES.items():
        if rule.reads(answer) and name != "marked_answer":
            if name == "final_answer" and marked(answer) is None and as_number(answer) is None:
                continue  # it has no mark to be found by
            assert rule.is_right(answer, answer), name


@pytest.mark.parametrize(
    "text", ["9" * 20000, "1," * 10000, "1_" * 10000, "(" * 20000, "{" * 20000]
)
@pytest.mark.parametrize("name", RULES)
def test_long_completions_take_no_time(name, text):
    start = time.perf_counter()
    RULES[name].is_right(f"answer is {text} \\boxed{{{text}", "42")
    assert time.perf_counter() - start < 1.0


def test_patterns_are_found_and_their_group_is_the_answer():
    assert matches(["<a>1</a>", "1"], [None, None], pattern=r"<a>.*</a>") == [1, 0]
    tagged = r"<a>(?P<answer>.*?)</a>"
    assert matches(["<a>3</a><a> 1,0 </a>", "<a>2</a>"], ["2", "2"], pattern=tagged) == [0, 1]
    assert matches(["<a>2.0</a>", "<a>Two</a>"], [2, "two"], pattern=tagged) == [1, 1]
    assert matches(["cat", "dog"], ["^c", ["x", "g$"]], pattern=None) == [1, 1]
    assert matches(["yes", "no"], [1, 1], pattern="(?P<answer>1)?(yes|no)") == [0, 0]


def test_the_rule_is_chosen_by_the_answers():
    assert rule_for([1, "2.5", "$3"])[0] == "numeric"
    assert rule_for(["A", "(b)"])[0] == "multiple_choice"
    assert rule_for(["x\n#### 4", "#### 5"])[0] == "final_answer"
    assert rule_for([1, "two"])[0] == "exact"
    assert rule_for([["1", "2"], 3])[0] == "numeric"


def test_answers_are_texts_numbers_or_lists_of_them():
    assert right_answers(["a", 1]) == ("a", "1")
    assert right_answers("a") == ("a",)
    for none in (None, True, {}, [], [[1]], [None]):
        assert right_answers(none) is None
