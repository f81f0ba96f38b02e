"""Our GRPO trainers beside TRL's, on the same weights, prompts, reward and number of tokens.

    python benchmarks/against_trl.py [--env DIR] [--rounds 12] [--block 10]
                                     [--sweep-runs 8] [--sweep-steps 30] [--sweep-repeats 3]

A step is everything from prompts to new weights: generate, reward, advantage, gradient, update. All
trainers have one thread of one core, the same one: each is a process that takes a block of steps
in its turn. Printed are medians, and the median of the ratios of blocks that followed each other.
A whole sweep is one pytest command with one worker, against a shell loop of a TRL process for each
configuration; both evaluate before and after, and begin from a warm start that was made before.
JAX's first sweep compiles; the harness keeps the programs, so its next sweep is timed too. TRL is
installed in an environment of its own, below DIR or the system's folder for temporary files.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from tabulate import tabulate

from harness import LogUniform, Sweep
from harness.errors import HarnessError
from harness.store import Store
from harness.training import uniforms
from harness.training.backends import resolve_backend
from harness.training.grpo import grade_groups, group_advantages
from harness.training.settings import GRPOSettings
from harness.training.tasks import completion_mask, get_task
from harness.training.warm_start import cache_file, warm_started

PINNED = ("trl==1.16.0", "transformers==5.23.0", "datasets==5.2.0", "accelerate==1.15.0")
PROMISED = {("torch", 16): 2.5, ("torch", 32): 2.0, ("jax", 16): 4.0, ("jax", 32): 3.0}
"""How many times TRL's tokens a second, by backend and generations a prompt."""
PROMISED_SWEEP = 4.0
PROMPTS = 8
"""How many a step has."""
SIZES = (512, 1024)
"""Of the square products that the machine's peak is measured by."""

