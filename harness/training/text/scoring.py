"""Rules that grade a completion by the right answer: each takes two texts, and never raises.

A completion is what a model wrote, so anything may come. An answer was checked when its task was
read. All rules take time in proportion to the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache

from harness.records import is_number

GRADING_VERSION = "1"
"""Part of a task's version; raised by hand when a rule grades a completion differently."""

_EXACT = Context(prec=60, traps=[])
_CLOSE = Decimal("1e-9")
_MINUS = dict.fromkeys(map(ord, "−‐‑‒–﹣－"), "-")
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2009\u202f"), "_")
_NUMBER = re.compile(
    r"""
    (?P<sign>(?<![\w)\]}.])[+-](?=[$€£¥]?\.?\d))?
    [$€£¥]?\ ?
    (?<![^\W\d])(?<!\d)
    (?: (?P<whole>\d{1,3}(?:,\d{3})+(?![\d,]) | \d{1,3}(?:_\d{3})+(?![\d_])
                  | \d{1,3}(?:'\d{3})+(?![\d']) | \d+) (?:\.(?P<part>\d*))?
        | (?<![\w.])\.(?P<only>\d+) )
    (?: [eE](?P<exponent>[+-]?\d{1,5})(?!\w)
        | \ ?(?:[x×*·]|\\times|\\cdot)\ ?10\ ?(?:\^|\*\*)\ ?\{?(?P<power>[+-]?\d{1,5})(?!\d)\}?
        | \ ?/\ ?(?P<below>\d+(?:\.\d+)?)(?![\d/])
        | \ (?P<top>\d{1,4})/(?P<bottom>\d{1,4})(?![\d/]) )?
    """,
    re.VERBOSE,
)
_FRACTION = re.compile(r"\\[dt]?frac(?:\{(-?\d[\d.]*)\}\{(\d[\d.]*)\}|(\d)(\d))")
_UNIT_MARKS = " \t\n\r\"'`*_$€£¥%()[]{}."

_MARK = re.compile(r"####([^\n]*)")
_BOX = "\\boxed{"

_SAID = re.compile(
    r"(?:answer|choice|option)(?:\s+is|\s*[:=])?(?:\s+(?:option|choice))?[\s*_`(\[:$]*"
    r"(?P<letter>[A-Za-z])(?![\w'’])(?P<after>\s*[)\].,:;*_`$\n]|\s*$)?",
    re.IGNORECASE,
)
_FIRST = re.compile(r"[\s*_`(\[\"'$]*([A-Za-z])(?:[\s)\].:,;*_`\"'$]*$|[)\].:]|\s*\n)")
_BRACKETED = re.compile(r"[(\[]([A-Z])[)\]]")


# ---- numbers -------------------------------------------------------------------------------------


def _plain(text: str) -> str:
    """Return ``text`` with its digits, minus signs and LaTeX as the pattern of numbers has them."""
    text = text.translate(_MINUS).replace("{,}", ",").replace("\\,", "_").replace("\\!", "")
    text = text.replace("\\$", "$").replace("\\%", "%").translate(_SPACES)
    if not text.isascii():  # digits of other scripts; raised ones are none
        text = "".join(
            str(unicodedata.decimal(c)) if c > "\x7f" and c.isdecimal() else c for c in text
        )
    return _FRACTION.sub(lambda m: f"{m[1] or m[3]}/{m[2] or m[4]}", text)


def _value(found: re.Match[str]) -> Decimal | None:
    if found["below"] and found.string[: found.start()].endswith("/"):  # the end of a date
        return Decimal(found["below"])
    whole = re.sub(r"[,_']", "", found["whole"] or "0")
    value = Decimal(f"{whole}.{found['part'] or found['only'] or '0'}")
    power = found["exponent"] or found["power"]
    if power:
        value = value.scaleb(int(power), _EXACT)
    for above, below in ((None, found["below"]), (found["top"], found["bottom"])):
        if below is None:
            continue
        if not Decimal(below):
            return None
        if above is None:
            value = _EXACT.divide(value, Decimal(below))
        else:
            value = _EXACT.add(value, _EXACT.divide(Decimal(above), Decimal(below)))
    return value.copy_negate() if (found["sign"] or "")[:1] == "-" else value


