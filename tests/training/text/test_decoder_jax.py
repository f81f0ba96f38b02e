"""The decoder in JAX against transformers'."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest

from harness.training import reference
from harness.training.text.architecture import architecture
from harness.training.text.decoder_files import read_weights
from tests.training.text.test_architecture import SMALL

with contextlib.suppress(ModuleNotFoundError):
    import jax.numpy as jnp
    import torch
    import transformers

    from harness.training import device_jax
    from harness.training.text import decoder_jax, layers_jax, sampling_jax

pytestmark = [pytest.mark.jax, pytest.mark.torch, pytest.mark.usefixtures("quick_programs")]

LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=500.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=16,
)
MODELS = {
    "llama": ("Llama", SMALL | dict(tie_word_embeddings=True, hidden_act="gelu")),
    "llama3": (
        "Llama",
        SMALL | dict(rope_parameters=LLAMA3, attention_bias=True, mlp_bias=True, head_dim=12),
    ),
    "linear": (
        "Llama",
        SMALL | dict(rope_parameters=dict(rope_type="linear", factor=3.0, rope_theta=100.0)),
    ),
    "mistral": ("Mistral", SMALL | dict(sliding_window=None)),
    "qwen2": ("Qwen2", SMALL),
    "qwen3": ("Qwen3", SMALL | dict(head_dim=16, tie_word_embeddings=True, attention_bias=True)),
    "gpt2": (
        "GPT2",
        dict(vocab_size=211, n_embd=32, n_layer=2, n_head=4, n_positions=64),
    ),
}
PROMPTS = ([5, 9, 2, 7, 7, 30, 199, 4, 8], [3], [11, 12, 13, 210])
GROUP, STEPS = 2, 6


def build(folder, kind="llama", dtype=None, **save):
    """Save a random model as transformers does, with biases and norms that are not 0 and 1."""
    family, sizes = MODELS[kind]
    torch.manual_seed(3)
    config = getattr(transformers, f"{family}Config")(**sizes)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.15 * torch.randn_like(weight))
    model = model.to(dtype or torch.float32).eval()
    model.save_pretrained(folder, **save)
    return model


def load(folder):
    config = json.loads((folder / "config.json").read_text())
    shape = architecture(config, "tiny")
    return shape, layers_jax.parameters_of(read_weights(folder, shape, "tiny"))


@pytest.fixture(scope="module")
def cpu():
    return device_jax.open_device("cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory, cpu):
    """Return a function that gives transformers' model of a kind, and ours of its files."""
    made = {}

    def get(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            made[kind] = build(folder, kind), *load(folder)
        return made[kind]

    return get


def padded(length):
    prompts = np.zeros((len(PROMPTS), length), dtype=np.int32)
    for row, prompt in enumerate(PROMPTS):
        prompts[row, length - len(prompt) :] = prompt
    starts = np.array([length - len(prompt) for prompt in PROMPTS], dtype=np.int32)
    return decoder_jax.Prompts(jnp.asarray(prompts), jnp.asarray(starts))


def plain(model, completions):
    """Return transformers' logits of each sequence alone: ``[rows, group, tokens, vocabulary]``."""
    rows = []
    with torch.no_grad():
        for prompt, group in zip(PROMPTS, completions, strict=True):
            for completion in group:
                tokens = torch.tensor([[*prompt, *map(int, completion)]])
                rows.append(model(tokens).logits[0, len(prompt) - 1 : -1].float().numpy())
    return np.array(rows).reshape(*completions.shape, -1)


@pytest.fixture(scope="module")
def completions():
    return np.random.default_rng(1).integers(211, size=(len(PROMPTS), GROUP, STEPS))


@pytest.mark.parametrize("kind", MODELS)
def test_logits_are_those_of_transformers(models, completions, kind):
    model, shape, parameters = models(kind)
    wanted = plain(model, completions)
    got = decoder_jax.completion_logits(
        parameters, shape, padded(12), jnp.asarray(completions, dtype=jnp.int32)
    )
    assert wanted.std() > 0.3
    np.testing.assert_allclose(got, wanted, atol=1e-4)


@pytest.mark.parametrize("kind", ["llama3", "qwen3", "gpt2"])
def test_generated_tokens_are_drawn_from_transformers_logits(models, kind):
    model, shape, parameters = models(kind)
    noise = np.random.default_rng(2).integers(2**24, size=(len(PROMPTS), GROUP, STEPS)) / 2**24
    known, ends = np.arange(211) < 200, [-1]
    tokens, sound = decoder_jax.generate(
        parameters,
        shape,
        padded(12),
        jnp.asarray(noise, dtype=jnp.float32),
        sampling_jax.Sampling(jnp.asarray(ends), jnp.asarray(known), 0.7),
    )
    logits = np.where(known, plain(model, np.asarray(tokens)) / 0.7, -np.inf)
    chances = np.exp(reference.log_softmax(logits))
    chances[..., ~known] = 0
    drawn = (chances.cumsum(axis=-1) <= noise[..., None]).sum(axis=-1)
    assert sound
    np.testing.assert_array_equal(tokens, drawn)


def test_shards_in_half_precision_are_read(tmp_path):
    model = build(tmp_path, "qwen3", torch.bfloat16, max_shard_size="20KB")
    assert len([*tmp_path.glob("*.safetensors")]) > 1
    _, parameters = load(tmp_path)
    wanted = model.model.layers[1].mlp.up_proj.weight.float().detach().numpy()
    np.testing.assert_array_equal(parameters["layers.up"][1], wanted)


def test_lengths_share_buckets():
    lengths = [1, 8, 9, 13, 17, 46, 49, 100]
    assert [*map(decoder_jax.bucket, lengths)] == [8, 8, 12, 16, 24, 48, 64, 128]
