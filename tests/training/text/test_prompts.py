"""Prompts of text: what counts as the same, and that none is on both sides."""

import pytest

from harness.errors import UsageError
from harness.training.text.prompts import normalised, require_disjoint


@pytest.mark.parametrize(
    "other",
    [
        "  What is\n17 + 25?",
        "WHAT IS 17 + 25?",
        "Ｗhat is 17 + 25?",
        [{"role": "user", "content": "What is 17 + 25?"}],
        [{"role": "system", "content": "What is"}, {"role": "user", "content": "17 + 25?"}],
    ],
)
def test_prompts_that_ask_the_same_are_the_same(other):
    assert normalised(other) == normalised("What is 17 + 25?")
    with pytest.raises(UsageError, match="1 held-out prompt is also among"):
        require_disjoint(["one", "What is 17 + 25?"], ["two", other])


def test_prompts_that_differ_pass():
    require_disjoint(["17 + 25", "17 + 2"], ["17 + 26", "1 7 + 25", ""])
    require_disjoint([], ["a"])
    require_disjoint(["a"], [])


def test_an_overlap_is_one_line_with_a_prompt():
    with pytest.raises(UsageError) as refused:
        require_disjoint(["a b", "c"], ["x", "A  B", "c", "y" * 300])
    said = str(refused.value)
    assert said.startswith("2 held-out prompts are also among the training prompts, such as 'a b'")
    assert "\n" not in said
    with pytest.raises(UsageError) as refused:
        require_disjoint(["y" * 300], ["y" * 300])
    assert len(str(refused.value)) < 300
