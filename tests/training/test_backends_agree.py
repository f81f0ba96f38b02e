"""Torch and JAX side by side, from one warm start: the same tokens, numbers, and runs."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.training import reference, tasks, uniforms, warm_start
from harness.training.grpo import grade_groups, group_advantages
from harness.training.settings import GRPOSettings
from harness.training.tasks import completion_mask, get_task
from harness.training.tiles import Tile

with contextlib.suppress(ModuleNotFoundError):
    import torch

    from harness.training import device_torch, grpo_torch, model_torch, warm_start_torch
with contextlib.suppress(ModuleNotFoundError):
    import jax.numpy as jnp

    from harness.training import device_jax, grpo_jax, model_jax, warm_start_jax

pytestmark = [pytest.mark.torch, pytest.mark.jax, pytest.mark.slow]

TASK = get_task("addition")
ROWS, GROUP, SEED = 4, 8, 3
RELATIVE = 1e-5


@pytest.fixture(scope="module")
def weights(warm_cache):
    with device_torch.one_thread():
        return warm_start.warm_started(
            TASK, Path(warm_cache), warm_start_torch.make, lambda progress: None
        )


@pytest.fixture(scope="module")
def policies(weights):
    """Return a Torch and a JAX policy with the same weights, whose reference is another."""
    device_jax.open_device("cpu")
    settings = GRPOSettings(1e-3, ROWS, GROUP, entropy_coef=0.1, max_grad_norm=1e9)
    ours = grpo_torch.Policy(TASK, weights, settings, torch.device("cpu"), torch.float32)
    theirs = grpo_jax.Policy(TASK, weights, settings, jnp.float32)
    ours.reference = {name: 1.1 * tensor for name, tensor in ours.reference.items()}
    theirs.reference = 1.1 * theirs.reference
    return ours, theirs


@pytest.fixture(scope="module")
def batch(policies):
    """Return prompts, completions, mask and advantages of a step of both."""
    prompts = TASK.prompts("train")
    prompts = prompts[uniforms.draw_prompts(SEED, 0, len(prompts), ROWS)]
    noise = uniforms.train_uniforms(SEED, 0, ROWS, GROUP, TASK.max_tokens)
    completions = policies[0].sample(prompts, noise, None)
    np.testing.assert_array_equal(policies[1].sample(prompts, noise, policies[1].tile), completions)
    advantages = group_advantages(grade_groups(TASK, prompts, completions).rewards, 2.0)
    assert np.any(advantages != 0)
    return prompts, completions, completion_mask(completions, TASK.end), advantages


def close(got, wanted):
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(got, wanted, rtol=0, atol=RELATIVE * scale)


def turned(policy, vector):
    """Return a vector of Torch's weights, or of their gradient, as JAX has them."""
    sizes = [math.prod(shape) for shape in policy.weights._shapes.values()]
    parts = np.split(vector.numpy(), np.cumsum(sizes)[:-1])
    shapes = policy.weights._shapes.items()
    named = {n: part.reshape(shape) for part, (n, shape) in zip(parts, shapes, strict=True)}
    return model_jax.vector_of(named)


def logits_of_both(policies, batch):
    prompts, completions = batch[:2]
    with torch.no_grad():
        ours = model_torch.completion_logits(
            policies[0].weights.named(),
            TASK.shape,
            torch.from_numpy(prompts),
            torch.from_numpy(completions),
        ).numpy()
    parameters = model_jax.named(policies[1].weights, policies[1].decoder)
    theirs = model_jax.completion_logits(parameters, TASK.shape, prompts, completions)
    return ours, np.asarray(theirs).transpose(2, 3, 1, 0)


def test_an_evaluation_draws_the_same_tokens(policies):
    prompts = TASK.prompts("held_out")
    noise = uniforms.eval_uniforms(SEED, len(prompts), TASK.samples, TASK.max_tokens)
    ours = policies[0].sample(prompts, noise, None)
    theirs = policies[1].sample(prompts, noise, Tile(256, 4))
    parted = np.count_nonzero((ours != theirs).any(axis=-1))
    assert parted <= 2, f"{parted} of {ours.shape[0] * ours.shape[1]} completions differ"


def test_logits_agree_with_each_other_and_with_the_reference(policies, batch, weights):
    ours, theirs = logits_of_both(policies, batch)
    close(theirs, ours)
    prompts, completions = batch[:2]
    for row in range(ROWS):
        sequence = np.concatenate([prompts[row], completions[row, 0, :-1]])
        alone = reference.decoder_logits(weights, TASK.shape.layers, TASK.shape.heads, sequence)
        for logits in (ours, theirs):
            close(logits[row, 0], alone[TASK.prompt_tokens - 1 :])