def last_number(text: str) -> Decimal | None:
    """Return the last number that is written in ``text``; None where there is none.

    Read are ``1,234.5``, ``1 234`` with a hard or thin space, ``1_234``, ``1'234``, ``-3`` with any
    minus, ``.5``, ``42.``, ``1e3``, ``1.5 × 10^3``, ``3/4``, ``1 3/4``, LaTeX's fractions and
    digits of other scripts. A comma is never a decimal point. Signs of currency, percent signs and
    units make no difference.
    """
    last = None
    for last in _NUMBER.finditer(_plain(text)):  # noqa: B007
        pass
    return None if last is None else _value(last)


@lru_cache(maxsize=2**16)
def as_number(text: str) -> Decimal | None:
    """Return the number that ``text`` is, with a sign of currency or percent; None if it is none.

    It may stand in quotes, in bold type, in brackets and before a full stop.
    """
    plain = _plain(text)
    found = list(_NUMBER.finditer(plain))
    if len(found) != 1:
        return None
    (one,) = found
    around = plain[: one.start()] + plain[one.end() :]
    return None if around.strip(_UNIT_MARKS) else _value(one)


def equal(one: Decimal | None, other: Decimal | None) -> bool:
    """Return whether two numbers are equal: whole ones exactly, others to a part in 10⁹."""
    if one is None or other is None:
        return False
    if one == other:
        return True
    if all(_is_whole(number) for number in (one, other)):
        return False
    return abs(_EXACT.subtract(one, other)) <= abs(_EXACT.multiply(other, _CLOSE))


def _is_whole(number: Decimal) -> bool:
    return number == number.to_integral_value(context=_EXACT)


# ---- parts of a completion -----------------------------------------------------------------------


