"""The focused sweep: the narrower range that the broad sweep pointed to, twice as long.

Its questions are fixed here, before the first run, with the arms that make them answerable: the
eight standard ones, whether the runs gain more than useless training, and of each parameter whether
it matters and which value is best.
"""

from harness import (
    Choice,
    Given,
    LogUniform,
    Pairs,
    Sweep,
    best_inside,
    best_value,
    lower_tail,
    matters,
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
        gain_over_null=mean_gain.above_arm("null", margin=0.02),
        matters_learning_rate=matters("learning_rate"),
        matters_generations=matters("generations"),
        matters_lr_schedule=matters("lr_schedule"),
        matters_warmup_steps=matters("warmup_steps"),
        matters_entropy_coef=matters("entropy_coef"),
        # The best learning rate is what lr_sweet_spot asks: asked twice, it would cost all the
        # others a part of their level.
        best_generations=best_value("generations"),
        best_lr_schedule=best_value("lr_schedule"),
        best_warmup_steps=best_value("warmup_steps"),
        best_entropy_coef=best_value("entropy_coef"),
    ),
)


def test_run(run):
    run.train()


def test_question(question):
    question.judge()
