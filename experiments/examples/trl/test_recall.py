"""Does TRL's GRPO teach a tiny language model to write the digits of its prompt?"""

from recall_trainer import train

from harness import Choice, LogUniform, Sweep, best_inside, success_rate

recall = Sweep(
    "recall",
    runs=6,
    steps=20,
    seed=1,
    trainer=train,
    evaluate_every=5,
    space=dict(
        learning_rate=LogUniform(3e-4, 1e-1),
        lr_schedule=Choice("constant", "linear"),
        generations=Choice(4, 8),
    ),
    arms=dict(placebo=1, null=2),
    questions=dict(
        success_above_half=success_rate.above(0.5),
        lr_sweet_spot=best_inside("learning_rate", margin=0.02),
    ),
)


def test_run(run):
    run.train()


def test_question(question):
    question.judge()
