"""Trains a tiny language model with TRL's GRPO to write the digits of its prompt.

The model and its tokeniser are made here. What is heavy is imported by the functions that use it,
so that pytest collects the sweep without it.
"""

from random import Random

WORDS = ("<pad>", "<end>", *map(str, range(10)))
ALL = [f"{a} {b} {c}" for a in range(10) for b in range(10) for c in range(10) if a < b != c]
Random(0).shuffle(ALL)
TRAIN, HELD_OUT = ALL[:256], ALL[256:384]


def share(prompts, completions, **_):
    """Return, for each completion, how much of four digits it has from its prompt."""
    pairs = zip(prompts, completions, strict=True)
    return [sum(digit in prompt.split() for digit in text.split()) / 4 for prompt, text in pairs]


def tiny_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, "<pad>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="<end>", padding_side="left"
    )


def tiny_model():
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)  # every run starts from the same weights
    special = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1}
    size = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    layers = {"num_hidden_layers": 2, "max_position_embeddings": 16, "tie_word_embeddings": True}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(WORDS), **special, **size, **layers))


def train(run):
    import torch
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from harness.integrations.transformers import (
        SweepCallback,
        require_disjoint,
        sampled_scores,
        trainer_arguments,
    )

    torch.set_num_threads(1)  # sums in one order: an interrupted run ends as it would have
    require_disjoint(TRAIN, HELD_OUT)
    tokenizer, held_out = tiny_tokenizer(), [{"prompt": prompt} for prompt in HELD_OUT]
    callback = SweepCallback(run, sampled_scores(run, tokenizer, held_out, share, max_tokens=4))
    trainer = GRPOTrainer(
        model=tiny_model(),
        reward_funcs=callback.rewards(share),
        args=GRPOConfig(
            **trainer_arguments(run),
            learning_rate=run.config["learning_rate"],
            lr_scheduler_type=run.config["lr_schedule"],
            per_device_train_batch_size=8 * run.config["generations"],
            num_generations=run.config["generations"],
            max_completion_length=4,
            bf16=False,
            logging_steps=1,
        ),
        train_dataset=Dataset.from_dict({"prompt": TRAIN}),
        processing_class=tokenizer,
        callbacks=[callback],
    )
    trainer.train(resume_from_checkpoint=callback.checkpoint)
