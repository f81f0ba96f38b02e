"""What JAX compiles for a sweep, how long that takes cold and warm, and what cutting it costs.

    python benchmarks/programs.py [--sweep focused] [--repeats 20]

Each line is a process of its own, on one thread. First the sweep's shapes as the trainer cuts them,
with an empty folder of programs, then with what that has left there. Then three ways of cutting the
nine combinations of batch size and generations of `broad`: a program for each as it is, tiles of
four prompts with their generations rounded up (the trainer's), and one tile for all; each with what
compiling takes and what a step takes, the mean over the nine, and both together for 48 runs of 50
steps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from harness.plugin.declared import discover
from harness.training.settings import GRPOSettings
from harness.training.tasks import completion_mask, get_task
from harness.training.tiles import Tile, evaluation_tile, training_tile

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
BROAD = [(4, g) for g in (20, 30, 40)] + [(b, g) for b in (8, 12) for g in (16, 24, 32)]
RUNS, STEPS = 48, 50

Cut = Callable[[int, int], Tile]
WAYS: dict[str, Cut] = {
    "exact shapes": Tile,
    "tiles of 4 prompts": training_tile,
    "one tile of 4×8": lambda rows, group: Tile(4, 8),
}


def sizes_of(name: str) -> list[tuple[int, int]]:
    """Return the batch sizes and generations of a sweep's runs, arms and all, without repeats."""
    configs = (run.config for run in discover([EXPERIMENTS])[name].plan())
    found = {(config["batch_size"], config["generations"]) for config in configs}
    return sorted((int(str(rows)), int(str(group))) for rows, group in found)


def child(folder: Path, sizes: list[tuple[int, int]], way: str, repeats: int) -> None:
    """Compile what ``sizes`` need, then take steps of each; print the figures as JSON."""
    import jax

    from harness.training import grpo_jax, uniforms, warm_start
    from harness.training.course import EVALUATION_BATCH
    from harness.training.device_jax import computing_on, keep_programs, open_device

    spent = {"seconds": 0.0, "programs": 0.0, "loaded": 0.0}

    def took(event: str, duration_secs: float, **details: str | int) -> None:
        if event.startswith("/jax/core/compile/"):
            spent["seconds"] += duration_secs
            spent["programs"] += event.endswith("backend_compile_duration")

    def happened(event: str, **details: str | int) -> None:
        spent["loaded"] += event == "/jax/compilation_cache/cache_hits"

    jax.monitoring.register_event_duration_secs_listener(took)
    jax.monitoring.register_event_listener(happened)
    task = get_task("addition")
    weights = warm_start.initial_weights(task)
    device = open_device("cpu")
    keep_programs(folder, device)
    steps: list[float] = []
    with computing_on(device):
        for rows, group in sizes:
            settings = GRPOSettings(0.0, rows, group, entropy_coef=0.002)
            policy = grpo_jax.Policy(task, weights, settings, "float32")
            policy.tile = WAYS[way](rows, group)
            prompts = task.prompts("train")[:rows]
            advantages = np.ones((rows, group), dtype=np.float32)
            timed = []
            for step in range(repeats + 2):
                began = time.perf_counter()
                noise = uniforms.train_uniforms(1, step, rows, group, task.max_tokens)
                completions = policy.sample(prompts, noise, policy.tile)
                mask = completion_mask(completions, task.end)
                policy.gradient(prompts, completions, mask, advantages, 0.005 * (step % 2))
                policy.update(0.0)
                timed.append(time.perf_counter() - began)
            steps.append(float(np.median(timed[2:])))
        held_out = task.prompts("held_out")
        noise = uniforms.eval_uniforms(1, len(held_out), task.samples, task.max_tokens)
        most = EVALUATION_BATCH
        policy.sample(held_out, noise, evaluation_tile(len(held_out), task.samples, most))
    print(json.dumps(spent | {"step": float(np.mean(steps))}))


def measure(folder: Path, sizes: list[tuple[int, int]], way: str, repeats: int) -> dict[str, float]:
    """Return what a process of its own says of `child`."""
    arguments = [json.dumps([str(folder), sizes, way, repeats])]
    command = [sys.executable, __file__, "--child", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sweep", default="focused")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder, sizes, way, repeats = json.loads(options.child)
        child(Path(folder), [(rows, group) for rows, group in sizes], way, repeats)
        return
    with tempfile.TemporaryDirectory() as temporary:
        sizes = sizes_of(options.sweep)
        print(f"{options.sweep}: {len(sizes)} combinations of batch size and generations")
        for state in ("cold", "warm"):
            figures = measure(Path(temporary), sizes, "tiles of 4 prompts", 1)
            print(
                f"  {state}: {figures['programs']:.0f} programs, {figures['loaded']:.0f} of them "
                f"from the disk, {figures['seconds']:.1f} s"
            )
    print(f"\nbroad, {RUNS} runs of {STEPS} steps:")
    print(f"  {'':20} {'programs':>8} {'compiling':>10} {'a step':>9} {'together':>9}")
    for way in WAYS:
        with tempfile.TemporaryDirectory() as temporary:
            figures = measure(Path(temporary), BROAD, way, options.repeats)
        together = figures["seconds"] + RUNS * STEPS * figures["step"]
        print(
            f"  {way:20} {figures['programs']:8.0f} {figures['seconds']:8.1f} s "
            f"{1e3 * figures['step']:6.2f} ms {together:7.1f} s"
        )


if __name__ == "__main__":
    main()
