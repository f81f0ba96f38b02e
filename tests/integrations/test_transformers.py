"""Runs that transformers' Trainer and TRL train are measured, stopped and resumed."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from harness.errors import UsageError
from harness.plugin.declared import discover
from harness.records import Conditions, Config, Job, Run
from harness.training.run import train

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "experiments" / "examples" / "trl"
CONDITIONS = Conditions("t", "1", "torch", "float32", "cpu", "task", "1", "tiny")

pytestmark = [
    pytest.mark.trl,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # those libraries warn of their own future
]


@pytest.fixture(scope="module")
def example():
    """The example's trainer file, as a module."""
    path = EXAMPLE / "recall_trainer.py"
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
        self.options = {}

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
            **self.options,
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
        job = Job(
            "key",
            run,
            CONDITIONS,
            cache=str(tmp_path),
            log=str(tmp_path / "log"),
            folder=str(tmp_path / "runs" / "key"),
            checkpoint=str(tmp_path / "checkpoints" / "key"),
            metric=metric,
        )
        return World(job, example)

    return of


# ---- measurement ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["float32", "bfloat16", "LoRA"])
def test_a_placebo_measures_exactly_zero(world, how):
    from peft import LoraConfig

    made = world(learning_rate=0.0)
    if how == "LoRA":
        made.options["peft_config"] = LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM")
    outcome = made.train(bf16=how == "bfloat16")
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
    import torch
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    def careless(model):
        assert not any(module.training for module in model.modules())
        draws = random.random(), np.random.random(), torch.rand(3)
        model.train()
        return [0.5 for _ in draws]

    made = world()
    made.evaluator = lambda run: careless
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
    "between steps with the same completions": dict(until=7, num_iterations=2, arm="null"),
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
    made = world()
    whole, weights = made.train(arm="null"), made.weights
    assert made.evaluations == 4
    with pytest.raises(Interrupted):
        made.train(every=2, until=5, arm="null")
    for folder in tmp_path.rglob("checkpoint-*"):
        shutil.rmtree(folder)
    assert made.train(every=2, arm="null").curve == whole.curve
    assert same(made.weights, weights)
    assert made.evaluations == 4 + 2 + 2, "what was measured is kept"


def test_a_trainer_that_does_not_continue_is_refused(world):
    from harness.integrations.transformers import SweepCallback

    made = world()
    with pytest.raises(Interrupted):
        made.train(every=2, until=5)

    def forgetful(run):
        callback = SweepCallback(run, lambda model: 0.5)
        state = SimpleNamespace(global_step=0, max_steps=8)
        callback.on_train_begin(SimpleNamespace(world_size=1), state, None, model=None)

    with pytest.raises(UsageError, match="begins after step 0, the run after step 4: call trainer"):
        made.train(forgetful)


# ---- rewards -------------------------------------------------------------------------------------


@pytest.fixture
def received(monkeypatch):
    """What TRL got from the reward functions: whether in training, the prompts, the rewards."""
    from trl import GRPOTrainer

    calls, original = [], GRPOTrainer._calculate_rewards

    def calculate(self, inputs, prompts, *given):
        rewards = original(self, inputs, prompts, *given)
        calls.append((self.model.training, prompts, rewards.numpy().copy()))
        return rewards

    monkeypatch.setattr(GRPOTrainer, "_calculate_rewards", calculate)
    return calls


def place(prompts, completions, trainer_state, log_metric, **_):
    """Reward each completion with its place in the batch."""
    assert trainer_state is not None
    log_metric("places", len(completions))
    return [float(number) for number in range(len(completions))]


async def even_place(completions, **_):
    """Reward only those in an even place."""
    return [number if number % 2 == 0 else None for number in range(len(completions))]


def evaluated_too(made):
    def train_and_evaluate(run, **asked):
        made.grpo(run, rewards=[place, even_place], **asked)
        made.trainer.evaluate()

    return train_and_evaluate


