"""A project whose trainer takes no time, and whose runs gain most at a rate that tests choose."""

from dataclasses import replace

from harness.training.backends import BACKENDS
from tests.training.text.test_model_files import weights

TRAINER = '''
import math, os, random
from harness.records import Evaluation, ItemScores, Outcome, Progress, StepTrace

def train(job, notify):
    """Gains most at the rate PEAK, falls above it, and diverges from a hundred times as much on."""
    run = job.run
    rate = run.config["learning_rate"] * job.conditions.lr_transfer
    with open(os.environ["TRAINED"], "a") as file:
        file.write(f"{rate:.3g} ")
    with open(os.environ["SAVED"], "a") as file:
        file.write(f"{job.checkpoint_every} ")
    if f"{rate:.3g}" == os.environ.get("FAILS"):
        raise RuntimeError("the disk of the GPU is on fire")
    if f"{rate:.3g}" == os.environ.get("STOPS"):
        raise KeyboardInterrupt
    x = math.log10(rate / float(os.environ.get("PEAK", "1e-5")))
    if x > 1.9:
        return Outcome("diverged", perf_before=0.3, stopped_at=2, error="loss is nan")
    height = float(os.environ.get("HEIGHT", "0.15"))
    gain = height * math.exp(-x * x / 0.7) if x < 0 else max(height - 0.35 * x, -0.25)
    rng = random.Random(f"{run.seed} {rate:.3g}")
    noise = [math.fsum(rng.random() for _ in range(12)) - 6 for _ in range(64)]
    before = [0.3 + 0.001 * n for n in range(64)]
    after = [b + gain + 0.15 * n for b, n in zip(before, noise)]
    gains = [a - b for a, b in zip(after, before)]
    mean = math.fsum(gains) / 64
    se = math.sqrt(math.fsum((g - mean) ** 2 for g in gains) / 63 / 64)
    trace = tuple(
        StepTrace(step, rate, 0.3, 0.01 * step, 1.5 - 0.02 * step, 1.0, 0.05,
                  no_signal=float(os.environ.get("NO_SIGNAL", "0.2")))
        for step in range(1, run.steps + 1)
    )
    notify(Progress("train", run.steps, run.steps, 0.3, Evaluation(run.steps, 0.4, 0.01, 0.4)))
    return Outcome("completed", perf_before=0.33, perf_after=0.33 + mean, delta_perf=mean,
                   delta_perf_se=se, prompts=64, samples=2, prompts_changed=64, trace=trace,
                   curve=(Evaluation(0, 0.33, 0.01, 0.33),), seconds=2.0, device="cpu",
                   items=ItemScores(after, before))
'''

SWEEPS = """
from harness import Choice, LogUniform, Sweep
from own_trainer import own

space = dict(learning_rate=LogUniform(8e-8, 4e-7), batch_size=8, generations=Choice(4, 8, 16))
sums = Sweep("sums", runs=8, steps=40, seed=3, space=space)
low = Sweep("low", runs=8, steps=12, seed=3, space=dict(space, lora_rank=8))
small = Sweep("small", runs=2, steps=40, task="addition", space=space)
mine = Sweep("mine", runs=4, steps=10, space=dict(x=1), trainer=own)

def test_run(run):
    run.train()
"""

TASK = ['{"task": {"max_tokens": 3, "samples": 2, "rewards": "exact"}}'] + [
    f'{{"prompt": "{n}+1=", "answer": "{n + 1}"}}' for n in range(40)
]


def write(path, monkeypatch):
    """Write such a project below ``path``, with a model and a task of text, and go there."""
    (path / "pytest.ini").write_text("[pytest]\n")
    (path / "experiments").mkdir()
    (path / "experiments" / "test_sums.py").write_text(SWEEPS)
    (path / "experiments" / "own_trainer.py").write_text("def own(job, notify): ...\n")
    (path / "trainer.py").write_text(TRAINER)
    (path / "sums.jsonl").write_text("\n".join(TASK))
    (path / "tiny").mkdir()
    (path / "tiny" / "config.json").write_text("{}")
    (path / "tiny" / "model.safetensors").write_bytes(weights(b"some"))
    monkeypatch.chdir(path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TRAINED", str(path / "trained.txt"))
    monkeypatch.setenv("SAVED", str(path / "saved.txt"))
    trainer = f"{path / 'trainer.py'}:train"
    for name, backend in BACKENDS.items():
        fake = replace(
            backend, libraries=(), text_libraries=(), trainer=trainer, text_trainer=trainer
        )
        monkeypatch.setitem(BACKENDS, name, fake)
    # Nothing reads the model, which is none.
    monkeypatch.setattr("harness.training.text.checks.check_runs", lambda *given, **more: None)