def marked(text: str) -> str | None:
    r"""Return what ``text`` marks as its final answer: after the last ``####``, else in a box.

    The first is the rest of that line, as in GSM8K. The second is what the last ``\boxed{…}``
    holds. None where there is neither.
    """
    marks = _MARK.findall(text)
    if marks:
        return str(marks[-1]).strip()
    start = text.rfind(_BOX)
    if start < 0:
        return None
    start += len(_BOX)
    depth = 1
    for at in range(start, len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
        if not depth:
            return text[start:at].strip()
    return None


def chosen_letter(text: str) -> str | None:
    """Return the letter that ``text`` chooses among several choices, as a capital.

    That is the letter after the last "answer is", "answer:" and the like; else the letter that the
    text begins with, if it stands alone or before a bracket, a full stop or a colon; else the
    letter in brackets, if all in brackets are one and the same. None where no rule finds one.
    """
    said = [m for m in _SAID.finditer(text) if m["letter"].isupper() or m["after"] is not None]
    if said:
        return said[-1]["letter"].upper()
    first = _FIRST.match(text)
    if first is not None:
        return first[1].upper()
    letters = set(_BRACKETED.findall(text))
    return letters.pop() if len(letters) == 1 else None


def _folded(text: str) -> str:
    return " ".join(text.split()).strip(" .$").casefold()


# ---- rules ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule by which a completion is right or wrong.

    ``is_right`` takes the completion and a right answer. ``reads`` tells whether a text can be a
    right answer, and ``expected`` what that is, in words. ``meaning`` is what is printed of it.
    """

    is_right: Callable[[str, str], bool]
    reads: Callable[[str], bool]
    expected: str
    meaning: str


def _is_exact(completion: str, answer: str) -> bool:
    return completion.strip() == answer.strip()


def _is_numeric(completion: str, answer: str) -> bool:
    return equal(last_number(completion), as_number(answer))


def _is_choice(completion: str, answer: str) -> bool:
    return chosen_letter(completion) == answer.strip().strip("().").upper()


def _is_marked(completion: str, answer: str) -> bool:
    part = marked(completion)
    return part is not None and _is_final(part, answer)


def _is_final_answer(completion: str, answer: str) -> bool:
    part = marked(completion)
    if part is not None:
        return _is_final(part, answer)
    return equal(last_number(completion), as_number(_final(answer)))


def _is_final(part: str, answer: str) -> bool:
    right = _final(answer)
    number = as_number(right)
    return _folded(part) == _folded(right) if number is None else equal(last_number(part), number)


def _final(answer: str) -> str:
    part = marked(answer)
    return answer if part is None else part


RULES: Mapping[str, Rule] = {
    "exact": Rule(
        _is_exact,
        lambda answer: bool(answer.strip()),
        "text",
        "the whole completion is the answer, white space around it aside",
    ),
    "numeric": Rule(
        _is_numeric,
        lambda answer: as_number(answer) is not None,
        "a number",
        "the last number in the completion equals the answer",
    ),
    "multiple_choice": Rule(
        _is_choice,
        lambda answer: re.fullmatch(r"\(?[A-Za-z][).]?", answer.strip()) is not None,
        "a letter",
        "the letter that the completion chooses is the answer",
    ),
    "final_answer": Rule(
        _is_final_answer,
        lambda answer: bool(_final(answer).strip()),
        "text, such as '#### 42'",
        "what follows ####, else what is boxed, else the last number equals the answer",
    ),
    "marked_answer": Rule(
        _is_marked,
        lambda answer: bool(_final(answer).strip()),
        "text, such as '#### 42'",
        "what follows ####, else what is boxed equals the answer",
    ),
}
"""The rules by name."""

PATTERN = "regex"
"""The rule of regular expressions."""


def right_answers(answer: object) -> tuple[str, ...] | None:
    """Return the right answers as texts; None where ``answer`` is no text, number or list of them.

    A list holds several right answers.
    """
    if isinstance(answer, list | tuple):
        found = [one for one in map(_right_answer, answer) if one is not None]
        return tuple(found) if found and len(found) == len(answer) else None
    one = _right_answer(answer)
    return None if one is None else (one,)


def _right_answer(answer: object) -> str | None:
    if isinstance(answer, str):
        return answer
    return str(answer) if is_number(answer) else None


def rule_for(answers: Sequence[object]) -> tuple[str, str]:
    """Return the rule that suits all of some answers, and what they are, in words."""
    texts = [text for answer in answers for text in right_answers(answer) or ("",)]
    for name, kind in (("numeric", "numbers"), ("multiple_choice", "single letters")):
        if all(map(RULES[name].reads, texts)):
            return name, f"all answers are {kind}"
    if all(_MARK.search(text) for text in texts):
        return "final_answer", "all answers have ####"
    return "exact", "the answers are texts"


def matches(
    completions: Sequence[str], answers: Iterable[object], *, pattern: str | None
) -> list[float]:
    """Return 1 for each completion in which a pattern is found, else 0.

    Where ``pattern`` has a group named ``answer``, the text of its last match must also be a right
    answer: the same number where the answer is a number, else the same text. Without a pattern, the
    answers are patterns. It may take very long: call it where it can be ended.
    """
    return [
        float(_matches(completion, answer, pattern))
        for completion, answer in zip(completions, answers, strict=True)
    ]


def _matches(completion: str, answer: object, pattern: str | None) -> bool:
    rights = right_answers(answer) or ()
    if pattern is None:
        return any(re.search(right, completion) for right in rights)
    if not has_answer(pattern):
        return re.search(pattern, completion) is not None
    found = None
    for found in re.finditer(pattern, completion):  # noqa: B007
        pass
    text = None if found is None else found["answer"]
    return text is not None and any(_is_final(text, right) for right in rights)


def has_answer(pattern: str) -> bool:
    """Return whether a regular expression has a group named ``answer``."""
    return "answer" in re.compile(pattern).groupindex
