"""Which learning rate, momentum and width does a small network in JAX need for 200 steps?"""

from rings_trainer import train

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

rings = Sweep(
    "rings",
    runs=24,
    steps=200,
    evaluate_every=20,
    seed=1,
    trainer=train,
    space=dict(
        learning_rate=LogUniform(1e-3, 10.0),
        momentum=Choice(0.0, 0.9),
        width=Choice(8, 32),
    ),
    arms=dict(
        placebo=2,  # learning rate 0: must measure exactly 0
        half=12,  # half of the steps: tells longer training from annealing
    ),
    questions=dict(
        success_above_half=success_rate.above(0.5),
        plateau=still_improves(since=100),
        lr_sweet_spot=best_inside("learning_rate", within="momentum"),
        matters_learning_rate=matters("learning_rate"),
        matters_momentum=matters("momentum"),
        best_momentum=best_value("momentum"),
        matters_width=matters("width"),
        best_width=best_value("width"),
    ),
)


def test_run(run):
    run.train()


def test_question(question):
    question.judge()
