"""What checkpoints cost: a run of the focused sweep with one every ten steps, beside one without.

    python benchmarks/checkpoints.py [--backend torch] [--every 10] [--repeats 15] [--folder DIR]

Both in turn in one process on one thread, as a worker trains them, in an order that changes from
pair to pair. Prints the median of the paired ratios of their wall times, with its quartiles, which
other work on the machine disturbs; and what it hardly does: which share of the run's processor time
saving takes, in the thread that trains and in the one that writes. The files go to DIR, whose disk
decides: by default the working directory, as for `.sweep/`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.records import Conditions, Config, Job, Outcome, Progress, Run
from harness.training.backends import BACKENDS
from harness.training.checkpoints import Checkpoint
from harness.training.course import Course
from harness.training.grpo import TRAINING_VERSION
from harness.training.tasks import get_task


def a_job(backend: str, cache: Path, checkpoint: Path) -> Job:
    """Return a run as `focused` has them: 8×24, 100 steps, an evaluation every ten."""
    task = get_task("addition")
    config = Config(
        {
            "learning_rate": 2e-7,
            "batch_size": 8,
            "generations": 24,
            "lr_schedule": "advanced",
            "warmup_steps": 20,
            "entropy_coef": 0.002,
        }
    )
    run = Run("checkpoints", "checkpoints", 0, "main", None, config, 1, 100, 100, 10)
    conditions = Conditions(
        trainer=BACKENDS[backend].trainer,
        trainer_version=TRAINING_VERSION,
        backend=backend,
        precision="float32",
        device="cpu",
        task=task.name,
        task_version=task.version,
        model=task.model,
        lr_transfer=task.lr_transfer,
    )
    return Job(
        "checkpoints",
        run,
        conditions,
        cache=str(cache),
        log=str(cache / "run.log"),
        checkpoint=str(checkpoint),
    )


class Watch:
    """Adds up the processor time of every call of a method, in the thread that calls it."""

    def __init__(self, owner: type, method: str) -> None:
        self.seconds = 0.0
        original = getattr(owner, method)

        def watched(*given: object) -> None:
            began = time.thread_time()
            original(*given)
            self.seconds += time.thread_time() - began

        setattr(owner, method, watched)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backend", choices=list(BACKENDS), default="torch")
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--folder", type=Path, default=Path())
    options = parser.parse_args()
    module, _, name = BACKENDS[options.backend].trainer.partition(":")
    train: Callable[[Job, Callable[[Progress], None]], Outcome]
    train = getattr(importlib.import_module(module), name)
    cache = Path(tempfile.gettempdir()) / "pytest-sweep-benchmarks"
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        bare = a_job(options.backend, cache, Path(folder) / "run")
        kept = replace(bare, checkpoint_every=options.every)

        def times(job: Job) -> tuple[float, float]:
            """Return the wall and the processor time of training ``job``."""
            began = time.perf_counter(), time.process_time()
            with contextlib.redirect_stdout(io.StringIO()) as said:
                outcome = train(job, lambda progress: None)
            if outcome.status != "completed" or said.getvalue():
                raise SystemExit(f"the run {outcome.status}: {outcome.error} {said.getvalue()}")
            return time.perf_counter() - began[0], time.process_time() - began[1]

        times(bare)
        training, writing = Watch(Course, "save"), Watch(Checkpoint, "_write")
        ratios, shares = [], []
        for repeat in range(options.repeats):
            training.seconds = writing.seconds = 0.0
            found = [times(job) for job in ((bare, kept), (kept, bare))[repeat % 2]]
            without, with_them = found if repeat % 2 == 0 else reversed(found)
            ratios.append(with_them[0] / without[0])
            shares.append([watch.seconds / with_them[1] for watch in (training, writing)])
    low, middle, high = (100 * (cut - 1) for cut in statistics.quantiles(ratios, n=4))
    train_share, write_share = (100 * statistics.median(one) for one in zip(*shares, strict=True))
    print(f"{options.backend}: 100 steps of 8×24, a checkpoint every {options.every}:")
    print(f"  wall time {middle:+.1f}% (quartiles {low:+.1f} to {high:+.1f}%, {len(ratios)} pairs)")
    print(
        f"  of its processor time {train_share:.2f}% where it trains, {write_share:.2f}% where it "
        "writes"
    )


if __name__ == "__main__":
    main()
