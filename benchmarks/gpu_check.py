"""Check that both backends train on a GPU as they do on the CPU: one table in under six minutes.

    python benchmarks/gpu_check.py [--wheels DIR] [--cache DIR] [--json FILE]
                                   [--backends torch,jax] [--only TEXT] [--model DIR]
    python benchmarks/gpu_check.py --device cpu --quick

Needs a clone, Torch, JAX and transformers, and no network. The language model has the shape of
SmolLM2-135M and random weights, unless `--model` names the folder of one. Python packages that the
machine lacks may lie in a folder as wheels: `--wheels` unpacks those that are missing, or older
than the project needs, into a folder of this run's own. Every check is a process of its own with a
limit, and what it leaves is ended: a check that fails or hangs stops no other. The exit status is 1
where one failed.
`--quick` is a smaller version with longer limits, for a machine without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from checks import (
    ROOT,
    Check,
    Done,
    FailedError,
    Found,
    NotRunError,
    Table,
    exactly_zero,
    execute,
    in_errors,
    main_runs,
    run_checks,
    unpack,
)

BACKENDS = ("torch", "jax")
SECONDS = 345.0
"""How long all checks may take together."""

SWEEP = """
from harness import LogUniform, Sweep

check = Sweep(
    "check", runs=4, steps=60, seed=20250919, evaluate_every=20,
    space=dict(learning_rate=LogUniform(8e-8, 4e-7), batch_size=8, generations={generations}),
    arms=dict(placebo=2),
)

def test_run(run):
    run.train()
