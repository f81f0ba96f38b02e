"""Comparisons of backends made for tests, from what came of each run on both sides."""

from harness.judging.parity import compare
from harness.records import StepTrace
from harness.report.documents.parity import document
from harness.report.renderers.terminal import render_document
from tests.factories import make_result

BACKENDS = ("torch", "jax")
STEPS = 20

NEAR = (0.002, -0.001, 0.003, -0.002, 0.001, 0.0)
FAR = (0.052, 0.049, 0.053, 0.048, 0.051, 0.05)
WIDE = (0.09, -0.05, 0.04, -0.08, 0.06, -0.03)


def trace(drawn=range(STEPS), loss=0.05, entropy=1.7, grad_norm=1.2):
    """A trace whose steps drew ``drawn``: the fingerprint of each."""
    return tuple(
        StepTrace(step, 1e-7, 0.1, None, entropy, grad_norm, loss, completions)
        for step, completions in enumerate(drawn, 1)
    )


def parting(step):
    """A trace that is the usual one up to ``step``, and another from there."""
    return trace([drawn if drawn + 1 < step else -drawn - 1 for drawn in range(STEPS)])


def outcome(delta=0.1, **changes):
    """What came of a run: a ΔPerf, or a status."""
    given = {"trace": trace(), "device": "cpu", "steps": STEPS, "declared_steps": STEPS}
    if isinstance(delta, str):
        return make_result(status=delta, **(given | {"trace": ()} | changes)).outcome
    return make_result(delta=delta, **(given | changes)).outcome


def compared(*sides, margin=0.02, precision="float32", alpha=0.05, **trained):
    """Compare runs given as what came of them on each side: a ΔPerf, a status, or an outcome."""
    runs = []
    for index, pair in enumerate(sides):
        run = make_result(id=f"s-{index:02d}-lr2e-07", index=index, steps=STEPS).run
        ours, theirs = (
            outcome(side) if isinstance(side, int | float | str) else side for side in pair
        )
        runs.append((run, ours, theirs))
    return compare("s", BACKENDS, precision, runs, margin=margin, alpha=alpha, **trained)


def differing(*differences, **given):
    return compared(*((0.1, 0.1 + difference) for difference in differences), **given)


def as_text(found, width, *, colour=False):
    """The lines of a comparison on a terminal."""
    return render_document(document(found), width, colour=colour).splitlines()


def said(found, width=200):
    """The text of a comparison on one line, and each of its lines by its lead."""
    lines = as_text(found, width)
    leads = {line.split(": ")[0]: line.split(": ", 1)[1] for line in lines if ": " in line}
    return " ".join(" ".join(lines).split()), leads
