"""A first sweep: which learning rate, batch size and weight decay does a small classifier need?"""

from first_trainer import train

from harness import (
    Choice,
    LogUniform,
    Sweep,
    best_inside,
    best_value,
    matters,
    still_improves,
    success_rate,
)

first = Sweep(
    "first",
    runs=24,
    steps=100,
    seed=1,
    trainer=train,
    space=dict(
        learning_rate=LogUniform(1e-4, 10.0),
        batch_size=Choice(4, 16, 64),
        weight_decay=Choice(0.0, 0.001, 0.01),
    ),
    arms=dict(placebo=2),  # learning rate 0: must measure exactly 0
    questions=dict(
        success_above_half=success_rate.above(0.5),
        plateau=still_improves(since=50),
        lr_sweet_spot=best_inside("learning_rate"),
        matters_learning_rate=matters("learning_rate"),
        matters_batch_size=matters("batch_size"),
        best_batch_size=best_value("batch_size"),
        matters_weight_decay=matters("weight_decay"),
        best_weight_decay=best_value("weight_decay"),
    ),
)


def test_run(run):
    run.train()


def test_question(question):
    question.judge()