"""


@dataclass(frozen=True)
class Size:
    """How much is trained: main runs and steps of each kind of session, steps that are timed.

    ``together`` runs both backends at once in checks that are timed too, ``patience`` multiplies
    the limits.
    """

    session: tuple[int, int]
    focused: tuple[int, int]
    bfloat16: tuple[int, int]
    repeats: int
    shapes: tuple[tuple[int, int], ...]
    contract: tuple[str, ...]
    text: tuple[int, int, int]
    """Prompts, completions of each, and their tokens, for a language model."""
    decoder: Mapping[str, int]
    """Its shape."""
    generations: int = 32
    """Of the check's own sweep. The quick one has the contract's, whose programs JAX keeps."""
    workers: int = 2
    together: bool = False
    patience: float = 1


SMOLLM2 = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
}
FULL = Size((4, 60), (2, 20), (2, 20), 40, ((8, 16), (8, 32)), ("-m", ""), (8, 16, 128), SMOLLM2)
SOME = ("-k", "placebo or field")
QUICK = Size(
    (2, 4),
    (1, 4),
    (1, 4),
    5,
    ((8, 16),),
    SOME,
    (2, 2, 8),
    {},
    generations=16,
    workers=1,
    together=True,
    patience=4,
)


class Bench:
    """The checks of one device, what they share, and the reports that they leave each other."""

    def __init__(
        self,
        folder: Path,
        device: str,
        backends: Sequence[str],
        size: Size,
        site: Path,
        model: Path | None = None,
    ) -> None:
        self.folder, self.device, self.backends, self.size = folder, device, backends, size
        self.model = model
        self.reports: dict[tuple[str, str], dict[str, Any]] = {}
        self.walls: dict[tuple[str, str], float] = {}
        self.cache = folder / ".sweep" / "cache"
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_check.py").write_text(SWEEP.format(generations=size.generations))
        shutil.copytree(ROOT / "experiments", folder / "experiments")
        given = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        paths = [str(site), str(ROOT), *filter(None, [given.get("PYTHONPATH")])]
        self.env = given | {
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "COLUMNS": "100",
        }

    def stages(self) -> list[list[Check]]:
        """Return the checks in stages: those of a stage run at the same time."""
        device = "cpu again" if self.device == "cpu" else self.device

        def each(name: str, limit: float, run: Callable[..., Found], *given: str) -> list[Check]:
            limit *= self.size.patience
            return [
                Check(f"{name}, {backend}", limit, partial(run, backend, *given))
                for backend in self.backends
            ]

        def apart(checks: list[Check]) -> list[list[Check]]:
            return [checks] if self.size.together else [[check] for check in checks]

        patience = self.size.patience
        environment = Check("environment", 40 * patience, self.environment)
        stages = [[environment, Check("warm start", 60 * patience, self.warm_start)]]
        stages += apart(each("session on cpu", 40, self.session, "cpu", "cpu"))
        stages += apart(each(f"session on {device}", 50, self.session, self.device, device))
        stages += [each("ΔPerf", 5, self.delta_perf, device)]
        stages += [each("placebo", 5, self.placebo, device)]
        stages += apart(each("focused", 55, self.focused))
        stages += apart(each("step", 40, self.step))
        stages += [each("bfloat16", 70, self.bfloat16)]
        stages += apart(each("language model", 60, self.language_model))
        # Last, so that it may have all the time that is left.
        stages += [each("contract", 170, self.contract)]
        return stages

    def execute(self, command: Sequence[str], limit: float, folder: Path | None = None) -> Done:
        return execute([sys.executable, *command], limit, folder or self.folder, self.env)

    def environment(self, limit: float) -> Found:
        """Ask `sweep doctor` for the versions, the GPUs, and the devices of each backend."""
        done = self.execute(["-m", "harness.cli", "doctor", "--json"], limit)
        try:
            checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
        except ValueError:
            raise FailedError(done.last_line, done.output) from None
        broken = [check["found"] for check in checks.values() if check["level"] == "error"]
        said = [checks["GPUs"]["found"]]
        for backend in self.backends:
            library = checks[f"backend {backend}"]["found"]
            devices = checks.get(f"devices of {backend}", {"found": "no device"})["found"]
            said.append(f"{library} on {devices}")
            if self.device.split(":")[0] not in devices:
                broken.append(f"{backend} finds no {self.device}: {said[-1]}")
        if broken:
            raise FailedError("; ".join(broken))
        return Found("; ".join([*said, checks["versions"]["found"]]))

    def warm_start(self, limit: float) -> Found:
        """Make the weights that all runs here start from."""
        done = self.execute([__file__, "--child", json.dumps(["weights", str(self.cache)])], limit)
        if done.code:
            raise FailedError(done.last_line, done.output)
        return Found("made by Torch on the CPU, or found where it is kept")

    def trained(
        self,
        limit: float,
        backend: str,
        where: Sequence[str],
        *,
        sweep: str = "check",
        size: tuple[int, int],
        device: str,
        key: str,
    ) -> dict[str, Any]:
        """Return the report of a session with a store of its own, all of whose runs completed."""
        name = f"{key}-{backend}".replace(" ", "-")
        file = "test_check.py" if sweep == "check" else "experiments"
        command = ["-m", "pytest", "-p", "harness.plugin", "-p", "no:cacheprovider", file]
        command += ["--sweep", sweep, "--sweep-backend", backend, *where]
        command += ["--sweep-runs", str(size[0]), "--sweep-steps", str(size[1])]
        command += ["--sweep-store", f"sqlite:///{self.folder / name}.db"]
        command += ["--sweep-report", name, "--sweep-fail-on", "failed,diverged", "-q"]
        if "--sweep-gpus" not in where:
            command += ["--sweep-workers", str(self.size.workers)]
        done = self.execute(command, limit)
        self.walls[backend, key] = done.seconds
        if done.code:
            raise FailedError(f"exit status {done.code}: {done.last_line}", done.output)
        (path,) = (self.folder / name).glob("*/report.json")
        report: dict[str, Any] = json.loads(path.read_text())
        for run in report["runs"]:
            if run["status"] != "completed":
                raise FailedError(f"{run['id']} {run['status']}: {run['error']}", done.output)
            if not run["device"].startswith(device):
                raise FailedError(f"{run['id']} was trained on {run['device']}", done.output)
        self.reports[backend, key] = report
        return report

    def session(self, backend: str, device: str, key: str, limit: float) -> Found:
        """Train the check's own sweep."""
        size = self.size.session
        where = ("--sweep-device", device)
        report = self.trained(limit, backend, where, size=size, device=device, key=key)
        took, wall = [run["seconds"] for run in report["runs"]], self.walls[backend, key]
        text = f"{len(took)} runs of {size[1]} steps: {min(took):.1f} to {max(took):.1f} s each"
        figures = {"wall": wall, "fastest": min(took)}
        if key != "cpu" and (backend, "cpu") in self.reports:
            figures["ratio"] = wall / self.walls[backend, "cpu"]
            text += f"; the session takes {figures['ratio']:.2f} times as long as on the CPU"
        return Found(f"{text}, start and compiling included", figures)

    def report(self, backend: str, key: str) -> dict[str, Any]:
        if (backend, key) not in self.reports:
            raise NotRunError(f"no session on {key}")
        return self.reports[backend, key]

    def delta_perf(self, backend: str, key: str, _: float) -> Found:
        """Compare ΔPerf of the same runs on the CPU and on the device, by their standard errors."""
        ours, theirs = (main_runs(self.report(backend, where)) for where in (key, "cpu"))
        differences, variances = [], []
        for id_, run in ours.items():
            differences.append(run["delta_perf"] - theirs[id_]["delta_perf"])
            variances.append(run["delta_perf_se"] ** 2 + theirs[id_]["delta_perf_se"] ** 2)
        single = [in_errors(d, v) for d, v in zip(differences, variances, strict=True)]
        mean, worst = statistics.mean(differences), max(single)
        together = in_errors(sum(differences), sum(variances))
        gains = " ".join(f"{run['delta_perf']:+.3f}" for run in ours.values())
        text = (
            f"{gains}; beside the CPU's the mean is {mean:+.4f} ({together:.1f} SE), one run at "
            f"most {worst:.1f} SE away (allowed: 2 and 3)"
        )
        if together > 2 or worst > 3:
            raise FailedError(text)
        return Found(text, {"mean": mean, "mean_in_se": together, "largest_in_se": worst})

    def placebo(self, backend: str, key: str, _: float) -> Found:
        """Look whether runs with learning rate 0 measured exactly 0."""
        runs = [run for run in self.report(backend, key)["runs"] if run["arm"] == "placebo"]
        return Found(exactly_zero(runs), {"runs": len(runs), "largest": 0.0})

    def focused(self, backend: str, limit: float) -> Found:
        """Train a part of `focused` with all its arms, four runs at a time on one GPU."""
        where: Sequence[str] = ("--sweep-gpus", "1", "--sweep-per-gpu", "4")
        if self.device == "cpu":
            where = ("--sweep-device", "cpu")
        report = self.trained(
            limit,
            backend,
            where,
            sweep="focused",
            size=self.size.focused,
            device=self.device.split(":")[0],
            key="focused",
        )
        runs, wall = report["runs"], self.walls[backend, "focused"]
        exactly_zero([run for run in runs if run["arm"] == "placebo"])
        return Found(
            f"{' '.join(where)}: exit status 0, {len(runs)} runs of "
            f"{self.size.focused[1]} steps and less in {wall:.1f} s, placebo 0",
            {"status": 0, "runs": len(runs), "wall": wall},
        )

    def bfloat16(self, backend: str, limit: float) -> Found:
        """Train in bfloat16: the main runs change, the placebo does not."""
        where = ("--sweep-device", self.device, "--sweep-precision", "bfloat16")
        size = self.size.bfloat16
        report = self.trained(limit, backend, where, size=size, device=self.device, key="bfloat16")
        placebo = exactly_zero([run for run in report["runs"] if run["arm"] == "placebo"])
        runs = main_runs(report).values()
        gains = " ".join(f"{run['delta_perf']:+.3f} ± {run['delta_perf_se']:.3f}" for run in runs)
        changed = min(run["prompts_changed"] for run in runs)
        if changed == 0:
            raise FailedError(f"a run of {size[1]} steps changed no prompt: {gains}")
        return Found(f"ΔPerf {gains} after {size[1]} steps; {placebo}", {"changed": changed})

    def step(self, backend: str, limit: float) -> Found:
        """Time a training step on the CPU and on the device."""
        asked = ["steps", str(self.cache), backend, self.device, self.size.shapes]
        child = json.dumps([*asked, self.size.repeats])
        done = self.execute([__file__, "--child", child], limit)
        if done.code:
            raise FailedError(done.last_line, done.output)
        figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        parts = []
        for rows, group in self.size.shapes:
            here, there = (figures[f"{rows}×{group}, {where}"] for where in ("cpu", "device"))
            ratio = f"{there / here:.2f} times as long"
            parts.append(
                f"{rows}×{group}: CPU {here:.2f} ms, {self.device} {there:.2f} ms, {ratio}"
            )
        return Found("; ".join(parts), figures)

    def language_model(self, backend: str, limit: float) -> Found:
        """Train a language model in bfloat16: its speed, and that learning rate 0 changes none."""
        if find_spec("transformers") is None:
            raise NotRunError("transformers is not here")
        rows, group, tokens = self.size.text
        work: dict[str, Any] = dict(rows=rows, generations=group, tokens=tokens, kl_coef=0.005)
        work |= dict(entropy_coef=0.002, device=self.device, precision="bfloat16")
        model = str(self.model or self.folder / f"model-{backend}")
        shape = None if self.model else dict(self.size.decoder)
        asked = json.dumps(["text", model, backend, shape, work])
        done = self.execute([__file__, "--child", asked], limit)
        if done.code:
            raise FailedError(done.last_line, done.output)
        figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        text = (
            f"{rows}×{group} completions of {tokens} tokens: {figures['seconds']:.2f} s a step, "
            f"{figures['rate']:,.0f} tokens/s, with KL and entropy"
        )
        if figures["redrawn"] or not figures["moved"]:
            raise FailedError(
                f"{text}; learning rate 0 changed {figures['redrawn']:.0f} held-out tokens, and "
                f"the weights moved by {figures['moved']:g} in a step with one above 0"
            )
        return Found(f"{text}; learning rate 0 changed no held-out token", figures)

    def contract(self, backend: str, limit: float) -> Found:
        """Run the contract that every trainer keeps, on the device."""
        name = {"torch": "TestGRPOTorch", "jax": "TestGRPOJax"}[backend]
        command = ["-m", "pytest", f"tests/training/test_grpo_{backend}.py::{name}", "-v"]
        command += ["-p", "no:cacheprovider", "--tb=short", *self.size.contract]
        command += ["--trainer-device", self.device, "--trainer-cache", str(self.cache)]
        if self.device != "cpu" and (os.cpu_count() or 1) >= 8 and find_spec("xdist"):
            command += ["-n", "4"]
        try:
            done = self.execute(command, limit, ROOT)
        except FailedError as late:
            passed = len(re.findall(r"\bPASSED\b", late.output))
            raise FailedError(f"{late}; {passed} tests had passed", late.output) from None
        said = done.last_line.strip("= ")
        if done.code:
            failed = re.findall(r"^FAILED \S+::(\S+)", done.output, re.M)
            raise FailedError(f"{said}: {', '.join(failed)}", done.output)
        passed = int(re.search(r"(\d+) passed", said)[1])  # type: ignore[index]
        return Found(said, {"passed": passed})


