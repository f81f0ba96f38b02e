"""What every trainer must do, whatever it computes with: a backend's test class inherits this."""

from __future__ import annotations

import math
import os
import random
import sys
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import psutil
import pytest

from harness.errors import UsageError
from harness.executors.local import LocalExecutor
from harness.protocols import Finished
from harness.training import reference, schedules, tasks
from harness.training.tasks import Addition


@dataclass(frozen=True)
class BrokenReward(Addition):
    """The addition task, warm start and all, whose reward is sound for so many calls only."""

    sound: int = 0
    value: float = math.nan

    def reward(self, prompts, completions):
        calls = self.__dict__.setdefault("_calls", [])
        calls.append(len(prompts))
        rewards = super().reward(prompts, completions)
        return rewards if len(calls) <= self.sound else rewards + np.float32(self.value)

    def score(self, prompts, completions):
        return super().reward(prompts, completions)


@dataclass(frozen=True)
class OneSuccess(Addition):
    """The addition task, warm start and all, where the first completion of each prompt succeeds.

    ``batches`` keeps the completions of every call of the reward.
    """

    batches: list = field(default_factory=list, compare=False)

    def reward(self, prompts, completions):
        self.batches.append(completions)
        first = np.any(prompts != np.roll(prompts, 1, axis=0), axis=1)
        return first.astype(np.float32)


def timeless(outcome):
    """Return ``outcome`` without what differs from one execution to the next."""
    return replace(outcome, seconds=None, evaluation_seconds=None, peak_memory=None)


def assert_same_run(one, other, device):
    """Assert that two outcomes are of one run: bit for bit on a CPU, else within their errors.

    A GPU may add sums in another order each time. Step 1 shows no more of that than rounding.
    """
    if device == "cpu":
        assert timeless(one) == timeless(other)
        return
    assert one.status == other.status == "completed"
    first, second = one.trace[0], other.trace[0]
    assert first.completions == second.completions
    assert second.loss == pytest.approx(first.loss, abs=1e-4)
    assert second.grad_norm == pytest.approx(first.grad_norm, rel=1e-3)
    se = math.hypot(one.delta_perf_se, other.delta_perf_se)
    assert abs(one.delta_perf - other.delta_perf) <= 3 * se


