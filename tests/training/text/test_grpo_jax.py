"""GRPO of language models in JAX: loss and gradient against NumPy's and Torch's, and its state."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

from harness.errors import UsageError
from harness.training import reference
from harness.training.grpo import Batch
from harness.training.settings import GRPOSettings
from harness.training.text import adapters

VOCABULARY, KNOWN, END = 211, 200, 3
GROUP, STEPS = 4, 6

with contextlib.suppress(ModuleNotFoundError):
    import jax
    import torch

    from harness.training import device_jax
    from harness.training.text import grpo_jax
    from harness.training.text import programs_jax as programs
    from harness.training.text.architecture import architecture
    from harness.training.text.decoder_files import read_weights
    from tests.training.text.test_decoder_jax import PROMPTS, build

    TASK = SimpleNamespace(
        tokens=PROMPTS, ends=(END, 7), known=np.arange(KNOWN), temperature=1.0, top_p=1.0
    )
    ROWS = np.arange(len(PROMPTS))[:, None]

pytestmark = [pytest.mark.jax, pytest.mark.torch, pytest.mark.usefixtures("quick_programs")]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    device_jax.open_device("cpu")
    made = {}

    def get(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            model = build(folder, kind)
            shape = architecture(model.config.to_dict() | {"architectures": None}, kind)
            made[kind] = model, shape, read_weights(folder, shape, kind)
        return made[kind]

    return get


@pytest.fixture
def policy(files):
    def make(kind="llama", dtype="float32", **settings):
        chosen = {"learning_rate": 1e-3, "batch_size": len(PROMPTS), "generations": GROUP}
        _, shape, weights = files(kind)
        return grpo_jax.Policy(TASK, shape, weights, GRPOSettings(**chosen | settings), dtype=dtype)

    return make


@pytest.fixture(scope="module")
def batch():
    draws = np.random.default_rng(5)
    completions = draws.integers(8, KNOWN, size=(len(PROMPTS), GROUP, STEPS))
    lengths = draws.integers(1, STEPS + 1, size=completions.shape[:2])
    mask = np.arange(STEPS) < lengths[..., None]
    completions[~mask] = END
    advantages = draws.standard_normal(completions.shape[:2]).astype(np.float32)
    return Batch(ROWS, completions, mask, advantages)


def torch_logits(model, completions):
    """Return Torch's logits of each sequence alone: ``[rows, group, tokens, vocabulary]``."""
    rows = []
    for prompt, group in zip(PROMPTS, completions, strict=True):
        for completion in group:
            tokens = torch.tensor([[*prompt, *map(int, completion)]])
            rows.append(model(tokens).logits[0, len(prompt) - 1 : -1])
    return torch.stack(rows).reshape(*completions.shape, -1)


def moved(policy, scale=0.02):
    """Move the trained weights away from the reference."""
    draws = np.random.default_rng(9)
    trained = {
        name: array + scale * draws.standard_normal(array.shape).astype(np.float32)
        for name, array in policy.weights.trained.items()
    }
    policy.weights = policy.weights._replace(trained=trained)


@pytest.mark.parametrize(("kind", "kl_coef"), [("qwen3", 0.0), ("gpt2", 0.3)])
def test_loss_and_gradient_are_the_reference_s(files, policy, batch, kind, kl_coef, monkeypatch):
    monkeypatch.setattr(programs, "LOGITS", 30 * VOCABULARY)  # in parts of the tokens
    ours = policy(kind, entropy_coef=0.05, kl_coef=0.3, temperature=0.7)
    model, shape, start = files(kind)
    moved(ours)
    found, sums = ours.gradient(batch, kl_coef)

    after = {name: np.asarray(array) for name, array in ours.weights.trained.items()}
    with torch.no_grad():
        before = torch_logits(model, batch.completions).numpy() / 0.7
    other = build_with(model, shape, after)
    logits = torch_logits(other, batch.completions) / 0.7
    loss, by_logits = reference.grpo_loss(
        logits.detach().numpy(),
        batch.completions,
        batch.mask,
        batch.advantages,
        reference=before,
        kl_coef=kl_coef,
        entropy_coef=0.05,
    )
    torch.autograd.backward(logits, torch.tensor(by_logits, dtype=torch.float32))
    wanted = gradients(other, shape)
    np.testing.assert_allclose(sums[0], loss, atol=2e-5)
    kl = (reference.kl_divergence(logits.detach().numpy(), before) * batch.mask).sum()
    np.testing.assert_allclose(sums[1], kl / batch.mask.sum() if kl_coef else 0, atol=2e-5)
    assert found.keys() == wanted.keys() == start.keys()
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, wanted[name], atol=3e-5, err_msg=name)
        assert np.abs(wanted[name]).max() > 1e-3 or name.endswith("k_bias"), name


