"""A sweep: its space, seed, arms and questions."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import get_args

from harness.errors import SweepError, nearest
from harness.metrics import DELTA_PERF, MARGIN, MIN_GAIN, Metric
from harness.protocols import Claim
from harness.records import CONFIRM, CONTROLS, MAIN, Config, Run, Value, digest
from harness.sweeps.baseline import has_ending
from harness.sweeps.checks import check_quotes, count, declared, number, plain_each, shown, text
from harness.sweeps.confirming import Confirm, check_confirm, confirming_runs
from harness.sweeps.sampling import FIXED_SIZE, SAMPLERS, unit_points
from harness.sweeps.space import Space
from harness.sweeps.trainers import check_trainer
from harness.text import listed
from harness.training.schedules import scale_steps
from harness.verdicts import MOST, Counts
from harness.words import Direction, canonical, direction

SHORT_NAMES = {
    "learning_rate": "lr",
    "batch_size": "bs",
    "generations": "g",
    "lr_schedule": "",
    "warmup_steps": "w",
    "entropy_coef": "e",
}
DECLARED_BY = 16
"""The number of first configurations that a digest of the sweep is taken over."""

ONE_SEED = frozenset({"placebo"})
"""Arms that are trained with the first seed alone: a run that learns nothing measures exactly 0
with any."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]*")
"""The form of a sweep's name."""


@declared
@dataclass(frozen=True, slots=True)
class Pairs:
    """An arm that changes one parameter of the first ``count`` main runs to each of ``values``.

    Where questions compare a value of the parameter with others, only main runs that have this
    value count: with others nothing would be compared.

    Raises
    ------
    SweepError
        Where ``count`` is no whole number from 1 on, or ``values`` are none, repeat, or cannot be
        values of a parameter.
    """

    count: int
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", count("Pairs: runs", self.count))
        try:
            values = plain_each(self.values, "values")
        except SweepError as error:
            raise SweepError(f"Pairs: {error}") from None
        if not values or len(set(values)) < len(values):
            raise SweepError(
                f"Pairs: values are {shown(values)}; expected at least one other value, each once"
            )
        object.__setattr__(self, "values", values)


