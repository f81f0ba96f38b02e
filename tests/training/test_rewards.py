"""Reward functions in the arms that learn nothing, and in those that learn."""

from __future__ import annotations

import asyncio
import functools
import inspect

import numpy as np
import pytest

from harness.errors import UsageError
from harness.training.rewards import ArmRewards, wrapped

LINE = r"^tests/training/test_rewards.py:\d+: run.rewards: "


class Steps:
    """A step that is set by hand."""

    def __init__(self):
        self.at = 1

    def of(self, arm, seed=7):
        return ArmRewards(arm, seed, lambda: self.at)

    def null(self, seed=7):
        return self.of("null", seed)

    def random(self, seed=7):
        return self.of("random", seed)


@pytest.fixture
def step():
    return Steps()


def lengths(prompts, completions, **columns):
    """Give a completion's length."""
    return [float(len(one)) for one in completions]


def batch(groups=6, size=4):
    prompts = [f"p{group}" for group in range(groups) for _ in range(size)]
    completions = ["x" * number for number in range(groups * size)]
    return {"prompts": prompts, "completions": completions}


def in_groups(rewards, size=4):
    return [sorted(rewards[at : at + size]) for at in range(0, len(rewards), size)]


@pytest.mark.parametrize("group", ["prompts", 4])
def test_the_null_arm_permutes_rewards_within_their_group(step, group):
    plain = lengths(**batch())
    moved = wrapped(lengths, step.null(), group)(**batch())
    assert moved != plain
    assert in_groups(moved) == in_groups(plain)


def test_without_groups_the_whole_batch_is_permuted(step):
    plain = lengths(**batch())
    moved = wrapped(lengths, step.null())(**batch())
    assert in_groups(moved) != in_groups(plain)
    assert sorted(moved) == sorted(plain)


@pytest.mark.parametrize("arm", ["main", "half", "batch_size"])
@pytest.mark.parametrize("group", [None, "prompts", 4])
def test_the_other_arms_keep_their_rewards(step, group, arm):
    assert wrapped(lengths, step.of(arm), group)(**batch()) == lengths(**batch())


@pytest.mark.parametrize("group", [None, "prompts", 4])
def test_the_random_arm_tosses_a_coin_for_each_completion(step, group):
    tossed = wrapped(lengths, step.random(), group)(**batch(groups=100))
    assert set(tossed) == {0.0, 1.0}
    assert all(type(one) is float for one in tossed)
    assert abs(np.mean(tossed) - 0.5) < 4 * 0.5 / 20
    assert len({tuple(tossed[at : at + 4]) for at in range(0, 400, 4)}) > 10


def test_a_coin_says_nothing_of_the_rewards_not_even_that_there_is_none(step):
    """A function that is not for a completion returns None; the coin falls for it too."""

    def sometimes(prompts, completions):
        return tuple(None if number % 2 else number for number in range(len(completions)))

    tossed = wrapped(lengths, step.random(), "prompts")(**batch())
    assert wrapped(sometimes, step.random(), "prompts")(**batch()) == tuple(tossed)


def test_groups_of_one_say_nothing_at_random(step):
    assert set(wrapped(lengths, step.random(), "prompts")(**batch(size=1))) <= {0.0, 1.0}


@pytest.mark.parametrize("arm", ["null", "random"])
def test_all_functions_of_a_call_have_one_draw_and_the_next_call_another(step, arm):
    def again(completions, **columns):
        return [10 * len(one) for one in completions]

    def trained():
        step.at, times = 1, {"null": 10, "random": 1}[arm]
        first, second = (wrapped(f, step.of(arm), "prompts") for f in (lengths, again))
        for step.at in (1, 1, 2):
            yield first(**batch())
            yield [one / times for one in second(**batch())]

    calls = [*trained()]
    assert calls[0] == calls[1] != calls[2] == calls[3] != calls[4] == calls[5]
    assert calls[0] != calls[4]
    assert calls == [*trained()], "the same after an interruption"
    assert wrapped(lengths, step.of(arm, seed=8), "prompts")(**batch()) not in calls


def test_prompts_of_messages_are_groups_too(step):
    """They are lists of dictionaries, and the same prompt may come in two places."""
    messages = [[{"role": "user", "content": text}] for text in "aabbaa"]
    moved = wrapped(lengths, step.null(), "prompts")(
        messages, ["", "x", "xx", "xxx", "xxxx", "xxxxx"]
    )
    assert sorted(moved[2:4]) == [2.0, 3.0]


def test_what_has_no_reward_moves_with_the_others(step):
    def sometimes(completions):
        return [None if number % 2 else number for number in range(len(completions))]

    def always(completions):
        return [*range(len(completions))]

    texts = ["x"] * 8
    some = wrapped(sometimes, step.null(), 4)(texts)
    every = wrapped(always, step.null(), 4)(texts)
    assert some == [None if number % 2 else number for number in every]


def test_a_coroutine_stays_one_and_draws_as_the_others(step):
    async def later(prompts, completions):
        """Wait."""
        await asyncio.sleep(0)
        return [float(len(one)) for one in completions]

    named = wrapped(later, step.null(), "prompts")
    assert inspect.iscoroutinefunction(named)
    assert (named.__name__, named.__doc__) == ("later", "Wait.")
    at_once = wrapped(lengths, step.null(), "prompts")(**batch())
    assert asyncio.run(named(**batch())) == at_once