def test_losses_and_gradients_agree_with_each_other_and_with_the_reference(policies, batch):
    ours, theirs = policies
    measured = ours.gradient(*batch, 0.2)
    theirs.gradient(*batch, 0.2)
    close(theirs.total.vector, turned(ours, ours.weights.vector.grad))
    prompts, completions, mask, advantages = batch
    logits, _ = logits_of_both(policies, batch)
    with torch.no_grad():
        other = model_torch.completion_logits(
            ours.reference, TASK.shape, torch.from_numpy(prompts), torch.from_numpy(completions)
        ).numpy()
    coefficients = dict(reference=other, kl_coef=0.2, entropy_coef=0.1)
    expected, _ = reference.grpo_loss(logits, completions, mask, advantages, **coefficients)
    counted = mask.astype(np.float64)
    kl = np.average(reference.kl_divergence(logits, other), weights=counted)
    entropy = np.average(reference.entropy(logits), weights=counted)
    for numbers in (measured[:3], theirs.total.sums.tolist()):
        assert numbers == pytest.approx([expected, kl, entropy], rel=RELATIVE, abs=RELATIVE)


def test_a_step_of_the_optimiser_goes_the_same_way(policies, batch):
    ours, theirs = policies
    norm = ours.gradient(*batch, 0.2)[3]
    theirs.gradient(*batch, 0.2)
    gradient = turned(ours, ours.weights.vector.grad)
    ours.update(1e-3)
    assert theirs.update(1e-3)[3] == pytest.approx(norm, rel=RELATIVE)
    moved = np.asarray(theirs.weights) - turned(ours, ours.weights.vector.detach())
    # AdamW's first step is the gradient's sign where rounding has not decided that.
    sure = np.abs(gradient) > 1e-6
    assert sure.mean() > 0.5
    assert np.abs(moved[sure]).max() < 1e-6


@pytest.mark.slow
def test_one_file_starts_both(make_job, tmp_path, monkeypatch):
    short = replace(TASK, warm_start=replace(TASK.warm_start, steps=40))
    monkeypatch.setitem(tasks.TASKS, TASK.name, short)
    made = []
    for module in (warm_start_torch, warm_start_jax):
        original = module.make

        def make(task, notify, original=original, name=module.__name__):
            made.append(name)
            return original(task, notify)

        monkeypatch.setattr(module, "make", make)
    jobs = [
        make_job(backend, steps=1, evaluate_every=1, cache=tmp_path) for backend in ("jax", "torch")
    ]
    first, second = (
        trainer(job, lambda progress: None)
        for trainer, job in zip((grpo_jax.train, grpo_torch.train), jobs, strict=True)
    )
    assert made == ["harness.training.warm_start_jax"]
    assert first.weights == second.weights
    assert second.perf_before == pytest.approx(first.perf_before, abs=0.001)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_warm_starts_are_alike_whoever_makes_them():
    short = replace(TASK, warm_start=replace(TASK.warm_start, steps=2))
    ours, theirs = (
        module.make(short, lambda progress: None) for module in (warm_start_torch, warm_start_jax)
    )
    assert set(ours) == set(theirs)
    for name, array in warm_start.initial_weights(TASK).items():
        moved = ours[name] - array
        apart = np.linalg.norm(theirs[name] - ours[name])
        assert apart < 0.02 * np.linalg.norm(moved), name


@pytest.mark.parametrize("arm", ["null", "random"])
def test_useless_training_begins_alike(make_job, arm):
    given = dict(steps=3, evaluate_every=3, warmup_steps=1, arm=arm)
    ours = grpo_torch.train(make_job("torch", **given), lambda progress: None)
    theirs = grpo_jax.train(make_job("jax", **given), lambda progress: None)
    for a, b in zip(ours.trace, theirs.trace, strict=True):
        assert (b.completions, b.reward, b.no_signal) == (a.completions, a.reward, a.no_signal)
        assert b.grad_norm == pytest.approx(a.grad_norm, rel=1e-2)


@pytest.mark.slow
def test_a_whole_run_is_the_same_run_until_rounding_parts_it(make_job):
    given = dict(steps=100, evaluate_every=10, warmup_steps=10)
    ours = grpo_torch.train(make_job("torch", **given), lambda progress: None)
    theirs = grpo_jax.train(make_job("jax", **given), lambda progress: None)
    pairs = list(zip(ours.trace, theirs.trace, strict=True))
    parted = next((a.step for a, b in pairs if a.completions != b.completions), 101)
    print(f"tokens part at step {parted}; ΔPerf {ours.delta_perf:.4f} and {theirs.delta_perf:.4f}")
    assert parted > 2
    assert [a.reward for a, _ in pairs[: parted - 1]] == [b.reward for _, b in pairs[: parted - 1]]
    for a, b in pairs[: min(10, parted - 1)]:
        assert b.entropy == pytest.approx(a.entropy, rel=1e-3)
        assert b.grad_norm == pytest.approx(a.grad_norm, rel=1e-2)
    assert theirs.perf_before == pytest.approx(ours.perf_before, abs=0.001)
    se = math.hypot(ours.delta_perf_se, theirs.delta_perf_se)
    assert abs(theirs.delta_perf - ours.delta_perf) < 3 * se
