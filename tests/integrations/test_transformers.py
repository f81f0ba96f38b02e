"""Runs that transformers' Trainer and TRL train are measured, stopped and resumed."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from harness.errors import UsageError
from harness.records import Conditions, Config, Job, Run
from harness.training.run import train

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.trl,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def example():
    """The example's trainer file, as a module."""
    path = ROOT / "experiments" / "examples" / "trl" / "recall_trainer.py"
    spec = importlib.util.spec_from_file_location("recall_trainer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def single_thread():
    from harness.training.device_torch import one_thread

    with one_thread():
        yield


class Interrupted(BaseException):
    """Ends a run as Ctrl-C does."""


class World:
    """Trains runs of TRL, with what is asked for of each, and keeps what they came to."""

    def __init__(self, job, example):
        self.job, self.example = job, example
        self.evaluations = 0
        self.weights = None
        self.trainer = None

    def evaluator(self, run, rows=12, samples=2):
        from harness.integrations.transformers import sampled_scores

        held_out = [{"prompt": prompt} for prompt in self.example.HELD_OUT[:rows]]
        score = sampled_scores(
            run,
            self.example.tiny_tokenizer(),
            held_out,
            self.example.share,
            max_tokens=4,
            samples=samples,
        )

        def evaluate(model):
            self.evaluations += 1
            return score(model)

        return evaluate

    def grpo(self, run, *, until=None, callbacks=(), prompts=256, rewards=None, **arguments):
        """Train with GRPO; it is interrupted after ``until`` steps, once they are saved."""
        from datasets import Dataset
        from transformers import TrainerCallback
        from trl import GRPOConfig, GRPOTrainer

        from harness.integrations.transformers import SweepCallback, trainer_arguments

        class Until(TrainerCallback):
            def on_step_begin(self, args, state, control, **_):
                if state.global_step == until:
                    raise Interrupted

        callback = SweepCallback(run, self.evaluator(run))
        rewards = [self.example.share] if rewards is None else rewards
        self.arguments = trainer_arguments(run) | dict(
            learning_rate=run.config["learning_rate"],
            lr_scheduler_type="constant",
            per_device_train_batch_size=16,
            num_generations=4,
            max_completion_length=4,
            bf16=False,
            gradient_checkpointing=False,
            logging_steps=1,
        )
        self.arguments |= arguments
        self.trainer = GRPOTrainer(
            model=self.example.tiny_model(),
            reward_funcs=[callback.rewards(one) for one in rewards],
            args=GRPOConfig(**self.arguments),
            train_dataset=Dataset.from_dict({"prompt": self.example.TRAIN[:prompts]}),
            eval_dataset=Dataset.from_dict({"prompt": self.example.HELD_OUT[:4]}),
            processing_class=self.example.tiny_tokenizer(),
            callbacks=[callback, Until(), *callbacks],
        )
        self.trainer.train(resume_from_checkpoint=callback.checkpoint)
        self.weights = weights_of(self.trainer.model)

    def train(self, how=None, *, every=None, told=None, arm="main", **asked):
        job = replace(self.job, checkpoint_every=every, run=replace(self.job.run, arm=arm))
        how = self.grpo if how is None else how
        notify = (lambda progress: None) if told is None else told.append
        return train(lambda run: how(run, **asked), job, notify)


def weights_of(model):
    return {name: weight.detach().clone().numpy() for name, weight in model.named_parameters()}


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.fixture
def world(tmp_path, example):
    """Return the world of a run of so many steps, evaluated every 3."""

    def of(steps=8, learning_rate=1e-2, metric=""):
        config = Config({"learning_rate": learning_rate})
        run = Run("toy-0", "toy", 0, "main", None, config, 3, steps, steps, evaluate_every=3)
        conditions = Conditions("t", "1", "torch", "float32", "cpu", "task", "1", "tiny")
        job = Job(
            "key",
            run,
            conditions,
            cache=str(tmp_path),
            log=str(tmp_path / "log"),
            folder=str(tmp_path / "runs" / "key"),
            checkpoint=str(tmp_path / "checkpoints" / "key"),
            metric=metric,
        )
        return World(job, example)

    return of


# ---- measurement ---------------------------------------------------------------------------------


def test_a_placebo_measures_exactly_zero(world):
    made = world(learning_rate=0.0)
    outcome = made.train()
    assert outcome.status == "completed"
    assert (outcome.delta_perf, outcome.delta_perf_se, outcome.prompts_changed) == (0.0, 0.0, 0)
    assert (outcome.prompts, outcome.samples) == (12, 2)
    assert [point.step for point in outcome.curve] == [0, 3, 6, 8]
    assert 0 < outcome.perf_before < 1
    assert len({point.perf for point in outcome.curve}) == 1


def test_a_run_that_learns_has_its_curve_and_training_reward(world):
    told = []
    outcome = world(steps=30, learning_rate=3e-2).train(told=told)
    assert outcome.delta_perf > 0.05
    assert outcome.train_delta_perf > 0.02
    assert outcome.perf_after - outcome.perf_before == pytest.approx(outcome.delta_perf)
    assert [point.step for point in outcome.curve] == [0, *range(3, 31, 3)]
    assert [progress.step for progress in told if progress.evaluation] == [0, *range(3, 31, 3)]
    assert {progress.step for progress in told} == {*range(31)}


def test_training_is_the_same_without_the_callback(world, example, tmp_path):
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    made = world()
    made.train()
    trainer = GRPOTrainer(
        model=example.tiny_model(),
        reward_funcs=example.share,
        args=GRPOConfig(**made.arguments | {"output_dir": str(tmp_path / "alone")}),
        train_dataset=Dataset.from_dict({"prompt": example.TRAIN}),
        processing_class=example.tiny_tokenizer(),
    )
    trainer.train()
    assert same(weights_of(trainer.model), made.weights)


# ---- interruption --------------------------------------------------------------------------------


CUTS = {
    "in the first epoch": dict(until=7),
    "in a later epoch": dict(until=7, prompts=8),
    "at the end of an epoch": dict(until=6, prompts=12),
    "between steps with the same completions": dict(until=7, num_iterations=2),
    "with several batches a step": dict(until=7, gradient_accumulation_steps=2),
    "with completions of four steps": dict(until=7, steps_per_generation=4),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_an_interrupted_run_ends_as_it_would_have_bit_for_bit(world, cut, tmp_path):
    cut = dict(cut)
    until = cut.pop("until")
    made = world(steps=9)
    whole, weights = made.train(every=3, **cut), made.weights
    assert made.evaluations == 4
    assert not [*tmp_path.rglob("checkpoint-*")], "a run that is done leaves no checkpoint"

    made.evaluations = 0
    with pytest.raises(Interrupted):
        made.train(every=3, until=until, **cut)
    evaluated = made.evaluations
    saved = sorted(folder.name for folder in tmp_path.rglob("checkpoint-*"))
    assert saved[-1] in ("checkpoint-4", "checkpoint-6")
    resumed = made.train(every=3, **cut)
    assert same(made.weights, weights)
    assert (resumed.curve, resumed.items) == (whole.curve, whole.items)
    assert resumed.delta_perf == whole.delta_perf
    assert resumed.train_delta_perf == whole.train_delta_perf
    done = int(saved[-1].split("-")[1])
    assert made.evaluations - evaluated == 1 + (done < 6), "what was measured is kept"


def test_a_run_interrupted_twice_keeps_two_checkpoints_at_most(world, tmp_path):
    made = world(steps=12)
    whole, weights = made.train(), made.weights
    for until in (5, 11):
        with pytest.raises(Interrupted):
            made.train(every=2, until=until)
        assert len([*tmp_path.rglob("checkpoint-*")]) == 2
    assert made.train(every=2).curve == whole.curve
    assert same(made.weights, weights)


def test_a_checkpoint_that_is_gone_costs_the_steps_and_not_the_run(world, tmp_path):
    import shutil

    made = world()
    whole, weights = made.train(), made.weights
    with pytest.raises(Interrupted):
        made.train(every=2, until=5)
    for folder in tmp_path.rglob("checkpoint-*"):
        shutil.rmtree(folder)
    assert made.train(every=2).curve == whole.curve
    assert same(made.weights, weights)


def test_a_trainer_that_does_not_continue_is_refused(world):
    from harness.integrations.transformers import SweepCallback

    made = world()
    with pytest.raises(Interrupted):
        made.train(every=2, until=5)

    def forgetful(run):
        callback = SweepCallback(run, lambda model: 0.5)
        callback.on_train_begin(ARGUMENTS, state(0, 8), None, model=None)

    with pytest.raises(UsageError, match="begins after step 0, the run after step 4: call trainer"):
        made.train(forgetful)


# ---- divergence and mistakes ---------------------------------------------------------------------

ARGUMENTS = SimpleNamespace(world_size=1, logging_nan_inf_filter=True)


def state(step, total):
    return SimpleNamespace(global_step=step, max_steps=total, epoch=0.0)
