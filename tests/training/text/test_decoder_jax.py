"""The decoder in JAX against transformers', and what it refuses."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest

from harness.errors import UsageError
from harness.training import reference
from harness.training.text.architecture import architecture
from harness.training.text.decoder_files import read_weights

with contextlib.suppress(ModuleNotFoundError):
    import jax.numpy as jnp
    import torch
    import transformers

    from harness.training import device_jax
    from harness.training.text import decoder_jax, layers_jax, sampling_jax

pytestmark = [pytest.mark.jax, pytest.mark.torch]

SMALL = dict(
    vocab_size=211,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
)
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


def test_tokens_are_drawn_in_proportion_from_the_most_probable():
    chances = np.array([0.1, 0.4, 0.0, 0.3, 0.2, 0.0])
    with np.errstate(divide="ignore"):
        logits = jnp.asarray(np.tile(np.log(chances), (4096, 1)), dtype=jnp.float32)
    noise = jnp.asarray((np.arange(4096) / 4096).astype(np.float32))
    for top_p, kept in (
        (1.0, chances),
        (0.75, [0, 0.4, 0, 0.3, 0.2, 0]),
        (0.1, [0, 1, 0, 0, 0, 0]),
    ):
        share = np.bincount(sampling_jax.draw(logits, noise, top_p), minlength=6) / 4096
        np.testing.assert_allclose(share, np.array(kept) / np.sum(kept), atol=1e-3)


def test_the_highest_uniform_draws_no_token_without_probability():
    logits = np.full((1, 50_000), -np.inf, dtype=np.float32)
    logits[0, 1000:30_000] = 0.0
    for noise, wanted in ((0.0, 1000), (1 - 2**-24, 29_999)):
        token = sampling_jax.draw(jnp.asarray(logits), jnp.asarray([noise], dtype=jnp.float32))
        assert int(token[0]) == wanted


def test_shards_in_half_precision_are_read(tmp_path):
    model = build(tmp_path, "qwen3", torch.bfloat16, max_shard_size="20KB")
    assert len([*tmp_path.glob("*.safetensors")]) > 1
    _, parameters = load(tmp_path)
    wanted = model.model.layers[1].mlp.up_proj.weight.float().detach().numpy()
    np.testing.assert_array_equal(parameters["layers.up"][1], wanted)


LLAMA = SMALL | dict(model_type="llama")
REFUSED = [
    (dict(model_type="gemma3"), "model_type is 'gemma3'; the JAX backend computes llama, mistral"),
    (LLAMA | dict(architectures=["LlamaForSequenceClassification"]), "architectures is"),
    (LLAMA | dict(quantization_config={"bits": 4}), "quantization_config is"),
    (LLAMA | dict(auto_map={"AutoModel": "x"}), "auto_map is"),
    (LLAMA | dict(hidden_act="xielu"), "hidden_act is 'xielu'; .* computes silu"),
    (LLAMA | dict(rope_scaling={"type": "dynamic", "factor": 2.0}), "rope_type is 'dynamic'"),
    (
        LLAMA | dict(rope_parameters={"rope_type": "yarn"}),
        "rope_type is 'yarn'; .* default, linear",
    ),
    (LLAMA | dict(partial_rotary_factor=0.5), "partial_rotary_factor is 0.5"),
    (LLAMA | dict(num_key_value_heads=3), "num_key_value_heads is 3"),
    (LLAMA | dict(hidden_size=None), "hidden_size in config.json is None; expected a whole number"),
    (SMALL | dict(model_type="mistral"), "sliding_window is 4096"),
    (
        SMALL | dict(model_type="qwen2", use_sliding_window=True, sliding_window=8),
        "sliding_window is 8; .* use --sweep-backend torch",
    ),
    (SMALL | dict(model_type="qwen3", layer_types=["sliding_attention"]), "layer_types is"),
    (dict(model_type="gpt2", scale_attn_by_inverse_layer_idx=True), "scale_attn_by_inverse"),
]


@pytest.mark.parametrize(("config", "said"), REFUSED)
def test_a_setting_that_is_not_known_is_refused(config, said):
    with pytest.raises(UsageError, match=said):
        architecture(config, "tiny")


def tensors(**changes):
    shape = architecture(LLAMA | dict(tie_word_embeddings=True), "tiny")
    sizes, found = shape.shapes(), {}
    for theirs, ours in shape.tensors().items():
        own = ".".join(part for part in ours.split(".") if not part.isdigit())
        found[f"model.{theirs}"] = np.zeros(sizes[own], dtype=np.float32)
    found |= {name.replace("__", "."): array for name, array in changes.items()}
    return shape, {name: array for name, array in found.items() if array is not None}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"model__layers__0__self_attn__rotary_emb__inv_freq": np.zeros(4)}, None),
        ({"model__norm__weight": None}, "1 tensor is missing, such as norm.weight"),
        (
            {"model__layers__1__extra": np.zeros(2, np.float32)},
            "does not know, such as model.layers.1.extra",
        ),
        ({"model__norm__weight": np.zeros(3, np.float32)}, r"is \[3\]; config.json says \[32\]"),
        (
            {"model__norm__weight": np.zeros(32, np.int8)},
            "type of tensor model.norm.weight is 'I8'",
        ),
        ({"lm_head__weight": np.ones((211, 32), np.float32)}, "lm_head.weight is not the embed"),
        ({"lm_head__weight": np.zeros((211, 32), np.float32)}, None),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path, changes, said):
    from safetensors.numpy import save_file

    shape, arrays = tensors(**changes)
    save_file(arrays, tmp_path / "model.safetensors")
    refused = contextlib.nullcontext() if said is None else pytest.raises(UsageError, match=said)
    with refused:
        read_weights(tmp_path, shape, "tiny")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "there is no model.safetensors"),
        ({"model.safetensors": "x"}, "cannot be read"),
        ({"model.safetensors.index.json": "{"}, "cannot be read"),
        ({"model.safetensors.index.json": '{"weight_map": {"a": "b.st"}}'}, "names b.st, not in"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path, files, said):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=said):
        read_weights(tmp_path, tensors()[0], "tiny")


def test_lengths_share_buckets():
    lengths = [1, 8, 9, 13, 17, 46, 49, 100]
    assert [*map(decoder_jax.bucket, lengths)] == [8, 8, 12, 16, 24, 48, 64, 128]
