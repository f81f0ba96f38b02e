"""Write the next sweep and its reasons, and what else the next runs could be spent on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.metrics import Metric
from harness.report.blocks import Block, Bullets, Column, Document, Section, Table, Text, filled
from harness.report.documents.next_runs import Commands, option_blocks, summary_lines, title
from harness.report.documents.plan import Cost, cost_text, power_blocks
from harness.sweeps.confirming import Confirm
from harness.sweeps.distributions import Distribution, Given
from harness.sweeps.sweep import Pairs
from harness.text import plural
from harness.verdicts import Power

if TYPE_CHECKING:
    from harness.refine import Advice, Proposal

ACTIONS: Mapping[str, str] = {
    "keep": "kept",
    "narrow": "narrower",
    "widen": "wider",
    "move": "narrower and wider",
    "fix": "fixed, with pairs",
    "reopen": "free again",
}
"""The actions on a parameter in words."""


@dataclass(frozen=True, slots=True)
class ProposalPage:
    """A proposal with its cost, its power, and the file that declares it.

    ``advice`` is what to do with the next runs, and ``commands`` how that is typed. The runs are
    judged by ``metric``. ``preface`` are lines on how they were read.
    """

    proposal: Proposal
    cost: Cost
    power: tuple[Power, ...]
    python: str
    advice: Advice
    commands: Commands
    metric: Metric
    preface: tuple[str, ...] = ()


def document(page: ProposalPage) -> Document:
    """Return a proposal as a document."""
    proposal = page.proposal
    sweep = proposal.sweep
    changed = sum(revision.action != "keep" for revision in proposal.revisions)
    seeds = f" with {sweep.seeds} seeds each" if sweep.seeds > 1 else ""
    size = f"{plural(sweep.runs, 'run')} of {plural(sweep.steps, 'step')}{seeds}"
    runs, steps = proposal.sizes
    given_up = _sentences((r.parameter, r.gives_up) for r in proposal.revisions if r.gives_up)
    notes = _sentences(("note", line) for line in proposal.notes)
    sections = filled(
        Section("", (Text(_held(proposal)),)),
        Section(
            "Parameters",
            (_table(proposal), *_sentences((r.parameter, r.why) for r in proposal.revisions)),
        ),
        Section("What it gives up", given_up or (Text("Nothing."),)),
        Section("Arms", (_arms(proposal),) if proposal.arms else ()),
        Section(
            "Size and cost",
            (*_sentences([("runs", runs), ("steps", steps)]), *map(Text, cost_text(page.cost))),
        ),
        Section("Power", power_blocks(page.power)),
        Section("", notes),
        Section(title(page.advice), option_blocks(page.advice, page.commands, page.metric)),
    )
    headline = f"{proposal.source} → {sweep.name}: {size}, {plural(changed, 'parameter')} changed"
    summary = summary_lines(page.advice, page.commands, page.metric)
    return Document(headline, sections, preface=page.preface, summary=summary)


def says(power: Sequence[Power]) -> dict[str, str]:
    """Return a sentence on the power of each question at its smallest effect, by its id."""
    found: dict[str, str] = {}
    for one in power:
        found.setdefault(one.question, one.says)
    return found


def drawn_from(drawn: Distribution) -> str:
    """Return a distribution in words, with the parameter that it depends on."""
    by = f"by {drawn.parameter}: " if isinstance(drawn, Given) else ""
    return by + drawn.describe()


def _held(proposal: Proposal) -> str:
    runs = plural(proposal.runs, "finished run")
    if not proposal.tests:
        return f"From {runs}. Nothing could be tested, and nothing is left out."
    return (
        f"From {runs}. {plural(proposal.tests, 'test')} could leave something out; each is held "
        f"against {proposal.alpha:g}/{proposal.tests} = {proposal.alpha / proposal.tests:.2g}, so "
        f"that a sweep in which nothing matters loses something in at most {proposal.alpha:.0%} of "
        "cases."
    )


def _table(proposal: Proposal) -> Table:
    columns = (
        Column("parameter", right=False),
        Column("was", right=False, wrap=True),
        Column("next", right=False, wrap=True),
        Column("what", right=False, wrap=True),
    )
    rows = []
    for revision in proposal.revisions:
        same = revision.after == revision.before
        after = "the same" if same else drawn_from(revision.after)
        rows.append(
            (revision.parameter, drawn_from(revision.before), after, ACTIONS[revision.action])
        )
    return Table(columns, tuple(rows))


def _sentences(items: Iterable[tuple[str, str]]) -> tuple[Block, ...]:
    """Return a list of sentences, each after its word; nothing where there are none."""
    written = tuple((lead, f"{text}.") for lead, text in items)
    return (Bullets(written),) if written else ()


def _arms(proposal: Proposal) -> Table:
    columns = (
        Column("arm", right=False),
        Column("of the runs"),
        Column("what for", right=False, wrap=True),
    )
    arms = proposal.sweep.arms
    rows = tuple((arm, str(size_of(arms[arm])), purpose) for arm, purpose in proposal.arms)
    return Table(columns, rows)


def size_of(arm: int | Pairs | Confirm) -> int:
    """Return the number of main runs that an arm repeats."""
    if isinstance(arm, Confirm):
        return arm.top
    return arm.count if isinstance(arm, Pairs) else arm
