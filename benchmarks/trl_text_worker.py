"""TRL's side of `real_models.py`, which says what it does and runs it with the Python of TRL.

    python benchmarks/trl_text_worker.py '{"model": DIR, "rows": 4, "generations": 8, …}'

Each line of its standard input is a number of steps to take, answered with a line of JSON that has
their seconds and completion tokens, and the most memory that the process had so far.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile

import torch
import transformers
import trl
from datasets import Dataset
from real_models import Work, digits, peak_memory
from trl import GRPOConfig, GRPOTrainer
from trl_worker import OnRequest


def main() -> None:
    work = Work.parse(sys.argv[1])
    torch.set_num_threads(work.threads)
    # What the libraries print goes to standard error; answers alone go to standard output.
    answers, tokens = os.fdopen(os.dup(1), "w", buffering=1), list[int]()
    os.dup2(2, 1)

    def reward(
        completions: list[list[dict[str, str]]], completion_ids: list[list[int]], **_: object
    ) -> list[float]:
        tokens.append(sum(map(len, completion_ids)))
        return digits([completion[0]["content"] for completion in completions])

    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder,
            max_steps=10**6,
            learning_rate=1e-6,
            lr_scheduler_type="constant",
            beta=work.kl_coef,
            entropy_coef=work.entropy_coef,
            per_device_train_batch_size=work.rows * work.generations,
            num_generations=work.generations,
            steps_per_generation=1,
            max_completion_length=work.tokens,
            # No token ends a completion before the last.
            generation_kwargs={"min_new_tokens": work.tokens},
            use_cpu=True,
            # As in `trl_worker.py`: by default TRL computes in bfloat16, slow on a CPU, and
            # computes activations twice. Its AdamW is the fused one, and logits are computed in
            # chunks and for completions alone, by default.
            bf16=False,
            gradient_checkpointing=False,
            dataloader_pin_memory=False,
            report_to=[],
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
        )
        trainer = GRPOTrainer(
            model=work.model,
            reward_funcs=reward,
            args=settings,
            train_dataset=Dataset.from_dict({"prompt": [*work.prompts()]}),
            callbacks=[OnRequest(answers, tokens, peak_memory)],
        )
        used = {library.__name__: library.__version__ for library in (trl, transformers, torch)}
        print(json.dumps(used), file=answers)
        trainer.train()


if __name__ == "__main__":
    main()
