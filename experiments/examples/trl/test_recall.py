"""A sweep over TRL's GRPO, on a model so small that a run takes seconds on a CPU.

    pytest experiments/examples/trl/test_recall.py --sweep recall

Does a random run improve, and what of that would useless rewards have done?
"""

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
