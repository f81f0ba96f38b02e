"""Measure runs that transformers' Trainer or TRL trains: curve, divergence, checkpoints, resume.

Works with `Trainer` and what derives from it, such as TRL's `SFTTrainer`, `DPOTrainer` and
`GRPOTrainer`, in one process.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from harness.errors import UsageError
from harness.text import plural
from harness.training.grpo import Diverged
from harness.training.rewards import Rewarding
from harness.training.text.prompts import require_disjoint

if TYPE_CHECKING:
    from harness.training.run import TrainingRun

try:
    import torch
    from transformers import TrainerCallback

    from harness.training.text.sampling_torch import sampled_scores, undisturbed
except ImportError as error:
    raise UsageError(
        f"harness.integrations.transformers needs Transformers and Torch ({error}): "
        "pip install 'pytest-sweep[trl]'"
    ) from error

__all__ = ["SweepCallback", "require_disjoint", "sampled_scores", "trainer_arguments"]

# Transformers' types, which a type checker need not have installed.
Model: TypeAlias = Any
Arguments: TypeAlias = Any
State: TypeAlias = Any
Control: TypeAlias = Any


def trainer_arguments(run: TrainingRun) -> dict[str, Any]:
    """Return the arguments of a Trainer that its run decides, for ``GRPOConfig(**…, …)``.

    These are ``output_dir``, ``max_steps``, ``seed`` and ``use_cpu``. Checkpoints are saved by the
    callback alone, nothing is sent to trackers, and there is no progress bar in the run's log.
    """
    is_cpu = run.device == "cpu"
    return {
        "output_dir": str(run.folder),
        "max_steps": len(run.steps()),
        "seed": run.seed % 2**32,  # NumPy takes no larger one
        "use_cpu": is_cpu,
        "dataloader_pin_memory": not is_cpu,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


class SweepCallback(TrainerCallback):  # type: ignore[misc]
    """Measures a run while a Trainer trains it.

    ``evaluate`` is called with the model before the first step, at every point of the learning
    curve and after the last step. The model is then in evaluation mode, and random states are put
    back afterwards, so that training is the same as without it.

    The run has diverged where a weight that is trained is not finite after a step, or a logged loss
    is not. A Trainer hides such a loss; the callback turns ``logging_nan_inf_filter`` off.

    A checkpoint of the Trainer's own is saved in the run's folder every
    ``--sweep-checkpoint-every`` steps. Where GRPO takes several steps with the same completions,
    that is put off until it draws new ones, since no checkpoint has them. Pass `checkpoint` on to
    continue an interrupted run: ``trainer.train(resume_from_checkpoint=callback.checkpoint)``.

    Parameters
    ----------
    run
        The run. The callback calls its ``restored``, ``before``, ``log``, ``after``, ``progress``
        and ``save``: call none of them yourself.
    evaluate
        Returns the scores of a model, as ``run.before`` takes them. Equal weights must have equal
        scores, as `sampled_scores` makes sure.
    items, clusters
        Ids of the held-out items and the groups that they belong to, as ``run.before`` takes them.
    """

    def __init__(
        self,
        run: TrainingRun,
        evaluate: Callable[[Model], object],
        *,
        items: Sequence[object] | None = None,
        clusters: Sequence[object] | None = None,
    ) -> None:
        self.run = run
        self.evaluate = evaluate
        self._named: dict[str, Any] = {"items": items, "clusters": clusters}
        self._total = len(run.steps())
        saved = run.restored() or {"step": 0}
        self._recorded: int = saved["step"]
        self._saved = [Path(run.folder / saved["folder"])] if "folder" in saved else []
        self._is_saving = False
        self._batches = 0
        self._reward: float | None = None
        self._broken: tuple[int, str] | None = None
        self._model: Model = None

    @property
    def checkpoint(self) -> str | None:
        """The folder of the checkpoint to continue from; None to begin at the first step."""
        return str(self._saved[-1]) if self._saved and self._saved[-1].is_dir() else None

    def rewards(self, function: Rewarding) -> Rewarding:
        """Return a reward function for the Trainer; ``run.rewards`` says what the arms make of it.

        A group is the completions of a prompt. Where TRL evaluates, rewards stay as they are.
        Raises `UsageError` for a reward model.
        """
        return self.run.rewards(function, group="prompts", training=self._is_training)

    # ---- what the Trainer calls ------------------------------------------------------------------

    def on_train_begin(
        self,
        args: Arguments,
        state: State,
        control: Control,
        model: Model = None,
        **others: object,
    ) -> None:
        self._check(args, state)
        args.logging_nan_inf_filter = False
        self._model = model
        if state.global_step:
            _advance(others.get("train_dataloader"), int(state.epoch))
        elif self._recorded:
            self.run.progress(0)  # its checkpoint is gone: it begins again
        else:
            self._measure(model, lambda scores: self.run.before(scores, **self._named))

    def on_substep_end(
        self, args: Arguments, state: State, control: Control, **others: object
    ) -> None:
        self._batches += 1

    def on_step_end(
        self,
        args: Arguments,
        state: State,
        control: Control,
        model: Model = None,
        **others: object,
    ) -> None:
        self._batches += 1
        step = state.global_step
        if self._broken is None and not _is_finite(model):
            self._broken = step, "a weight is not finite"
        if self._broken is None and self._evaluates(step):
            self._measure(model, lambda scores: self.run.log(step, scores), step)
        if self._broken is not None:
            control.should_training_stop = True
            return
        if step < self._total:  # the last step is reported with its scores
            self.run.progress(step)
        self._is_saving |= self.run.saves(step)
        if self._is_saving and step < self._total and self._batches % _reused(args) == 0:
            control.should_save = True

    def on_log(
        self,
        args: Arguments,
        state: State,
        control: Control,
        logs: Mapping[str, Any] | None = None,
        **others: object,
    ) -> None:
        logs = logs or {}
        if "train_runtime" in logs:  # the summary at the end, of means over all steps
            return
        step, loss = state.global_step, logs.get("loss", 0.0)
        if self._broken is None and not math.isfinite(loss):
            self._broken = step, f"the loss is {loss}"
            control.should_training_stop = True
        if "reward" in logs and step > self._recorded:
            self._reward = logs["reward"]
            if step < self._total:
                self.run.progress(step, self._reward)

    def on_save(self, args: Arguments, state: State, control: Control, **others: object) -> None:
        if not self._is_saving:
            return  # saved for another reason
        self._is_saving = False
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        _write_out(folder)
        name = os.path.relpath(folder, self.run.folder)
        self.run.save({"folder": name, "step": state.global_step}, state.global_step)
        # The one before this is kept, for this save is being written still.
        self._saved = [*self._saved[-1:], folder]
        for other in Path(args.output_dir).glob("checkpoint-*"):
            if other not in self._saved:
                shutil.rmtree(other, ignore_errors=True)

    def on_train_end(
        self,
        args: Arguments,
        state: State,
        control: Control,
        model: Model = None,
        **others: object,
    ) -> None:
        if self._broken is None and state.global_step < self._total:
            raise UsageError(
                f"training ended after step {state.global_step} of {self._total}; a run takes all "
                "of its steps: remove what stops it, or declare the sweep with fewer steps"
            )
        if self._broken is None:
            self._measure(model, lambda scores: self.run.after(scores, **self._named), self._total)
            self.run.progress(self._total, self._reward)
        for folder in self._saved:
            shutil.rmtree(folder, ignore_errors=True)
        if self._broken is not None:
            self.run.diverged(*self._broken)

    # ---- its parts -------------------------------------------------------------------------------

    def _check(self, args: Arguments, state: State) -> None:
        if args.world_size > 1:
            raise UsageError(
                f"SweepCallback measures a Trainer of one process, not of {args.world_size}: start "
                "no others in a run"
            )
        if getattr(args, "n_gpu", 1) > 1:
            raise UsageError(
                f"the Trainer would train on all {args.n_gpu} GPUs: give each run its own with "
                "--sweep-gpus"
            )
        if self._model is not None:
            raise UsageError("trainer.train() was called twice; a run is trained once")
        if state.max_steps != self._total:
            raise UsageError(
                f"the Trainer takes {plural(state.max_steps, 'step')}, the run {self._total}: give "
                f"max_steps=len(run.steps()), or **trainer_arguments(run)"
            )
        done = 0 if self.checkpoint is None else self._recorded
        if state.global_step != done:
            raise UsageError(
                f"the Trainer begins after step {state.global_step}, the run after step {done}: "
                "call trainer.train(resume_from_checkpoint=callback.checkpoint)"
            )

    def _is_training(self) -> bool:
        """Return whether the model is being trained; TRL puts it into evaluation mode else."""
        return self._model is not None and bool(self._model.training)

    def _evaluates(self, step: int) -> bool:
        """Return whether to measure after ``step``. What an interrupted run recorded is kept."""
        return self._recorded < step < self._total and self.run.evaluates(step)

    def _measure(self, model: Model, record: Callable[[object], None], step: int = 0) -> None:
        try:
            with undisturbed(model), torch.no_grad():
                scores = self.evaluate(model)
        except Diverged as diverged:
            self._broken = step, str(diverged)
        else:
            record(scores)


def _is_finite(model: Model) -> bool:
    """Return whether all weights that are trained are finite."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    # One transfer to the host, also where a model is spread over devices.
    device = trained[0].device
    return bool(torch.stack([weight.isfinite().all().to(device) for weight in trained]).all())


def _reused(args: Arguments) -> int:
    """Return how many batches GRPO takes from the completions that it draws at once."""
    return int(getattr(args, "steps_per_generation", 1) or 1) * int(
        getattr(args, "num_iterations", 1)
    )


def _advance(loader: object, epochs: int) -> None:
    """Draw the orders of the epochs that are done, where a sampler would draw the first again.

    TRL's sampler draws an order of the prompts for each epoch, one after another. A resumed Trainer
    makes a new one. Samplers that are told the epoch need nothing.
    """
    sampler: Any = getattr(loader, "batch_sampler", None)
    while hasattr(sampler, "batch_sampler"):
        sampler = sampler.batch_sampler
    sampler = getattr(sampler, "sampler", None)
    if isinstance(getattr(sampler, "generator", None), torch.Generator):
        for _ in range(0 if hasattr(sampler, "set_epoch") else epochs):
            next(iter(sampler))


def _write_out(folder: Path) -> None:
    """Write a checkpoint's files to the disk itself, so that they survive if the power fails."""
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
