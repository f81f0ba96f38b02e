"""TRL's side of `against_trl.py`, which runs it with the Python of an environment of its own.

    python benchmarks/trl_worker.py WEIGHTS --generations 16 [--steps 30 --rate 1e-3 --seed 0]

Trains a GPT-2 of transformers with the embedded task's shape, prompts, exact match and warm start,
of which WEIGHTS is the file. With ``--steps`` it is one run of a shell loop: evaluate, train,
evaluate. Without, each line of its standard input is a number of steps to take, answered with a
line of JSON that has their seconds and completion tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, TextIO

import numpy as np
import torch
import transformers
import trl
from datasets import Dataset
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from harness.training.tasks import Task, get_task

WORDS = (*map(str, range(10)), "+", "=", "<end>", "<pad>", "<14>", "<15>")
"""The task's tokens, in the order of their numbers."""

LAYER = {
    "ln_1": "attention_norm",
    "attn.c_attn": "qkv",
    "attn.c_proj": "out",
    "ln_2": "mlp_norm",
    "mlp.c_fc": "up",
    "mlp.c_proj": "down",
}
"""What GPT-2 calls the arrays of a layer, and what we do."""


def warm_started(task: Task, file: str) -> GPT2LMHeadModel:
    """Return the task's decoder as a GPT-2: the same function of its tokens, the same weights.

    GPT-2's biases, which the decoder lacks, are 0 and not trained. It needs a position more: TRL
    feeds the last token too, and drops what follows from it.
    """
    config = GPT2Config(
        vocab_size=task.vocabulary,
        n_positions=task.prompt_tokens + task.max_tokens,
        n_embd=task.shape.width,
        n_layer=task.shape.layers,
        n_head=task.shape.heads,
        activation_function="relu",
        tie_word_embeddings=False,
        bos_token_id=task.end,
        eos_token_id=task.end,
        pad_token_id=WORDS.index("<pad>"),
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
    )
    model, ours = GPT2LMHeadModel(config), load_file(file)
    theirs = {
        "transformer.wte": ours["embed"],
        "transformer.wpe": torch.cat([ours["position"], torch.zeros(1, task.shape.width)]),
        "transformer.ln_f": ours["norm"],
        "lm_head": ours["head"].T,
    }
    for layer in range(task.shape.layers):
        for name, of_ours in LAYER.items():
            theirs[f"transformer.h.{layer}.{name}"] = ours[f"layers.{layer}.{of_ours}"]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".bias"):
                parameter.zero_().requires_grad_(False)
            else:
                parameter.copy_(theirs[name.removesuffix(".weight")])
    return model


def tokenizer() -> PreTrainedTokenizerFast:
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<15>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"eos_token": "<end>", "pad_token": "<pad>", "padding_side": "left"}
    return PreTrainedTokenizerFast(tokenizer_object=made, **special)


def examples(task: Task) -> Dataset:
    """Return the training prompts, written with spaces, and their answers up to the first end."""
    prompts = task.prompts("train")
    texts = [" ".join(WORDS[token] for token in row) for row in prompts]
    answers = [row[: row.index(task.end) + 1] for row in task.demonstrations(prompts).tolist()]
    return Dataset.from_dict({"prompt": texts, "answer": answers})


def perf(model: GPT2LMHeadModel, task: Task) -> float:
    """Return the exact match of all samples of the held-out prompts.

    In one call of ``generate``: ``GRPOTrainer.evaluate`` also computes a loss, and is slower.
    """
    prompts = torch.from_numpy(task.prompts("held_out")).repeat_interleave(task.samples, dim=0)
    model.eval()
    asked = {"attention_mask": torch.ones_like(prompts), "do_sample": True, "top_k": 0}
    drawn = model.generate(prompts, max_new_tokens=task.max_tokens, **asked)
    model.train()
    completions = np.full((len(prompts), task.max_tokens), task.end)
    completions[:, : drawn.shape[1] - task.prompt_tokens] = drawn[:, task.prompt_tokens :]
    return float(task.score(prompts.numpy(), completions).mean())


class OnRequest(TrainerCallback):  # type: ignore[misc]
    """Takes as many steps as the next line of standard input says, and answers how they went.

    A step lasts from the end of the one before it, so that its generation is counted. Where
    ``memory`` is given, it is asked for the bytes that the process held.
    """

    def __init__(
        self, answers: TextIO, tokens: list[int], memory: Callable[[], int] | None = None
    ) -> None:
        self.answers, self.tokens, self.memory = answers, tokens, memory

    def on_train_begin(self, *_: object, **__: object) -> None:
        line = sys.stdin.readline()
        if not line:
            raise SystemExit
        self.wanted = int(line)
        self.tokens.clear()
        self.ends = [time.perf_counter()]

    def on_step_end(self, *_: object, **__: object) -> None:
        self.ends.append(time.perf_counter())
        if len(self.ends) > self.wanted:
            answer: dict[str, Any] = {"seconds": np.diff(self.ends).tolist(), "tokens": self.tokens}
            if self.memory is not None:
                answer["memory"] = self.memory()
            print(json.dumps(answer), file=self.answers)
            self.on_train_begin()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("--generations", type=int, default=16)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    # What the libraries print goes to standard error; answers alone go to standard output.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    task, tokens = get_task("addition"), list[int]()
    model = warm_started(task, options.weights)

    def exact_match(
        completion_ids: list[list[int]], answer: list[list[int]], **_: object
    ) -> list[float]:
        tokens.append(sum(map(len, completion_ids)))
        return [float(ids == right) for ids, right in zip(completion_ids, answer, strict=True)]

    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder,
            seed=options.seed,
            max_steps=options.steps or 10**6,
            learning_rate=options.rate,
            lr_scheduler_type="constant",
            beta=0.0,
            per_device_train_batch_size=8 * options.generations,
            num_generations=options.generations,
            steps_per_generation=1,
            max_completion_length=task.max_tokens,
            remove_unused_columns=False,
            use_cpu=True,
            # By default TRL computes in bfloat16, slow on a CPU, and computes activations twice to
            # save memory. Of its other options none was quicker here: eager attention, a static
            # cache, another loss, AdamW not fused (within noise), `torch_compile` (a tenth slower),
            # no key-value cache (a fifth). Continuous batching did not end a step in 100 s.
            bf16=False,
            gradient_checkpointing=False,
            dataloader_pin_memory=False,
            report_to=[],
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
        )
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=exact_match,
            args=settings,
            train_dataset=examples(task),
            processing_class=tokenizer(),
            callbacks=[] if options.steps else [OnRequest(answers, tokens)],
        )
        if not options.steps:
            used = {library.__name__: library.__version__ for library in (trl, transformers, torch)}
            print(json.dumps(used), file=answers)
        before = perf(model, task) if options.steps else None
        trainer.train()
        print(json.dumps({"before": before, "after": perf(model, task)}), file=answers)


if __name__ == "__main__":
    main()