def test_the_null_arm_permutes_within_a_prompt_and_in_training_alone(world, received):
    made = world(steps=4)
    outcome = made.train(evaluated_too(made), arm="null")
    assert outcome.status == "completed"
    assert made.trainer.reward_func_names == ["place", "even_place"]
    trained = [(prompts, rewards) for training, prompts, rewards in received if training]
    evaluated = [rewards for training, _, rewards in received if not training]
    assert len(trained) == 4
    assert evaluated
    orders = []
    for prompts, rewards in trained:
        order = rewards[:, 0].astype(int)
        orders.append(order.tolist())
        assert sorted(order) == list(range(16))
        assert [prompts[at] for at in order] == prompts, "a reward stays with its prompt"
        odd = order % 2 == 1
        assert np.isnan(rewards[odd, 1]).all()
        assert (rewards[~odd, 1] == order[~odd]).all(), "one draw for all functions of a call"
    assert all(order != list(range(16)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4, "another draw for each call"
    for rewards in evaluated:
        assert rewards[:, 0].tolist() == list(range(len(rewards)))


def test_the_random_arm_tosses_a_coin_for_a_completion_and_in_training_alone(world, received):
    made = world(steps=4)
    outcome = made.train(evaluated_too(made), arm="random")
    assert outcome.status == "completed"
    trained = [rewards for training, _, rewards in received if training]
    evaluated = [rewards for training, _, rewards in received if not training]
    assert len(trained) == 4
    assert evaluated
    for rewards in trained:
        assert set(rewards.ravel()) == {0.0, 1.0}
        assert (rewards[:, 0] == rewards[:, 1]).all(), "one coin for all functions of a call"
    assert len({tuple(rewards[:, 0]) for rewards in trained}) == 4, "another one for each call"
    for rewards in evaluated:
        assert rewards[:, 0].tolist() == list(range(len(rewards)))


def test_the_main_arm_has_its_rewards_as_they_are(world, received):
    made = world(steps=2)
    made.train(evaluated_too(made))
    assert len(received) > 2
    for _, _, rewards in received:
        assert rewards[:, 0].tolist() == list(range(len(rewards)))


def test_a_reward_model_is_refused(world):
    import torch

    for model in (torch.nn.Linear(1, 1), "org/reward-model"):
        with pytest.raises(UsageError, match="got a reward model; expected a function"):
            world().train(rewards=[model])


# ---- other trainers ------------------------------------------------------------------------------

TEXTS = ["1 2 3 1 2 3", "4 5 6 4 5 6", "7 8 9 7 8 9", "0 1 2 0 1 2"] * 4


def held_out_loss(made, run):
    """Return a function that measures the loss of a model on text of its own."""
    import torch

    ids = torch.tensor(
        made.example.tiny_tokenizer()(text=["3 4 5 3 4 5", "8 9 0 8 9 0"])["input_ids"]
    )
    return lambda model: float(model(input_ids=ids, labels=ids).loss)


def supervised(kind, made, run, **arguments):
    """Train with a Trainer, SFTTrainer or DPOTrainer."""
    import transformers
    import trl
    from datasets import Dataset

    from harness.integrations.transformers import SweepCallback, trainer_arguments

    tokenizer = made.example.tiny_tokenizer()
    callback = SweepCallback(run, made.evaluate(made, run))
    arguments = (
        trainer_arguments(run)
        | dict(learning_rate=run.config["learning_rate"], per_device_train_batch_size=4)
        | dict(lr_scheduler_type="constant", logging_steps=1, bf16=False)
        | arguments
    )
    model = made.example.tiny_model()
    if kind == "Trainer":
        rows = [{"input_ids": ids, "labels": ids} for ids in tokenizer(text=TEXTS)["input_ids"]]
        given = dict(args=transformers.TrainingArguments(**arguments), train_dataset=rows)
        trainer = made.trainer_class(model=model, callbacks=[callback], **given)
    elif kind == "SFTTrainer":
        trainer = trl.SFTTrainer(
            model=model,
            args=trl.SFTConfig(**arguments, max_length=16),
            train_dataset=Dataset.from_dict({"text": TEXTS}),
            processing_class=tokenizer,
            callbacks=[callback],
        )
    else:
        pairs = {"prompt": ["1 2 3"] * 8, "chosen": ["1 2"] * 8, "rejected": ["7 8"] * 8}
        trainer = trl.DPOTrainer(
            model=model,
            ref_model=made.example.tiny_model(),
            args=trl.DPOConfig(**arguments, max_length=16),
            train_dataset=Dataset.from_dict(pairs),
            processing_class=tokenizer,
            callbacks=[callback],
        )
    trainer.train(resume_from_checkpoint=callback.checkpoint)
    made.weights = weights_of(trainer.model)


@pytest.fixture
def supervise(world):
    """Return a world that trains with another kind of Trainer."""
    import transformers

    def of(kind, evaluate=held_out_loss, trainer_class=transformers.Trainer, **asked):
        made = world(**{"metric": "loss"} | asked)
        made.evaluate, made.trainer_class = evaluate, trainer_class
        return made, lambda run, **arguments: supervised(kind, made, run, **arguments)

    return of


@pytest.mark.parametrize("kind", ["Trainer", "SFTTrainer", "DPOTrainer"])
def test_other_trainers_are_measured_and_resumed(supervise, kind):
    made, how = supervise(kind, steps=7)
    whole, weights = made.train(how), made.weights
    assert whole.status == "completed"
    assert [point.step for point in whole.curve] == [0, 3, 6, 7]
    assert whole.value == whole.curve[-1].perf != whole.curve[0].perf

    def interrupted(run):
        from harness.integrations.transformers import SweepCallback

        save = SweepCallback.on_save

        def stop(*given, **others):
            save(*given, **others)
            raise Interrupted

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SweepCallback, "on_save", stop)
            how(run)

    with pytest.raises(Interrupted):
        made.train(interrupted, every=5)
    resumed = made.train(how, every=5)
    assert same(made.weights, weights)
    assert str(resumed.curve) == str(whole.curve)  # its standard errors are nan


# ---- divergence ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Trainer", "SFTTrainer"])
def test_weights_that_are_not_finite_end_the_run(supervise, kind):
    made, how = supervise(kind, learning_rate=1e39)
    outcome = made.train(how)
    assert outcome.status == "diverged"
    assert outcome.stopped_at <= 2
    assert outcome.error.startswith("a weight is not finite at step ")
    assert [point.step for point in outcome.curve] == [0]


def test_a_loss_that_is_not_finite_ends_the_run_whatever_the_weights(supervise):
    import transformers

    class Breaks(transformers.Trainer):
        def compute_loss(self, *given, **others):
            loss = super().compute_loss(*given, **others)
            return loss + float("nan") if self.state.global_step == 4 else loss

    class KeepsWeights(transformers.TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model=None, **_):
            for weight in model.parameters():
                weight.grad.nan_to_num_(nan=0.0)

    class Trainer(Breaks):
        def __init__(self, *, callbacks, **given):
            super().__init__(callbacks=[*callbacks, KeepsWeights()], **given)

    made, how = supervise("Trainer", trainer_class=Trainer)
    outcome = made.train(how)
    assert (outcome.status, outcome.stopped_at) == ("diverged", 5)
    assert outcome.error == "the loss is nan at step 5 of 8"
    assert [point.step for point in outcome.curve] == [0, 3]


def test_a_model_that_cannot_be_measured_has_diverged(supervise):
    from harness.training.grpo import Diverged

    def evaluate(made, run):
        def scores(model, seen=[]):  # noqa: B006  it counts
            seen.append(model)
            if len(seen) == 2:
                raise Diverged("the logits of the model are not finite")
            return 0.5

        return scores

    made, how = supervise("Trainer", evaluate=evaluate)
    outcome = made.train(how)
    assert (outcome.status, outcome.stopped_at) == ("diverged", 3)
    assert outcome.error == "the logits of the model are not finite at step 3 of 8"


def test_a_training_function_can_end_its_run_from_a_reward(world):
    made = world()

    def train_until_bored(run):
        def bored(completions, trainer_state, **_):
            if trainer_state.global_step == 4:
                run.diverged(4, "nothing is learned")
            return [1.0] * len(completions)

        made.grpo(run, rewards=[bored])

    outcome = made.train(train_until_bored)
    assert (outcome.status, outcome.stopped_at) == ("diverged", 4)
    assert [point.step for point in outcome.curve] == [0, 3]


# ---- mistakes ------------------------------------------------------------------------------------


def test_training_that_ends_early_is_no_run(world):
    from transformers import TrainerCallback

    class Enough(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            control.should_training_stop = state.global_step == 5

    with pytest.raises(UsageError, match="training ended after step 5 of 8; a run takes all"):
        world().train(callbacks=[Enough()])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (dict(world_size=2), "measures a Trainer of one process, not of 2"),
        (dict(n_gpu=4), "the Trainer would train on all 4 GPUs: give each run its own with"),
        (dict(max_steps=100), r"the Trainer takes 100 steps, the run 8: give max_steps="),
        (dict(global_step=3), "the Trainer begins after step 3, the run after step 0: call"),
        (dict(twice=True), "was called twice"),
    ],
)
def test_a_trainer_that_does_not_fit_its_run_is_refused(world, changed, said):
    from harness.integrations.transformers import SweepCallback

    def unfit(run):
        callback = SweepCallback(run, lambda model: 0.5)
        args = SimpleNamespace(**dict(world_size=1, n_gpu=1) | changed)
        state = dict(max_steps=8, global_step=0, epoch=0.0) | changed
        callback._model = object() if "twice" in changed else None
        callback.on_train_begin(args, SimpleNamespace(**state), None, model=None)

    with pytest.raises(UsageError, match=said) as refused:
        world().train(unfit)
    assert "\n" not in str(refused.value)