def places(model, shape):
    """Yield our name, a layer or None, and the parameter of transformers' model."""
    parameters = dict(model.named_parameters())
    for theirs, ours in shape.tensors().items():
        layer, _, own = ours.removeprefix("layers.").partition(".")
        found = next(
            p
            for name, p in parameters.items()
            if name.split(".", 1)[-1] == theirs or name == theirs
        )
        turned = shape.rotary is None and found.ndim == 2 and bool(own)
        yield (f"layers.{own}", int(layer), found, turned) if own else (ours, None, found, False)


def build_with(model, shape, weights):
    import copy

    model = copy.deepcopy(model)
    model.zero_grad()
    with torch.no_grad():
        for name, layer, parameter, turned in places(model, shape):
            array = weights[name] if layer is None else weights[name][layer]
            parameter.copy_(torch.tensor(array.T if turned else array))
    return model


def gradients(model, shape):
    found = {}
    for name, layer, parameter, turned in places(model, shape):
        array = parameter.grad.numpy()
        array = array.T if turned else array
        if layer is None:
            found[name] = array
        else:
            found.setdefault(name, []).append(array)
    return {name: np.array(arrays) for name, arrays in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("cut", [{"microbatch": 3}, {"microbatch_tokens": 50}])
def test_microbatches_add_up(policy, batch, cut):
    whole, kl = policy(kl_coef=0.1, entropy_coef=0.1), 0.1
    parts = policy(kl_coef=0.1, entropy_coef=0.1, gradient_checkpointing=True, **cut)
    moved(whole), moved(parts)
    assert len([*parts._parts(batch)]) > 1
    (one, sums), (other, others) = whole.gradient(batch, kl), parts.gradient(batch, kl)
    np.testing.assert_allclose(others, sums, atol=1e-5)
    for name, gradient in one.items():
        np.testing.assert_allclose(other[name], gradient, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("given", "dtype", "least", "most"),
    [
        ({"kl_coef": 0.0}, "float32", 0.9, 1.0),
        ({"kl_coef": 0.1}, "bfloat16", 0.0, 0.99),
        ({"lora_rank": 2}, "float32", 0.4, 1.0),
    ],
)
def test_weights_that_moved_are_counted_in_every_way(files, batch, given, dtype, least, most):
    """Against the weights read again, the reference, and the first adapters."""
    _, shape, weights = files("llama")
    settings = GRPOSettings(learning_rate=1e-3, batch_size=len(PROMPTS), generations=GROUP, **given)
    ours = grpo_jax.Policy(TASK, shape, weights, settings, dtype=dtype, start=lambda: weights)
    assert ours.moved() == 0.0
    trained = dict(ours.weights.trained)
    name = next(iter(trained))
    array = np.array(trained[name])
    array.flat[:3] += 1.0
    trained[name] = array
    ours.weights = ours.weights._replace(trained=trained)
    assert ours.moved() == 3 / sum(one.size for one in trained.values())
    ours.learn(batch, given.get("kl_coef", 0.0), 1e-3 if dtype == "float32" else 1e-4)
    assert least < ours.moved() <= most


def test_a_model_whose_files_are_gone_costs_no_run(policy):
    def gone():
        raise UsageError("model 'x' cannot be read")

    ours = policy(kl_coef=0.0)
    assert ours.moved() is None
    ours._start = gone
    assert ours.moved() is None


def test_adapters_begin_as_the_model_and_alone_are_trained(policy, batch):
    plain, ours = policy(kl_coef=0.1), policy(kl_coef=0.1, lora_rank=3, lora_alpha=6.0)
    noise = np.random.default_rng(1).random((len(PROMPTS), GROUP, STEPS), dtype=np.float32)
    np.testing.assert_array_equal(plain.sample(ROWS, noise), ours.sample(ROWS, noise))
    frozen = {name: np.array(array) for name, array in ours.weights.frozen.items()}
    first = ours.learn(batch, 0.1, 1e-2)
    second = ours.learn(batch, 0.1, 1e-2)
    assert first[1] == pytest.approx(0, abs=1e-6)
    assert second[1] > 1e-5
    for name, array in frozen.items():
        np.testing.assert_array_equal(array, ours.weights.frozen[name])
    assert {name.rpartition(".")[2] for name in ours.weights.trained} == {"a", "b"}
    assert all(name.endswith((".a", ".b")) for name in ours.state() if "weights" in name)


@pytest.mark.slow
def test_adapters_are_those_of_their_matrices(files, policy, batch):
    """The model with an adapter is the one whose matrices have its product added."""
    ours = policy("gpt2", lora_rank=2, lora_modules=("c_attn", "mlp.c_proj"))
    moved(ours, 0.1)
    assert {name[7:] for name in ours.weights.trained} == {"qkv.a", "qkv.b", "down.a", "down.b"}
    merged = dict(files("gpt2")[2])
    for name in ("layers.qkv", "layers.down"):
        a, b = (np.asarray(ours.weights.trained[f"{name}.{part}"]) for part in "ab")
        merged[name] = merged[name] + 2 * b @ a
    plain = policy("gpt2")
    plain.weights = plain.weights._replace(trained=merged)
    (_, sums), (_, others) = ours.gradient(batch, 0.0), plain.gradient(batch, 0.0)
    np.testing.assert_allclose(sums, others, rtol=1e-4)
    noise = np.random.default_rng(1).random((len(PROMPTS), GROUP, STEPS), dtype=np.float32)
    drawn = ours.sample(ROWS, noise)
    np.testing.assert_array_equal(drawn, plain.sample(ROWS, noise))
    assert (drawn != policy("gpt2").sample(ROWS, noise)).any()


@pytest.mark.parametrize(
    ("kind", "ours", "path"),
    [("llama", "down", "layers.1.mlp.down_proj"), ("gpt2", "o", "h.1.attn.c_proj")],
)
def test_the_first_factor_is_that_of_every_backend(files, kind, ours, path):
    settings = GRPOSettings(1e-3, 4, GROUP, lora_rank=2, lora_modules=(path.rpartition(".")[2],))
    drawn = grpo_jax.first_adapters(files(kind)[1], settings, 3)[f"layers.{ours}.a"][1]
    np.testing.assert_array_equal(drawn, adapters.first_factor(3, path, *drawn.shape))


def test_a_module_that_is_not_there_is_refused(policy):
    with pytest.raises(UsageError, match=r"has 'w_up'; the linear layers .* q_proj, k_proj"):
        policy(lora_rank=2, lora_modules=("q_proj", "w_up"))


@pytest.mark.slow
def test_completions_end_and_batches_agree(policy):
    noise = np.random.default_rng(1).random((len(PROMPTS), GROUP, 40), dtype=np.float32)
    whole = policy().sample(ROWS, noise)
    assert whole.max() < KNOWN
    np.testing.assert_array_equal(whole, policy(microbatch=8).sample(ROWS, noise))
    ends = np.isin(whole, TASK.ends)
    after = ends.cumsum(axis=-1) - ends > 0
    assert ends.any()
    assert (whole[after] == END).all()


def test_a_state_is_restored_bit_for_bit(policy, batch):
    straight, other = policy(dtype="bfloat16", kl_coef=0.1), policy(dtype="bfloat16", kl_coef=0.1)
    straight.learn(batch, 0.1, 1e-3)
    state = {name: np.array(array) for name, array in straight.state().items()}
    other.restore(state)
    assert straight.learn(batch, 0.1, 1e-3) == other.learn(batch, 0.1, 1e-3)
    for name, array in straight.state().items():
        np.testing.assert_array_equal(array, other.state()[name])
    assert other.norm() == straight.norm()
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(straight.weights.trained))


@pytest.mark.slow
def test_small_steps_move_weights_in_bfloat16(policy, batch):
    ours = policy(dtype="bfloat16")
    before = {name: np.array(array) for name, array in ours.weights.trained.items()}
    ours.learn(batch, 0.0, 4e-7)
    changed = [(ours.weights.trained[name] != before[name]).mean() for name in before]
    assert np.mean(changed) > 0.5
