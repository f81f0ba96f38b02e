"""``sweep plan``: configurations and cost, before anything is spent."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.cli import common
from harness.errors import StoreError
from harness.planning import conditions_of, planned, trained_with
from harness.records import MAIN, Conditions, Result, Run
from harness.sweep import Pairs, Sweep

HELP = "print the configurations of a sweep, its arms and its cost, and train nothing"


@dataclass(frozen=True, slots=True)
class Cost:
    """What runs cost: training steps, completions where configs say how many, estimated seconds.

    ``stored`` is the number of stored runs that the estimate rests on; ``why`` says why there is
    none.
    """

    runs: int
    steps: int
    completions: int | None
    seconds: float | None
    stored: int
    why: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument("name", metavar="NAME", help="the sweep to plan")
    common.add_selection(parser)
    common.add_experiments(parser)
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Print the plan of a sweep."""
    sweep = common.chosen(options.name, common.sweeps(options))
    selection = common.selection(options, sweep)
    runs = planned(sweep, selection)
    conditions = conditions_of(sweep, selection, trains=False)
    cost = estimate(runs, *_timed(options, conditions))
    if options.json:
        common.print_json(_data(sweep, runs, cost))
    else:
        means = trained_with(conditions, selection, device=False)
        print("\n".join(_lines(sweep, runs, cost, means, common.width())))
    return 0


def estimate(runs: Sequence[Run], stored: Sequence[Result], why: str) -> Cost:
    """Return what ``runs`` cost, by the time that ``stored`` ones took for a completion or step."""
    from statistics import median

    works = [completions(run) for run in runs]
    counted = [work for work in works if work is not None]
    whole = len(counted) == len(works)
    rates = []
    for result in stored:
        work = completions(result.run) if whole else result.run.steps
        if work and result.outcome.seconds is not None:
            rates.append(result.outcome.seconds / work)
    steps = sum(run.steps for run in runs)
    amount = sum(counted) if whole else steps
    return Cost(
        runs=len(runs),
        steps=steps,
        completions=sum(counted) if whole else None,
        seconds=median(rates) * amount if rates else None,
        stored=len(rates),
        why="" if rates else why,
    )


def completions(run: Run) -> int | None:
    """Return how many completions a run is trained on; None where its config does not say."""
    sizes = [run.config.get(name) for name in ("batch_size", "generations")]
    if not all(isinstance(size, int) and not isinstance(size, bool) for size in sizes):
        return None
    batch, group = (int(size) for size in sizes if size is not None)
    return run.steps * batch * group


def _timed(options: argparse.Namespace, conditions: Conditions) -> tuple[list[Result], str]:
    """Return the stored runs that tell how long these will take, or why there are none."""
    try:
        with common.open_store(options) as store:
            results = store.results(traces=False)
    except StoreError:
        if options.store:
            raise
        return [], "no run is stored"
    alike = ("backend", "precision", "task", "model")
    found = [
        result
        for result in results
        if result.outcome.status == "completed"
        and all(getattr(result.conditions, n) == getattr(conditions, n) for n in alike)
    ]
    return found, f"no run of {conditions.model} on {conditions.backend} is stored"


def _data(sweep: Sweep, runs: Sequence[Run], cost: Cost) -> dict[str, Any]:
    return {
        "sweep": sweep.name,
        "runs": [
            {
                "id": run.id,
                "arm": run.arm,
                "pair": run.pair,
                "seed": run.seed,
                "steps": run.steps,
                "config": dict(run.config),
            }
            for run in runs
        ],
        "cost": {
            "runs": cost.runs,
            "steps": cost.steps,
            "completions": cost.completions,
            "seconds": cost.seconds,
            "stored_runs": cost.stored,
        },
        "power": [],
        "audit": [],
    }


