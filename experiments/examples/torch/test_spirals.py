"""Which optimizer, learning rate and width tell two spirals apart in 200 steps?"""

from spirals_trainer import train

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

spirals = Sweep(
    "spirals",
    runs=24,
    steps=200,
    evaluate_every=20,
    seed=1,
    trainer=train,
    space=dict(
        learning_rate=LogUniform(1e-4, 1.0),
        optimizer=Choice("Adam", "SGD"),
        width=Choice(8, 16, 32),
    ),
    arms=dict(
        placebo=2,  # learning rate 0: must measure exactly 0
        half=12,  # half of the steps: tells longer training from annealing
    ),
    questions=dict(
        success_above_half=success_rate.above(0.5),
        plateau=still_improves(since=100),
        lr_sweet_spot=best_inside("learning_rate", within="optimizer"),
        matters_learning_rate=matters("learning_rate"),
        matters_optimizer=matters("optimizer"),
        best_optimizer=best_value("optimizer"),
        matters_width=matters("width"),
        best_width=best_value("width"),
    ),
)


def test_run(run):
    run.train()


def test_question(question):
    question.judge()