class TrainerContract:
    """Set ``backend``, ``trainer`` and ``reference``, and define `train`."""

    backend: str
    trainer: str

    def train(self, job, notify):
        raise NotImplementedError

    def parameter_dtypes(self, precision):
        """Return the dtypes that a policy trained in ``precision`` keeps its weights in."""
        raise NotImplementedError

    @pytest.fixture
    def job(self, make_job, device):
        return partial(make_job, self.backend, trainer=self.trainer, device=device)

    @pytest.fixture
    def run(self, job):
        def run(notify=lambda progress: None, **changes):
            return self.train(job(**changes), notify)

        return run

    def test_it_learns_the_task(self, run):
        outcome = run(steps=30, evaluate_every=15, learning_rate=1e-7)
        assert outcome.status == "completed"
        assert outcome.delta_perf > 6 * outcome.delta_perf_se > 0
        assert outcome.train_delta_perf > 0

    def test_equal_jobs_give_equal_outcomes(self, run, device):
        assert_same_run(run(), run(), device)

    def test_other_randomness_does_not_matter(self, run, device):
        first = run()
        np.random.default_rng().random(7)
        np.random.seed(0)
        assert_same_run(run(), first, device)

    def library_state(self):
        """Return what the backend's library keeps for the whole process, to be compared."""
        raise NotImplementedError

    def test_the_process_is_left_as_it_was(self, run):
        """A notebook that trained inline goes on. (Torch sets a variable when it is first used.)"""

        def state():
            drawn = np.random.get_state()[1].tolist(), random.getstate()
            variables = {n: v for n, v in os.environ.items() if not n.startswith("TORCHINDUCTOR")}
            return variables, list(sys.path), drawn, self.library_state()

        before = state()
        run(steps=2, evaluate_every=2)
        assert state() == before

    def test_what_a_process_did_before_does_not_matter(self, run, job, device):
        """So a run that is trained again after a crash is the run that was lost."""
        run(steps=2, generations=24)
        here = run()
        with closing(LocalExecutor(workers=1)) as executor:
            executor.submit([job()])
            events = []
            while not any(isinstance(event, Finished) for event in events):
                events = executor.poll(60.0)
        (elsewhere,) = (event.outcome for event in events if isinstance(event, Finished))
        assert_same_run(elsewhere, here, device)
        assert elsewhere.peak_memory < 1.5 * 2**30

    def test_seeds_and_arms_differ(self, run):
        outcomes = {timeless(run(seed=seed)).trace for seed in (1, 2, 3)}
        assert len(outcomes) == 3
        main, null, chance = run(), run(arm="null"), run(arm="random")
        for useless in (null, chance):
            assert useless.perf_before == main.perf_before
            assert useless.trace[0].completions == main.trace[0].completions
            assert useless.trace[0].reward == main.trace[0].reward, "it is the task's in every arm"
        assert len({one.trace[0].grad_norm for one in (main, null, chance)}) == 3
        assert null.trace[0].no_signal == main.trace[0].no_signal
        assert chance.trace[0].no_signal <= main.trace[0].no_signal

    def test_a_placebo_measures_exactly_zero(self, run):
        outcome = run(arm="placebo", learning_rate=0.0, steps=4, evaluate_every=1)
        assert (outcome.delta_perf, outcome.delta_perf_se, outcome.prompts_changed) == (0.0, 0.0, 0)
        assert len({point.perf for point in outcome.curve}) == 1
        assert 0.05 < outcome.perf_before < 0.5

    def test_every_field_is_measured(self, run, device):
        outcome = run()
        assert outcome.status == "completed"
        assert outcome.error is None
        assert outcome.stopped_at is None
        assert (outcome.prompts, outcome.samples) == (512, 4)
        assert outcome.perf_before == outcome.curve[0].perf
        assert outcome.perf_after == outcome.curve[-1].perf
        assert outcome.delta_perf == pytest.approx(outcome.perf_after - outcome.perf_before)
        assert 0 < outcome.delta_perf_se < 0.05
        assert 6 <= outcome.prompts_changed <= 512
        differences = np.subtract(outcome.items.after, outcome.items.before)
        assert differences.mean() == pytest.approx(outcome.delta_perf)
        assert np.count_nonzero(differences) == outcome.prompts_changed
        assert 0 < outcome.evaluation_seconds < outcome.seconds
        assert 6 * 8 * 16 * 2 <= outcome.tokens <= 6 * 8 * 16 * 4
        # On a CPU that of the whole process, on a GPU that of the arrays.
        assert outcome.peak_memory > (2**26 if device == "cpu" else 2**20)
        assert outcome.device.startswith(device)
        assert len(outcome.weights) == 16
        for entry in outcome.trace:
            assert 0 < entry.entropy < math.log(16)
            assert entry.grad_norm > 0

    def test_the_curve_has_both_ends_and_every_interval(self, run):
        outcome = run(steps=7, evaluate_every=3)
        assert [point.step for point in outcome.curve] == [0, 3, 6, 7]
        assert [entry.step for entry in outcome.trace] == [1, 2, 3, 4, 5, 6, 7]

    def test_progress_comes_once_a_step_with_the_evaluations(self, run):
        seen = []
        outcome = run(seen.append, steps=7, evaluate_every=3)
        seen = [progress for progress in seen if progress.stage == "train"]
        assert [progress.step for progress in seen] == [0, 1, 2, 3, 4, 5, 6, 7]
        assert {progress.steps for progress in seen} == {7}
        points = [progress.evaluation for progress in seen if progress.evaluation]
        assert tuple(points) == outcome.curve
        rewards = [progress.reward for progress in seen[1:]]
        assert rewards == [entry.reward for entry in outcome.trace]

    @pytest.mark.parametrize("schedule", list(schedules.SCHEDULES))
    def test_learning_rates_are_the_schedule_s(self, run, schedule):
        outcome = run(lr_schedule=schedule, warmup_steps=2, learning_rate=1e-7, lr_transfer=5_000.0)
        expected = [schedules.learning_rate(schedule, step, 6, 5e-4, 2) for step in range(6)]
        assert [entry.learning_rate for entry in outcome.trace] == pytest.approx(expected)

    def test_steps_are_scaled_to_the_run(self, run):
        outcome = run(
            steps=6,
            declared_steps=12,
            warmup_steps=8,
            kl_warmup_steps=4,
            kl_coef=0.1,
            lr_schedule="constant",
        )
        rates = [entry.learning_rate for entry in outcome.trace]
        assert rates == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3, 1e-3])
        assert [bool(entry.kl) for entry in outcome.trace] == [False, False, True, True, True, True]
        assert [entry.kl for entry in outcome.trace[:2]] == [None, None]

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_a_reward_that_is_no_number_ends_the_run(self, run, monkeypatch, value):
        # Calls of the reward: one evaluation before the first step, then one a step.
        monkeypatch.setitem(tasks.TASKS, "broken", BrokenReward(sound=3, value=value))
        outcome = run(task="broken", steps=9, evaluate_every=9)
        assert outcome.status == "diverged"
        assert outcome.stopped_at == 3
        assert "reward is" in outcome.error
        assert "step 3 of 9" in outcome.error
        assert [entry.step for entry in outcome.trace] == [1, 2]
        assert [point.step for point in outcome.curve] == [0]
        assert outcome.delta_perf is None
        assert outcome.perf_before is not None

    def test_a_run_broken_from_the_start_keeps_an_empty_curve(self, run, monkeypatch):
        monkeypatch.setitem(tasks.TASKS, "broken", BrokenReward())
        outcome = run(task="broken")
        assert (outcome.status, outcome.stopped_at) == ("diverged", 0)
        assert (outcome.curve, outcome.trace, outcome.perf_before) == ((), (), None)

    def test_a_loss_that_is_no_number_ends_the_run(self, run):
        outcome = run(learning_rate=1e30, warmup_steps=0, steps=9, evaluate_every=9)
        assert outcome.status == "diverged"
        assert 1 < outcome.stopped_at <= 9
        assert len(outcome.trace) == outcome.stopped_at - 1
        assert "is nan" in outcome.error or "is inf" in outcome.error
        for entry in outcome.trace:
            assert math.isfinite(entry.loss)

    @pytest.mark.parametrize("precision", ["float32", "bfloat16"])
    def test_weights_keep_their_dtype(self, run, precision):
        assert set(self.parameter_dtypes(precision)) == {"float32"}
        outcome = run(precision=precision, steps=2)
        assert outcome.status == "completed"
        assert outcome.prompts_changed > 0

    def test_precisions_differ_but_agree_roughly(self, run):
        single, half = run(steps=2), run(steps=2, precision="bfloat16")
        assert single.trace != half.trace
        assert half.trace[0].entropy == pytest.approx(single.trace[0].entropy, rel=0.03)
        assert half.trace[0].grad_norm == pytest.approx(single.trace[0].grad_norm, rel=0.5)

    def test_microbatches_give_the_same_gradient(self, run):
        whole = run(steps=1, kl_warmup_steps=0)
        # Of 8 × 16 completions: whole groups with some over, and parts of a group with one over.
        for microbatch in (48, 5):
            parts = run(steps=1, kl_warmup_steps=0, microbatch=microbatch)
            for name in ("loss", "kl", "entropy", "grad_norm"):
                got, wanted = (getattr(o.trace[0], name) for o in (parts, whole))
                assert got == pytest.approx(wanted, rel=1e-4, abs=1e-6), (name, microbatch)

    @pytest.mark.parametrize(
        ("given", "clip"), [({}, 2.0), ({"advantage_clip": 0.5}, 0.5), ({"advantage_clip": 9}, 9.0)]
    )
    def test_advantages_are_clipped_as_the_config_says(self, run, monkeypatch, given, clip):
        # One success among 16: a normalised advantage of √15, and of −1/√15 for the others.
        task = OneSuccess()
        monkeypatch.setitem(tasks.TASKS, "one success", task)
        outcome = run(task="one success", steps=1, entropy_coef=0.0, kl_coef=0.0, **given)
        completions = next(batch for batch in task.batches if len(batch) == 8 * 16)
        mask = reference.completion_mask(completions, task.end).reshape(8, 16, -1)
        advantages = np.full((8, 16), max(-clip, -1 / math.sqrt(15)))
        advantages[:, 0] = min(clip, math.sqrt(15))
        expected = -(advantages[..., None] * mask).sum() / mask.sum()
        assert outcome.trace[0].loss == pytest.approx(expected, abs=1e-5)

    def test_memory_is_held_constant_over_steps(self, run, device):
        process, held = psutil.Process(), []
        run(lambda progress: held.append(process.memory_info().rss), steps=60, evaluate_every=60)
        # A GPU's driver loads what a step computes with when it is first used: the KL's at step 20.
        most = 4 * 2**20 if device == "cpu" else 64 * 2**20
        assert max(held[-10:-1]) - max(held[10:20]) < most

    def test_bad_configs_are_one_clear_line(self, run):
        with pytest.raises(UsageError, match="did you mean 'entropy_coef'") as caught:
            run(entropy_coeff=0.1)
        assert "\n" not in str(caught.value)
        with pytest.raises(UsageError, match="batch_size is 100000; expected at most the 7"):
            run(batch_size=100_000)
