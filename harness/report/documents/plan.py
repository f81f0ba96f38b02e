"""Write the plan of a sweep: its configs and arms, what they cost, and what they can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.audit.coverage import Coverage, coverage, duplicates
from harness.metrics import DELTA_PERF
from harness.observations.budget import NoiseBudget
from harness.records import MAIN, Run
from harness.report.blocks import (
    Block,
    Bullets,
    Column,
    Document,
    Section,
    Table,
    Text,
    filled,
    grouped,
)
from harness.report.documents.budget import budget_blocks
from harness.report.documents.sweep_runs import config_columns, metric_text
from harness.sweeps.checks import shown
from harness.sweeps.confirming import MEDIAN, Confirm, reference_of
from harness.sweeps.sweep import Pairs, Sweep
from harness.text import NONE, cell, duration, listed_values, parameter_name, percent, plural
from harness.verdicts import Finding, Outlook, Power

KINDS: Mapping[str, str] = {
    "placebo": "the first {runs} with a learning rate of 0: must measure exactly 0",
    "null": "the first {runs} with rewards permuted: what useless training measures",
    "random": "the first {runs} with rewards drawn at random: whether any rewards would do",
    "half": "the first {runs} in half of the steps, their schedule fitted to them",
}

KINDS_BY_METRIC: Mapping[str, str] = {
    **KINDS,
    "placebo": "the first {runs} with a learning rate of 0: must end where they started",
    "null": "the first {runs} with nothing to be learned: what useless training measures",
}
"""The arms of a sweep that is judged by a metric of its own."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of runs: training steps, completions if configs say how many, estimated seconds.

    ``stored`` is the number of stored runs that the estimate rests on; ``why`` says why there is
    no estimate.
    """

    runs: int
    steps: int
    completions: int | None
    seconds: float | None
    stored: int
    why: str


@dataclass(frozen=True, slots=True)
class PlanPage:
    """A plan, with its cost, power and findings.

    ``means`` names the backend and what else trains the runs; it is empty for a user's training
    function. ``transfer`` is the factor from the sweep's learning rates to the task's, and
    ``transfer_said`` says of a language model where it comes from. ``budget`` is where the spread
    of its stored runs comes from, ``outlook`` what more of them buy.
    """

    sweep: Sweep
    runs: tuple[Run, ...]
    cost: Cost
    power: tuple[Power, ...]
    findings: tuple[Finding, ...]
    means: str = ""
    transfer: float = 1.0
    transfer_said: str = ""
    budget: NoiseBudget = field(default_factory=NoiseBudget)
    outlook: Outlook | None = None

    @property
    def main(self) -> tuple[Run, ...]:
        """The main runs with the first seed: one of each config."""
        return tuple(run for run in self.runs if run.arm == MAIN and run.repeat == 0)

    @property
    def seeds(self) -> int:
        """The number of seeds that each config is trained with."""
        return 1 + max(run.repeat for run in self.runs if run.arm == MAIN)

    @property
    def coverage(self) -> tuple[Coverage, ...]:
        """The coverage of each parameter by the main runs."""
        return coverage(self.sweep.parameters, [run.config for run in self.main])


def document(page: PlanPage) -> Document:
    """Return a plan as a document: configs and arms, what they cost, and what they can show."""
    sweep, main = page.sweep, page.main
    steps = main[0].steps
    declared = (len(main), steps, page.seeds) == (sweep.runs, sweep.steps, sweep.seeds)
    title = f"{sweep.name}: {_size(len(main), steps, page.seeds)}"
    if not declared:
        each = f" with {plural(sweep.seeds, 'seed')}" * (max(page.seeds, sweep.seeds) > 1)
        title += f" (declared: {sweep.runs}{each} of {plural(sweep.steps, 'step')})"
    columns = (Column("parameter", right=False), Column("drawn from", right=False, wrap=True))
    space = Table(columns, tuple(sweep.parameters.describe().items()))
    findings = Bullets(
        tuple((f"{found.severity}: {found.code}", found.message) for found in page.findings)
    )
    sections = filled(
        Section("", _about(page)),
        Section("Parameters", (space, *_covered(page))),
        Section("Configs", (_configs(page), Text(_repeats(main)), *_seeded(page))),
        Section("Arms", (_arms(page),) if any(r.arm != MAIN for r in page.runs) else ()),
        Section("", tuple(map(Text, cost_text(page.cost)))),
        Section("Power", power_blocks(page.power)),
        Section("Noise budget", budget_blocks(page.budget, page.outlook)),
        Section("Audit of the design", (findings,) if findings.items else ()),
    )
    sample = f"{parameter_name(sweep.sampler)} sample, seed {sweep.seed}"
    return Document(f"{title}, {sample}", sections)


def _about(page: PlanPage) -> tuple[Block, ...]:
    said = [f"trained with {page.means}"] if page.means else []
    said += [page.transfer_said] if page.transfer_said else []
    if page.sweep.judged_by != DELTA_PERF:
        said.append(f"judged by {metric_text(page.sweep.judged_by)}")
    return tuple(map(Text, said))


def _size(runs: int, steps: int, seeds: int) -> str:
    each = f" with {seeds} seeds each" if seeds > 1 else ""
    return f"{plural(runs, 'run' if seeds == 1 else 'config')}{each} of {plural(steps, 'step')}"


def probability(chance: float | None) -> str:
    """Return ``0.57``, and ``> 0.99`` instead of 1.00."""
    if chance is None:
        return NONE
    return "> 0.99" if chance > 0.995 else f"{chance:.2f}"


def _needed(power: Power) -> str:
    if not power.effect:
        return NONE
    return f"> {power.most:,}" if power.needed is None else f"{power.needed:,}"


def power_blocks(powers: Sequence[Power]) -> tuple[Block, ...]:
    """Return the power of questions as a table, an example of it in words, and its assumptions."""
    columns = (
        Column("question", right=False),
        Column("if this is true", right=False, wrap=True),
        Column("n"),
        Column("power"),
        Column("n for 0.8", wrap=True),
    )
    rows = [
        (
            power.question,
            power.effect or power.why or power.says,
            f"{power.n:,}",
            probability(power.power),
            _needed(power),
        )
        for power in powers
    ]
    blocks: list[Block] = [Table(columns, grouped(rows))] if rows else []
    example = next((power.says for power in powers if power.effect), "")
    if example:
        blocks.append(Text(f"Read: {example}."))
    rests: dict[str, list[str]] = {}
    for power in powers:
        if power.given and power.question not in rests.setdefault(power.given, []):
            rests[power.given].append(power.question)
    if rests:
        blocks.append(Bullets(tuple((", ".join(ids), given) for given, ids in rests.items())))
    return tuple(blocks)


def _covered(page: PlanPage) -> list[Block]:
    """Return a table of how the runs cover each parameter that varies."""
    runs = f"in {plural(len(page.main), 'run')}"
    columns = (Column("parameter", right=False), Column(runs, right=False, wrap=True))
    varied = [of for of in page.coverage if of.gap is not None or len(of.levels) > 1]
    return [Table(columns, tuple((of.parameter, _found(of)) for of in varied))] if varied else []


def _found(of: Coverage) -> str:
    if of.gap is None:
        return ", ".join(f"{cell(level)}: {plural(runs, 'run')}" for level, runs in of.levels)
    rate = of.parameter == "learning_rate"
    low, high, start, end = (cell(x, rate=rate) for x in (of.low, of.high, *of.gap))
    spanned = f"{percent(of.share)} of the range"
    if of.orders is not None:
        spanned = f"{of.orders:.2f} of {of.declared:.2f} orders of magnitude"
    return (
        f"{low} to {high}, {spanned}; the widest gap, {start} to {end}, is "
        f"{percent(of.gap_share)} of the range"
    )


def _configs(page: PlanPage) -> Table:
    configs = [run.config for run in page.main]
    varied = [n for n in page.sweep.parameters if len({config[n] for config in configs}) > 1]
    columns = {
        Column("run", right=False): [f"{run.index:02d}" for run in page.main],
        **config_columns(configs, varied, page.transfer),
    }
    columns[Column("seed", drop=2)] = [str(run.seed) for run in page.main]
    return Table(tuple(columns), tuple(zip(*columns.values(), strict=True)))


def _repeats(main: Sequence[Run]) -> str:
    groups = duplicates(main)
    if not groups:
        return "No config occurs twice."
    distinct = len(main) - sum(len(group) - 1 for group in groups)
    return f"{distinct} of {plural(len(main), 'config')} are distinct."


def _seeded(page: PlanPage) -> list[Block]:
    if page.seeds == 1:
        return []
    return [
        Text(
            f"Each is trained with {page.seeds} seeds, of which the first is shown, and counts "
            "once, by their mean; power counts configs. The first seeds of all, their arms too, "
            "are trained first."
        )
    ]


def _arms(page: PlanPage) -> Table:
    columns = (
        Column("arm", right=False),
        Column("runs"),
        Column("steps"),
        Column("what it is", right=False, wrap=True),
    )
    rows = []
    for arm in dict.fromkeys(run.arm for run in page.runs if run.arm != MAIN):
        of = [run for run in page.runs if run.arm == arm]
        size = page.sweep.arms[arm]
        if isinstance(size, Confirm):
            purpose = _confirming(page, of)
        elif isinstance(size, Pairs):
            first = {run.pair for run in of if run.repeat == 0}
            purpose = _pairs(page, arm, size, len(first))
        else:
            kinds = KINDS if page.sweep.judged_by == DELTA_PERF else KINDS_BY_METRIC
            firsts = sum(run.repeat == 0 for run in of)
            purpose = kinds[arm].format(runs=plural(firsts, "run"))
        rows.append((arm, str(len(of)), str(of[0].steps), purpose))
    return Table(columns, tuple(rows))


def _confirming(page: PlanPage, runs: Sequence[Run]) -> str:
    """Say what is trained again once all main runs are in."""
    top, seeds = max(run.index for run in runs), 1 + max(run.repeat for run in runs)
    reference = reference_of(page.sweep)
    against = "the median one" if reference == MEDIAN else f"the reference {shown(reference)}"
    best = f"the best {plural(top, 'config')}" if top > 1 else "the best config"
    return f"{best} and {against}, each with {plural(seeds, 'fresh seed')}, after all main runs"


def _pairs(page: PlanPage, arm: str, size: Pairs, runs: int) -> str:
    """Say which main runs an arm of pairs repeats, and how many there are if not enough."""
    name, values = parameter_name(arm), ", ".join(map(cell, size.values))
    compared = page.sweep.paired_at(arm)
    some = any(run.config[arm] not in compared for run in page.main) if compared else False
    at = f" of {name} {listed_values(compared, 'or')}," if some else ""
    fewer = f" ({size.count} were asked for)" if runs < size.count else ""
    return f"the first {plural(runs, 'run')}{at} with {name} {values}{fewer}"


def cost_text(cost: Cost) -> list[str]:
    """Return a sentence on the cost of the runs and one on the time they take."""
    sizes = [plural(cost.runs, "run"), plural(cost.steps, "step")]
    if cost.completions is not None:
        sizes.append(plural(cost.completions, "completion"))
    if cost.seconds is None:
        time = f"Time is not known yet: {cost.why}."
    else:
        by = plural(cost.stored, "stored run")
        time = f"About {duration(cost.seconds)} with one worker, judging by {by}."
    return [f"Cost: {', '.join(sizes)}.", time]
