"""Text is sampled from the noise it is given, whatever the batch, and nothing else is disturbed."""

import random

import numpy as np
import pytest

from harness.training.grpo import Diverged
from harness.training.uniforms import eval_uniforms

pytestmark = pytest.mark.trl


@pytest.fixture(autouse=True)
def single_thread():
    from harness.training.device_torch import one_thread

    with one_thread():
        yield


VOCABULARY, KNOWN = 24, range(20)
PROMPTS = [[3], [5, 6, 7, 8, 9], [1, 2], [4, 4, 4], [11, 12, 13, 14]]


def tiny(kind):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    if kind == "gpt2":
        model = GPT2LMHeadModel(
            GPT2Config(vocab_size=VOCABULARY, n_positions=32, n_embd=16, n_layer=2, n_head=2)
        )
    else:
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=VOCABULARY,
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=32,
            )
        )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8.0)  # so that tokens depend on where they stand and what is before
    return model.eval()


def one_by_one(model, prompt, uniforms, *, known, ends, temperature):
    """Draw a completion without a batch, padding or cache, by the definition."""
    import torch

    tokens = []
    for uniform in uniforms:
        with torch.no_grad():
            logits = model(torch.tensor([prompt + tokens])).logits[0, -1].double().numpy()
        odds = np.exp((logits - logits.max()) / temperature)
        odds[[token for token in range(len(odds)) if token not in known]] = 0.0
        sums = odds.cumsum()
        tokens.append(int(np.searchsorted(sums, uniform * sums[-1], side="right")))
        if tokens[-1] in ends:
            break
    return tokens


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_a_completion_is_what_its_noise_draws_without_a_batch(kind, temperature):
    from harness.training.text_torch import sample_text

    model, noise = tiny(kind), eval_uniforms(7, len(PROMPTS), 2, 9)
    asked = dict(known=set(KNOWN), ends={0, 17}, temperature=temperature)
    lengths = set()
    for sample in range(2):
        drawn = sample_text(model, PROMPTS, noise[:, sample], rows=3, **asked)
        for prompt, completion, uniforms in zip(PROMPTS, drawn, noise[:, sample], strict=True):
            assert completion == one_by_one(model, prompt, uniforms, **asked)
            assert set(completion) <= set(KNOWN)
            assert not {0, 17} & set(completion[:-1])
            lengths.add(len(completion))
    assert len(lengths) > 2
    assert max(lengths) == 9


def test_the_model_is_asked_in_equal_batches_of_the_shortest_first():
    from harness.training.text_torch import sample_text

    model, noise = tiny("llama"), eval_uniforms(7, len(PROMPTS), 1, 4)[:, 0]
    shapes = []
    model.register_forward_pre_hook(
        lambda _, __, given: shapes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    sample_text(model, PROMPTS, noise, known=set(KNOWN), ends=(), rows=2)
    assert shapes == [(2, 2), *[(2, 1)] * 3, (2, 4), *[(2, 1)] * 3, (1, 5), *[(1, 1)] * 3]


def test_a_draw_is_the_first_token_whose_cumulative_probability_exceeds_the_uniform():
    import torch

    from harness.training.text_torch import draw

    logits = torch.log(torch.tensor([0.25, 0.0, 0.5, 0.25, 0.0]))
    least = 2.0**-24
    noise = torch.tensor([0.0, 0.25 - least, 0.25, 0.75 - least, 0.75, 1 - least])
    assert draw(logits.expand(6, 5), noise).tolist() == [0, 0, 2, 2, 3, 3]


def test_draws_follow_the_probabilities():
    import torch

    from harness.training.text_torch import draw

    n, size = 200_000, 50
    logits = torch.randn(size, generator=torch.Generator().manual_seed(1)) * 2
    noise = torch.from_numpy(np.random.default_rng(2).random(n, dtype=np.float32))
    counts = np.bincount(draw(logits.expand(n, size), noise).numpy(), minlength=size)
    expected = n * torch.softmax(logits.double(), 0).numpy()
    assert ((counts - expected) ** 2 / expected).sum() < 95  # chi square of 49: P(> 95) < 1e-4


def test_a_model_whose_logits_are_not_finite_has_diverged():
    import torch

    from harness.training.text_torch import sample_text

    model = tiny("llama")
    with torch.no_grad():
        model.lm_head.weight[3, 0] = torch.nan
    with pytest.raises(Diverged, match="logits of the model are not finite"):
        sample_text(model, PROMPTS, eval_uniforms(1, 5, 1, 4)[:, 0], known=KNOWN, ends=(0,))


def test_nothing_is_left_disturbed():
    import torch

    from harness.training.text_torch import undisturbed

    model = tiny("gpt2").train()
    model.transformer.h[0].eval()  # a part that is frozen
    modes = [module.training for module in model.modules()]
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    expected = random.random(), np.random.random(), torch.rand(1).item()
    for fails in (False, True):
        random.seed(1), np.random.seed(2), torch.manual_seed(3)
        try:
            with undisturbed(model):
                assert not any(module.training for module in model.modules())
                random.random(), np.random.random(), torch.rand(9), model.train()
                if fails:
                    raise KeyError
        except KeyError:
            assert fails
        assert [module.training for module in model.modules()] == modes
        assert (random.random(), np.random.random(), torch.rand(1).item()) == expected
