"""What the decoder on JAX computes for a config.json, and what it refuses."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.training.text.architecture import architecture

SMALL = dict(
    vocab_size=211,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
)
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
