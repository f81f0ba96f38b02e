"""Tiny language models with random weights, in the folders that transformers reads.

Each is one of the decoders that people train, of about 30,000 parameters, with a tokenizer of bytes
and a chat template. No array keeps the value it usually begins with, such as 0 for a bias: what is
forgotten changes the logits. Torch and transformers are imported when a model is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

END, END_OF_TEXT, START, PAD = "<|end|>", "<|text|>", "<|start|>", "<|pad|>"
"""The tokens beside the 256 bytes, numbered from 256. The first two end a completion."""

ENDS = (256, 257)
KNOWN = 260
"""How many tokens the tokenizer has."""
VOCABULARY = 272
"""How many the models have: the last twelve are the tokenizer's no more."""
CONTEXT = 512

TEMPLATE = (
    "{% for message in messages %}{{ '<|start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant\\n' }}{% endif %}"
)

_ROTARY = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
}
_FREQUENCIES = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_WINDOW = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 0}

KINDS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # Keys and values in groups, tied embeddings; then a head of its own and scaled rotation.
        "llama": {"model_type": "llama", **_ROTARY, "tie_word_embeddings": True},
        "llama3": {"model_type": "llama", **_ROTARY, "rope_parameters": _FREQUENCIES},
        "qwen2": {"model_type": "qwen2", **_ROTARY},  # biases of queries, keys and values
        "qwen3": {"model_type": "qwen3", **_ROTARY, "head_dim": 16},  # their norms
        "gpt2": {
            "model_type": "gpt2",
            "n_layer": 2,
            "n_embd": 32,
            "n_head": 4,
            "n_positions": CONTEXT,
            **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
        },
        "mistral": {"model_type": "mistral", **_ROTARY, "sliding_window": 8},
        "qwen2-windows": {"model_type": "qwen2", **_ROTARY, **_WINDOW},
        # Heads that do more than a product: they divide, multiply, or cap.
        "granite": {"model_type": "granite", **_ROTARY, "logits_scaling": 3.0},
        "cohere": {"model_type": "cohere", **_ROTARY, "logit_scale": 0.4},
        "gemma2": {
            "model_type": "gemma2",
            **_ROTARY,
            "head_dim": 8,
            "sliding_window": 8,
            "final_logit_softcapping": 2.0,
        },
    }
)
"""The settings of each model by its name."""


def tokenizer(template: str | None = TEMPLATE) -> Any:
    """Return a tokenizer of bytes, with a chat template unless it is None."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({sign: n for n, sign in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([END, END_OF_TEXT, START, PAD])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        chat_template=template,
        eos_token=END,
        pad_token=PAD,
        model_max_length=CONTEXT,
    )


def build(kind: str, seed: int = 0, **changes: Any) -> Any:
    """Return a model of `KINDS` with random weights; ``changes`` are settings of its own."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    settings = {"vocab_size": VOCABULARY, "dtype": "float32", **KINDS[kind], **changes}
    settings |= {"bos_token_id": None, "eos_token_id": ENDS[0], "pad_token_id": KNOWN - 1}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings))
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for array in model.parameters():  # one that two modules share is met once
            is_norm = array.ndim == 1 and bool((array == 1).all())
            drawn = torch.randn(array.shape, generator=noise, dtype=array.dtype)
            # Of this size attention is sharp, and the probabilities of tokens are unlike.
            array.copy_(1 + 0.2 * drawn if is_norm else 0.2 * drawn)
    model.generation_config = GenerationConfig(eos_token_id=[*ENDS], pad_token_id=KNOWN - 1)
    return model.eval()


def write(
    folder: Path, kind: str = "llama", *, template: str | None = TEMPLATE, **changes: Any
) -> Path:
    """Write a model of `build`, and the tokenizer, into ``folder``, and return it."""
    build(kind, **changes).save_pretrained(folder)
    tokenizer(template).save_pretrained(folder)
    return folder
