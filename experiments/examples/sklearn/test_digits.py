"""Which parameters of a random forest matter for reading digits? Right or wrong on 450 of them."""

from digits_trainer import train

from harness import Choice, LogInt, Sweep, Uniform, best_value, matters, success_rate

digits = Sweep(
    "digits",
    runs=24,
    steps=1,  # a whole training
    seed=1,
    trainer=train,
    space=dict(
        n_estimators=20,
        max_depth=Choice(2, 4, 8),
        max_features=Uniform(0.02, 0.6),
        min_samples_leaf=LogInt(1, 30),
    ),
    questions=dict(
        success_above_half=success_rate.above(0.5),
        matters_max_depth=matters("max_depth"),
        best_max_depth=best_value("max_depth"),
        matters_max_features=matters("max_features"),
        best_max_features=best_value("max_features"),
        matters_min_samples_leaf=matters("min_samples_leaf"),
        best_min_samples_leaf=best_value("min_samples_leaf"),
    ),
)


def test_run(run):
    run.train()


def test_question(question):
    question.judge()
