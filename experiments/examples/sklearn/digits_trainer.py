"""A random forest that reads handwritten digits, with scikit-learn.

scikit-learn is imported where it is used, so that pytest finds the sweep without it.
"""


def train(run):
    from sklearn.datasets import load_digits
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import train_test_split

    x, held_x, y, held_y = train_test_split(*load_digits(return_X_y=True), random_state=0)
    untrained = DummyClassifier().fit(x, y)
    run.before(untrained.predict(held_x) == held_y)
    forest = RandomForestClassifier(**run.config, random_state=run.seed).fit(x, y)
    run.after(forest.predict(held_x) == held_y)
