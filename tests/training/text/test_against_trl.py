"""GRPO of language models in Torch against TRL's GRPOTrainer, on the same completions.

TRL is told what to complete and what it is worth; all else of its steps is its own: padding, masks,
advantages, loss, clipping of the gradient and AdamW. Two definitions differ, and both are allowed
for here, in one place each:

- TRL divides a group's rewards by their standard deviation with ddof 1, plus 1e-4, and does not
  clip them; here it is ddof 0 plus 1e-6 and a clip (`theirs`).
- TRL estimates KL from the token that was drawn; here it is summed over the vocabulary. With
  ``use_bias_correction_kl`` the gradients have the same mean over the policy's draws, so TRL gets
  every token once, weighted by its probability.

TRL's default loss, ``dapo``, divides by the number of tokens of all completions, as is done here.
It counts the positions of padding too, which GPT-2 alone notices: its prompts are of one length.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from harness.training.grpo import Batch, group_advantages
from harness.training.settings import GRPOSettings
from harness.training.text.model_files import locate
from harness.training.text.tasks import TextTask

with contextlib.suppress(ModuleNotFoundError):
    import torch

    from harness.training.text import grpo_torch, loading_torch
    from harness.training.text.tokenised import tokenised
    from tests.training.text import tiny_models

pytestmark = [
    pytest.mark.torch,
    pytest.mark.trl,
    pytest.mark.slow,  # the import of TRL
    pytest.mark.filterwarnings("ignore"),  # those libraries warn of their own future
]

GROUP, LENGTH = 4, 6
UNLIKE = ("2+2=", "Say something, anything at all:", "x", "one, two,")
ALIKE = ("2+2=", "9-3=", "x,y,", "one,")
RATE = 1e-3
CLOSE = 1e-5
"""The largest difference of two gradients in float32, as a share of the one: 2e-6 was seen."""


@pytest.fixture
def policy(tiny_model):
    """Return our policy of a model, and its folder."""

    def make(kind, prompts=UNLIKE, **settings):
        lines = [
            {"prompt": f"{text}{'.' * (split == 'held_out')}", "answer": "4", "split": split}
            for split in ("train", "held_out")
            for text in prompts
        ]
        task = TextTask.from_records(
            lines, name="tiny", max_tokens=LENGTH, samples=1, rewards="exact"
        )
        given = GRPOSettings(RATE, len(prompts), GROUP, **settings)
        files = locate(str(tiny_model(kind)), tiny_model(kind))
        model = loading_torch.load(files, given, seed=1)
        return grpo_torch.Policy(tokenised(task, files), model, given, torch.device("cpu"))

    return make


@pytest.fixture
def trl_steps(tiny_model, tmp_path):
    """Return the gradients of TRL's steps, clipped, with their norms and the weights at the end."""

    def take(kind, told: Callable, *, rows: int, group: int, steps: int = 1, begin=None, **given):
        from datasets import Dataset
        from transformers import TrainerCallback
        from trl import GRPOConfig, GRPOTrainer

        parts = given.get("gradient_accumulation_steps", 1)
        settings = GRPOConfig(
            output_dir=str(tmp_path / "trl"),
            max_steps=steps,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            per_device_train_batch_size=rows * group // parts,
            num_generations=group,
            max_completion_length=LENGTH,
            shuffle_dataset=False,
            model_init_kwargs={"dtype": "float32"},
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            dataloader_pin_memory=False,
            logging_steps=1,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            **given,
        )
        step, gradients = itertools.count(), []

        class Noted(TrainerCallback):
            def on_pre_optimizer_step(self, args, state, control, model=None, **_):
                gradients.append([weight.grad.clone() for weight in model.parameters()])

        def worth(scores, **_):
            return scores

        trainer = GRPOTrainer(
            model=str(tiny_model(kind)),
            reward_funcs=worth,
            args=settings,
            train_dataset=Dataset.from_dict({"prompt": ["x"] * (rows * steps)}),
            callbacks=[Noted()],
            rollout_func=lambda prompts, trainer: {"logprobs": None, **told(next(step))},
        )
        if begin is not None:
            with torch.no_grad():
                for weight, value in zip(trainer.model.parameters(), begin, strict=True):
                    weight.copy_(value)
        trainer.train()
        norms = [line["grad_norm"] for line in trainer.state.log_history if "grad_norm" in line]
        weights = [weight.detach().clone() for weight in trainer.model.parameters()]
        return SimpleNamespace(gradients=gradients, norms=norms, weights=weights)

    return take


def drawn(seed):
    """Return completions, some of which end early, their mask, and rewards, equal in one group."""
    draws = np.random.default_rng(seed)
    completions = draws.integers(8, 200, size=(4, GROUP, LENGTH))
    lengths = draws.integers(1, LENGTH + 1, size=(4, GROUP))
    lengths[1] = LENGTH - 2  # nobody of a group writes to the end
    mask = np.arange(LENGTH) < lengths[..., None]
    last = np.arange(LENGTH) == lengths[..., None] - 1
    completions[~mask | (last & (lengths < LENGTH)[..., None])] = tiny_models.ENDS[0]
    rewards = draws.random((4, GROUP)).astype(np.float32)
    rewards[2] = 0.5
    return completions, mask, rewards