@declared
@dataclass(frozen=True, eq=False)
class Sweep:
    """A named, seeded set of configurations with its steps, arms, baseline and questions.

    Parameters
    ----------
    name
        Letters, digits, ``_`` and ``.``; unique among the sweeps of a session.
    runs, steps
        The number of main runs, and of training steps of each.
    seed
        The seed of the sample. With the name and a run's number, it also makes that run's seed.
    space
        Parameter → distribution, or a plain value.
    baseline
        The name of another sweep, or `Counts` that were published.
    arms
        ``placebo``, ``null``, ``random`` or ``half`` → a number of main runs, the first ones; a
        parameter's name → `Pairs`; or ``confirm`` → `Confirm`.
    questions
        Id → claim.
    task
        The task to train on: a name, or with a model, also one of ``--sweep-model``,
        ``FILE.jsonl``, ``FILE.py:NAME`` or ``module:NAME``, paths from the project's root; the
        embedded addition task where None.
    model
        The language model to train: a folder in transformers' format, a GGUF file, or a name on the
        hub, paths from the project's root. The task's own small decoder where None.
    trainer
        A function of the sweep file that trains a run, in place of the harness's own backends.
    depends_on
        What the training function uses beside the local modules that it imports: files, folders
        (weights, data, scripts; relative to its own folder or one above) and installed packages. A
        change of any trains anew.
    evaluate_every
        Steps between two points of the learning curve.
    metric, direction, target
        The name of the metric that the training function measures in place of ΔPerf; whether more
        (``"max"``) or less (``"min"``) of it is better, which is known where the name says so
        plainly; and the value that a run must pass to be a success, none by default.
    alpha, margin, min_gain
        The level of a question; the difference that matters, unless a claim names its own; the
        gain below which a run is shown to fail. Fixed here, before there are data. The margin is
        0.02 for ΔPerf and None for another metric; ``min_gain`` is 0.05, and 0 for another metric.
    sampler
        ``random``, ``sobol`` or ``latin_hypercube``.
    seeds
        The number of seeds that each of the ``runs`` is trained with, so that ``runs`` counts
        configurations. Each counts once, by the mean over its seeds, in the arms too. A placebo is
        trained with the first seed alone.

    Raises
    ------
    SweepError
        Where the declaration cannot be run; the message names the value and what to do.
    """

    name: str
    runs: int
    steps: int
    space: Mapping[str, object]
    seed: int = 0
    baseline: str | Counts | None = None
    arms: Mapping[str, int | Pairs | Confirm] = field(default_factory=dict)
    questions: Mapping[str, Claim] = field(default_factory=dict)
    task: str | None = None
    model: str | None = None
    trainer: Callable[..., object] | None = None
    depends_on: Sequence[str | os.PathLike[str]] = ()
    evaluate_every: int = 10
    metric: str | None = None
    direction: Direction | None = None
    target: float | None = None
    alpha: float = 0.05
    margin: float | None = None
    min_gain: float | None = None
    sampler: str = "random"
    seeds: int = 1
    parameters: Space = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise SweepError(
                f"sweep name {shown(self.name)}: use letters, digits, '_' and '.', a letter "
                f"or digit first, since run ids and report folders are made of it"
            )
        try:
            self._check_metric()
            self._check_values()
            object.__setattr__(self, "parameters", Space(self.space))
            self._check_baseline()
            self._check_arms()
            self._check_questions()
            if isinstance(confirm := self.arms.get(CONFIRM), Confirm):
                check_confirm(self, confirm)
            check_trainer(self.trainer, self.depends_on, self.model)
        except SweepError as error:
            raise SweepError(f"sweep {self.name!r}: {error}") from None
        if self.parameters.has_own:
            self.plan(arms=())  # what is drawn is only known once it is

    def plan(
        self,
        *,
        runs: int | None = None,
        steps: int | None = None,
        seeds: int | None = None,
        arms: Iterable[str] | None = None,
    ) -> tuple[Run, ...]:
        """Return the runs of this sweep: a pure function of the declaration, the same everywhere.

        The first seed's runs come first, those of its arms too: they are the whole plan with one
        seed, and more seeds are only added to it. Those that confirm the leaders come last; their
        configs are not known yet (see `harness.sweeps.confirming`).

        Parameters
        ----------
        runs
            The number of main runs to keep, with their arms; all where None.
        steps
            Steps of a main run, in place of the declared.
        seeds
            The number of seeds of each configuration, in place of the declared.
        arms
            Names of the arms to keep; all where None.
        """
        size = self.runs if runs is None else count("runs", runs)
        planned = self.steps if steps is None else count("steps", steps)
        configs = self._drawn(size, self.runs)
        kept = self.arms if arms is None else {name: self.arms[name] for name in arms}
        found: list[Run] = []
        for repeat in range(self.seeds if seeds is None else count("seeds", seeds)):
            main = tuple(
                self._run(index, MAIN, config, planned, repeat=repeat)
                for index, config in enumerate(configs)
            )
            found += main
            for name, wanted in kept.items():
                if not isinstance(wanted, Confirm) and (name not in ONE_SEED or not repeat):
                    found += self._arm_runs(name, wanted, main)
        if isinstance(confirm := kept.get(CONFIRM), Confirm):
            found += confirming_runs(self, confirm, found[: len(configs)], planned)
        return tuple(found)

    @cached_property
    def declaration(self) -> str:
        """A digest of all that decides the runs' configurations and seeds, except their numbers.

        It is taken over the first configurations drawn, so that spaces which are written
        differently but draw the same are the same.
        """
        fixed = self.sampler in FIXED_SIZE
        size = self.runs if fixed else DECLARED_BY
        drawn = [dict(config) for config in self._drawn(size, size)]
        # A task of text is known by its content, which a run's conditions have.
        from harness.training.text.tasks import is_of_text

        task = self.task or ""
        task = "" if self.model or is_of_text(task) else task
        return digest([self.name, self.seed, task, self.steps, drawn])

    @cached_property
    def judged_by(self) -> Metric:
        """The metric that the runs are judged by: the sweep's own, or ΔPerf."""
        if self.metric is None or self.direction is None:
            return DELTA_PERF
        return Metric.final(self.metric, self.direction, self.target)

    @property
    def usual(self) -> Mapping[str, float | None]:
        """The margin and the least gain where they are not given."""
        if self.metric is None:
            return {"margin": MARGIN, "min_gain": MIN_GAIN}
        return {"margin": None, "min_gain": 0.0}

    def runs_having(self, parameter: str, value: Value, wanted: int) -> int | None:
        """Return a number of main runs of which ``wanted`` have this value of a parameter.

        It is the smallest one if a larger sample begins with the same runs. None where up to 1,000
        runs are not enough.
        """
        size, fixed = wanted if self.sampler in FIXED_SIZE else MOST, self.sampler in FIXED_SIZE
        while size <= MOST:
            drawn = self._drawn(size, size)
            having = [n for n, config in enumerate(drawn, 1) if config[parameter] == value]
            if len(having) >= wanted:
                return size if fixed else having[wanted - 1]
            size += wanted - len(having)
        return None

    def paired_at(self, arm: str) -> frozenset[Value]:
        """Return the values of which main runs an arm of pairs uses; empty where of any."""
        claims = self.questions.values()
        return frozenset(claim.paired_at[arm] for claim in claims if arm in claim.paired_at)

    def _arm_runs(self, arm: str, size: int | Pairs, main: tuple[Run, ...]) -> Iterable[Run]:
        if isinstance(size, Pairs):
            compared = self.paired_at(arm)
            usable = [of for of in main if not compared or of.config[arm] in compared]
            for of in usable[: size.count]:
                for value in size.values:
                    if value != of.config[arm]:
                        config = of.config.replace(**{arm: value})
                        kind = _named(arm, value)
                        yield self._run(
                            of.index, arm, config, of.steps, repeat=of.repeat, of=of, kind=kind
                        )
            return
        for of in main[:size]:
            config = of.config.replace(learning_rate=0.0) if arm == "placebo" else of.config
            steps = max(1, of.steps // 2) if arm == "half" else of.steps
            yield self._run(of.index, arm, config, steps, repeat=of.repeat, of=of)

    def _drawn(self, size: int, declared: int) -> list[Config]:
        """Return the first ``size`` configs of a sample declared with ``declared`` points."""
        space = self.parameters
        try:
            points = unit_points(self.sampler, size, declared, len(space), self.seed)
            return [space.config(point) for point in points.tolist()]
        except SweepError as error:
            raise SweepError(f"sweep {self.name!r}: {error}") from None

    def _run(
        self,
        index: int,
        arm: str,
        config: Config,
        steps: int,
        *,
        repeat: int,
        of: Run | None = None,
        kind: str | None = None,
    ) -> Run:
        words = [self.name, *([] if of is None else [kind or arm]), f"{index:02d}"]
        words += (SHORT_NAMES.get(n, f"{n}_") + _written(v) for n, v in config.items())
        # The first seed is that of a sweep with one, so that its stored runs are used.
        again = [str(repeat)] if repeat else []
        words += [f"r{repeat}"] if repeat else []
        said = ":".join([self.name, str(self.seed), str(index), *again])
        seed = hashlib.sha256(said.encode()).digest()
        return Run(
            id=_NOT_PLAIN.sub("_", "-".join(words)),
            sweep=self.name,
            index=index,
            arm=arm,
            pair=of.id if of else None,
            config=config,
            seed=int.from_bytes(seed[:4], "big"),
            steps=steps,
            declared_steps=self.steps,
            evaluate_every=scale_steps(self.evaluate_every, steps, self.steps),
            declaration=self.declaration,
            repeat=repeat,
        )

    def _check_values(self) -> None:
        for what in ("space", "arms", "questions"):
            given = getattr(self, what)
            if not isinstance(given, Mapping):
                raise SweepError(f"{what} is {shown(given)}; expected {what}=dict(…)")
        for what in ("seed", "seeds", "runs", "steps", "evaluate_every"):
            least = 0 if what == "seed" else 1
            object.__setattr__(self, what, count(what, getattr(self, what), least))
        object.__setattr__(self, "alpha", _share("alpha", self.alpha, 0.5))
        for what, usual in self.usual.items():
            given = getattr(self, what)
            if given is None:
                checked = usual
            elif self.metric is None:
                checked = _share(what, given, 1.0)
            elif what == "margin":
                checked = number(what, given, "a number above 0", lambda size: size > 0)
            else:
                checked = number(what, given, "a number of at least 0", lambda size: size >= 0)
            object.__setattr__(self, what, checked)
        if not isinstance(self.sampler, str) or self.sampler not in SAMPLERS:
            raise SweepError(
                f"sampler {shown(self.sampler)} is not one of {', '.join(SAMPLERS)}"
                f"{nearest(self.sampler, SAMPLERS)}"
            )
        if self.task is not None:
            examples = ("addition", "tasks.jsonl", "experiments/test_sums.py:task")
            object.__setattr__(self, "task", text("task", self.task, *examples))
        if self.model is not None:
            object.__setattr__(self, "model", text("model", self.model, "models/my-model"))

    def _check_metric(self) -> None:
        if self.metric is None:
            for what in ("direction", "target"):
                if (given := getattr(self, what)) is not None:
                    raise SweepError(
                        f"{what}={shown(given)} is of a metric; name the metric, as metric="
                        '"val_loss"'
                    )
            return
        name = text("metric", self.metric, "val_loss")
        object.__setattr__(self, "metric", name)
        if self.trainer is None:
            raise SweepError(
                f"metric {name!r} needs a trainer that measures it: the harness's own training "
                f"measures {DELTA_PERF.name}"
            )
        if self.direction is None:
            way = direction(canonical(name))
            if way is None:
                raise SweepError(
                    f"metric {name!r}: its name does not say whether more or less of it is "
                    'better; write direction="max" or direction="min"'
                )
            object.__setattr__(self, "direction", way)
        elif self.direction not in get_args(Direction):
            raise SweepError(
                f"direction {shown(self.direction)} is not one of max, min: whether more or less "
                f"of {name} is better"
            )
        if self.target is not None:
            expected = f"a value of {name} that a success passes"
            object.__setattr__(self, "target", number("target", self.target, expected))

    def _check_baseline(self) -> None:
        if isinstance(self.baseline, Counts):
            successes = count("baseline: successes", self.baseline.successes, 0)
            runs = count("baseline: runs", self.baseline.runs)
            if successes > runs:
                raise SweepError(
                    f"baseline {self.baseline.name!r} has {successes} successes in {runs} runs; "
                    "expected at most as many, in at least one"
                )
        elif self.baseline is not None and not isinstance(self.baseline, str):
            raise SweepError(
                f"baseline is {shown(self.baseline)}; expected the name of a sweep, or Counts"
            )
        elif self.baseline == self.name:
            raise SweepError("its baseline is itself; name another sweep")
        elif self.baseline is not None and has_ending(self.baseline):
            raise SweepError(
                f"baseline {self.baseline!r} is a table; declare a sweep or Counts, and give a "
                f"table when it is run: --sweep-baseline {self.baseline}"
            )

    @property
    def _possible_arms(self) -> tuple[str, ...]:
        """The arms that the sweep may have: controls, and one for each parameter."""
        return (*CONTROLS, CONFIRM, *self.parameters)

    def _check_arms(self) -> None:
        known = self._possible_arms
        for arm, size in self.arms.items():
            where = f"arm {shown(arm)}"
            if arm not in known:
                raise SweepError(f"{where} is not one of {', '.join(known)}{nearest(arm, known)}")
            if arm == CONFIRM:
                if not isinstance(size, Confirm):
                    raise SweepError(f"{where} is {shown(size)}; expected Confirm(top=3, seeds=8)")
                continue  # its reference is a question's, and these are checked after the arms
            if isinstance(size, Pairs) != (arm in self.parameters):
                wanted = "Pairs(count, values=…)" if arm in self.parameters else "a number of runs"
                raise SweepError(f"{where} is {shown(size)}; expected {wanted}")
            given: object = size.count if isinstance(size, Pairs) else size
            runs = count(f"{where}: runs", given)
            if runs > self.runs:
                raise SweepError(f"{where} has {runs} runs, more than the sweep's {self.runs}")
            if isinstance(size, Pairs):
                self._check_pairs(where, arm, size)
            if arm == "placebo" and "learning_rate" not in self.parameters:
                raise SweepError(f"{where} sets learning_rate to 0, but the space has none")

    def _check_pairs(self, where: str, arm: str, size: Pairs) -> None:
        kinds = [_NOT_PLAIN.sub("_", _named(arm, value)) for value in size.values]
        if len(set(kinds)) < len(kinds):
            raise SweepError(
                f"{where}: values {shown(size.values)} would give its runs the same ids; rename one"
            )
        self._check_quotes(where, arm, size.values)

    def _check_quotes(self, where: str, name: str, values: Iterable[Value]) -> None:
        try:
            check_quotes(values, among=self.parameters.distributions[name].values())
        except SweepError as error:
            raise SweepError(f"{where}: {error}, as the space has {name}") from None

    def _check_questions(self) -> None:
        for id_, claim in self.questions.items():
            text("the id of a question", id_, "success_above_half")
            if not isinstance(claim, Claim):
                raise SweepError(
                    f"question {id_!r} is {shown(claim)}, which is no claim{_lacks(claim)}; use "
                    "one, as success_rate.above(0.5), or derive yours from harness.BaseClaim"
                )
            for name in claim.parameters:
                if name not in self.parameters:
                    raise SweepError(
                        f"question {id_!r} names the parameter {shown(name)}; the space has "
                        f"{', '.join(self.parameters)}{nearest(name, self.parameters)}"
                    )
            known = self._possible_arms
            for name in claim.arms:
                if name not in known:
                    raise SweepError(
                        f"question {id_!r} needs the arm {shown(name)}, which is not one of "
                        f"{', '.join(known)}{nearest(name, known)}"
                    )
            for name, value in claim.paired_at.items():
                if name in self.parameters:
                    self._check_quotes(f"question {id_!r}", name, [value])


def _lacks(claim: object) -> str:
    """Say which members of a claim an object lacks; nothing where it has none of them."""
    members = [name for name in vars(Claim) if not name.startswith("_")]
    lacking = [name for name in members if not hasattr(claim, name)]
    return f" (it lacks {listed(lacking)})" if len(lacking) < len(members) else ""


def _share(what: str, value: object, most: float) -> float:
    expected = f"a number above 0 and below {most:g}"
    found: float = number(what, value, expected, lambda share: 0 < share < most)
    return found


_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_.+-]")
"""Characters that a run's id must not have: a shell would need quotes around them."""


def _written(value: Value) -> str:
    """Return a value as the id of a run has it: (64, 0.5) is ``64x0.5``."""
    if isinstance(value, tuple):
        return "x".join(map(_written, value))
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def _named(arm: str, value: Value) -> str:
    """Return the name of an arm's runs with ``value`` in their ids."""
    return f"{arm}_{_written(value) if isinstance(value, tuple) else value}"
