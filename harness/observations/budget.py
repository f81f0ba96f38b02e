"""Split the spread of a sweep's results into where it comes from: the noise budget.

A result is a mean, plus what its configuration adds, plus what its seed adds, plus what sampling
its evaluation adds, each with a variance of its own. Where seeds repeat, runs of one configuration
differ by seed and evaluation, and the means of configurations by the rest. Standard errors tell
the part of the evaluation, which is taken out of that of the seeds.

Where no seeds repeat, configuration and seed cannot be told apart. What the parameters explain by
adding up belongs to the configurations; what that leaves beyond the evaluation is the seed's and
what parameters do together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from statistics import harmonic_mean
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from harness import statistics
from harness.observations.adjusted import Modelled, modelled
from harness.observations.repeats import each_run, merge, tells_seeds
from harness.observations.sample import ById, FloatArray, observe
from harness.records import IMPORTED, Config, Result

if TYPE_CHECKING:
    from harness.statistics import Estimate

Source = Literal["config", "parameters", "seed", "together", "evaluation", "machine"]
"""Where spread comes from. ``parameters`` is what they explain by adding up, and ``together`` the
seed and what parameters do together: these two stand in where seeds do not repeat."""

Lack = Literal[
    "few results",
    "equal results",
    "one configuration",
    "no repeats",
    "no standard errors",
    "one machine",
    "goes with configurations",
    "no model",
]
"""Why a source is not known.

``no repeats``: hardly a configuration has two seeds; ``one machine``: all runs are of one, or none
says of which; ``goes with configurations``: each machine has its own; ``no model``: too few runs to
tell what parameters do.
"""

MachineKind = Literal["backend", "device", "platform"]
"""Machines are told apart by the first of these in which the runs differ."""

DOMINATES = 2 / 3
"""The share of the variance from which one source dominates."""


@dataclass(frozen=True)
class NoiseBudget:
    """The variance of a sweep's results by source: each an SD in the metric's unit, or None.

    ``lacks`` says why a source is not known. ``seed`` has the evaluation in it where that is not
    known, and so has ``together``. ``runs`` have completed, of ``configurations``; ``diverged`` are
    left out. ``each`` is the harmonic mean of the seeds of a configuration. ``interplay`` is the SD
    over configurations that the parameters, added up, leave; None where that is not known: it is
    in ``together`` where seeds do not repeat. ``modelled`` says that what parameters explain is
    known, and ``entered`` counts the columns that enter the model where the results choose it, as
    beside a parameter that is tested. ``kind`` says what tells machines apart.
    """

    runs: int = 0
    configurations: int = 0
    diverged: int = 0
    each: float = 1.0
    config: Estimate | None = None
    parameters: Estimate | None = None
    seed: Estimate | None = None
    together: Estimate | None = None
    evaluation: Estimate | None = None
    machine: Estimate | None = None
    interplay: float | None = None
    modelled: bool = False
    entered: int = 0
    kind: MachineKind | None = None
    lacks: Mapping[Source, Lack] = field(default_factory=dict)
    level: float = 0.95

    @property
    def repeats(self) -> bool:
        """Whether seeds repeat, so that the seed is told from what else spreads."""
        return self.seed is not None

    @property
    def parts(self) -> dict[Source, Estimate]:
        """The sources that are known: together the variance of a single result."""
        every: tuple[tuple[Source, Estimate | None], ...] = (
            ("config", self.config),
            ("parameters", self.parameters),
            ("seed", self.seed),
            ("together", self.together),
            ("evaluation", self.evaluation),
            ("machine", self.machine),
        )
        return {source: one for source, one in every if one is not None}

    @property
    def total(self) -> float:
        """The SD of a single result: the root of the sum of all parts' variances."""
        return math.sqrt(sum(one.value**2 for one in self.parts.values()))

    @property
    def shares(self) -> dict[Source, float]:
        """The share of the variance that each part has, 0 to 1; empty where nothing spreads."""
        whole = self.total**2
        return {s: one.value**2 / whole for s, one in self.parts.items()} if whole else {}

    @property
    def dominating(self) -> Source | None:
        """The source that dominates: at least `DOMINATES` of the variance, its low end above 0.

        What seeds and parameters do together is none where no model says what parameters do: then
        it is all there is.
        """
        known = self.parameters is not None and math.isfinite(self.parameters.high)
        for source, share in self.shares.items():
            if source == "together" and not known:
                continue
            if share >= DOMINATES and len(self.parts) > 1 and self.parts[source].low > 0.0:
                return source
        return None

    def spread(
        self, seeds: int = 1, items: float = 1.0, *, beside: bool = False
    ) -> tuple[float, float] | None:
        """Return the least and the largest SD to expect of the results of fresh configurations.

        A result is the mean over ``seeds`` seeds, evaluated on ``items`` times as many held-out
        items. With ``beside`` it is the SD that the parameters, added up, leave. The two differ
        where it is not known what of the spread is the seeds': more of them then bring something
        between nothing and as much as if all were. None where no such spread is known.
        """
        if not self.parts or (beside and not self.modelled):
            return None
        config, seed, machine = map(_variance, (self.config, self.seed, self.machine))
        if beside:
            config = (self.interplay or 0.0) ** 2
        else:
            config += _variance(self.parameters)
        of_seeds = seed + _variance(self.evaluation) / items + machine
        unknown = _variance(self.together)
        least = config + (unknown + of_seeds) / seeds
        return math.sqrt(least), math.sqrt(config + unknown + of_seeds / seeds)


