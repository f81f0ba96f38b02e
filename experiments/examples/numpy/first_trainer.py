"""A linear classifier of three classes, trained by gradient descent in NumPy.

Put your own training in its place: `run.config` has the parameters, and `run.before`, `run.log`
and `run.after` take a score for each held-out item.
"""

import numpy as np

CLASSES, FEATURES, TRAINED_ON, HELD_OUT = 3, 20, 2_000, 600


def data():
    """Return features and classes, the last of which are held out: the same in every run."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(TRAINED_ON + HELD_OUT, FEATURES))
    truth = x @ rng.normal(size=(FEATURES, CLASSES)) + rng.gumbel(size=(len(x), CLASSES)) * 2
    return x, truth.argmax(axis=1)


def train(run):
    rng = np.random.default_rng(run.seed)
    x, y = data()
    weights = 0.01 * rng.normal(size=(FEATURES, CLASSES))

    def right():
        return (x[-HELD_OUT:] @ weights).argmax(axis=1) == y[-HELD_OUT:]

    run.before(right())
    for step in run.steps():
        batch = rng.choice(TRAINED_ON, size=run.config["batch_size"])
        weights += run.config["learning_rate"] * pull(x[batch], y[batch], weights)
        weights *= 1 - run.config["weight_decay"]
        if run.evaluates(step):
            run.log(step, right())


def pull(x, y, weights):
    """Return the gradient of the mean log-likelihood."""
    odds = np.exp(x @ weights - (x @ weights).max(axis=1, keepdims=True))
    return x.T @ (np.eye(CLASSES)[y] - odds / odds.sum(axis=1, keepdims=True)) / len(x)
