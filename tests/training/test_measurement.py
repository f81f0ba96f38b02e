"""Perf, its standard error, and the paired difference."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.training import measurement
from harness.training.grpo import Diverged
from harness.training.measurement import HeldOut
from harness.training.tasks import get_task

ROOT = Path(__file__).parents[2]
TASK = get_task("addition")


def scores(seed, rate=0.3, prompts=40):
    draws = np.random.default_rng(seed)
    return (draws.random((prompts, 4)) < rate).astype(np.float32)


def test_the_standard_error_is_over_prompts():
    sample = scores(1)
    point = measurement.evaluation(7, sample, 2 * sample)
    per_prompt = sample.mean(axis=1)
    assert point.step == 7
    assert point.perf == pytest.approx(per_prompt.mean())
    assert point.reward == pytest.approx(2 * per_prompt.mean())
    assert point.se == pytest.approx(np.std(per_prompt, ddof=1) / np.sqrt(40))


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_difference_is_paired_by_prompt(one, other):
    before, after = scores(one), scores(other, rate=0.5)
    difference = measurement.paired_difference(before, after)
    change = after.mean(axis=1) - before.mean(axis=1)
    assert difference.delta == pytest.approx(after.mean() - before.mean(), abs=1e-7)
    assert difference.se == pytest.approx(np.std(change, ddof=1) / np.sqrt(40))
    assert difference.prompts_changed == np.count_nonzero(change)


def test_no_change_is_exactly_zero():
    difference = measurement.paired_difference(scores(3), scores(3))
    assert (difference.delta, difference.se, difference.prompts_changed) == (0.0, 0.0, 0)


def test_training_reward_compares_the_last_interval_with_the_first():
    rewards = [0.0, 0.2, 0.5, 0.5, 0.9, 0.7]
    assert measurement.train_difference(rewards, 2) == pytest.approx(0.8 - 0.1)
    assert measurement.train_difference(rewards, 10) == pytest.approx(2.1 / 3 - 0.7 / 3)
    assert measurement.train_difference([0.1, 0.4], 10) == pytest.approx(0.3)
    assert measurement.train_difference([0.1], 10) is None
    assert measurement.train_difference([], 10) is None


class TestHeldOut:
    @staticmethod
    def held_out(sample, seed=1):
        return HeldOut(TASK, seed, sample)

    def test_the_noise_is_the_same_at_every_evaluation(self):
        asked = []

        def sample(prompts, noise):
            asked.append((prompts.copy(), noise.copy()))
            return np.repeat(TASK.demonstrations(prompts)[:, None], 4, axis=1)

        held_out = self.held_out(sample)
        held_out.evaluate(0)
        held_out.evaluate(9)
        for first, second in zip(*asked, strict=True):
            np.testing.assert_array_equal(first, second)
        assert asked[0][1].shape == (512, 4, 4)
        assert [point.step for point in held_out.curve] == [0, 9]
        assert {point.perf for point in held_out.curve} == {1.0}
        assert (self.held_out(sample, seed=2).noise != held_out.noise).any()

    def test_the_difference_is_from_the_first_to_the_last(self):
        right = [0, 100, 512, 300]

        def sample(prompts, noise):
            completions = np.full((512, 4, 4), TASK.end)
            count = right[len(held_out.curve)]
            completions[:count] = TASK.demonstrations(prompts[:count])[:, None]
            return completions

        held_out = self.held_out(sample)
        for step in range(4):
            held_out.evaluate(step)
        difference = held_out.difference()
        assert difference.delta == pytest.approx(300 / 512)
        assert difference.prompts_changed == 300
        assert held_out.seconds > 0
        items = held_out.items()
        assert np.subtract(items.after, items.before).mean() == difference.delta
        assert (set(items.before), set(items.after)) == ({0.0}, {0.0, 1.0})
        a, b = (
            int("".join(map(str, number)))
            for number in np.split(TASK.prompts("held_out")[0, [0, 1, 3, 4]], 2)
        )
        assert items.ids[0] == f"{a}+{b}"
        assert len(set(items.ids)) == 512

    def test_a_score_that_is_no_number_is_no_point_of_the_curve(self, monkeypatch):
        held_out = self.held_out(lambda prompts, noise: np.zeros((512, 4, 4), dtype=np.int64))
        monkeypatch.setattr(type(TASK), "score", lambda *a: np.full(2048, np.nan, np.float32))
        with pytest.raises(Diverged, match="held out score is nan"):
            held_out.evaluate(0)
        assert held_out.curve == []


def test_peak_memory_is_in_bytes_and_never_falls():
    before = measurement.peak_memory()
    assert 2**23 < before < 2**40
    block = np.ones(2**24)
    after = measurement.peak_memory()
    assert after >= before
    assert after >= block.nbytes


def test_peak_memory_is_this_process_s_own():
    """A process begins with what it holds itself, not with what the one that started it held."""
    ours = np.ones(2**26)  # 512 MiB
    command = "from harness.training.measurement import peak_memory; print(peak_memory())"
    done = subprocess.run(
        [sys.executable, "-c", command], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert ours.nbytes < measurement.peak_memory()
    assert 2**22 < int(done.stdout) < ours.nbytes