def _lines(sweep: Sweep, runs: Sequence[Run], cost: Cost, means: str, width: int) -> list[str]:
    from harness.report.digits import count
    from harness.report.layout import wrap

    main = [run for run in runs if run.arm == MAIN]
    steps = main[0].steps
    declared = (len(main), steps) == (sweep.runs, sweep.steps)
    less = "" if declared else f" (declared: {sweep.runs} of {count(sweep.steps, 'step')})"
    title = f"{sweep.name}: {count(len(main), 'run')} of {count(steps, 'step')}{less}"
    lines = wrap(f"{title}, {sweep.sampler.replace('_', ' ')} sample, seed {sweep.seed}", width)
    if means:
        lines += wrap(f"trained with {means}", width)
    lines += ["", *_space(sweep, width), "", *_configs(sweep, main, width)]
    if len(runs) > len(main):
        lines += ["", *_arms(sweep, runs, width)]
    return [*lines, "", *(part for line in _cost(cost) for part in wrap(line, width))]


def _space(sweep: Sweep, width: int) -> list[str]:
    from harness.report.blocks import Column, Table
    from harness.report.layout import table_text

    columns = (Column("parameter", right=False), Column("drawn from", right=False, wrap=True))
    return table_text(Table(columns, tuple(sweep.parameters.describe().items())), width)


def _configs(sweep: Sweep, main: Sequence[Run], width: int) -> list[str]:
    from harness.report.blocks import Column, Table
    from harness.report.digits import learning_rate, value
    from harness.report.layout import table_text

    configs = [run.config for run in main]
    varied = [n for n in sweep.parameters if len({config[n] for config in configs}) > 1]
    columns = {Column("run", right=False): [f"{run.index:02d}" for run in main]}
    for name in varied:
        rate = name == "learning_rate"
        title = Column(name.replace("_", " "), wrap=True)
        columns[title] = [value(config[name], rate=rate) for config in configs]
        transfer = _transfer(sweep) if rate else 1.0
        if transfer != 1:
            rates = [float(config[name] or 0) for config in configs]
            columns[Column("the task's", drop=1)] = [learning_rate(r * transfer) for r in rates]
    columns[Column("seed", drop=2)] = [str(run.seed) for run in main]
    return table_text(Table(tuple(columns), tuple(zip(*columns.values(), strict=True))), width)


def _transfer(sweep: Sweep) -> float:
    """Return the factor between the sweep's learning rates and those of the task it trains on."""
    from harness.training.tasks import DEFAULT_TASK, get_task

    return 1.0 if sweep.trainer is not None else get_task(sweep.task or DEFAULT_TASK).lr_transfer


def _arms(sweep: Sweep, runs: Sequence[Run], width: int) -> list[str]:
    from harness.report.blocks import Column, Table
    from harness.report.layout import table_text

    columns = (
        Column("arm", right=False),
        Column("runs"),
        Column("steps"),
        Column("what it is", right=False, wrap=True),
    )
    rows = []
    for arm in dict.fromkeys(run.arm for run in runs if run.arm != MAIN):
        of = [run for run in runs if run.arm == arm]
        size = sweep.arms[arm]
        if isinstance(size, Pairs):
            values = ", ".join(map(str, size.values))
            said = f"the first {size.count} runs with {arm.replace('_', ' ')} {values}"
        else:
            said = KINDS[arm].format(size=len(of))
        rows.append((arm, str(len(of)), str(of[0].steps), said))
    return table_text(Table(columns, tuple(rows)), width)


KINDS = {
    "placebo": "the first {size} runs with a learning rate of 0: must measure exactly 0",
    "null": "the first {size} runs with rewards permuted: what useless training measures",
    "half": "the first {size} runs in half of the steps, their schedule fitted to them",
}


def _cost(cost: Cost) -> list[str]:
    from harness.report.digits import count, duration

    sizes = [count(cost.runs, "run"), count(cost.steps, "step")]
    if cost.completions is not None:
        sizes.append(count(cost.completions, "completion"))
    if cost.seconds is None:
        time = f"Time is not known yet: {cost.why}."
    else:
        by = count(cost.stored, "stored run")
        time = f"About {duration(cost.seconds)} with one worker, judging by {by}."
    return [f"Cost: {', '.join(sizes)}.", time]
