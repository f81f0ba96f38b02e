"""The focused sweep: the narrower range that the broad sweep pointed to, twice as long.

Its eight questions are fixed here, before the first run, with the arms that make them answerable.
"""

from harness import (
    Choice,
    Given,
    LogUniform,
    Pairs,
    Sweep,
    best_inside,
    lower_tail,
    mean_gain,
    no_worse,
    spread,
    still_improves,
    success_rate,
)

focused = Sweep(
    "focused",
    runs=24,
    steps=100,
    seed=20250919,
    baseline="broad",
    space=dict(
        learning_rate=LogUniform(8e-8, 4e-7),
        batch_size=8,
        generations=Choice(16, 24, 32),
        lr_schedule=Choice("advanced", "cosine", weights=(65, 35)),
        warmup_steps=Given("lr_schedule", advanced=Choice(10, 20, 30), cosine=Choice(0, 10, 20)),
        entropy_coef=Choice(0.001, 0.002, 0.005),
    ),
    arms=dict(
        placebo=2,  # learning rate 0: must measure exactly 0
        null=8,  # rewards permuted within their group: what useless training measures
        half=12,  # half of the steps, the schedule fitted to them
        batch_size=Pairs(12, values=(4, 12)),  # only the batch size changed
    ),
    questions=dict(
        success_above_half=success_rate.above(0.5),
        success_vs_baseline=success_rate.above_baseline(),
        mean_vs_baseline=mean_gain.above_baseline(),
        variance_vs_baseline=spread.below_baseline(),
        lower_tail_vs_baseline=lower_tail.above_baseline(),
        plateau=still_improves(since=50, margin=0.02),
        lr_sweet_spot=best_inside("learning_rate", margin=0.02),
        batch_size=no_worse("batch_size", 8, than=(4, 12), margin=0.02),
    ),
)


def test_run(run):
    run.train()


def test_question(question):
    question.judge()
