"""Write a space from elsewhere as a sweep file, with what has no counterpart as comments."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from harness.claims.design import Design
from harness.claims.effect import lacking
from harness.refine.next_sweep import train
from harness.refine.proposal import ProposedQuestion
from harness.refine.questions import question
from harness.refine.source import sweep_file
from harness.spaces.found import FoundSpace
from harness.sweeps.sweep import Sweep
from harness.text import plural

RUNS = 24
"""The number of runs where the source does not say."""

STEPS = 1
"""The number of steps where none is given: a whole training."""

SEED = 1


def declared(
    found: FoundSpace, *, name: str | None = None, runs: int | None = None, steps: int | None = None
) -> Sweep:
    """Return the sweep of a space from elsewhere; what is given takes the place of what it says.

    Each parameter that can be compared has the questions whether it matters and which value is
    best.

    Raises
    ------
    SweepError
        Where the space cannot be that of a sweep.
    """
    measured: dict[str, Any] = {}
    if found.metric is not None:
        measured = {"metric": found.metric, "direction": found.direction, "trainer": train}
    fixed: dict[str, Any] = {
        "name": name
        or re.sub(r"[^A-Za-z0-9_.]+", "_", str(found.name or "")).strip("_.")
        or "first",
        "runs": runs or found.runs or RUNS,
        "steps": steps or STEPS,
        "seed": SEED if found.seed is None else found.seed,
        "space": dict(found.space),
        **measured,
    }
    asked = _questions(Sweep(**fixed))
    return Sweep(**fixed, questions={one.id: one.claim for one in asked})


def python(found: FoundSpace, sweep: Sweep, source: str, command: str) -> str:
    """Return the file that declares ``sweep``, read from ``source`` by ``command``."""
    paragraphs = [f"The space of {source}, {found.kind}.", f"Made by `{command}`."]
    paragraphs += [
        f"No counterpart: {note}." for note in found.notes if note.parameter not in sweep.space
    ]
    reasons: dict[str, list[str]] = defaultdict(list)
    for note in found.notes:
        reasons[note.parameter].append(f"{note.text[0].upper()}{note.text[1:]}.")
    return sweep_file(
        sweep,
        paragraphs,
        _questions(sweep),
        stub=True,
        comments=_sizes(found, sweep),
        reasons=reasons,
    )


def _questions(sweep: Sweep) -> list[ProposedQuestion]:
    design = Design(sweep, sweep.plan())
    return [
        question(f"{word}_{name}", claim, name)
        for name in sweep.space
        if not lacking(name, design)
        for word, claim in (("matters", "matters"), ("best", "best_value"))
    ]


def _sizes(found: FoundSpace, sweep: Sweep) -> list[str]:
    """Return comments on the number of runs and of steps that the source does not give."""
    said = []
    if found.runs is None:
        said.append(f"{plural(sweep.runs, 'run')}: {found.kind} does not say how many.")
    if sweep.steps == STEPS:
        said.append("1 step, a whole training: more, and the learning curve has points to compare.")
    return said