def _variance(one: Estimate | None) -> float:
    return 0.0 if one is None else one.value**2


def noise_budget(
    results: Iterable[Result], given: Mapping[str, str] | None = None, level: float = 0.95
) -> NoiseBudget:
    """Split the variance of the main runs of a sweep by its sources.

    ``given`` names the parameter that another's values depend on by declaration. ``results`` may be
    runs or the means of their repeats. Diverged runs and those without a result have no part in it.
    """
    links = None if given is None else tuple(sorted(given.items()))
    return _noise_budget(ById(tuple(results)), links, level)


@lru_cache(maxsize=8)
def _noise_budget(
    sample: ById, links: tuple[tuple[str, str], ...] | None, level: float
) -> NoiseBudget:
    runs = each_run(sample.results)
    observed = observe(runs)
    groups = _by_config(observed.completed)
    sizes = [len(group) for group in groups]
    begun = NoiseBudget(
        runs=len(observed.completed),
        configurations=len(groups),
        diverged=len(observed.diverged),
        each=harmonic_mean(sizes) if sizes else 1.0,
        level=level,
    )
    if len(observed.completed) < 2 or statistics.is_constant(observed.delta):
        lack: Lack = "few results" if len(observed.completed) < 2 else "equal results"
        sources: tuple[Source, ...] = ("config", "seed", "evaluation", "machine")
        return replace(begun, lacks=dict.fromkeys(sources, lack))
    kind, labels = _machines(observed.completed)
    begun = replace(begun, kind=kind, evaluation=_of_evaluation(groups, level))
    given = None if links is None else dict(links)
    results = sample.results
    if not any(result.repeats for result in results):
        repeats = merge(results)
        results = repeats.results if repeats.merged else results
    found, chosen = modelled(results, given, whole=True), modelled(results, given)
    if chosen is not None:
        begun = replace(begun, entered=chosen.basis.shape[1] - 1)
    values = [[_outcome(run) for run in group] for group in groups]
    if tells_seeds(values):
        split = _of_repeats(begun, groups, values, labels, found)
    else:
        split = _of_singles(begun, observed.completed, observed.delta, labels, found)
    lacks = dict(split.lacks)
    if begun.evaluation is None:
        lacks["evaluation"] = "no standard errors"
    if split.machine is None:
        lacks["machine"] = "one machine" if kind is None else "goes with configurations"
    return replace(split, lacks=lacks)


def _of_repeats(
    begun: NoiseBudget,
    groups: Sequence[Sequence[Result]],
    values: Sequence[Sequence[float]],
    labels: Mapping[int, str],
    found: Modelled | None,
) -> NoiseBudget:
    """Split the ``values`` of configurations whose seeds repeat, in the order of ``groups``."""
    level = begun.level
    lacks: dict[Source, Lack] = {}
    codes = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    y = np.concatenate([np.array(group) for group in values])
    machine, taken, spent = None, np.zeros_like(y), 0
    if labels:
        machines = _indicators([labels[id(run)] for group in groups for run in group])
        dof = y.size - len(groups)
        fit = statistics.crossed(_centred(y, codes), _centred(machines, codes), dof, level)
        if fit is not None:
            machine, effects, spent = fit
            taken = machines @ effects
    left = [y[codes == place] - taken[codes == place] for place in range(len(groups))]
    apart = statistics.variance_components(left, level, spent=spent)
    if apart is None:
        config, within = None, statistics.residual_sd(float(np.std(y, ddof=1)), y.size - 1, level)
        lacks["config"] = "one configuration"
    else:
        config, within = apart.between, apart.within
    of = begun.evaluation
    seed = within if of is None else statistics.beyond(within, of)
    interplay = None
    if found is not None and config is not None:
        own = within.value**2 + _variance(machine)
        interplay = math.sqrt(max(0.0, found.sd**2 - own / begun.each))
    return replace(
        begun,
        config=config,
        seed=seed,
        machine=machine,
        interplay=interplay,
        modelled=interplay is not None,
        lacks=lacks,
    )