def child(asked: str, cache: Path, *given: Any) -> None:  # noqa: ANN401 - JSON
    """Do what imports Torch or JAX, in a process of its own."""
    import torch
    from step import CACHE, step_of, weights_of

    from harness.training.tasks import get_task

    torch.set_num_threads(1)
    task = get_task("addition")
    if asked == "weights" and cache.exists():  # a folder that was given, and that is kept
        weights_of(task, cache)
        return
    if asked == "weights":
        weights_of(task)  # where the other benchmarks keep them
        ignored = shutil.ignore_patterns("programs", "*.lock")
        shutil.copytree(CACHE, cache, ignore=ignored, dirs_exist_ok=True)
        return
    backend, device, shapes, repeats = given
    figures = {}
    for rows, group in shapes:
        takes: dict[str, Callable[[], object]] = {}
        for label, where in (("cpu", "cpu"), ("device", device)):
            size: dict[str, Any] = dict(kl_coef=0.005, device=where, cache=cache)
            if backend == "torch":
                takes[label] = step_of(task, rows, group, **size)
            else:
                from backends import jax_step_of

                takes[label] = jax_step_of(rows, group, **size)
        took: dict[str, list[float]] = {label: [] for label in takes}
        for _ in range(repeats + 3):  # in turn; the first three compile and warm up
            for label, take in takes.items():
                began = time.perf_counter()
                take()
                took[label].append(time.perf_counter() - began)
        for label, times in took.items():
            figures[f"{rows}×{group}, {label}"] = 1e3 * statistics.median(times[3:])
    print(json.dumps(figures))