def test_the_library_that_is_missing_is_named():
    code = """
import sys
sys.modules["transformers"] = None
try:
    import harness.integrations.transformers
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("UsageError harness.integrations.transformers needs ")
    assert done.stdout.endswith("pip install 'pytest-sweep[trl]'\n")


# ---- the example ---------------------------------------------------------------------------------


CONTINUES = "training continues from"


def outcome_of(name, example, folder):
    """Train a run of the example's sweep in this process, without an interruption."""
    found = discover([EXAMPLE])["recall"]
    run = next(run for run in found.plan() if run.id == name)
    job = Job("k", run, CONDITIONS, cache=str(folder), log="", folder=str(folder / "unbroken"))
    return train(example.train, job, lambda progress: None)


def test_the_example_that_is_killed_ends_as_it_would_have(tmp_path, example):
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "harness.plugin", "test_recall.py"]
    command += ["--sweep", "recall", "--sweep-runs", "2", "--sweep-workers", "1"]
    command += ["--sweep-checkpoint-every", "5"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    with (tmp_path / "first.txt").open("w") as output:
        session = subprocess.Popen(
            command, cwd=tmp_path, stdout=output, stderr=output, env=environment
        )
        try:
            until = time.monotonic() + 240
            while not [*tmp_path.glob(".sweep/checkpoints/*[0-9a-f]")]:
                assert session.poll() is None, (tmp_path / "first.txt").read_text()
                assert time.monotonic() < until
                time.sleep(0.01)
        finally:
            session.kill()
            session.wait()
    options = dict(capture_output=True, text=True, timeout=300)
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, **options)
    assert done.returncode == 0, done.stdout
    report = json.loads(
        (tmp_path / ".sweep" / "reports" / "recall-smoke" / "report.json").read_text()
    )
    runs = {run["id"]: run for run in report["runs"]}
    assert {run["status"] for run in runs.values()} == {"completed"}
    assert not [*tmp_path.rglob("checkpoint-*")]
    logs = [path for path in tmp_path.rglob("*.log") if CONTINUES in path.read_text()]
    assert logs, "no run went on from a checkpoint"
    for log in logs:
        run = next(run for name, run in runs.items() if name in log.name)
        unbroken = outcome_of(run["id"], example, tmp_path)
        assert [(point.step, point.perf, point.se) for point in unbroken.curve] == [
            (point["step"], point["perf"], point["se"]) for point in run["curve"]
        ]
        assert unbroken.delta_perf == run["delta_perf"]

    placebo = [run for run in runs.values() if run["arm"] == "placebo"]
    assert [(run["delta_perf"], run["delta_perf_se"]) for run in placebo] == [(0.0, 0.0)]
    null = [run for run in runs.values() if run["arm"] == "null"]
    assert len(null) == 2
    gained = sum(run["delta_perf"] - runs[run["pair"]]["delta_perf"] for run in null)
    assert gained < 0, "useless rewards teach less"
