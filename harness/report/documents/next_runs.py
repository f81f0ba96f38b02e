"""Write what to do with the next runs: each option, what it decides, and how likely it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.claims.base import gain
from harness.metrics import Metric
from harness.refine import Advice, ConfirmOption, Narrower, Nothing, Option, Seeds, Wider
from harness.refine.options import CLOSE
from harness.refine.source import distribution
from harness.report.blocks import Block, Bullets, Column, SummaryLine, Table
from harness.report.documents.plan import probability
from harness.report.documents.selection import best_noun, best_text
from harness.report.failures import short_id
from harness.text import (
    NONE,
    listed,
    number,
    parameter_name,
    parameter_value,
    plural,
)

Commands = Mapping[str, Sequence[str]]
"""By the kind of an option, the commands that do it, in their order; none where there are none."""

SETTLED = {
    "told apart": "every question is decided, and the best {noun} is told apart from the others",
    "alike": "every question is decided, and no {noun} is ahead of the mean by more than the "
    "margin",
    "confirmed": "every question is decided, and the best {noun} was trained again with fresh "
    "seeds",
    "constant": "the metric is the same in every run, so that no further run tells anything until "
    "it is measured otherwise",
}
"""Why no more runs are needed, in words."""


def title(advice: Advice) -> str:
    """Return the title of the section."""
    return f"What to do with the next {plural(advice.runs, 'run')}"


def summary_lines(advice: Advice, commands: Commands, metric: Metric) -> tuple[SummaryLine, ...]:
    """Return the first choice, and the best run with what is left of it after selection."""
    first = advice.first
    typed = " && ".join(commands.get(first.kind, ()))
    lines = [SummaryLine("Next", _act(first, advice) + (f": {typed}" if typed else ""))]
    if advice.chosen.top is not None:
        noun = best_noun(advice.chosen)
        lines.append(SummaryLine(f"Best {noun}", best_text(advice.chosen, metric)))
    return tuple(lines)


def option_blocks(advice: Advice, commands: Commands, metric: Metric) -> tuple[Block, ...]:
    """Return the options as a table, the best first, and how each is done below it."""
    columns = (
        Column("option", right=False),
        Column("runs"),
        Column("chance"),
        Column("what it would decide", right=False, wrap=True),
    )
    rows = tuple(
        (
            option.kind,
            f"{option.runs:,}" if option.runs else NONE,
            _chance(option),
            _decides(option, advice),
        )
        for option in advice.options
    )
    items = tuple(
        (option.kind, " ".join(_sentences(option, advice, commands, metric)))
        for option in advice.options
    )
    note = "chance: the probability that it decides that; – where it is not known"
    return Table(columns, rows, note=note), Bullets(items)


def _chance(option: Option) -> str:
    if option.chance is None:
        return NONE
    bound = isinstance(option, ConfirmOption) and option.at_most
    return f"≤ {option.chance:.2f}" if bound else probability(option.chance)


def _act(option: Option, advice: Advice) -> str:
    """Return what to do, as an order."""
    match option:
        case Nothing():
            return f"train no more: {SETTLED[option.why].format(noun=best_noun(advice.chosen))}"
        case ConfirmOption():
            leaders = len(option.leaders)
            best = "the best config" if leaders == 1 else f"the best {leaders} configs"
            return f"confirm {best} and the median one, with {option.seeds} fresh seeds each"
        case Seeds():
            return (
                f"train each of {plural(option.configs, 'config')} with "
                f"{plural(option.then, 'seed')} in place of {option.now}"
            )
        case Narrower():
            changed = plural(option.changed, "parameter")
            if not option.changed:
                return "train the proposed sweep, which draws the same ranges anew"
            return f"train the proposed sweep, in which {changed} changed"
        case Wider():
            return f"train a wider sweep: {listed(_beyond(option))}"


def _beyond(option: Wider) -> Iterator[str]:
    for one in option.beyond:
        where = "below" if one.end == "lower" else "above"
        yield f"{parameter_name(one.parameter)} {where} {parameter_value(one.edge)}"


def _decides(option: Option, advice: Advice) -> str:
    match option:
        case Nothing():
            return "nothing that is open"
        case ConfirmOption():
            if len(option.leaders) == 1:
                return "whether the best config is ahead of the median one"
            return "whether one of them is ahead of the median config, and which may be the best"
        case Seeds():
            open_ = "" if option.question is None else f", and {option.question}"
            return f"how much of the spread is the noise of seeds{open_}"
        case Narrower():
            return "what its questions ask" + (f", first {option.question}" * bool(option.question))
        case Wider():
            names = listed(parameter_name(one.parameter) for one in option.beyond)
            return f"whether the best {names} lies beyond the searched range"


def _sentences(option: Option, advice: Advice, commands: Commands, metric: Metric) -> Iterator[str]:
    """Yield how an option is done, with the runs of its arms, and what its chance rests on."""
    act = _act(option, advice)
    typed = commands.get(option.kind, ())
    yield f"{act}." if not typed else f"{act}: {' && '.join(typed)}."
    match option:
        case ConfirmOption():
            yield from _confirmed(option, advice, metric)
        case Seeds():
            yield from _seeded(option)
        case Narrower():
            yield from _with_arms(option.runs, option.with_arms, advice)
            if option.chance is not None:
                yield (
                    f"Its chance is that of {option.question}, at the smallest effect that its "
                    "power is stated for."
                )
        case Wider():
            yield from _with_arms(option.runs, option.with_arms, advice)
            yield from _widened(option)


def _confirmed(option: ConfirmOption, advice: Advice, metric: Metric) -> Iterator[str]:
    short = {result.run.id: short_id(result) for result in advice.chosen.results}
    leaders = [short[id_] for id_ in option.leaders]
    covered = "" if option.covered is None else f" ({_among(option)})"
    yield f"Leaders: {listed(leaders)}{covered}."
    if option.lead is None or option.left is None or option.sd is None:
        yield "How likely it shows a lead is not known, since the noise of a run is not."
        return
    yield (
        f"{leaders[0]} is ahead of the median config by "
        f"{gain(option.lead, metric)}, of which selection leaves "
        f"{gain(option.left, metric)}: the chance is at that lead, with an SD of "
        f"{number(option.sd)} between fresh seeds."
    )
    if option.at_most:
        yield "That SD is of the evaluation alone; what seeds add makes the chance smaller."
    elif option.noise == "residual":
        yield (
            "That SD is what the parameters, added up, leave unexplained; seeds alone may differ "
            "less."
        )


def _among(option: ConfirmOption) -> str:
    one = "it is the best" if len(option.leaders) == 1 else "the best is one of them"
    return f"{one} with probability {probability(option.covered)}"


def _seeded(option: Seeds) -> Iterator[str]:
    yield f"In a sweep file that is seeds={option.then}; what is stored counts."
    if option.with_arms > option.runs:
        yield f"With its arms {option.with_arms:,} runs."
    yield (
        f"The standard error of a config falls to {option.error:.2f} of what it is, as far as "
        f"seeds make it; the SD of seeds is then known to within {CLOSE:.0%} with probability "
        f"{probability(option.known)}."
    )
    if option.question is not None:
        yield (
            f"The power of {option.question} goes from {probability(option.power_now)} to "
            f"{probability(option.power_then)}."
        )


def _with_arms(runs: int, with_arms: int, advice: Advice) -> Iterator[str]:
    if with_arms > runs:
        yield f"With its arms {with_arms:,} runs."
    if runs > advice.runs:
        yield f"That is more than {plural(advice.runs, 'run')}: --runs makes it smaller."


def _widened(option: Wider) -> Iterator[str]:
    if not option.proposed:
        changed = [
            f"{one.parameter} = {distribution(one.after, depth=0)}"
            for one in option.beyond
            if one.after is not None
        ]
        yield (
            f"In the proposed sweep, write {listed(changed)}."
            if changed
            else ("In the proposed sweep, add values there.")
        )
    if option.chance is not None:
        name = parameter_name(option.beyond[0].parameter)
        yield (
            f"Its chance is that a best {name} in the middle of the new range is shown to lie "
            "inside, at the smallest drop that the power is stated for."
        )