def text_child(model: Path, backend: str, shape: dict[str, Any] | None, work: Any) -> None:  # noqa: ANN401 - JSON
    """Train a language model, in a process of its own; it is made with ``shape``, if that is given.

    Prints the median seconds of a step, its tokens a second, how many tokens of held-out
    completions learning rate 0 changed, and by how much another moved the norm of the weights.
    """
    import numpy as np
    from real_models import Work, noise_of, policy_of

    from harness.training.grpo import Batch, group_advantages

    if shape is not None:
        from tests.training.text import tiny_models

        tiny_models.write(model, "llama", **shape)
    work = Work(str(model), **work)
    source, settings, policy = policy_of(backend, work)
    took, redrawn, moved = [], 0, 0.0
    asked, noise = noise_of(work, 10**6)
    before = policy.sample_held_out(asked, noise)
    for now, learning_rate in enumerate([0.0, 0.0, 0.0, 0.0, 1e-4]):  # the first compiles
        began, norm = time.perf_counter(), policy.norm()
        chosen, drawn = noise_of(work, now)
        completions = policy.sample(chosen, drawn)
        advantages = group_advantages(source.grade(completions), settings.advantage_clip)
        mask = np.ones(completions.shape, dtype=bool)
        policy.learn(Batch(chosen, completions, mask, advantages), work.kl_coef, learning_rate)
        took.append(time.perf_counter() - began)
        if learning_rate == 0:
            redrawn += int((policy.sample_held_out(asked, noise) != before).sum())
        moved = abs(policy.norm() - norm)
    seconds = statistics.median(took[1:])
    rate = completions.size / seconds
    print(json.dumps({"seconds": seconds, "rate": rate, "redrawn": redrawn, "moved": moved}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks and print the table; 1 where one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu (default: cuda)")
    parser.add_argument("--quick", action="store_true", help="a smaller version, for the CPU")
    parser.add_argument("--backends", default=",".join(BACKENDS), help="torch, jax, or both")
    parser.add_argument("--only", default="", metavar="TEXT", help="checks whose name has this")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="packages this machine lacks")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep warm starts and compiled programs here"
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="train this language model")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table here as well")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all checks together")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        asked, folder, *given = json.loads(options.child)
        (text_child if asked == "text" else partial(child, asked))(Path(folder), *given)
        return 0
    backends = options.backends.split(",")
    if not set(backends) <= set(BACKENDS):
        parser.error(f"--backends {options.backends}: expected torch, jax, or torch,jax")
    table = Table({"device": options.device, "quick": options.quick}, options.json)
    with tempfile.TemporaryDirectory(prefix="gpu-check-", ignore_cleanup_errors=True) as name:
        folder, size = Path(name), QUICK if options.quick else FULL
        site = folder / "site"
        site.mkdir()
        sys.path.append(str(site))
        if options.cache:
            options.cache.mkdir(parents=True, exist_ok=True)
            (folder / ".sweep").mkdir()
            (folder / ".sweep" / "cache").symlink_to(options.cache.resolve())
        stages = Bench(folder, options.device, backends, size, site, options.model).stages()
        stages = [[check for check in stage if options.only in check.name] for stage in stages]
        if options.wheels:
            stages = [[Check("wheels", 30, lambda _: unpack(options.wheels, site))], *stages]
        run_checks([stage for stage in stages if stage], options.seconds * size.patience, table)
    return table.end()


if __name__ == "__main__":
    sys.exit(main())
