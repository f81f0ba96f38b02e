"""The tiny models are what the tests that train them count on."""

from __future__ import annotations

import pytest

from tests.training.text import tiny_models

pytestmark = [pytest.mark.trl, pytest.mark.slow]  # the import takes longer than a quick test may

CHAT = [{"role": "user", "content": "1 + 2 = 3, naïve?"}]


@pytest.mark.parametrize("kind", tiny_models.KINDS)
def test_a_folder_holds_the_model_that_was_built(tiny_model, kind):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model(kind)).eval()
    tokens = torch.arange(24).reshape(2, 12)
    with torch.no_grad():
        logits = model(tokens).logits
        expected = tiny_models.build(kind)(tokens).logits
    assert torch.equal(logits, expected)
    assert logits.shape == (2, 12, tiny_models.VOCABULARY)
    assert 0.3 < logits.std() < 5  # neither all alike nor one token alone
    assert set(model.generation_config.eos_token_id) == set(tiny_models.ENDS)
    constants = [name for name, array in model.named_parameters() if array.std() == 0]
    assert constants == []


def test_the_tokenizer_reads_and_writes_any_text(tiny_model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model())
    prompt = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_dict=False)
    assert tokenizer.decode(prompt) == (
        "<|start|>user\n1 + 2 = 3, naïve?<|end|>\n<|start|>assistant\n"
    )
    assert len(tokenizer) == tiny_models.KNOWN
    assert tokenizer.eos_token_id == tiny_models.ENDS[0]
    assert tokenizer("añ\n ")["input_ids"] == tokenizer.encode("añ\n ", add_special_tokens=False)
    assert AutoTokenizer.from_pretrained(tiny_model(template=None)).chat_template is None
