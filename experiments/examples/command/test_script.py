"""Which learning rate and degree give a program's polynomial the least loss on held-out points?"""

from script_trainer import train

from harness import Choice, LogUniform, Sweep, best_inside, best_value, matters, still_improves

script = Sweep(
    "script",
    runs=24,
    steps=100,
    seed=1,
    trainer=train,
    depends_on=["script.py"],  # a change of it trains anew
    metric="val_loss",
    direction="min",
    margin=0.02,
    space=dict(
        learning_rate=LogUniform(0.01, 2.0),
        degree=Choice(1, 3, 5, 9),
    ),
    questions=dict(
        plateau=still_improves(since=50),
        lr_sweet_spot=best_inside("learning_rate"),
        matters_learning_rate=matters("learning_rate"),
        matters_degree=matters("degree"),
        best_degree=best_value("degree"),
    ),
)


def test_run(run):
    run.train()


def test_question(question):
    question.judge()