ROOT = Path(__file__).resolve().parents[1]
WORKER = Path(__file__).with_name("trl_worker.py")
CACHE = Path(tempfile.gettempdir()) / "pytest-sweep-benchmarks"
TASK = get_task("addition")
WEIGHTS = cache_file(TASK, CACHE)
CHILDREN = os.environ | {
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "ignore",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
CHILDREN.pop("JAX_COMPILATION_CACHE_DIR", None)
SWEEP_FILE = """
from harness import LogUniform, Sweep

sweep = Sweep(**{declared})

def test_run(run):
    run.train()
"""


def run(what: str, command: Sequence[object], folder: Path = ROOT) -> str:
    """Run ``command`` in ``folder`` and return what it prints; where it fails, say so and end."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=folder, env=CHILDREN, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"against_trl: {what}: {last_words(done.stdout + done.stderr)}")
    return done.stdout


def last_words(text: str) -> str:
    """Return the line that says best what went wrong."""
    lines = [line for line in text.splitlines() if line.strip()] or ["it said nothing"]
    return next((line for line in lines if line.startswith("ERROR:")), lines[-1])


def environment(folder: Path) -> Path:
    """Return the Python of TRL's environment in ``folder``, made there unless it is complete."""
    home, constraints = folder / PINNED[0].replace("==", "-"), ROOT / "constraints-cpu.txt"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    complete, content = home / "complete", "\n".join([*PINNED, constraints.read_text()])
    if not complete.exists() or complete.read_text() != content:
        print(f"installing {', '.join(PINNED)} in {home}", flush=True)
        said = f"TRL cannot be installed in {home}"
        run(said, [sys.executable, "-m", "venv", "--clear", home])
        # Without the constraint pip takes a build of Torch with gigabytes of CUDA.
        run(said, [python, "-m", "pip", "install", "-q", "-c", constraints, "torch", *PINNED])
        complete.write_text(content)
    return python


class Side:
    """A trainer in a process of its own, which takes steps when it is asked."""

    def __init__(self, name: str, command: Sequence[object], threads: int = 1) -> None:
        self._name = name
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  (open as long as the process)
        self.process = subprocess.Popen(
            [str(word) for word in command],
            env=CHILDREN | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.versions = self._answer()

    def ask(self, request: object) -> dict[str, Any]:
        print(request, file=self.process.stdin, flush=True)
        return self._answer()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            self._log.seek(0)
            raise SystemExit(
                f"{Path(sys.argv[0]).stem}: {self._name} ended: {last_words(self._log.read())}"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


def start(python: Path, backends: Sequence[str], generations: int) -> dict[str, Side]:
    """Return the trainers by name, ours first: they make the warm start where there is none."""
    served = [sys.executable, __file__, "--generations", generations, "--serve"]
    commands: dict[str, list[object]] = {name: [*served, name] for name in backends}
    commands["trl"] = [python, WORKER, WEIGHTS, "--generations", generations]
    started = {}
    for name, command in commands.items():
        started[name] = Side(name, command)
        atexit.register(started[name].process.kill)
    return started


def serve(backend: str, generations: int) -> None:
    """Answer lines of standard input as `trl_worker.py` does; one may also be ``peak``."""
    step = stepper(backend, generations)
    print(json.dumps({backend: import_module(backend).__version__}), flush=True)
    for line in sys.stdin:
        if line.strip() == "peak":
            print(json.dumps({"peak": peak(backend)}), flush=True)
            continue
        tokens, ends = [], [time.perf_counter()]
        for _ in range(int(line)):
            tokens.append(step())
            ends.append(time.perf_counter())
        print(json.dumps({"seconds": np.diff(ends).tolist(), "tokens": tokens}), flush=True)


def stepper(backend: str, generations: int) -> Callable[[], int]:
    """Return a function that takes a training step as the trainer does, and counts its tokens.

    As TRL's here it has neither KL penalty nor entropy bonus, and learning rate 0, so that the
    lengths of completions stay those of the warm start.
    """
    trainer, device, warm_start = (
        import_module(f"harness.training.{name}_{backend}")
        for name in ("grpo", "device", "warm_start")
    )
    settings = GRPOSettings(0.0, PROMPTS, generations)
    weights = warm_started(TASK, CACHE, warm_start.make, lambda progress: None)
    opened, dtype = device.open_device("cpu"), device.PRECISIONS["float32"]
    computing = partial(getattr(device, "computing_on", nullcontext), opened)
    placed = (opened, dtype) if backend == "torch" else (dtype,)
    if backend == "torch":
        import_module("torch").set_num_threads(1)
    with computing():
        policy = trainer.Policy(TASK, weights, settings, *placed)
    most = getattr(policy, "tile", None)  # a compiled trainer computes tiles
    prompts, steps = TASK.prompts("train"), iter(range(10**9))

    def step() -> int:
        now = next(steps)
        chosen = prompts[uniforms.draw_prompts(1, now, len(prompts), PROMPTS)]
        noise = uniforms.train_uniforms(1, now, PROMPTS, generations, TASK.max_tokens)
        with computing():
            completions = policy.sample(chosen, noise, most)
            mask = completion_mask(completions, TASK.end)
            rewards = grade_groups(TASK, chosen, completions).rewards
            advantages = group_advantages(rewards, settings.advantage_clip)
            policy.gradient(chosen, completions, mask, advantages, 0.0)
            policy.update(0.0)
        return int(mask.sum())

    return step


def peak(backend: str) -> list[float]:
    """Return the GFLOP/s of a square product of float32, the best of ten, for each of `SIZES`."""
    library, found = import_module(backend), []
    send, multiply = (
        (library.from_numpy, library.mm)
        if backend == "torch"
        else (library.numpy.array, library.jit(library.numpy.matmul))
    )
    wait = getattr(library, "block_until_ready", lambda product: product)
    for size in SIZES:
        factor = send(np.random.default_rng(0).random((size, size), dtype=np.float32))
        product = partial(multiply, factor, factor)
        best = min(seconds(lambda: wait(product())) for _ in range(10))  # noqa: B023
        found.append(2e-9 * size**3 / best)
    return found


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def flops(generations: int) -> int:
    """Return how many the matrix products of a step have, as the Torch trainer computes them."""
    from step import products

    counted = products(TASK, PROMPTS, generations, reference=False)
    return sum(2 * c * m * k * n * times for (c, m, k, n), times in counted.items())


def compare_steps(started: Mapping[str, Side], generations: int, rounds: int, block: int) -> None:
    """Print what a step takes on each side."""
    names = ["trl", *(name for name in started if name != "trl")]
    step: dict[str, list[float]] = defaultdict(list)
    rate: dict[str, list[float]] = defaultdict(list)
    peaks = {name: [0.0] * len(SIZES) for name in names if name != "trl"}
    for name in names:
        started[name].ask(5)  # Dropped: they compile, and fill caches.
    for _ in range(rounds):
        for name in names:
            answer = started[name].ask(block)
            step[name].append(median(answer["seconds"]))
            rate[name].append(mean(answer["tokens"]) / step[name][-1])
            if name in peaks:
                found = started[name].ask("peak")["peak"]
                peaks[name] = [max(pair) for pair in zip(peaks[name], found, strict=True)]
    best, lines, missed = max(map(max, peaks.values())), [], []
    for name in names:
        line = {
            f"{PROMPTS}×{generations}": name,
            "ms a step": f"{1e3 * median(step[name]):.1f}",
            "tokens": f"{median(rate[name]) * median(step[name]):.0f}",
            "tokens/s": f"{median(rate[name]):,.0f}",
        }
        if name in peaks:
            ratio = median(a / b for a, b in zip(rate[name], rate["trl"], strict=True))
            line |= {"times TRL's": f"{ratio:.2f}", "promised": f"{PROMISED[name, generations]:g}"}
            line["of peak"] = f"{flops(generations) / median(step[name]) / best / 1e7:.0f}%"
            if ratio < PROMISED[name, generations]:
                missed.append(f"MISSED: {name} at {PROMPTS}×{generations}")
        lines.append(line)
    print(tabulate(lines, headers="keys", disable_numparse=True), *missed, sep="\n")
    each = "; ".join(
        f"{name} {', '.join(f'{n:.0f}' for n in found)}" for name, found in peaks.items()
    )
    print(f"peak {best:.0f} GFLOP/s, best of products of {SIZES}: {each}\n", flush=True)


def compare_sweeps(python: Path, backends: Sequence[str], options: argparse.Namespace) -> None:
    """Print what a whole sweep takes on each side."""
    declared = {
        "name": "against_trl",
        "runs": options.sweep_runs,
        "steps": options.sweep_steps,
        "evaluate_every": options.sweep_steps,
        "space": {
            "learning_rate": LogUniform(4e-8, 1.2e-7),
            "batch_size": PROMPTS,
            "generations": 16,
            "kl_coef": 0.0,
        },
    }
    runs = Sweep(**declared).plan()
    took: dict[str, list[float]] = defaultdict(list)
    perf: dict[str, list[float]] = defaultdict(list)
    for _ in range(options.sweep_repeats):
        began = time.perf_counter()
        for one in runs:
            rate = float(str(one.config["learning_rate"])) * TASK.lr_transfer
            command = [python, WORKER, WEIGHTS, "--steps", one.steps, "--rate", rate]
            answer = run("a run of TRL failed", [*command, "--seed", one.seed])
            perf["trl"].append(json.loads(answer)["after"])
        took["trl"].append(time.perf_counter() - began)
        for backend in backends:
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                (folder / "pytest.ini").write_text("[pytest]\n")
                (folder / "test_it.py").write_text(SWEEP_FILE.format(declared=declared))
                (folder / ".sweep" / "cache").mkdir(parents=True)
                shutil.copy(WEIGHTS, folder / ".sweep" / "cache")
                for name in (backend, "jax, compiled") if backend == "jax" else (backend,):
                    once, after = swept(folder, backend, f"{name}.db")
                    took[name].append(once)
                    perf[name] += after
    lines, missed = [], []
    for name, measured in took.items():
        line = {f"{len(runs)} runs of {runs[0].steps} steps": name}
        line |= {"seconds": f"{median(measured):.1f}", "perf after": f"{mean(perf[name]):.2f}"}
        if name != "trl":
            ratio = median(a / b for a, b in zip(took["trl"], measured, strict=True))
            line |= {"times as fast": f"{ratio:.2f}", "promised": f"{PROMISED_SWEEP:g}"}
            if ratio < PROMISED_SWEEP:
                missed.append(f"MISSED: the sweep with {name}")
        lines.append(line)
    print(tabulate(lines, headers="keys", disable_numparse=True), *missed, sep="\n")


def swept(folder: Path, backend: str, store: str) -> tuple[float, list[float]]:
    """Run the sweep as its user would, into a new store; return its seconds and its runs' perf."""
    where = f"sqlite:///{folder / store}"
    chosen = ["--sweep", "against_trl", "--sweep-backend", backend, "--sweep-store", where]
    on = ["--sweep-device", "cpu", "--sweep-executor", "local", "--sweep-workers", 1]
    command = [sys.executable, "-m", "pytest", "-p", "harness.plugin", *chosen, *on]
    took = seconds(lambda: run(f"the sweep with {backend} failed", command, folder))
    with Store.open(where, create=False, read_only=True) as stored:
        outcomes = [result.outcome for result in stored.results(traces=False)]
    return took, [outcome.perf_after or 0.0 for outcome in outcomes]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--env", type=Path, metavar="DIR", default=CACHE)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--block", type=int, default=10)
    parser.add_argument("--sweep-runs", type=int, default=8)
    parser.add_argument("--sweep-steps", type=int, default=30)
    parser.add_argument("--sweep-repeats", type=int, default=3)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--generations", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.generations)
        return
    python = environment(options.env.absolute())
    if sys.platform == "linux":
        # All that is started from here on has this one core.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    backends = []
    for name in ("torch", "jax"):
        try:
            backends.append(resolve_backend(name).name)
        except HarnessError as error:
            print(f"{name} is left out: {error}")
    if not backends:
        raise SystemExit("against_trl: there is no backend to compare with TRL")
    for generations in (16, 32):
        started = start(python, backends, generations)
        for name, side in started.items() if generations == 16 else ():
            print(f"{name}: {', '.join(f'{of} {used}' for of, used in side.versions.items())}")
        compare_steps(started, generations, options.rounds, options.block)
        for side in started.values():
            side.process.kill()
    compare_sweeps(python, backends, options)


if __name__ == "__main__":
    main()
