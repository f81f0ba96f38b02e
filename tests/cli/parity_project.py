"""A project whose backends are fakes that train in no time, and log what they have trained."""

import json
import shlex
from dataclasses import replace

from harness import cli
from harness.training.backends import BACKENDS

TRAINERS = '''
import os, random, time
from harness.records import Evaluation, Outcome, Progress, StepTrace

def train(job, notify):
    """Trains in no time; jax parts from torch halfway, by as much as its environment says."""
    run, name = job.run, job.conditions.backend
    with open(os.environ["TRAINED"], "a") as file:
        file.write(f"{name}-{run.index:02d} ")
    mode = os.environ.get(f"MODE_{name}_{run.index}")
    if mode == "fails":
        raise RuntimeError("the disk of the GPU is on fire")
    if mode == "diverges":
        return Outcome("diverged", perf_before=0.1, stopped_at=3, error="loss is nan at step 3")
    if mode == "waits":
        time.sleep(60)
    rng = random.Random(run.seed)
    before, gain = 0.1 + 0.02 * rng.random(), 0.1 + 0.05 * rng.gauss(0, 1)
    gain += 0.001 * rng.gauss(0, 1) * (name == "jax")
    gain += float(os.environ.get("SHIFT", "0")) * (name == "jax")
    parted = [step * 2 > run.steps and name == "jax" for step in range(1, run.steps + 1)]
    trace = tuple(
        StepTrace(step, 1e-7, 0.1, None, 1.5, 1.0, 0.05, step + 1000 * parted[step - 1])
        for step in range(1, run.steps + 1)
    )
    notify(Progress("train", run.steps, run.steps, 0.1, Evaluation(run.steps, 0.2, 0.01, 0.2)))
    return Outcome("completed", perf_before=before, perf_after=before + gain, delta_perf=gain,
                   delta_perf_se=0.01, prompts=512, samples=4, prompts_changed=99, trace=trace,
                   curve=(Evaluation(0, before, 0.01, before),), seconds=0.01, device="cpu")
'''

SWEEPS = """
from harness import Choice, LogUniform, Sweep
from harness.claims import success_rate
from own_trainer import own

space = dict(learning_rate=LogUniform(1e-7, 1e-6), batch_size=8, generations=Choice(4, 8))
asked = dict(success_above_half=success_rate.above(0.5))
toy = Sweep("toy", runs=8, steps=10, seed=3, space=space, arms=dict(null=4), questions=asked)
small = Sweep("small", runs=3, steps=10, seed=3, space=space, margin=0.001, alpha=0.01)
fixed = Sweep("fixed", runs=4, steps=10, space=space, sampler="latin_hypercube")
odd = Sweep("odd", runs=4, steps=10, space=dict(space, batch_size=Choice(8, 0)))
mine = Sweep("mine", runs=4, steps=10, space=dict(x=1), trainer=own)
"""


class Project:
    """A project whose backends are fakes, and what they have trained."""

    def __init__(self, path, capsys, monkeypatch):
        self.path, self._capsys = path, capsys
        self._log = path / "trained.txt"
        (path / "pytest.ini").write_text("[pytest]\n")
        folder = path / "experiments"
        folder.mkdir()
        (folder / "test_toy.py").write_text(SWEEPS)
        (folder / "own_trainer.py").write_text("def own(job, notify): ...\n")
        (path / "trainers.py").write_text(TRAINERS)
        monkeypatch.chdir(path)
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("TRAINED", str(self._log))
        for name, backend in BACKENDS.items():
            fake = replace(backend, libraries=(), trainer=f"{path / 'trainers.py'}:train")
            monkeypatch.setitem(BACKENDS, name, fake)

    def sweep(self, line):
        """Run the command; return status, output and errors."""
        self._capsys.readouterr()
        try:
            status = cli.main(shlex.split(line))
        except SystemExit as left:
            status = left.code
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def data(self, line):
        status, out, _err = self.sweep(f"{line} --json")
        assert status == 0
        return json.loads(out)

    @property
    def trained(self):
        """What has been trained so far, as ``torch-00``, in order; forgotten once it is read."""
        done = self._log.read_text().split() if self._log.exists() else []
        self._log.unlink(missing_ok=True)
        return done


def both(*indices):
    return [f"{name}-{index:02d}" for name in ("torch", "jax") for index in indices]
