"""A run as a training function sees it: scores go in, and all that is stored comes out."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from harness.errors import UsageError, blamed, short
from harness.protocols import Notify
from harness.records import USELESS, Evaluation, Job, Outcome, Progress
from harness.training.backends import own_device
from harness.training.checkpoints import Checkpoint, packed, unpacked
from harness.training.command import Point, Program, arguments
from harness.training.record import DivergedError, Record
from harness.training.rewards import ArmRewards, Rewarding, wrapped
from harness.training.schedules import scale_steps
from harness.training.scores import read

TrainingFunction = Callable[["TrainingRun"], object]


class TrainingRun:
    """One run of a sweep, handed to a training function ``def train(run)``.

    The function gives the scores that it measures, or returns the final value of the sweep's own
    metric; everything else that is stored is derived.

    Attributes
    ----------
    config
        The parameters of the run, by name.
    id
        What the run is called.
    seed
        A whole number to seed everything random with.
    metric
        The name of the sweep's own metric; empty where ΔPerf is measured.
    cache
        A folder that all runs share, for what is costly to make.
    """

    def __init__(self, job: Job, notify: Notify) -> None:
        run = job.run
        self.config = run.config
        self.id = run.id
        self.seed = run.seed
        self.metric = job.metric
        self.cache = Path(job.cache)
        self._job = job
        self._notify = notify
        self._total = run.steps
        self._step = 0  # the step at hand
        self._told = -1  # the last step that was reported
        self._done = 0  # the step that a checkpoint ended at
        self._continues = False  # the function has taken the state of a checkpoint
        self._state: Mapping[str, object] = {}  # as it was last saved
        self._process = os.getpid()
        self._has_ended = False
        self._minds_arm = run.arm not in USELESS
        self._record = Record(job, self._tell)
        self._checkpoint = Checkpoint(job, record="1")  # raised whenever its state changes

    @property
    def arm(self) -> str:
        """The arm that the run belongs to, such as ``main``, ``placebo`` or ``null``."""
        self._minds_arm = True
        return self._job.run.arm

    # ---- steps -----------------------------------------------------------------------------------

    def steps(self) -> Steps:
        """Iterate over the steps to take, from 1 or from where a checkpoint ended.

        ``len()`` of it is the number of all steps of the run.
        """
        return Steps(self, self._done, self._total)

    def evaluates(self, step: int) -> bool:
        """Return whether the learning curve has a point after ``step`` steps.

        That is every ``evaluate_every`` of the sweep, and the last.
        """
        return step % self._job.run.evaluate_every == 0 or step == self._total

    def scaled(self, steps: int) -> int:
        """Return a number of steps, such as a warmup, in proportion to the steps of this run.

        A run has fewer steps than its sweep declares in the arm ``half`` and under
        ``--sweep-steps``.
        """
        return scale_steps(steps, self._total, self._job.run.declared_steps)

    def progress(self, step: int, reward: float | None = None) -> None:
        """Report that ``step`` steps are done, with the mean reward of the last training batch.

        `steps` does so by itself; other loops, such as a library's callback, call it. The rewards
        give the ``train_delta_perf`` of the run.
        """
        self._require_use("run.progress")
        self._step = step
        if reward is not None and math.isfinite(reward):
            self._record.rewards.append(float(reward))
        if step > self._told:
            self._told = step
            self._notify(Progress("train", step, self._total, reward))

    # ---- scores ----------------------------------------------------------------------------------

    def before(
        self,
        scores: object,
        se: float | None = None,
        items: Iterable[object] | None = None,
        clusters: Iterable[object] | None = None,
    ) -> None:
        """Record the held-out scores before training: the start of ΔPerf and of the curve.

        Ignored where the run continues from a checkpoint, which has them.

        Parameters
        ----------
        scores
            A score from 0 to 1 for each held-out item, ``[items]`` or ``[items, samples]``, in a
            list or an array of NumPy, Torch or JAX; or one number.
        se
            The standard error of the number; not with scores by item, which have their own.
        items
            An id for each item.
        clusters
            For each item the group that it belongs to, where items of a group are alike.

        Raises
        ------
        UsageError
            Where the scores cannot be used, or come too late; the message has the caller's line.
        """
        self._require_use("run.before")
        if not (self._continues and self._record.has_before):
            found = read("run.before", scores, se, items, clusters)
            self._record.before("run.before", found, self._step)

    def log(
        self,
        step: int,
        scores: object,
        se: float | None = None,
        *,
        reward: float | None = None,
    ) -> None:
        """Record a point of the learning curve: the held-out scores after ``step`` steps.

        Parameters
        ----------
        step
            From 1 to the number of the run's steps, and after the step of the last call.
        scores, se
            As in `before`, of the same items.
        reward
            The mean reward of the same completions, where it is another number than the score.

        Raises
        ------
        UsageError
            Where the scores cannot be used, or ``step`` is out of order; the message has the
            caller's line.
        """
        self._require_use("run.log")
        self._record.log("run.log", step, read("run.log", scores, se), reward)
        self._step = step

    def after(
        self,
        scores: object,
        se: float | None = None,
        items: Iterable[object] | None = None,
        clusters: Iterable[object] | None = None,
    ) -> None:
        """Record the held-out scores after training, of the same items as `before`.

        They are the last point of the curve too, in the place of a `log` at the last step. The
        parameters are those of `before`; where both name the items, their order may differ.

        Raises
        ------
        UsageError
            Where the scores cannot be used, or there are none from before training and the sweep
            measures ΔPerf; the message has the caller's line.
        """
        self._require_use("run.after")
        self._record.after("run.after", read("run.after", scores, se, items, clusters))

    def diverged(self, step: int | None = None, why: str = "") -> NoReturn:
        """End the run as diverged at ``step``, by default the present one.

        Do not catch what it raises. The run keeps its curve, is not trained again, and counts as no
        success. A score that is not finite does the same.
        """
        raise DivergedError(self._step if step is None else step, why or "training diverged")

    # ---- rewards and programs --------------------------------------------------------------------

    def rewards(
        self,
        function: Rewarding,
        group: int | str | None = None,
        training: Callable[[], bool] | None = None,
    ) -> Rewarding:
        """Return a reward function whose rewards say nothing in the arms ``null`` and ``random``.

        In ``null`` they are permuted within their group, None entries with them. In ``random``
        each is 0 or 1 by the toss of a fair coin, None or not. The draw is keyed by the run's seed,
        the step and the number of the call within the step: one for all the functions of a call. In
        the other arms they are left as they are. Name, arguments and ``async`` stay.

        Parameters
        ----------
        function
            Returns the rewards of a batch: a list or array ``[completions]``, or ``[groups,
            completions]``, where each row is a group.
        group
            How many rewards in order are a group; or the name of an argument that is equal within
            one, such as ``"prompts"``. None for the whole batch.
        training
            Tells whether the present call is one of training; the rewards of others are left alone.

        Raises
        ------
        UsageError
            Where ``function`` is no function, such as a reward model, or, when it is called, where
            its rewards are none or ``group`` does not fit them; the message has the user's line.
        """
        rewarded = ArmRewards(self.arm, self.seed, lambda: self._step)
        return wrapped(function, rewarded, group, training)

    def command(
        self,
        argv: Sequence[object],
        metric: str | re.Pattern[str] | None = None,
        *,
        curve: re.Pattern[str] | None = None,
        file: str | os.PathLike[str] | None = None,
        env: Mapping[str, object] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> Any:  # noqa: ANN401  a number, or a list with one for each item
        """Run a program, record the scores that it prints, and return the last.

        It gets the config as variables of its environment: ``SWEEP_CONFIG`` is JSON,
        ``SWEEP_LEARNING_RATE`` and the like have one parameter each, and ``SWEEP_SEED``,
        ``SWEEP_STEPS``, ``SWEEP_EVALUATE_EVERY``, ``SWEEP_ID``, ``SWEEP_ARM`` and ``SWEEP_FOLDER``
        the rest; ``config.json`` in `folder` is the config too. Its output goes to the run's log as
        it comes. With all that it has started it is ended when it leaves something behind, when it
        is out of time, and when this run is interrupted.

        A line of its standard output that is a JSON object with ``step`` and the metric is a point
        of the curve, recorded at once: step 0 as by `before`, the others as by `log`. An entry
        ``se`` is the standard error.

        Parameters
        ----------
        argv
            The program and its arguments; ``{learning_rate}``, ``{seed}``, ``{folder}`` and the
            like are replaced. `arguments` has all parameters.
        metric
            The score's name in JSON lines, dots for objects in objects; or a pattern whose one
            group finds it. By default the sweep's own metric.
        curve
            A pattern whose two groups find a step and the score after it, in a line.
        file
            A file, in `folder`, that the program writes the last score to: JSON, lines of it, or
            what the pattern finds.
        env, cwd
            More variables, and the folder to run in; by default that of the training function.

        Returns
        -------
        float or list
            The metric as it came last, in the file or else in the output; None where no ``metric``
            is asked for and none came.

        Raises
        ------
        UsageError
            Where the program cannot be started, the metric never came, or is no number.
        HarnessError
            Where it ends with another status than 0.
        """
        self._require_use("run.command")
        self._minds_arm = True  # the program is told
        program = Program(self._job, argv, metric, curve=curve, file=file, env=env, cwd=cwd)
        goes_on = self._restore_record() is not None
        known = self._record.last if goes_on else None
        return program.run(self._printed, self._look, known)

    def arguments(self, form: str = "--{name}={value}") -> list[str]:
        """Return the parameters as arguments of a program: ``--learning_rate=1e-06`` and so on.

        True is ``true``, a tuple is joined by commas, and a parameter that is None is left out.
        """
        return arguments(self.config, form)

    # ---- files and checkpoints -------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The run's own folder, for whatever files it makes; kept, also when it is interrupted."""
        folder = Path(self._job.folder)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def device(self) -> str:
        """The device to train on, as ``--sweep-device`` says: ``cpu``, ``cuda:0`` or ``tpu:0``.

        ``auto`` is the first device other than the CPU that the installed Torch or JAX finds, or
        else the CPU. Raises `BackendError` where the device is not here.
        """
        return own_device(self._job.conditions.device)

    def saves(self, step: int) -> bool:
        """Return whether to `save` after ``step`` steps, by ``--sweep-checkpoint-every``."""
        return self._checkpoint.is_due(step)

    def save(self, state: Mapping[str, object], step: int | None = None) -> None:
        """Save all that the steps after this one depend on, to continue from if interrupted.

        Nothing is written without ``--sweep-checkpoint-every``. What the run has recorded so far is
        saved with it. The previous save is kept until this one is whole.

        Parameters
        ----------
        state
            Arrays of NumPy, Torch or JAX, numbers, text and None, by name; also in dictionaries,
            lists and tuples, as a ``state_dict()`` has them. For anything else write a file of your
            own into `folder`, and give its name here.
        step
            The number of steps done; by default the present one.

        Raises
        ------
        UsageError
            Where a value cannot be kept; the message names it and has the caller's line.
        """
        self._require_use("run.save")
        self._state = state
        self._save(self._step if step is None else step)

    def restored(self) -> Mapping[str, Any] | None:
        """Return the state that the last attempt saved, to continue; None at a fresh start.

        The run then continues after that step: `steps` begins there, and what was recorded until
        then, "before" included, is there. Tensors are on the CPU; arrays of JAX are NumPy's.
        """
        self._require_use("run.restored")
        if self._step or not self._record.is_empty:
            raise blamed("run.restored: call it first, ahead of run.before and run.steps")
        step = self._restore_record()
        if step is None:
            return None
        self._done = self._step = step
        self._continues = True
        return self._state

    # ---- our own side ----------------------------------------------------------------------------

    def _require_use(self, call: str) -> None:
        """Raise UsageError where the run has ended, or is a copy in another process.

        What they record would be lost, or be taken for the next run's.
        """
        if self._has_ended:
            raise blamed(f"{call}: the run {self.id} has ended; it takes nothing more")
        if os.getpid() != self._process:
            raise blamed(
                f"{call}: called in process {os.getpid()}, but the run {self.id} is trained in "
                f"process {self._process}; hand the scores back to it, and call {call} there"
            )

    def _save(self, step: int) -> None:
        if self._job.checkpoint_every is not None:
            arrays, facts = packed({"state": self._state, "run": self._record.state()})
            self._checkpoint.save(step, arrays, facts)

    def _restore_record(self) -> int | None:
        """Restore what was recorded before an interruption; return the step, None at the start.

        A function that starts over nevertheless, as a program may, records it again.
        """
        if self._step or not self._record.is_empty:
            return None
        saved = self._checkpoint.load()
        if saved is None:
            return None
        found = unpacked(saved.arrays, saved.facts)
        self._state = found["state"]
        self._record.restore(found["run"])
        return saved.step

    def _printed(self, point: Point) -> None:
        """Record a point of the curve that a program has printed."""
        found = read("run.command", point.scores, point.se)
        if point.step == 0:
            self._record.before("run.command", found, self._step)
        else:
            self._record.log("run.command", point.step, found)
            self._step = point.step
        self._save(point.step)

    def _look(self) -> None:
        """Report nothing new, so that an executor may see to its timeout."""
        self._notify(Progress("train", max(self._told, 0), self._total))

    def _begin(self, step: int) -> None:
        self._step = step

    def _tell(self, point: Evaluation) -> None:
        if point.step > self._told:
            self._told = point.step
            self._notify(Progress("train", point.step, self._total, evaluation=point))

    def _train(self, function: TrainingFunction, where: str) -> Outcome:
        with self._checkpoint:
            try:
                returned = function(self)
                if not self._minds_arm:
                    arm = self._job.run.arm
                    raise UsageError(
                        f"{where}: trains the arm {arm} like the main runs; wrap its reward "
                        "function by run.rewards, or give rewards that say nothing where run.arm "
                        f"is {arm!r}"
                    )
                return self._record.outcome(returned, where)
            except DivergedError as diverged:
                return self._record.diverged(diverged.step, diverged.why)
            finally:
                self._has_ended = True


class Steps(Iterator[int]):
    """The steps of a run that are still to be taken; its length is the number of all steps."""

    def __init__(self, run: TrainingRun, done: int, total: int) -> None:
        self._run = run
        self._at = done
        self._has_begun = False
        self._total = total

    def __len__(self) -> int:
        return self._total

    def __next__(self) -> int:
        if self._has_begun:
            self._run.progress(self._at)
        self._has_begun = self._at < self._total
        if not self._has_begun:
            raise StopIteration
        self._at += 1
        self._run._begin(self._at)
        return self._at


def train(function: TrainingFunction, job: Job, notify: Notify) -> Outcome:
    """Train ``job`` with a function of a `TrainingRun`, and return its outcome.

    Whatever the function raises is raised, and its checkpoint stays. Raises `UsageError` where it
    neither returned nor recorded a final score.
    """
    code = getattr(function, "__code__", None)
    where = f"{short(code.co_filename)}:{code.co_firstlineno}" if code else repr(function)
    return TrainingRun(job, notify)._train(function, where)