def theirs(rewards):
    """Return our advantages as TRL scales them."""
    ours = group_advantages(rewards, 2.0)  # of four, none is beyond the root of 3: nothing is cut
    spread = rewards.std(axis=1, keepdims=True) + 1e-6
    return ours * spread / (rewards.std(axis=1, ddof=1, keepdims=True) + 1e-4)


def told(tokens, completions, mask, **columns):
    """Return what TRL's rollout function returns, a row for each completion."""
    rows, group, _ = completions.shape
    return {
        "prompt_ids": [[*map(int, tokens[row])] for row in range(rows) for _ in range(group)],
        "completion_ids": [
            completion[counted].tolist()
            for many, which in zip(completions, mask, strict=True)
            for completion, counted in zip(many, which, strict=True)
        ],
        **{
            name: values.reshape(rows * group, *values.shape[2:]).tolist()
            for name, values in columns.items()
        },
    }


def length(parts):
    """Return the Euclidean norm of a vector in parts."""
    return torch.cat([part.flatten() for part in parts]).norm()


def assert_close(found, expected):
    """Check vectors in parts: the difference of all, and of each that is not nearly 0."""
    total = length(expected)
    assert total > 0.01
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= CLOSE * max(other.norm(), 0.1 * total)


@pytest.mark.parametrize(
    ("kind", "ours", "trl"),
    [
        ("llama", {}, {}),
        ("llama", {"microbatch": 3}, {"gradient_accumulation_steps": 2}),
        ("qwen2", {"temperature": 0.7}, {"loss_type": "bnpo"}),
        ("qwen3", {"temperature": 1.3, "entropy_coef": 0.05}, {}),
        ("gpt2", {}, {}),
        ("gpt2", {"temperature": 0.7, "entropy_coef": 0.05}, {}),
    ],
)
def test_two_steps_are_trl_s(policy, trl_steps, kind, ours, trl):
    """The first step's weights and moments of AdamW are in the second step."""
    mine = policy(kind, ALIKE if kind == "gpt2" else UNLIKE, kl_coef=0.0, **ours)
    batches = [drawn(seed) for seed in (5, 6)]
    same = {name: ours[name] for name in ("temperature", "entropy_coef") if name in ours}

    def tell(step):
        completions, mask, rewards = batches[step]
        return told(mine.task.tokens, completions, mask, scores=rewards)

    expected = trl_steps(kind, tell, rows=4, group=GROUP, steps=2, **same, **trl)
    began = [weight.detach().clone() for weight in mine.weights]
    for step, (completions, mask, rewards) in enumerate(batches):
        batch = Batch(np.arange(4)[:, None], completions, mask, theirs(rewards))
        measured = mine.gradient(*batch, 0.0)
        assert measured[3] == pytest.approx(expected.norms[step], rel=CLOSE)
        assert_close([weight.grad for weight in mine.weights], expected.gradients[step])
        mine.update(RATE)
    apart = [one - other for one, other in zip(mine.weights, expected.weights, strict=True)]
    gone = [one - other for one, other in zip(expected.weights, began, strict=True)]
    # AdamW moves GPT-2's biases of keys too, whose gradient is 0 but for rounding.
    assert length(apart) <= (0.01 if kind == "gpt2" else 1e-4) * length(gone)


@pytest.mark.parametrize(
    ("kind", "temperature"), [("llama", 1.0), ("qwen2", 0.7), ("qwen3", 1.0), ("gpt2", 1.3)]
)
def test_a_penalty_on_kl_is_the_mean_of_trl_s(policy, trl_steps, kind, temperature):
    prompts = (ALIKE if kind == "gpt2" else UNLIKE)[:2]
    mine = policy(kind, prompts, kl_coef=0.3, temperature=temperature)
    draws = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for weight in mine.weights:
            weight.add_(torch.randn(weight.shape, generator=draws), alpha=0.02)
        each = [
            mine.model.module(torch.tensor([[*map(int, mine.task.tokens[row])]])).logits[0, -1]
            for row in range(2)
        ]
        probabilities = torch.softmax(torch.stack(each) / temperature, dim=-1).numpy()
    begin = [weight.detach().clone() for weight in mine.weights]
    every = np.tile(np.arange(tiny_models.VOCABULARY), (2, 1))[..., None]
    nothing = np.zeros(every.shape[:2], dtype=np.float32)

    def tell(step):
        weights = probabilities[..., None]
        return told(mine.task.tokens, every, every >= 0, scores=nothing, env_mask=weights)

    expected = trl_steps(
        kind,
        tell,
        rows=2,
        group=tiny_models.VOCABULARY,
        begin=begin,
        beta=0.3,
        use_bias_correction_kl=True,
        temperature=temperature,
    )
    completions = np.full((2, GROUP, 1), 7)
    batch = Batch(np.arange(2)[:, None], completions, completions > 0, nothing[:, :GROUP])
    measured = mine.gradient(*batch, 0.3)
    assert measured[3] == pytest.approx(expected.norms[0], rel=CLOSE)
    assert_close([weight.grad for weight in mine.weights], expected.gradients[0])