def _of_singles(
    begun: NoiseBudget,
    runs: Sequence[Result],
    delta: FloatArray,
    labels: Mapping[int, str],
    found: Modelled | None,
) -> NoiseBudget:
    """Split the outcomes of configurations with one seed each, hardly one with several."""
    level = begun.level
    lacks: dict[Source, Lack] = {"config": "no repeats", "seed": "no repeats"}
    machine = parameters = None
    if found is None:
        lacks["parameters"] = "no model"
        mean = np.full((delta.size, 1), 1 / math.sqrt(delta.size))
        found = Modelled(tuple(runs), delta, mean, delta.size - 1)
        is_model = False
    else:
        is_model = True
    left, dof = found.left_of(found.delta), found.dof
    if labels:
        machines = _indicators([labels.get(id(_first(run)), "") for run in found.results])
        fit = statistics.crossed(left, found.left_of(machines), dof, level)
        if fit is not None:
            machine, effects, spent = fit
            left, dof = left - found.left_of(machines @ effects), dof - spent
    rest = statistics.residual_sd(math.sqrt(float(left @ left) / dof), dof, level, delta.size)
    if is_model:
        about = found.delta - found.delta.mean()
        squares = float(about @ about)
        parameters = statistics.explained(squares, found.sd, found.dof, delta.size, level)
    of = begun.evaluation
    return replace(
        begun,
        parameters=parameters,
        together=rest if of is None else statistics.beyond(rest, of),
        machine=machine,
        modelled=is_model,
        lacks=lacks,
    )


# ---- what is read of the runs --------------------------------------------------------------------


def _by_config(runs: Iterable[Result]) -> list[list[Result]]:
    groups: dict[tuple[Config, int], list[Result]] = {}
    for run in runs:
        groups.setdefault((run.run.config, run.run.steps), []).append(run)
    return list(groups.values())


def _outcome(run: Result) -> float:
    assert run.outcome.delta_perf is not None
    return run.outcome.delta_perf


def _first(result: Result) -> Result:
    return result.repeats[0] if result.repeats else result


def _of_evaluation(groups: Sequence[Sequence[Result]], level: float) -> Estimate | None:
    """Return the SD of a result that sampling its evaluation leaves, by the standard errors.

    None where more than half of the runs have none.
    """
    observed = observe(tuple(run for group in groups for run in group))
    if observed.se is None or 2 * observed.se.size < observed.delta.size or not observed.se.any():
        return None
    measured = [r for r, known in zip(observed.completed, observed.measured, strict=True) if known]
    errors = {id(run): float(se) for run, se in zip(measured, observed.se, strict=True)}
    known = [[errors[id(run)] for run in group if id(run) in errors] for group in groups]
    return statistics.root_mean_square(known, level)


def _machines(runs: Sequence[Result]) -> tuple[MachineKind | None, dict[int, str]]:
    """Return what tells the machines of runs apart, and each run's by its id; none where nothing.

    A device's number is left out: those of one machine are alike.
    """
    readings: dict[MachineKind, list[str]] = {
        "backend": [_backend(run) for run in runs],
        "device": [(run.outcome.device or run.conditions.device).split(":")[0] for run in runs],
        "platform": [str(run.environment.get("platform") or "") for run in runs],
    }
    for kind, labels in readings.items():
        if len(set(labels)) > 1 and all(labels):
            return kind, {id(run): label for run, label in zip(runs, labels, strict=True)}
    return None, {}


def _backend(run: Result) -> str:
    named = run.conditions.backend
    return str(run.environment.get("backend") or "") if named == IMPORTED else named


def _indicators(labels: Sequence[str]) -> FloatArray:
    """Return the indicators [n, m] of n labels of m kinds."""
    kinds, codes = np.unique(np.array(labels), return_inverse=True)
    return np.asarray(np.eye(kinds.size)[codes.ravel()])


def _centred(values: FloatArray, codes: NDArray[np.intp]) -> FloatArray:
    """Return ``values`` [n] or [n, m] less the means of their groups, as numbered by ``codes``."""
    counts = np.bincount(codes)
    columns = values.reshape(values.shape[0], -1)
    sums = np.stack([np.bincount(codes, column) for column in columns.T], axis=1)
    return np.asarray((columns - (sums / counts[:, None])[codes]).reshape(values.shape))
