"""A run as a training function sees it: scores go in, and all that is stored comes out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any, NoReturn

from harness.errors import UsageError, blamed
from harness.protocols import Notify
from harness.records import Evaluation, Job, Outcome, Progress, is_whole
from harness.text import listed
from harness.training import scores as scoring
from harness.training.backends import own_device
from harness.training.checkpoints import Checkpoint, packed, unpacked
from harness.training.measurement import train_difference
from harness.training.schedules import scale_steps
from harness.training.scores import Scores

TrainingFunction = Callable[["TrainingRun"], object]


class TrainingRun:
    """One run of a sweep, handed to a training function ``def train(run)``.

    The function gives the scores that it measures, or returns the final value of the sweep's own
    metric; everything else that is stored is derived.

    Attributes
    ----------
    config
        The parameters of the run, by name.
    id, arm
        What the run is called, and the arm it belongs to: ``main``, ``placebo``, …
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
        self.arm = run.arm
        self.seed = run.seed
        self.metric = job.metric
        self.cache = Path(job.cache)
        self._job = job
        self._notify = notify
        self._checkpoint = Checkpoint(job)
        self._began = time.perf_counter()
        self._total = run.steps
        self._step = 0  # the step at hand
        self._told = 0  # the last step that was reported
        self._done = 0  # the step that a checkpoint ended at
        self._before: Scores | None = None
        self._last: Scores | None = None  # of the last step
        self._is_over = False  # `after` was called
        self._curve: list[Evaluation] = []
        self._rewards: list[float] = []

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

        `steps` does so by itself; other loops, such as a library's callback, call it.
        """
        self._step = step
        if reward is not None and math.isfinite(reward):
            self._rewards.append(float(reward))
        if step > self._told:
            self._tell(Progress("train", step, self._total, reward))

    def _begin(self, step: int) -> None:
        self._step = step

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
        if self._done and self._before is not None:
            return
        if self._before is not None:
            raise blamed("run.before: it was called before")
        if self._curve or self._step or self._is_over:
            raise blamed(f"run.before: called at step {self._step}; call it before the first step")
        found = scoring.read("run.before", scores, se, items, clusters)
        self._point("run.before", 0, found)
        self._before = found

    def log(
        self,
        step: int,
        scores: object,
        se: float | None = None,
        *,
        reward: float | None = None,
    ) -> None:
        """Record a point of the learning curve: the held-out scores after ``step`` steps.

        ``scores`` and ``se`` are as in `before`; ``reward`` is the mean reward of the same
        completions, where it is another number than the score.

        Raises
        ------
        UsageError
            Where the scores cannot be used, or ``step`` is out of order; the message has the
            caller's line.
        """
        if not is_whole(step) or not 1 <= step <= self._total:
            raise blamed(
                f"run.log: step {step!r}; expected a whole number from 1 to {self._total}, "
                "the run's steps" + ("; run.before is step 0" if step == 0 else "")
            )
        if self._is_over:
            raise blamed(f"run.log: step {step} comes after run.after")
        if self._curve and step <= self._curve[-1].step:
            raise blamed(
                f"run.log: step {step} comes after step {self._curve[-1].step}; log each step once"
            )
        found = scoring.like("run.log", scoring.read("run.log", scores, se), self._before)
        self._step = step
        self._point("run.log", step, found, reward)
        if step == self._total:
            self._last = found

    def after(
        self,
        scores: object,
        se: float | None = None,
        items: Iterable[object] | None = None,
        clusters: Iterable[object] | None = None,
    ) -> None:
        """Record the held-out scores after training, of the same items as `before`.

        They are the last point of the curve too, in the place of a `log` at the last step. The
        parameters are those of `before`.

        Raises
        ------
        UsageError
            Where the scores cannot be used, or there are none from before training and the sweep
            measures ΔPerf; the message has the caller's line.
        """
        if self._is_over:
            raise blamed("run.after: it was called before")
        if self._before is None and not self.metric:
            raise blamed(
                "run.after: there is no run.before, and ΔPerf is the difference of the two; call "
                "run.before ahead of the first step, or declare Sweep(metric=…)"
            )
        found = scoring.read("run.after", scores, se, items, clusters)
        found = scoring.like("run.after", found, self._before)
        if self._curve and self._curve[-1].step == self._total:
            self._curve.pop()
        self._point("run.after", self._total, found)
        self._last, self._is_over = found, True

    def diverged(self, step: int | None = None, why: str = "") -> NoReturn:
        """End the run as diverged at ``step``, by default the present one.

        Do not catch what it raises. The run keeps its curve, is not trained again, and counts as no
        success.
        """
        raise _DivergedError(self._step if step is None else step, why or "training diverged")

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
        if self._job.checkpoint_every is None:
            return
        arrays, facts = packed({"state": state, "run": self._recorded()})
        self._checkpoint.save(self._step if step is None else step, arrays, facts)

    def restored(self) -> Mapping[str, Any] | None:
        """Return the state that the last attempt saved, to continue; None at a fresh start.

        The run then continues after that step: `steps` begins there, and what was recorded until
        then, "before" included, is there.
        """
        if self._step or self._curve:
            raise blamed("run.restored: call it first, ahead of run.before and run.steps")
        saved = self._checkpoint.load()
        if saved is None:
            return None
        found = unpacked(saved.arrays, saved.facts)
        self._done = self._step = self._told = saved.step
        self._restore(found["run"])
        state: Mapping[str, Any] = found["state"]
        return state

    def _recorded(self) -> dict[str, object]:
        return {
            "before": None if self._before is None else astuple(self._before),
            "curve": [tuple(point) for point in self._curve],
            "rewards": self._rewards,
            "seconds": time.perf_counter() - self._began,
        }

    def _restore(self, recorded: Mapping[str, Any]) -> None:
        before = recorded["before"]
        self._before = None if before is None else Scores(*before)
        self._curve = [Evaluation(*point) for point in recorded["curve"]]
        self._rewards = recorded["rewards"]
        self._began -= recorded["seconds"]
        for point in self._curve:  # an attempt that is interrupted too keeps its whole curve
            self._notify(Progress("train", point.step, self._total, evaluation=point))

    # ---- the outcome -----------------------------------------------------------------------------

    def _point(self, call: str, step: int, found: Scores, reward: float | None = None) -> None:
        """Add a point to the curve; end the run where it is not finite."""
        if not math.isfinite(found.mean):
            self.diverged(step, f"{self._what} is {found.mean} in {call}")
        if not self.metric and not 0.0 <= found.mean <= 1.0:
            raise blamed(
                f"{call}: the mean score is {found.mean:g}; expected scores from 0 to 1 (divide "
                "percentages by 100), or declare Sweep(metric=…)"
            )
        point = Evaluation(step, found.mean, found.se, found.mean if reward is None else reward)
        self._curve.append(point)
        if step > self._told or step == 0:
            self._tell(Progress("train", step, self._total, evaluation=point))

    def _tell(self, progress: Progress) -> None:
        self._told = progress.step
        self._notify(progress)

    @property
    def _what(self) -> str:
        return self.metric or "the mean score"

    def _outcome(self, returned: object, where: str) -> Outcome:
        """Return the outcome of a run whose function has ``returned`` at ``where``."""
        if isinstance(returned, Outcome):
            return returned
        value = self._returned(returned, where)
        if self._last is None and value is None:
            raise UsageError(f"{where}: {self._missing(returned)}")
        last = self._last or Scores(float("nan") if value is None else value, math.nan)
        if not math.isfinite(last.mean):
            return self._diverged(self._total, f"{self._what} is {last.mean}")
        if self.metric:
            return self._completed(
                value=last.mean,
                delta_perf_se=_known(last.se),
                prompts=None if last.items is None else len(last.items),
                samples=last.samples,
                clusters=last.effective_clusters,
            )
        assert self._before is not None
        change = scoring.change(self._before, last)
        return self._completed(
            perf_before=self._before.mean,
            perf_after=last.mean,
            delta_perf=change.delta,
            delta_perf_se=_known(change.se),
            prompts=change.items,
            samples=change.samples,
            prompts_changed=change.changed,
            clusters=change.clusters,
            clusters_changed=change.clusters_changed,
        )

    def _completed(self, **measured: Any) -> Outcome:  # noqa: ANN401
        items = None if self._last is None else scoring.by_item(self._before, self._last)
        return Outcome("completed", **measured, **self._common(), items=items)

    def _diverged(self, step: int, why: str) -> Outcome:
        before = None if self._before is None or self.metric else self._before.mean
        error = f"{why} at step {step} of {self._total}"
        return Outcome(
            "diverged", perf_before=before, error=error, stopped_at=step, **self._common()
        )

    def _common(self) -> dict[str, Any]:
        return {
            "curve": tuple(self._curve),
            "train_delta_perf": train_difference(self._rewards, self._job.run.evaluate_every),
            "seconds": time.perf_counter() - self._began,
        }

    def _returned(self, returned: object, where: str) -> float | None:
        """Return the final value of the sweep's own metric, if the function returned one."""
        if not self.metric:
            return None
        if isinstance(returned, Mapping):
            if self.metric not in returned:
                has = listed([str(name) for name in returned]) if returned else "nothing"
                raise UsageError(f"{where}: returned {has}, and no {self.metric!r}")
            returned = returned[self.metric]
        if returned is None:
            return None
        if not _is_number(returned):
            if self._last is not None:
                return None
            raise UsageError(
                f"{where}: returned {returned!r:.80}; expected {self.metric}, a number, or a "
                f"mapping that has it"
            )
        value = float(scoring.plain(returned))
        if self._last is not None and not math.isclose(value, self._last.mean, rel_tol=1e-6):
            raise UsageError(
                f"{where}: returned {value:g}, but {self.metric} was {self._last.mean:g} in "
                "run.after or the last run.log; give it once"
            )
        return value

    def _missing(self, returned: object) -> str:
        """Say what a function that ended without a final score should do."""
        if self.metric:
            return f"returned nothing; return the final {self.metric}, or give it to run.after(…)"
        said = "returned nothing"
        if returned is not None:
            kind = "number" if _is_number(returned) else type(returned).__name__
            said = f"returned a {kind}"
        if self._before is not None:
            return f"{said} and never called run.after(scores), nor run.log at the last step"
        logged = "logged nothing" if not self._curve else "called no run.before(scores)"
        return (
            f"{said} and {logged}; call run.before(scores) and run.after(scores), or declare "
            "Sweep(metric=…) and return its final value"
        )


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


class _DivergedError(BaseException):
    """Ends a training function whose run has diverged; ``except Exception`` does not catch it."""

    def __init__(self, step: int, why: str) -> None:
        super().__init__(why)
        self.step, self.why = step, why


def train(function: TrainingFunction, job: Job, notify: Notify) -> Outcome:
    """Train ``job`` with a function of a `TrainingRun`, and return its outcome.

    Whatever the function raises is raised, and its checkpoint stays. Raises `UsageError` where it
    neither returned nor recorded a final score.
    """
    run = TrainingRun(job, notify)
    code = function.__code__ if hasattr(function, "__code__") else None
    where = f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)
    with run._checkpoint:
        try:
            return run._outcome(function(run), where)
        except _DivergedError as diverged:
            return run._diverged(diverged.step, diverged.why)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _is_number(value: object) -> bool:
    found = scoring.plain(value)
    return getattr(found, "shape", None) == () and found.dtype.kind in "iuf"
