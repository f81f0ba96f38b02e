"""Write runs to a study of Optuna: a run is a trial, whose distributions are the sweep's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.integrations.trackers.base import (
    CONTENT,
    KEY,
    TrackedRun,
    TrackedSweep,
    Tracker,
    TrackerError,
    is_of_scope,
    of_scope,
)
from harness.records import Status, is_number, is_whole
from harness.sweeps.distributions import (
    Choice,
    Constant,
    Distribution,
    Given,
    LogInt,
    LogUniform,
    Uniform,
)

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

TAG, CONFIG = "sweep.", "config."
"""The prefixes of user attributes: what a run is, and its parameters that have no distribution."""

WRITER = "sweep.writer"
"""The user attribute of our studies, in which nobody else's trials are."""

NOT_ASKED = "no longer asked"
"""The verdict on a question that the sweep has no more."""

_STATE: dict[Status, str] = {"completed": "COMPLETE", "diverged": "PRUNED"}


class Optuna:
    """A storage of Optuna, with a study for each sweep."""

    def __init__(self, url: str) -> None:
        import optuna

        self._optuna = optuna
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._url = url
        self._storage: Any = None
        self._studies: dict[str, Any] = {}

    def begin(self, sweep: TrackedSweep) -> None:
        """Make the sweep's study; one of this name that is not ours is left alone."""
        if self._storage is None:
            self._storage = self._optuna.storages.get_storage(self._url)
        names = self._optuna.get_all_study_names(self._storage)
        if sweep.name not in names:
            self._studies[sweep.name] = self._make(sweep)
            return
        study = self._optuna.load_study(study_name=sweep.name, storage=self._storage)
        if study.user_attrs.get(WRITER) is None and study.get_trials(deepcopy=False):
            raise TrackerError(
                f"its study {sweep.name!r} was not written by pytest-sweep: name another storage"
            )
        self._studies[sweep.name] = study

    def write_run(self, sweep: TrackedSweep, run: TrackedRun) -> None:
        """Add a run as a trial.

        A trial that has ended cannot be changed: where the run is there with other content, or the
        choices of a parameter have become more, the study is made anew with all of its trials.
        """
        study = self._studies[sweep.name]
        trials = study.get_trials(deepcopy=False)
        same = [trial for trial in trials if trial.user_attrs.get(TAG + KEY) == run.key]
        if any(trial.user_attrs.get(TAG + CONTENT) == run.content for trial in same):
            return
        new = self._trial(sweep, run)
        if same or not _fits(new, trials):
            kept = [trial for trial in trials if trial not in same]
            self._studies[sweep.name] = self._made_anew(sweep, study, [*kept, new])
        else:
            study.add_trial(new)

    def write_verdicts(self, sweep: TrackedSweep, verdicts: Mapping[str, str], scope: str) -> None:
        """Set the verdicts as user attributes of the study, of which none can be deleted."""
        study = self._studies[sweep.name]
        there, tags = study.user_attrs, of_scope(verdicts, scope)
        gone = {name for name in there.keys() - tags.keys() if is_of_scope(name, scope)}
        for name, text in (tags | dict.fromkeys(gone, NOT_ASKED)).items():
            if there.get(name) != text:
                study.set_user_attr(name, text)

    def close(self) -> None:
        """Close the connections to the storage."""
        if self._storage is not None:
            self._storage.remove_session()

    def _make(self, sweep: TrackedSweep) -> Any:  # noqa: ANN401 (Optuna's)
        study = self._optuna.create_study(
            study_name=sweep.name,
            storage=self._storage,
            direction="minimize" if sweep.minimised else "maximize",
        )
        study.set_user_attr(WRITER, "pytest-sweep")
        study.set_metric_names([sweep.metric])
        lacking = [name for name, one in sweep.space.items() if distribution(one) is None]
        if lacking:
            study.set_user_attr("sweep.without_distribution", lacking)
        return study

    def _made_anew(self, sweep: TrackedSweep, old: Any, trials: Sequence[FrozenTrial]) -> Any:  # noqa: ANN401
        """Delete a study and make it again with these trials; the last one says what fits."""
        alike = _alike(trials)
        attributes = dict(old.user_attrs)
        self._optuna.delete_study(study_name=sweep.name, storage=self._storage)
        study = self._make(sweep)
        for name, value in attributes.items():
            study.set_user_attr(name, value)
        study.add_trials(alike)
        return study

    def _trial(self, sweep: TrackedSweep, run: TrackedRun) -> FrozenTrial:
        from optuna.trial import TrialState, create_trial

        space = {name: distribution(one) for name, one in sweep.space.items()}
        params, known, others = {}, {}, {}
        for name, value in run.config.items():
            one, plain = space.get(name), str(value) if isinstance(value, tuple) else value
            if one is not None and _contains(one, plain):
                params[name], known[name] = plain, one
            else:
                others[CONFIG + name] = plain
        attributes = {TAG + name: value for name, value in {**run.tags, **run.measures}.items()}
        state = TrialState[_STATE.get(run.status, "FAIL")]
        if state is TrialState.COMPLETE and run.value is None:
            state = TrialState.FAIL  # Optuna has no completed trial without a value
        trial = create_trial(
            state=state,
            value=run.value if state is TrialState.COMPLETE else None,
            params=params,
            distributions=known,
            user_attrs=others | attributes | {TAG + CONTENT: run.content},
            intermediate_values={point.step: point.perf for point in run.curve},
        )
        trial.datetime_complete = datetime.fromtimestamp(run.ended)
        trial.datetime_start = trial.datetime_complete - timedelta(seconds=run.seconds)
        return trial