def test_names_and_arguments_stay(step):
    def graded(prompts, completions, answer, *, strict=False, **columns):
        assert (answer, strict, columns["trainer_state"]) == (["1"] * 24, True, 5)
        return lengths(prompts, completions)

    named = wrapped(graded, step.null(), "prompts")
    assert (named.__name__, named.__wrapped__) == ("graded", graded)
    called = named(*batch().values(), ["1"] * 24, strict=True, trainer_state=5)
    assert sorted(called) == sorted(lengths(**batch()))
    assert wrapped(functools.partial(graded, strict=True), step.null()).__name__ == "graded"


class Grader:
    """An object that can be called."""

    def __call__(self, completions):
        return np.arange(len(completions))


def test_an_object_that_can_be_called_has_the_name_of_its_class(step):
    named = wrapped(Grader(), step.null())
    assert named.__name__ == "Grader"
    assert sorted(named(["x"] * 5)) == [0, 1, 2, 3, 4]


@pytest.mark.torch
@pytest.mark.jax
def test_arrays_stay_arrays_and_rows_are_groups(step):
    import jax.numpy as jnp
    import torch

    rows = np.arange(40.0).reshape(5, 8)
    forms = (rows, torch.tensor(rows), jnp.array(rows))
    moved = [wrapped(lambda form: form, step.null())(form) for form in forms]
    assert [type(one).__module__.split(".")[0] for one in moved] == ["numpy", "torch", "jaxlib"]
    for one in moved:
        assert np.array_equal(np.asarray(one), moved[0])
    assert not np.array_equal(moved[0], rows)
    assert np.array_equal(np.sort(moved[0], axis=1), rows)


@pytest.mark.torch
@pytest.mark.jax
@pytest.mark.parametrize("kind", ["float32", "int32"])
def test_arrays_of_coins_are_of_the_kind_of_the_rewards(step, kind):
    import jax.numpy as jnp
    import torch

    rows = np.arange(40).reshape(5, 8).astype(kind)
    rows = np.where(rows == 3, np.nan, rows) if kind == "float32" else rows
    forms = (rows.astype(kind), torch.tensor(rows).to(getattr(torch, kind)), jnp.array(rows, kind))
    tossed = [wrapped(lambda form: form, step.random())(form) for form in forms]
    assert [type(one).__module__.split(".")[0] for one in tossed] == ["numpy", "torch", "jaxlib"]
    for one, form in zip(tossed, forms, strict=True):
        assert (one.dtype, one.shape) == (form.dtype, form.shape)
        assert np.array_equal(np.asarray(one), tossed[0])
    assert set(np.unique(tossed[0])) == {0, 1}


@pytest.mark.parametrize("arm", ["null", "random"])
def test_rewards_of_an_evaluation_are_left_alone(step, arm):
    training = [True]
    named = wrapped(lengths, step.of(arm), "prompts", lambda: training[0])
    first = named(**batch())
    training[0] = False
    assert named(**batch()) == lengths(**batch())
    training[0] = True
    other = wrapped(lengths, step.of(arm), "prompts")
    assert [first, named(**batch())] == [other(**batch()), other(**batch())], "no call is counted"


def reward_model():
    import torch

    return torch.nn.Linear(1, 1)


@pytest.mark.parametrize(
    ("function", "group", "said"),
    [
        pytest.param(
            reward_model,
            None,
            "got a reward model; expected a function that returns a reward for",
            marks=pytest.mark.torch,
        ),
        (lambda: "org/reward-model", None, "got a reward model; expected a function"),
        (lambda: 3, None, "got 3; expected a function"),
        (lambda: lengths, 0, "group=0; expected how many rewards in order are a group"),
        (lambda: lengths, True, "group=True; expected how many"),
        (lambda: lengths, 2.0, "group=2.0; expected how many"),
    ],
)
def test_what_is_no_reward_function_is_refused_at_once(step, function, group, said):
    with pytest.raises(UsageError, match=LINE) as raised:
        wrapped(function(), step.of("main"), group)
    assert said in str(raised.value)


def one_number(prompts, completions):
    return 0.5


@pytest.mark.parametrize(
    ("function", "group", "said"),
    [
        (one_number, None, "one_number returned float; expected a list or an array with a reward"),
        (lengths, 5, "lengths returned 24 rewards, and group=5 does not divide them"),
        (lengths, "promts", "group='promts', but lengths has no such argument"),
    ],
)
def test_rewards_that_do_not_fit_are_one_line_in_every_arm(step, function, group, said):
    for arm in ("null", "random", "main"):
        with pytest.raises(UsageError, match=LINE) as raised:
            wrapped(function, step.of(arm), group)(**batch())
        assert said in str(raised.value)


def test_groups_of_one_cannot_be_permuted(step):
    with pytest.raises(UsageError, match=r"every group has one reward, so that the arm null would"):
        wrapped(lengths, step.null(), "prompts")(**batch(size=1))
    assert wrapped(lengths, step.of("main"), "prompts")(**batch(size=1))
