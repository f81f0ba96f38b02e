"""The embedded task, and that the light modules of the room stay light."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from harness.errors import UsageError
from harness.training.tasks import TASKS, completion_mask, get_task

TASK = get_task("addition")
SPLITS = ("warm_start", "train", "held_out")


def as_text(prompt):
    return "".join("0123456789+="[token] for token in prompt)


def test_prompts_are_disjoint_and_distinct():
    rows = {split: {tuple(p) for p in TASK.prompts(split).tolist()} for split in SPLITS}
    assert sum(map(len, rows.values())) == 90 * 90
    assert len(set.union(*rows.values())) == 90 * 90
    assert len(rows["held_out"]) == 512


def test_prompts_are_fixed():
    first = {split: [as_text(prompt) for prompt in TASK.prompts(split)[:3]] for split in SPLITS}
    assert first["held_out"] == ["78+40=", "70+52=", "17+63="]
    assert first["train"] == ["96+63=", "94+96=", "98+43="]


@pytest.mark.parametrize("split", SPLITS)
def test_demonstrations_are_the_sums(split):
    prompts = TASK.prompts(split)
    assert prompts.shape == (len(prompts), TASK.prompt_tokens)
    for prompt, answer in zip(prompts, TASK.demonstrations(prompts), strict=True):
        first, second = as_text(prompt).removesuffix("=").split("+")
        digits = [int(digit) for digit in reversed(str(int(first) + int(second)))]
        padding = [TASK.end] * (TASK.max_tokens - len(digits))
        assert answer.tolist() == digits + padding
        assert padding, "an answer leaves room for its end"


def test_right_answers_score_one_and_others_zero():
    prompts = TASK.prompts("train")[:200]
    right = TASK.demonstrations(prompts)
    assert (TASK.score(prompts, right) == 1).all()
    assert (TASK.reward(prompts, right) == 1).all()
    for position in range(TASK.max_tokens):
        counts = completion_mask(right, TASK.end)[:, position]
        wrong = right.copy()
        wrong[:, position] = (wrong[:, position] + 1) % TASK.vocabulary
        np.testing.assert_array_equal(TASK.score(prompts, wrong), ~counts)


def test_what_follows_the_end_is_ignored():
    prompts = np.array([[1, 2, 10, 3, 4, 11]])
    assert TASK.score(prompts, np.array([[6, 4, 12, 7]])).tolist() == [1.0]
    assert TASK.score(prompts, np.array([[6, 12, 12, 12]])).tolist() == [0.0]
    assert TASK.score(prompts, np.array([[6, 4, 7, 12]])).tolist() == [0.0]


def test_the_mask_ends_with_the_first_end():
    completions = np.array([[[1, 12, 2, 12], [12, 12, 3, 4], [1, 2, 3, 4]]])
    expected = [[[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]]
    np.testing.assert_array_equal(completion_mask(completions, 12), expected)


def test_there_are_enough_held_out_prompts():
    for task in TASKS.values():
        assert len(task.prompts("held_out")) >= 512
        assert task.samples == 4
        assert task.lr_transfer > 0


def test_an_unknown_task_is_one_clear_line():
    with pytest.raises(UsageError, match=r"task 'additon' is not one of addition.*mean 'addition'"):
        get_task("additon")


LIGHT = ("tasks", "schedules", "uniforms", "settings", "reference", "measurement", "grpo")
HEAVY = ("torch", "jax", "ray", "scipy", "pytest", "sqlalchemy")


@pytest.mark.parametrize("module", [*LIGHT, "backends", "warm_start"])
def test_light_modules_import_nothing_heavy(module):
    code = (
        f"import sys, harness.training.{module}; "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
