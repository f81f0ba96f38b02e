"""Write the comparison of two backends: run by run, a summary, and the verdict."""

from __future__ import annotations

from statistics import median

from harness.judging.parity import Pair, Parity
from harness.records import FINAL, Outcome, Run
from harness.report.blocks import Answer, Bullets, Column, Document, Section, Table
from harness.text import NONE, Digits, learning_rate, plural

ROUNDING = {"float32": 1e-3, "bfloat16": 5e-2}
"""Relative differences at step 1 that rounding easily explains."""

NAMED = 6
"""At most this many steps at which runs part are listed one by one."""


def document(found: Parity) -> Document:
    """Return a comparison as a document: a row for each run, a summary, and the verdict."""
    first, second = found.backends
    size = f"{plural(len(found.pairs), 'run')} of {plural(found.steps, 'step')}"
    on = [device for device in dict.fromkeys(found.devices) if device]
    if len(on) == 2:
        on = [f"{name}: {there}" for name, there in zip(found.backends, found.devices, strict=True)]
    trained = [f"{found.model} on {found.task}"] if found.model else []
    return Document(
        headline=", ".join(
            [f"{found.sweep}: {first} and {second}", size, *trained, found.precision, *on]
        ),
        sections=(
            Section("", (_table(found),)),
            Section("", (Bullets(tuple(_findings(found))),)),
            Section("", (Answer(found.verdict),)),
        ),
    )


def _table(found: Parity) -> Table:
    """Return a row for each run, with its number if there is no room for its id."""
    outcomes = [side for pair in found.pairs for side in pair.sides]
    digits = Digits.of(outcome.delta_perf for outcome in outcomes)
    fine = Digits.of(pair.difference for pair in found.pairs)
    columns = (
        Column("run", right=False),
        *(Column(f"ΔPerf, {backend}") for backend in found.backends),
        Column("difference"),
        Column("in SEs"),
        Column("tokens part at step"),
    )

    def measured(outcome: Outcome) -> str:
        if outcome.status != "completed":
            return outcome.status
        return digits.with_error(outcome.delta_perf, outcome.delta_perf_se)

    rows = tuple(
        (
            pair.run.id.removeprefix(f"{found.sweep}-"),
            *(measured(side) for side in pair.sides),
            fine.signed(pair.difference),
            NONE if pair.in_errors is None else Digits(1).signed(pair.in_errors),
            _parting(pair),
        )
        for pair in found.pairs
    )
    return Table(columns, rows, short=tuple(_number(pair.run) for pair in found.pairs))


def _number(run: Run) -> str:
    return f"{run.index:02d}"


def _parting(pair: Pair) -> str:
    if pair.parted_at is not None:
        return str(pair.parted_at)
    if pair.steps:
        return "never"
    return "not recorded" if pair.finished else NONE


def _findings(found: Parity) -> list[tuple[str, str]]:
    """Summarise the rows, each time by a word and a sentence."""
    items = []
    for pair in found.pairs:
        if pair.diverged_on:
            alone = " alone" if len(pair.diverged_on) == 1 and pair.finished else ""
            which = " and on ".join(
                f"{found.backends[side]}, at step {at}"
                if (at := pair.sides[side].stopped_at) is not None
                else found.backends[side]
                for side in pair.diverged_on
            )
            items.append(("diverged", f"{_number(pair.run)}{alone} on {which}"))
        for backend, side in zip(found.backends, pair.sides, strict=True):
            if side.status not in FINAL:
                text = f"{_number(pair.run)} on {backend}: {side.error or 'no error was recorded'}"
                items.append((side.status, text))
    if found.different_starts:
        which = f"{found.different_starts} of {plural(len(found.pairs), 'run')}"
        items.append(
            ("starting weights", f"different on each backend in {which}: train those anew")
        )
    same, known = found.before
    agreed = found.agreement
    items += [
        ("step 1", _step_one(found)),
        ("tokens", _tokens(found)),
        ("perf before", f"equal in {same} of {plural(known, 'run')}" if known else "not recorded"),
    ]
    if agreed.runs:
        items.append(
            (
                "each run",
                f"the difference lies within 1 standard error in {agreed.one_error} of "
                f"{plural(agreed.runs, 'run')}, within about 2 (95%) in {agreed.interval}",
            )
        )
    return items


def _step_one(found: Parity) -> str:
    step_one, everyone = found.step_one, len(found.pairs)
    if step_one.largest is None:
        if not any(pair.steps for pair in found.pairs):
            return "not compared: which tokens were drawn is not recorded"
        return "not compared: the tokens differ in every run, from the first step"
    some = f"in the {step_one.runs} of {plural(everyone, 'run')} whose tokens agree, "
    numbers = "" if step_one.runs == everyone else some
    numbers += "loss, entropy and gradient norm"
    if step_one.largest == 0.0:
        return f"{numbers} are equal"
    text = learning_rate(step_one.largest, 1)
    if step_one.largest <= ROUNDING[found.precision]:
        return f"{numbers} agree to {text}"
    return f"{numbers} differ by up to {text}, which is more than rounding explains"


def _tokens(found: Parity) -> str:
    known = [pair for pair in found.pairs if pair.steps]
    if not known:
        return "not recorded"
    steps = sorted(pair.parted_at for pair in known if pair.parted_at is not None)
    equal = len(known) - len(steps)
    whole = all(pair.parted_at or pair.steps == found.steps for pair in known)
    which = f"all {found.steps} steps" if whole else "all steps that both have"
    text = f"the completions of {which} are equal in {equal} of {plural(len(known), 'run')}"
    if not steps:
        return text
    if len(steps) == 1:
        return f"{text}, and part at step {steps[0]}{' in the other' if equal else ''}"
    at = ", ".join(map(str, steps)) if len(steps) <= NAMED else f"{steps[0]} to {steps[-1]}"
    others = " in the others" if equal else ""
    return f"{text}, and first part at steps {at}{others} (median {median(steps):g})"
