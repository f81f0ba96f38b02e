"""What the harness adds to a run, evaluation apart.

    python benchmarks/overhead.py [--steps 60] [--repeats 9]

Inside the worker: a whole run through the inline executor, less its evaluations, against as many
bare training steps (sample, reward, advantage, gradient, update) of the same work, in turn in one
process on one thread. The run has learning rate 0, so both draw the same completions. Prints the
median of the paired ratios. Around the worker: the time between a run's events in the session that
is not the trainer's own, in the same runs through a worker process.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from step import step_of

from harness.executors import make_executor
from harness.protocols import Executor, Finished, Started
from harness.records import Conditions, Config, Job, Outcome, Run
from harness.training.grpo import TRAINING_VERSION
from harness.training.tasks import get_task


def a_job(folder: Path, steps: int) -> Job:
    """Return a placebo run of 8×16 that computes the reference policy at every step."""
    task = get_task("addition")
    config = Config(
        {
            "learning_rate": 0.0,
            "batch_size": 8,
            "generations": 16,
            "entropy_coef": 0.002,
            "kl_warmup_steps": 0,
        }
    )
    run = Run("overhead", "overhead", 0, "main", None, config, 1, steps, steps, steps)
    conditions = Conditions(
        trainer="harness.training.grpo_torch:train",
        trainer_version=TRAINING_VERSION,
        backend="torch",
        precision="float32",
        device="cpu",
        task=task.name,
        task_version=task.version,
        model=task.model,
        lr_transfer=task.lr_transfer,
    )
    return Job("overhead", run, conditions, cache=str(folder), log=str(folder / "run.log"))


def trained(executor: Executor, job: Job) -> tuple[Outcome, float]:
    """Return what came of ``job``, and the seconds between its first event and its last."""
    executor.submit([job])
    began = time.perf_counter()
    while True:
        for event in executor.poll(5.0):
            if isinstance(event, Started):
                began = time.perf_counter()
            if isinstance(event, Finished):
                if event.outcome.status != "completed":
                    raise SystemExit(f"the run {event.outcome.status}: {event.outcome.error}")
                return event.outcome, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        job = a_job(Path(name), options.steps)
        step = step_of(get_task("addition"), 8, 16, kl_coef=0.005)
        inline, local = make_executor("inline"), make_executor("local", 1)
        trained(inline, job)
        trained(local, job)
        ratios, around = [], []
        for _ in range(options.repeats):
            outcome, _ = trained(inline, job)
            began = time.perf_counter()
            for _ in range(options.steps):
                step()
            bare = time.perf_counter() - began
            ratios.append(((outcome.seconds or 0) - (outcome.evaluation_seconds or 0)) / bare)
            outcome, seconds = trained(local, job)
            around.append(seconds / (outcome.seconds or 0) - 1)
        inline.close()
        local.close()
    print(f"a run of {options.steps} steps, evaluation apart, against its bare training steps:")
    print(f"  inside the worker {100 * (statistics.median(ratios) - 1):+.1f}%")
    print(f"  around the worker {100 * statistics.median(around):+.1f}%")


if __name__ == "__main__":
    main()
