"""Text is sampled from the noise it is given, whatever the batch, and nothing else is disturbed."""

import random
from types import SimpleNamespace

import numpy as np
import pytest

from harness.errors import UsageError
from harness.training.grpo import Diverged
from harness.training.uniforms import eval_uniforms

pytestmark = [pytest.mark.trl, pytest.mark.slow]  # the import takes longer than a quick test may


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
    from harness.training.text.sampling_torch import sample_text

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
    assert len(lengths) > 1
    assert max(lengths) == 9


def test_the_model_is_asked_in_equal_batches_of_the_shortest_first():
    from harness.training.text.sampling_torch import sample_text

    model, noise = tiny("llama"), eval_uniforms(7, len(PROMPTS), 1, 4)[:, 0]
    shapes = []
    model.register_forward_pre_hook(
        lambda _, __, given: shapes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    known = {*KNOWN, VOCABULARY + 3}  # a tokeniser may have more words than its model
    sample_text(model, PROMPTS, noise, known=known, ends=(), rows=2)
    assert shapes == [(2, 2), *[(2, 1)] * 3, (2, 4), *[(2, 1)] * 3, (1, 5), *[(1, 1)] * 3]


def test_a_draw_is_the_first_token_whose_cumulative_probability_exceeds_the_uniform():
    import torch

    from harness.training.text.sampling_torch import draw

    logits = torch.log(torch.tensor([0.25, 0.0, 0.5, 0.25, 0.0]))
    least = 2.0**-24
    noise = torch.tensor([0.0, 0.25 - least, 0.25, 0.75 - least, 0.75, 1 - least])
    assert draw(logits.expand(6, 5), noise).tolist() == [0, 0, 2, 2, 3, 3]


def test_draws_follow_the_probabilities():
    import torch

    from harness.training.text.sampling_torch import draw

    n, size = 200_000, 50
    logits = torch.randn(size, generator=torch.Generator().manual_seed(1)) * 2
    noise = torch.from_numpy(np.random.default_rng(2).random(n, dtype=np.float32))
    counts = np.bincount(draw(logits.expand(n, size), noise).numpy(), minlength=size)
    expected = n * torch.softmax(logits.double(), 0).numpy()
    assert ((counts - expected) ** 2 / expected).sum() < 95  # chi square of 49: P(> 95) < 1e-4


def test_a_model_whose_logits_are_not_finite_has_diverged():
    import torch

    from harness.training.text.sampling_torch import sample_text

    model = tiny("llama")
    with torch.no_grad():
        model.lm_head.weight[3, 0] = torch.nan
    with pytest.raises(Diverged, match="logits of the model are not finite"):
        sample_text(model, PROMPTS, eval_uniforms(1, 5, 1, 4)[:, 0], known=KNOWN, ends=(0,))


def test_nothing_is_left_disturbed():
    import torch

    from harness.training.text.sampling_torch import undisturbed

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


# ---- scores of held-out prompts ------------------------------------------------------------------


ROWS = [{"prompt": " ".join("0123456789"[: n % 7 + 1]), "answer": str(n)} for n in range(9)]
TEMPLATE = "{{ messages[0]['content'] }} {% if add_generation_prompt %}9{% endif %}"


def words():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = {word: n for n, word in enumerate(["<end>", "<pad>", *"0123456789"])}
    made = Tokenizer(models.WordLevel(known, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"eos_token": "<end>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=TEMPLATE, **special)


def scorer(reward, rows=ROWS, seed=4, **asked):
    from harness.training.text.sampling_torch import sampled_scores

    asked = dict(max_tokens=5, samples=3) | asked
    return sampled_scores(SimpleNamespace(seed=seed), words(), rows, reward, **asked)


def fives(completions, **_):
    return [text.split().count("5") / 5 for text in completions]


def test_scores_are_by_row_and_sample_and_equal_for_equal_weights():
    model = tiny("llama").train()
    seen = []

    def reward(prompts, completions, completion_ids, answer, **others):
        seen.append((prompts, completions, completion_ids, answer, others))
        return fives(completions)

    evaluate = scorer(reward)
    scores = evaluate(model)
    assert scores.shape == (9, 3)
    assert 0 < scores.mean() < 1
    assert model.training
    np.testing.assert_array_equal(evaluate(model), scores)
    assert (scorer(reward, seed=5)(model) != scores).any()
    np.testing.assert_array_equal(scorer(reward, samples=2)(model), scores[:, :2])
    prompts, completions, tokens, answers, others = seen[0]
    assert prompts == [row["prompt"] for row in ROWS for _ in range(3)]
    assert answers == [row["answer"] for row in ROWS for _ in range(3)]
    assert completions == words().batch_decode(tokens, skip_special_tokens=True)
    assert max(map(len, tokens)) <= 5
    assert {token for row in tokens for token in row} <= set(range(12)), "those it has words for"
    assert others["trainer_state"] is None
    others["log_metric"]("a", 1.0)
    others["log_extra"]("a", [1.0])


def test_a_row_is_scored_as_it_is_with_others_beside_it():
    model = tiny("llama")
    scores = scorer(fives)(model)
    np.testing.assert_array_equal(scorer(fives, ROWS[:4])(model), scores[:4])
    np.testing.assert_array_equal(scorer(fives, batch_size=4)(model), scores)


def test_a_chat_is_scored_as_its_messages():
    chats = [[{"role": "user", "content": row["prompt"]}] for row in ROWS]
    rows = [{"prompt": chat} for chat in chats]
    seen = []

    def reward(prompts, completions, **_):
        seen.extend(prompts)
        assert all(len(said) == 1 and said[0]["role"] == "assistant" for said in completions)
        return fives([said[0]["content"] for said in completions])

    plain = [{"prompt": f"{row['prompt']} 9"} for row in ROWS]
    model = tiny("llama")
    np.testing.assert_array_equal(scorer(reward, rows)(model), scorer(fives, plain)(model))
    assert seen == [chat for chat in chats for _ in range(3)]


def test_a_reward_function_may_be_async():
    async def later(completions, **_):
        return fives(completions)

    model = tiny("llama")
    np.testing.assert_array_equal(scorer(later)(model), scorer(fives)(model))


def test_a_completion_ends_where_the_model_or_the_tokeniser_says():
    ends = []

    def reward(completion_ids, **_):
        ends.append({ids[-1] for ids in completion_ids if len(ids) < 5})
        return [0.0] * len(completion_ids)

    model = tiny("llama")
    model.generation_config.eos_token_id = [3, 4]
    scorer(reward)(model)
    model.generation_config.eos_token_id = 5
    scorer(reward)(model)
    scorer(reward, ends=[7])(model)
    assert ends[0] <= {0, 3, 4}
    assert {3, 4} & ends[0]
    assert ends[1] <= {0, 5}
    assert ends[2] == {7}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (dict(rows=[]), "held-out data with no rows; expected rows with a column 'prompt'"),
        (dict(rows=[{"text": "1"}]), "held-out data with columns text; expected"),
        (dict(rows=[{"prompt": ""}]), "the held-out prompt '' has no tokens"),
        (dict(temperature=0), "temperature 0; expected a number above 0"),
        (dict(samples=0), "samples 0; expected a number above 0"),
        (
            dict(max_tokens=30),
            "a held-out prompt of 7 tokens with max_tokens 30 is longer than the 32",
        ),
        (dict(reward=lambda **_: [1.0]), "<lambda> returned 1 score for 27 held-out completions"),
        (
            dict(reward=lambda completions, **_: [1.0] * 26 + [None]),
            "<lambda> returned None for a held-out completion of the prompt '0 1'; a held-out",
        ),
    ],
)
def test_a_mistake_is_one_line(asked, said):
    with pytest.raises(UsageError) as refused:
        scorer(**dict(reward=fives) | asked)(tiny("llama"))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
