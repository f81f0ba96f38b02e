"""What checkpoints cost: a run of the focused sweep with one every ten steps, beside one without.

    python benchmarks/checkpoints.py [--backend torch] [--every 10] [--repeats 15] [--folder DIR]

Both in turn in one process on one thread, as a worker trains them, in an order that changes from
pair to pair. Prints the medians of the paired ratios, with their quartiles: of wall time, which
other work on the machine disturbs, and of processor time, the writing thread's included; and the
share of its wall time that the run spends in `save`, which is all that training waits for. The
files go to DIR, whose disk decides: by default the working directory, as for `.sweep/`.
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
    """Adds up the seconds that training spends in `Checkpoint.save`, and counts the calls."""

    def __init__(self) -> None:
        self.seconds, self.saves = 0.0, 0
        self._save = Checkpoint.save

    def __enter__(self) -> Watch:
        def save(checkpoint: Checkpoint, *given: object) -> None:
            began = time.perf_counter()
            self._save(checkpoint, *given)  # type: ignore[arg-type]
            self.seconds += time.perf_counter() - began
            self.saves += 1

        Checkpoint.save = save  # type: ignore[assignment, method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        Checkpoint.save = self._save  # type: ignore[method-assign]


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
        pairs, shares = [], []
        for repeat in range(options.repeats):
            with Watch() as watch:
                found = [times(job) for job in ((bare, kept), (kept, bare))[repeat % 2]]
            without, with_them = found if repeat % 2 == 0 else reversed(found)
            pairs.append((with_them[0] / without[0], with_them[1] / without[1]))
            shares.append(watch.seconds / with_them[0])
    print(f"{options.backend}: 100 steps of 8×24, {watch.saves} checkpoints, {len(pairs)} pairs:")
    for what, ratios in zip(("wall time", "processor time"), zip(*pairs, strict=True), strict=True):
        low, middle, high = (100 * (cut - 1) for cut in statistics.quantiles(ratios, n=4))
        print(f"  {what} {middle:+.1f}% (quartiles {low:+.1f} to {high:+.1f}%)")
    print(f"  training spends {100 * statistics.median(shares):.2f}% in save")


if __name__ == "__main__":
    main()
