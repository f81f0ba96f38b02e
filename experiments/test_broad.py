"""The broad sweep: 48 runs of 50 steps, the baseline that the focused sweep is compared with."""

from harness import (
    Choice,
    Given,
    LogUniform,
    Sweep,
    best_inside,
    best_value,
    matters,
    still_improves,
    success_rate,
)

broad = Sweep(
    "broad",
    runs=48,
    steps=50,
    seed=20250919,
    space=dict(
        learning_rate=LogUniform(1e-7, 2e-6),
        batch_size=Choice(4, 8, 12),
        generations=Given(
            "batch_size",
            {4: Choice(20, 30, 40), 8: Choice(16, 24, 32), 12: Choice(16, 24, 32)},
        ),
        lr_schedule=Choice("advanced", "cosine"),
        warmup_steps=Given("lr_schedule", advanced=Choice(10, 20, 30), cosine=Choice(0, 10, 20)),
        entropy_coef=Choice(0.001, 0.002, 0.005),
    ),
    questions=dict(
        success_above_half=success_rate.above(0.5),
        plateau=still_improves(since=30, margin=0.02),
        lr_sweet_spot=best_inside("learning_rate", within="batch_size", margin=0.02),
        matters_learning_rate=matters("learning_rate"),
        matters_batch_size=matters("batch_size"),
        matters_generations=matters("generations"),
        matters_lr_schedule=matters("lr_schedule"),
        matters_warmup_steps=matters("warmup_steps"),
        matters_entropy_coef=matters("entropy_coef"),
        # The best learning rate is what lr_sweet_spot asks, and is not asked twice.
        best_batch_size=best_value("batch_size"),
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
