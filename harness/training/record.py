"""Record what a run measures: the scores before training, the curve, and the last scores."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple
from typing import Any

from harness.errors import UsageError, blamed
from harness.records import Evaluation, Job, Outcome, finite, is_whole
from harness.text import listed
from harness.training import scores as scoring
from harness.training.measurement import train_difference
from harness.training.scores import Scores


class DivergedError(BaseException):
    """Ends a training function whose run has diverged; ``except Exception`` does not catch it."""

    def __init__(self, step: int, why: str) -> None:
        super().__init__(why)
        self.step, self.why = step, why


class Record:
    """The measurements of a run, checked as they come, and the outcome that they make.

    ``report`` is called with each new point of the curve. Each method raises `UsageError`, with the
    user's own line, for scores that cannot be used, and `DivergedError` for some that are not
    finite. ``call`` is what the user called, for the message.
    """

    def __init__(self, job: Job, report: Callable[[Evaluation], None]) -> None:
        self._metric = job.metric
        self._total = job.run.steps
        self._every = job.run.evaluate_every
        self._report = report
        self._began = time.perf_counter()
        self._before: Scores | None = None
        self._last: Scores | None = None  # of the last step
        self._is_over = False
        self._curve: list[Evaluation] = []
        self._restored = -1  # the last step of the curve that a checkpoint has given
        self.rewards: list[float] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been measured."""
        return not self._curve

    @property
    def last(self) -> float | None:
        """The mean score after the last step; None before it is known."""
        return None if self._last is None else self._last.mean

    @property
    def has_before(self) -> bool:
        """Whether there are scores from before training."""
        return self._before is not None

    def before(self, call: str, found: Scores, step: int) -> None:
        """Add the scores before training, at a time when ``step`` steps have begun."""
        self._begin_again(0)
        if self._before is not None:
            raise blamed(f"{call}: there are scores from before training already; give them once")
        if self._curve or step or self._is_over:
            raise blamed(f"{call}: it comes at step {step}; call it before the first step")
        self._point(call, 0, found)
        self._before = found

    def log(self, call: str, step: object, found: Scores, reward: float | None = None) -> None:
        """Add a point to the curve."""
        if not is_whole(step) or not 1 <= step <= self._total:
            raise blamed(
                f"{call}: step {step!r}; expected a whole number from 1 to {self._total}, the steps"
                " of the run" + ("; the scores of step 0 go to run.before" if step == 0 else "")
            )
        if self._is_over:
            raise blamed(f"{call}: step {step} comes after run.after")
        self._begin_again(step)
        if self._curve and step <= self._curve[-1].step:
            raise blamed(
                f"{call}: step {step} comes after step {self._curve[-1].step}; log each step once, "
                "in order"
            )
        found = scoring.like(call, found, self._before)
        self._point(call, step, found, reward)
        if step == self._total:
            self._last = found

    def after(self, call: str, found: Scores) -> None:
        """Add the scores after training, in the place of a point at the last step."""
        if self._is_over:
            raise blamed(f"{call}: there are scores from after training already; give them once")
        if self._before is None and not self._metric:
            raise blamed(
                f"{call}: there is no run.before, and ΔPerf is the difference of the two; call "
                "run.before ahead of the first step, or declare Sweep(metric=…)"
            )
        found = scoring.like(call, found, self._before)
        if self._curve and self._curve[-1].step == self._total:
            self._curve.pop()
        self._point(call, self._total, found)
        self._last, self._is_over = found, True

    def _begin_again(self, step: int) -> None:
        """Forget what a checkpoint had from ``step`` on, if it is measured again."""
        if step <= self._restored:
            self._curve = [point for point in self._curve if point.step < step]
            self._before = self._before if step else None
            self._last = None

    def _point(self, call: str, step: int, found: Scores, reward: float | None = None) -> None:
        if not math.isfinite(found.mean):
            raise DivergedError(step, f"{self._name} is {found.mean} in {call}")
        by_item = (found.mean,) if found.items is None else found.items
        extreme = max(min(by_item), max(by_item), key=lambda score: abs(score - 0.5))
        if not self._metric and not 0.0 <= extreme <= 1.0:
            raise blamed(
                f"{call}: got the score {extreme:g}; expected scores from 0 to 1 (divide "
                "percentages by 100), or Sweep(metric=…) for another unit"
            )
        reward = found.mean if reward is None else float(reward)
        self._curve.append(Evaluation(step, found.mean, found.se, reward))
        self._report(self._curve[-1])

    @property
    def _name(self) -> str:
        return self._metric or "the mean score"

    # ---- through interruptions -------------------------------------------------------------------

    def state(self) -> dict[str, object]:
        """Return all of it, as a checkpoint can keep it."""
        return {
            "before": None if self._before is None else astuple(self._before),
            "last": None if self._last is None else astuple(self._last),
            "curve": [tuple(point) for point in self._curve],
            "rewards": self.rewards,
            "seconds": time.perf_counter() - self._began,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned, and report its points again.

        So a run that is interrupted twice keeps its whole curve.
        """
        before, last = state["before"], state["last"]
        self._before = None if before is None else Scores(*before)
        self._last = None if last is None else Scores(*last)
        self._curve = [Evaluation(*point) for point in state["curve"]]
        self._restored = self._curve[-1].step if self._curve else -1
        self.rewards = state["rewards"]
        self._began -= state["seconds"]
        for point in self._curve:
            self._report(point)

    # ---- the outcome -----------------------------------------------------------------------------

    def outcome(self, returned: object, where: str) -> Outcome:
        """Return the outcome of a run whose function, at ``where``, has ``returned``.

        A returned value is the last point of a curve that has none at the last step.

        Raises `UsageError` where neither it nor what was measured has a final score.
        """
        if isinstance(returned, Outcome):
            return returned
        value = self._returned(returned, where) if self._metric else None
        if value is not None and not (self._last and math.isclose(value, self._last.mean)):
            self._last = Scores(value, math.nan)
            if self._curve and self._curve[-1].step < self._total and math.isfinite(value):
                # As `after` would: a curve that stops short could not tell how training ended.
                self._point(where, self._total, self._last)
        last = self._last
        if last is None:
            raise UsageError(f"{where}: {self._lacks(returned)}")
        if not math.isfinite(last.mean):
            return self.diverged(self._total, f"{self._name} is {last.mean}")
        if self._metric:
            return self._completed(
                value=last.mean,
                delta_perf_se=finite(last.se),
                prompts=None if last.items is None else len(last.items),
                samples=last.samples,
                clusters=last.effective_clusters,
            )
        if self._before is None:  # `log` was called at the last step
            raise UsageError(f"{where}: {self._lacks(returned)}")
        change = scoring.change(self._before, last)
        return self._completed(
            perf_before=self._before.mean,
            perf_after=last.mean,
            delta_perf=change.delta,
            delta_perf_se=finite(change.se),
            prompts=change.items,
            samples=change.samples,
            prompts_changed=change.changed,
            clusters=change.clusters,
            clusters_changed=change.clusters_changed,
        )

    def diverged(self, step: int, why: str) -> Outcome:
        """Return the outcome of a run that has diverged at ``step``."""
        before = None if self._before is None or self._metric else self._before.mean
        error = f"{why} at step {step} of {self._total}"
        return Outcome(
            "diverged", perf_before=before, error=error, stopped_at=step, **self._common()
        )

    def _completed(self, **measured: Any) -> Outcome:  # noqa: ANN401
        items = None if self._last is None else scoring.by_item(self._before, self._last)
        return Outcome("completed", **measured, **self._common(), items=items)

    def _common(self) -> dict[str, Any]:
        return {
            "curve": tuple(self._curve),
            "train_delta_perf": train_difference(self.rewards, self._every),
            "seconds": time.perf_counter() - self._began,
        }

    def _returned(self, returned: object, where: str) -> float | None:
        """Return the final value of the sweep's own metric, if the function returned one."""
        if isinstance(returned, Mapping):
            if self._metric not in returned:
                has = listed([str(name) for name in returned]) or "an empty mapping"
                raise UsageError(f"{where}: returned {has}, without {self._metric}")
            returned = returned[self._metric]
        if returned is None:
            return None
        value = scoring.number(returned)
        if value is None and self._last is None:
            raise UsageError(
                f"{where}: returned {_shown(returned)}; expected {self._metric} as a number, or a "
                "mapping that has it"
            )
        if value is None or self._last is None or not self._is_over:
            return value
        if not math.isclose(value, self._last.mean, rel_tol=1e-6):
            raise UsageError(
                f"{where}: returned {value:g}, but {self._metric} was {self._last.mean:g} in "
                "run.after; give it once"
            )
        return None

    def _lacks(self, returned: object) -> str:
        """Say what a function should do that ended without a final score."""
        said = "returned nothing" if returned is None else f"returned {_shown(returned)}"
        if self._metric:
            return (
                f"{said} and logged no {self._metric} at the last step; return its final value, or "
                "give it to run.after"
            )
        if self._before is not None:
            return f"{said} and never called run.after, nor run.log at the last step"
        logged = "called no run.before" if self._curve else "logged nothing"
        return (
            f"{said} and {logged}; call run.before(scores) and run.after(scores), or declare "
            "Sweep(metric=…) and return its final value"
        )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 and "\n" not in text else type(value).__name__