def open_tracker(place: str, home: Path, here: Path) -> Tracker:
    """Open the storage ``place``: an address, or the path of a database of SQLite.

    Without a place it is the one of OPTUNA_STORAGE, or else a database in ``home``.
    """
    place = place or os.environ.get("OPTUNA_STORAGE", "") or str(home / "optuna.db")
    if "://" not in place:
        path = here / place
        path.parent.mkdir(parents=True, exist_ok=True)
        place = f"sqlite:///{path}"
    return Optuna(place)


def distribution(one: Distribution) -> BaseDistribution | None:
    """Return the distribution of Optuna that is like ``one``; None where there is none.

    A `Given` is all of its cases together: their values, or the range that spans them. There is
    none for cases of which some are ranges and others words, nor for a user's own distribution.
    """
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(one, Given):
        return _of_cases(one)
    if isinstance(one, Constant | Choice):
        options = dict.fromkeys(str(v) if isinstance(v, tuple) else v for v in one.values())
        return CategoricalDistribution(tuple(options))
    if isinstance(one, LogInt):
        return IntDistribution(one.low, one.high, log=True)
    if isinstance(one, Uniform | LogUniform):
        return FloatDistribution(one.low, one.high, log=one.is_log)
    return None


def _of_cases(one: Given) -> BaseDistribution | None:
    from optuna.distributions import FloatDistribution, IntDistribution

    cases = tuple(one.cases.values())
    if all(isinstance(case, Constant | Choice) for case in cases):
        return distribution(Choice(*one.values()))
    numbers = [value for value in one.values() if is_number(value)]
    if len(numbers) < len(one.values()) or not all(map(_is_plain, cases)):
        return None
    is_log = all(isinstance(case, LogUniform | LogInt) for case in cases)
    has_fractions = any(isinstance(case, Uniform | LogUniform) for case in cases)
    if all(map(is_whole, numbers)) and not has_fractions:
        return IntDistribution(int(min(numbers)), int(max(numbers)), log=is_log)
    return FloatDistribution(min(numbers), max(numbers), log=is_log)


def _is_plain(one: Distribution) -> bool:
    return isinstance(one, Constant | Choice | Uniform | LogUniform | LogInt)


def _contains(one: BaseDistribution, value: object) -> bool:
    """Return whether a value is one of a distribution's; a placebo's rate of 0 often is none."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(one, CategoricalDistribution):
        return value in one.choices
    if isinstance(one, IntDistribution):
        return is_whole(value) and one.low <= value <= one.high
    assert isinstance(one, FloatDistribution)
    return is_number(value) and one.low <= value <= one.high


def _fits(new: FrozenTrial, trials: Iterable[FrozenTrial]) -> bool:
    """Return whether the study's distributions allow a trial, so that it can be added."""
    known: dict[str, BaseDistribution] = {}
    for trial in trials:
        known.update(trial.distributions)
    return all(_compatible(known.get(name, one), one) for name, one in new.distributions.items())


def _compatible(one: BaseDistribution, other: BaseDistribution) -> bool:
    from optuna.distributions import check_distribution_compatibility

    try:
        check_distribution_compatibility(one, other)
    except ValueError:
        return False
    return True


def _alike(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return trials whose distributions go together.

    The choices of a parameter are those of all trials. A parameter whose distribution is of another
    kind than in the last trial is kept as a user attribute.
    """
    from optuna.distributions import CategoricalDistribution

    last = {name: one for trial in trials for name, one in trial.distributions.items()}
    choices: dict[str, dict[Any, None]] = {}
    for trial in reversed(trials):
        for name, one in trial.distributions.items():
            if isinstance(one, CategoricalDistribution):
                choices.setdefault(name, {}).update(dict.fromkeys(one.choices))
    for name, one in last.items():
        if isinstance(one, CategoricalDistribution):
            last[name] = CategoricalDistribution(tuple(choices[name]))
    alike = []
    for trial in trials:
        params, known, others = {}, {}, {}
        for name, value in trial.params.items():
            own = trial.distributions[name]
            both = (
                isinstance(own, CategoricalDistribution),
                isinstance(last[name], CategoricalDistribution),
            )
            if all(both) or _compatible(last[name], own):
                params[name], known[name] = value, last[name] if all(both) else own
            else:
                others[CONFIG + name] = value
        copied = copy(trial)
        copied.params, copied.distributions = params, known
        copied.user_attrs = trial.user_attrs | others
        alike.append(copied)
    return alike
