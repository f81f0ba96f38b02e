"""Draw docs/images/believed-or-judged.svg: 24 runs that learned nothing, believed and judged.

The runs are simulated: each ΔPerf is noise around 0, of the size of its standard error.
`python scripts/readme_picture.py` writes the picture; a test compares the file with the drawing.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.statistics import binomial, binomial_threshold, shown_to_fail, shown_to_improve, wilson

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "believed-or-judged.svg"
RUNS, STANDARD_ERROR, PROMPTS, MIN_GAIN, SEED = 24, 0.01, 512, 0.05, 2
WIDTH, HEIGHT, PANEL, EDGE = 880, 408, 400, 26
ZERO, SCALE = 180, 2300  # the height of ΔPerf = 0, and pixels per unit of ΔPerf
GREEN, GREY, INK = "#2a9d5c", "#8b93a1", "#1f2733"
RIGHT = 'text-anchor="end"'


def words(x: float, y: float, said: str, style: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" {style}>{said}</text>'


def panel(
    left: int, title: str, runs: Iterable[tuple[float, bool]], lines: list[str], half_width: float
) -> Iterator[str]:
    """Yield a panel: a point for each run, green if it counts as a success, and lines of words."""
    yield words(left, 62, title, 'font-size="17" font-weight="bold"')
    yield f'<path d="M{left} {ZERO}h{PANEL}" stroke="#c9ced6" stroke-dasharray="4 3"/>'
    yield words(left + PANEL, ZERO - 5, "ΔPerf = 0", f'font-size="11" fill="{GREY}" {RIGHT}')
    for place, (gain, success) in enumerate(runs):
        x, y = left + 10 + 15.2 * place, ZERO - SCALE * gain
        colour, half = GREEN if success else GREY, SCALE * half_width
        if half:
            yield f'<path d="M{x:.1f} {y - half:.1f}v{2 * half:.1f}" stroke="{colour}"/>'
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'
    yield words(left, 314, lines[0], 'font-size="16" font-weight="bold"')
    for number, said in enumerate(lines[1:]):
        yield words(left, 342 + 23 * number, said)


def picture() -> str:
    """Return the picture as SVG."""
    gains: NDArray[np.float64] = np.random.default_rng(SEED).normal(0, STANDARD_ERROR, RUNS)
    gains = np.sort(gains)[::-1]
    measured = gains, np.full(RUNS, STANDARD_ERROR), PROMPTS, np.full(RUNS, PROMPTS)
    shown, failed = shown_to_improve(*measured), shown_to_fail(*measured, MIN_GAIN)
    refuted = binomial(int(failed.sum()), RUNS).p_greater
    assert refuted < 0.001, "the picture says so"
    above = int((gains > 0).sum())
    half, before = (binomial(k, RUNS).p_greater for k in (13, 8))  # 8 of 24 are more than 31.6%
    published = wilson(6, 19)
    believed = [
        f"{above} of {RUNS} gained something: “{above / RUNS:.0%} success”",
        f"Useless runs pass “more than 50%” with probability {half:.2f}",
        f"and “more than the 31.6% of last time” with {before:.2f}.",
        f"That 31.6% was 6 of 19 runs: 95% interval {published.low:.0%} to {published.high:.0%}.",
    ]
    judged = [
        f"{shown.sum()} of {RUNS} are shown to improve: refuted",
        f"{failed.sum()} of {RUNS} are shown to gain less than {MIN_GAIN} (p &lt; 0.001).",
        "A run is a success when its whole interval is above 0;",
        f"{binomial_threshold(RUNS)} of {RUNS} would show that more than half succeed.",
    ]
    left = panel(EDGE, "Believed: count the gains", zip(gains, gains > 0, strict=True), believed, 0)
    right = panel(
        WIDTH - PANEL - EDGE,
        "Judged: each gain with its 95% interval",
        zip(gains, shown, strict=True),
        judged,
        1.965 * STANDARD_ERROR,
    )
    title = f"{RUNS} runs that learned nothing (simulated)"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, Helvetica, Arial, sans-serif" font-size="14" fill="{INK}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
        + words(WIDTH // 2, 28, title, 'font-size="15" text-anchor="middle"')
    )
    return "\n".join([head, *left, *right, "</svg>\n"])


if __name__ == "__main__":
    PICTURE.write_text(picture())
