"""Spaces from elsewhere: each format becomes distributions of ours, and what has none is said."""

import json
import sys
from textwrap import dedent

import pytest

from harness import Choice, Constant, Given, LogInt, LogUniform, Uniform
from harness.errors import UsageError
from harness.spaces import read_space
from harness.spaces.source import declared, python
from harness.tables.stores.optuna import Study


@pytest.fixture
def read(tmp_path):
    """Read a file of a text, by its name."""

    def read(name, text):
        (tmp_path / name).write_text(dedent(text) if isinstance(text, str) else json.dumps(text))
        return read_space(str(tmp_path / name))

    return read


def notes(found):
    return [str(note) for note in found.notes]


def said(found, *parts):
    return any(all(part in line for part in parts) for line in notes(found))


def written(found):
    """Run the file that a space is written as, and return the sweep and the text."""
    text = python(found, declared(found), "file", "sweep init --from file")
    names = {"__name__": "written"}
    sys.modules["written"] = type(sys)("written")
    vars(sys.modules["written"]).update(names)
    try:
        exec(compile(text, "written.py", "exec"), vars(sys.modules["written"]))
        sweep = next(v for v in vars(sys.modules["written"]).values() if hasattr(v, "questions"))
    finally:
        del sys.modules["written"]
    return sweep, text


# ---- ConfigSpace ---------------------------------------------------------------------------------


def uniform(name, low, high, kind="float", log=False):
    return {"type": f"uniform_{kind}", "name": name, "lower": low, "upper": high, "log": log}


def categorical(name, *choices, weights=None):
    return {"type": "categorical", "name": name, "choices": choices, "weights": weights}


def condition(child, parent, value, kind="EQ"):
    key = "values" if kind == "IN" else "value"
    return {"type": kind, "child": child, "parent": parent, key: value}


SVM = {
    "name": "svm",
    "hyperparameters": [
        categorical("classifier", "svm", "rf", weights=[3, 1]),
        {"type": "constant", "name": "epochs", "value": 10, "meta": None},
        uniform("lr", 1e-5, 0.1, log=True) | {"default_value": 0.001},
        uniform("width", 16, 1024, "int", log=True),
        {"type": "ordinal", "name": "size", "sequence": ["s", "m", "l"]},
        categorical("kernel", "rbf", "poly", "linear"),
        uniform("degree", 2, 5, "int"),
        uniform("depth", 1, 10, "int"),
        uniform("big", 0.0, 1.0),
        {"type": "normal_float", "name": "x", "mu": 0.5, "sigma": 0.1, "lower": 0, "upper": 1},
        {"type": "beta_float", "name": "b", "alpha": 2, "beta": 3, "lower": 0.0, "upper": 1.0},
    ],
    "conditions": [
        {
            "type": "AND",
            "child": "degree",
            "conditions": [
                condition("degree", "kernel", "poly"),
                condition("degree", "classifier", "svm"),
            ],
        },
        condition("kernel", "classifier", "svm"),
        condition("depth", "classifier", ["rf"], "IN"),
        condition("big", "size", "s", "GT"),
        condition("b", "lr", 0.01, "GT"),
    ],
    "forbiddens": [
        {
            "type": "AND",
            "clauses": [
                {"type": "EQUALS", "name": "kernel", "value": "poly"},
                {"type": "IN", "name": "size", "values": ["l"]},
            ],
        }
    ],
    "format_version": 0.4,
}
"""As ConfigSpace 1.2 writes it, the keys that we do not read left out."""


def test_a_configspace_is_read_with_its_conditions(read):
    found = read("svm.json", SVM)
    kernels, depths, big = Choice("rbf", "poly", "linear"), Choice(*range(1, 11)), Uniform(0.0, 1.0)
    assert found.space == {
        "classifier": Choice("svm", "rf", weights=(3, 1)),
        "epochs": Constant(10),
        "lr": LogUniform(1e-5, 0.1),
        "width": LogInt(16, 1024),
        "size": Choice("s", "m", "l"),
        "kernel": Given("classifier", svm=kernels, rf=None),
        "degree": Given(
            "kernel", {"rbf": None, "poly": Choice(2, 3, 4, 5), "linear": None, None: None}
        ),
        "depth": Given("classifier", svm=None, rf=depths),
        "big": Given("size", s=None, m=big, l=big),
        "x": Uniform(0.3, 0.7),
        "b": Uniform(0.0, 1.0),
    }
    assert (found.kind, found.name, found.runs) == ("a ConfigSpace", "svm", None)
    assert said(found, "x: ", "normal distribution (mean 0.5, standard deviation 0.1)")
    assert said(found, "b: ", "beta distribution (2, 3)")
    assert said(found, "b: its condition lr gt 0.01 is not kept")
    assert said(found, "forbidden: kernel equals poly and size in ['l']")
    assert said(found, "default values")


def test_of_two_parents_of_which_neither_has_the_other_one_is_kept_and_it_is_said(read):
    both = [condition("c", "a", 1), condition("c", "b", 1)]
    found = read(
        "two.json",
        {
            "hyperparameters": [categorical(n, 0, 1) for n in "ab"] + [uniform("c", 0.0, 1.0)],
            "conditions": [{"type": "AND", "child": "c", "conditions": both}],
        },
    )
    assert found.space["c"] == Given("a", {0: None, 1: Uniform(0.0, 1.0)})
    assert said(found, "c: of its condition a eq 1 and b eq 1 only a is kept")


def test_several_conditions_on_one_parent_hold_together_or_one_of_them(read):
    differs = [condition("c", "a", value, "NEQ") for value in (1, 2)]
    equals = [condition("d", "a", value) for value in (1, 2)]
    found = read(
        "several.json",
        {
            "hyperparameters": [
                categorical("a", 0, 1, 2),
                categorical("f", 1, 2),
                *(uniform(name, 0.0, 1.0) for name in "cde"),
            ],
            "conditions": [
                {"type": "AND", "child": "c", "conditions": differs},
                {"type": "OR", "child": "d", "conditions": equals},
                condition("e", "f", 1, "NEQ"),
                condition("f", "a", 0),
            ],
        },
    )
    drawn = Uniform(0.0, 1.0)
    assert found.space["c"] == Given("a", {0: drawn, 1: None, 2: None})
    assert found.space["d"] == Given("a", {0: None, 1: drawn, 2: drawn})
    # Where f is not set, its being other than 1 is no reason to set e.
    assert found.space["e"] == Given("f", {1: None, 2: drawn, None: None})
    assert notes(found) == []


# ---- Optuna --------------------------------------------------------------------------------------


def distribution(name, **attributes):
    return {"name": f"{name}Distribution", "attributes": attributes}


@pytest.mark.parametrize("as_text", [False, True])
def test_distributions_of_optuna_are_read_as_json_and_as_text_of_it(read, as_text):
    given = {
        "lr": distribution("Float", low=1e-5, high=0.1, log=True, step=None),
        "drop": distribution("Float", low=0.0, high=0.5, log=False, step=0.25),
        "layers": distribution("Int", low=1, high=9, log=False, step=4),
        "width": distribution("Int", low=1, high=64, log=True, step=1),
        "old": distribution("DiscreteUniform", low=0.0, high=1.0, q=0.5),
        "optimiser": distribution("Categorical", choices=["adam", None, 3]),
    }
    found = read("o.json", {k: json.dumps(v) for k, v in given.items()} if as_text else given)
    assert found.space == {
        "lr": LogUniform(1e-5, 0.1),
        "drop": Choice(0.0, 0.25, 0.5),
        "layers": Choice(1, 5, 9),
        "width": LogInt(1, 64),
        "old": Choice(0.0, 0.5, 1.0),
        "optimiser": Choice("adam", None, 3),
    }
    assert notes(found) == []


CONDITIONAL = {
    "x": LogUniform(1e-3, 1.0),
    "kind": Choice("svm", "rf"),
    "kernel": Given("kind", svm=Choice("rbf", "poly"), rf=None),
    "degree": Given("kernel", {"rbf": None, "poly": Choice(2, 3, 4, 5), None: None}),
    "n": Given("kind", svm=Choice(1, 2, 3, 4), rf=Choice(1, 2)),
    "odd": Uniform(0.0, 1.0),
}


def suggested(trial):
    """Suggest the values of a trial, each kind with parameters of its own."""
    x = trial.suggest_float("x", 1e-3, 1, log=True)
    kind = trial.suggest_categorical("kind", ["svm", "rf"])
    if kind == "svm" and trial.suggest_categorical("kernel", ["rbf", "poly"]) == "poly":
        trial.suggest_int("degree", 2, 5)
    trial.suggest_int("n", 1, 2 if kind == "rf" else 4)
    if x > 0.1:
        trial.suggest_float("odd", 0, 1)
    return x


class Trial:
    """Stands for a trial of Optuna: it keeps what is suggested, with the distributions as JSON."""

    def __init__(self, number):
        self.number, self.params, self.distributions = number, {}, {}

    def _suggest(self, name, value, kind, **attributes):
        self.params[name] = value
        self.distributions[name] = json.dumps(distribution(kind, **attributes))
        return value

    def suggest_float(self, name, low, high, log=False):
        value = low + (high - low) * (self.number * 7 % 10) / 10
        return self._suggest(name, value, "Float", low=low, high=high, log=log, step=None)

    def suggest_int(self, name, low, high):
        return self._suggest(name, low, "Int", low=low, high=high, log=False, step=1)

    def suggest_categorical(self, name, choices):
        value = choices[(self.number // (2 if name == "kernel" else 1)) % len(choices)]
        return self._suggest(name, value, "Categorical", choices=choices)


def test_of_a_study_what_some_trials_lack_is_given_by_what_tells_it(tmp_path, monkeypatch):
    trials = [Trial(number) for number in range(24)]
    for trial in trials:
        suggested(trial)
    study = Study(
        "cond",
        ("maximize",),
        ("score",),
        tuple(trial.distributions for trial in trials),
        tuple(trial.params for trial in trials),
    )
    monkeypatch.setattr("harness.tables.stores.optuna.read_study", lambda *_: study)
    found = read_space("sqlite://study")
    assert found.space == CONDITIONAL
    assert (found.name, found.runs, found.metric, found.direction) == ("cond", 24, "score", "max")
    assert [note.parameter for note in found.notes] == ["odd"]
    assert said(found, "odd: some trials lack it")


def test_a_value_that_one_trial_has_does_not_tell_what_others_lack(monkeypatch):
    seeds = json.dumps(distribution("Categorical", choices=[1, 2, 3, 4]))
    odd = json.dumps(distribution("Float", low=0.0, high=1.0, log=False))
    study = Study(
        "seeds",
        ("maximize",),
        (),
        tuple({"seed": seeds} | ({"odd": odd} if seed < 3 else {}) for seed in (1, 2, 3, 4)),
        tuple({"seed": seed} for seed in (1, 2, 3, 4)),
    )
    monkeypatch.setattr("harness.tables.stores.optuna.read_study", lambda *_: study)
    found = read_space("sqlite://study")
    assert found.space["odd"] == Uniform(0.0, 1.0)
    assert said(found, "odd: some trials lack it")


@pytest.mark.slow
def test_a_study_that_optuna_wrote_is_read(tmp_path):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=f"sqlite:///{tmp_path / 'study.db'}",
        study_name="cond",
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    study.optimize(suggested, 30)
    found = read_space(str(tmp_path / "study.db"))
    assert found.space == CONDITIONAL
    assert (found.name, found.runs, found.metric, found.direction) == ("cond", 30, "value", "max")
    written(found)


# ---- W&B -----------------------------------------------------------------------------------------

SWEEP = """
    program: train.py
    name: My sweep!
    method: bayes
    metric: {name: val/loss, goal: minimize}
    run_cap: 30
    early_terminate: {type: hyperband, min_iter: 3}
    parameters:
      lr: {distribution: log_uniform_values, min: 1e-5, max: 1e-1}
      batch: {values: [16, 32, 64], probabilities: [0.5, .25, .25]}
      epochs: {value: 10}
      layers: {min: 1, max: 4}
      drop: {distribution: q_uniform, min: 0, max: 0.5, q: 0.05}
      width: {distribution: q_log_uniform_values, q: 8, min: 8, max: 1024}
      decay: {distribution: log_uniform, min: -4.605170, max: 0}
      hidden: {values: [[64], [64, 64]]}
      scale: {distribution: log_normal, mu: 0, sigma: 1.1512925}
      opt:
        parameters:
          name: {values: [adam, sgd]}
          beta: {distribution: normal, mu: 0.9, sigma: 0.02}
    """


def test_a_sweep_of_wandb_is_read(read):
    found = read("sweep.yaml", SWEEP)
    assert found.space == {
        "lr": LogUniform(1e-5, 0.1),
        "batch": Choice(16, 32, 64, weights=(0.5, 0.25, 0.25)),
        "epochs": Constant(10),
        "layers": Choice(1, 2, 3, 4),
        "drop": Choice(*(k / 100 for k in range(0, 51, 5))),
        "width": LogInt(8, 1024),
        "decay": LogUniform(0.01, 1.0),
        "hidden": Choice((64,), (64, 64)),
        "scale": LogUniform(0.1, 10.0),
        "opt.name": Choice("adam", "sgd"),
        "opt.beta": Uniform(0.86, 0.94),
    }
    assert (found.runs, found.metric, found.direction) == (30, "val/loss", "min")
    assert said(found, "width: its step of 8")
    assert said(found, "opt.beta: ", "normal distribution")
    assert said(found, "scale: ", "log-normal distribution")
    assert said(found, "method bayes")
    assert said(found, "program train.py", "run.command")
    assert said(found, "early_terminate", "hyperband", "not used")
    assert len(found.notes) == 6


def test_a_sweep_of_wandb_is_read_from_a_dictionary_in_python(read):
    text = """
        import wandb

        LOW = 0.1
        sweep = {"method": "random", "parameters": {"lr": {"min": LOW, "max": 1.0}}}
        wandb.agent(wandb.sweep(sweep, project="p"), function=main, count=5)
        """
    found = read("s.py", text)
    assert (found.kind, found.space) == ("a W&B sweep", {"lr": Uniform(0.1, 1.0)})


def test_a_grid_of_wandb_has_as_many_runs_as_combinations(read):
    found = read(
        "g.yaml", "{method: grid, parameters: {a: {values: [1, 2]}, b: {values: [1, 2, 3]}}}"
    )
    assert found.runs == 6
    assert said(found, "6 combinations", "at random")


def test_a_small_grid_on_a_logarithmic_scale_has_weights(read):
    text = "{parameters: {n: {distribution: q_log_uniform_values, min: 1, max: 4, q: 1.5}}}"
    drawn = read("q.yaml", text).space["n"]
    assert drawn.options == (1.5, 3.0)
    assert drawn.weights[0] > drawn.weights[1] > 0


# ---- Hydra ---------------------------------------------------------------------------------------

HYDRA = r"""
    defaults:
      - _self_
      - override hydra/sweeper: optuna
    db: mysql
    hydra:
      sweeper:
        sampler: {_target_: optuna.samplers.TPESampler, seed: 123}
        direction: minimize
        study_name: sphere
        n_trials: 20
        n_jobs: 2
        params:
          x: interval(-5.5, 5.5)
          y: choice(-5, 0, 5)
          z: range(1, 10, 4)
          lr: tag(log, interval(1e-5, 1e-1))
          n: tag(log, int(interval(1, 100)))
          whole: interval(1, 3)
          +opt: adam,sgd
          name: "'a,b',\"c\""
          fixed: 3
          part: range(start=0, stop=1, step=0.25)
          lists: '[1,2],[3]'
          flags: true,false,null
          rates: 1e-3,1e-4
          as_text: str(choice(1, 2))
          comma: 'a\,b,${db}'
          reals: range(1.5)
          group: glob(*)
          ~gone: null
    """


def test_a_sweep_of_hydra_is_read(read):
    found = read("config.yaml", HYDRA)
    assert found.space == {
        "x": Uniform(-5.5, 5.5),
        "y": Choice(-5, 0, 5),
        "z": Choice(1, 5, 9),
        "lr": LogUniform(1e-5, 0.1),
        "n": LogInt(1, 100),
        "whole": Choice(1, 2, 3),
        "opt": Choice("adam", "sgd"),
        "name": Choice("a,b", "c"),
        "fixed": Constant(3),
        "part": Choice(0.0, 0.25, 0.5, 0.75, 1.0),
        "lists": Choice((1, 2), (3,)),
        "flags": Choice(True, False, None),
        "rates": Choice(1e-3, 1e-4),
        "as_text": Choice("1", "2"),
        "comma": Choice("a,b", "${db}"),
        "reals": Choice(0.0, 1.0),
    }
    assert (found.name, found.runs, found.seed) == ("sphere", 20, 123)
    assert (found.metric, found.direction) == ("value", "min")
    assert said(found, "group: not in the space", "glob")
    assert said(found, "~gone: takes a value away")
    assert said(found, "TPESampler")
    assert said(found, "n_jobs")
    assert len(found.notes) == 4


def test_hydras_own_sweeper_takes_every_combination_and_ranges_without_their_end(read):
    found = read(
        "c.yaml",
        "hydra: {sweeper: {params: {db: 'mysql,postgresql', n: 'range(1,4)', k: 'range(2)'}}}",
    )
    assert found.space == {
        "db": Choice("mysql", "postgresql"),
        "n": Choice(1, 2, 3),
        "k": Choice(0, 1),
    }
    assert found.runs == 12
    assert said(found, "12 combinations")


# ---- Ray Tune ------------------------------------------------------------------------------------

RAY = """
    import numpy as np
    from ray import tune
    from ray.tune import uniform as even

    LOW = 1e-5
    base = {"epochs": 10}
    raise SystemExit("this file is never run")
    space = {
        **base,
        "lr": tune.loguniform(LOW, 1e-1),
        "batch": tune.choice([2**4, 32, -64]),
        "layers": tune.randint(1, 4),
        "width": tune.lograndint(1, 1000),
        "drop": tune.quniform(0, 0.4, 0.2),
        "heads": tune.qrandint(8, 24, 8),
        "momentum": even(0.8, upper=0.99),
        "noise": tune.randn(0, 1),
        "later": tune.sample_from(lambda spec: spec.config.lr * 2),
        "drawn": np.random.uniform(0, 1),
        "act": tune.grid_search(["relu", "tanh"]),
        "opt": dict(name=tune.choice(["adam", "sgd"]), nesterov=True),
        "nested": tune.choice([{"a": tune.uniform(0, 1)}]),
        "hidden": [64, 64],
    }
    tuner = tune.Tuner(
        train,
        param_space=space,
        tune_config=tune.TuneConfig(
            num_samples=10, metric="loss", mode="min", scheduler=ASHAScheduler()
        ),
    )
    """


def test_a_search_space_of_ray_is_read_and_its_code_is_not_run(read):
    found = read("space.py", RAY)
    assert found.space == {
        "epochs": Constant(10),
        "lr": LogUniform(1e-5, 0.1),
        "batch": Choice(16, 32, -64),
        "layers": Choice(1, 2, 3),
        "width": LogInt(1, 999),
        "drop": Choice(0.0, 0.2, 0.4),
        "heads": Choice(8, 16, 24),
        "momentum": Uniform(0.8, 0.99),
        "noise": Uniform(-2.0, 2.0),
        "act": Choice("relu", "tanh"),
        "opt.name": Choice("adam", "sgd"),
        "opt.nesterov": Constant(True),
        "hidden": Constant((64, 64)),
    }
    assert (found.runs, found.metric, found.direction) == (20, "loss", "min")
    assert said(found, "noise: ", "normal distribution")
    assert said(found, "later: not in the space", "lambda spec: spec.config.lr * 2", "running it")
    assert said(found, "drawn: not in the space", "np.random.uniform(0, 1) (line 20)")
    assert said(found, "nested: not in the space", "uniform(…) is a part of a value")
    assert said(found, "scheduler", "ASHAScheduler()")
    assert said(found, "grid_search")
    assert len(found.notes) == 6


def test_a_metric_whose_better_end_is_not_said_is_left_out_and_that_is_said(read):
    text = "from ray import tune\ntune.run(f, config={'x': tune.uniform(0, 1)}, metric='loss')\n"
    found = read("m.py", text)
    assert (found.metric, found.direction) == (None, None)
    assert said(found, "metric loss: no mode says")


def test_of_several_search_spaces_one_is_named(read, tmp_path):
    text = """
        from ray import tune
        one = {"x": tune.uniform(0, 1)}
        tune.run(train, config={"y": tune.uniform(0, 2)})
        """
    with pytest.raises(UsageError, match=r"2 search spaces: one \(line 3\), config \(line 4\)"):
        read("two.py", text)
    found = read_space(f"{tmp_path / 'two.py'}#config")
    assert (found.space, found.name) == ({"y": Uniform(0.0, 2.0)}, "config")


def test_a_dump_of_a_search_space_of_ray_is_read(read):
    found = read(
        "params.json",
        {
            "lr": "tune.loguniform(1e-5, 1e-1)",
            "act": {"grid_search": ["relu", "tanh"]},
            "opt": {"beta": "uniform(0.8, 0.99)"},
            "words": "some text, with a comma",
            "lost": "<ray.tune.search.sample.Float object at 0x7f00>",
        },
    )
    assert found.space == {
        "lr": LogUniform(1e-5, 0.1),
        "act": Choice("relu", "tanh"),
        "opt.beta": Uniform(0.8, 0.99),
        "words": Constant("some text, with a comma"),
    }
    assert said(found, "lost: not in the space", "<ray.tune.search.sample.Float…>")


# ---- mistakes ------------------------------------------------------------------------------------

WANDB = "{{parameters: {{lr: {}}}}}"
PARAMS = "hydra: {{sweeper: {{params: {{x: '{}'}}}}}}"

MISTAKES = {
    "no_json": ("a.json", "{", "line 1, column 2: Expecting property name"),
    "no_yaml": ("a.yaml", "a: [1\nb", "line 2, column 2: expected ',' or ']'"),
    "no_python": ("a.py", "x = {", "line 1: '{' was never closed"),
    "no_dictionary": ("a.py", "x = {}", "no dictionary with a search space"),
    "no_mapping": ("a.json", "[1]", "it is no mapping; expected a ConfigSpace"),
    "other_keys": ("a.json", '{"a": 1}', "its keys are a; expected a ConfigSpace"),
    "other_ending": ("a.txt", "a", "its name ends in .txt; expected a ConfigSpace"),
    "text": (
        "a.yaml",
        WANDB.format("{min: a, max: 1}"),
        "parameters.lr: min is 'a'; expected a finite",
    ),
    "unknown": (
        "a.yaml",
        WANDB.format("{distribution: loguniform, min: 1, max: 2}"),
        "did you mean 'log_uniform'?",
    ),
    "nothing": ("a.yaml", WANDB.format("{}"), "parameters.lr: it has nothing; expected value"),
    "turned": (
        "a.yaml",
        WANDB.format("{min: 3.0, max: 1}"),
        "the lower end must be below the upper",
    ),
    "fixed": ("a.yaml", WANDB.format("{value: 1}"), "no parameter varies"),
    "weights": (
        "a.yaml",
        WANDB.format("{values: [1, 2], probabilities: [1]}"),
        "parameters.lr: probabilities has 2 values and 1 weights",
    ),
    "goal": (
        "a.yaml",
        "{metric: {name: a, goal: up}, parameters: {lr: {values: [1, 2]}}}",
        "metric.goal is 'up'; expected minimize or maximize",
    ),
    "bracket": ("a.yaml", PARAMS.format("choice(1,2"), "params.x: 'choice(1,2', character 11"),
    "arguments": ("a.yaml", PARAMS.format("interval(1)"), "otherwise than interval(start, end)"),
    "cast": ("a.yaml", PARAMS.format("int(a, b)"), "int(…) holds 'a'; expected"),
    "no_params": ("a.yaml", "hydra: {run: {}}", "hydra.sweeper.params is not there"),
    "ray": ("a.py", "s = {'lr': tune.uniform(0, 1, 2)}", "lr: uniform(…) is called otherwise"),
    "huge": (
        "a.yaml",
        WANDB.format("{distribution: log_uniform, min: 0, max: 9999}"),
        "log_uniform_values has the values themselves",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_file_that_cannot_be_read_is_one_line_with_its_place(read, case):
    name, text, expected = MISTAKES[case]
    with pytest.raises(UsageError) as raised:
        read(name, text)
    line = str(raised.value)
    assert f"{name}" in line.split(": ", maxsplit=1)[0]
    assert expected in line
    assert "\n" not in line


def test_yaml_without_pyyaml_says_what_to_install(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(UsageError, match=r'pip install "pytest-sweep\[yaml\]"'):
        read("a.yaml", WANDB.format("{min: 0.1, max: 1}"))


def test_no_file_and_a_part_that_is_none_are_said(tmp_path):
    with pytest.raises(UsageError, match="there is no such file"):
        read_space(str(tmp_path / "none.yaml"))
    (tmp_path / "a.yaml").write_text("a: 1")
    with pytest.raises(UsageError, match="no parts, such as #b"):
        read_space(f"{tmp_path / 'a.yaml'}#b")


# ---- the file ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [("svm.json", SVM), ("sweep.yaml", SWEEP), ("config.yaml", HYDRA), ("space.py", RAY)],
    ids=["ConfigSpace", "W&B", "Hydra", "Ray"],
)
def test_the_file_declares_the_same_space_and_says_every_note(read, name, text):
    found = read(name, text)
    sweep, source = written(found)
    assert sweep.parameters.distributions == found.space
    words = " ".join(source.replace("#", " ").replace("'", '"').split()).lower()
    for note in found.notes:
        assert note.text.replace("'", '"').lower() in words
    assert sweep.runs == (found.runs or 24)
    assert (sweep.metric, sweep.direction) == (found.metric, found.direction)
    assert (f"Return the final {found.metric}." in source) == (found.metric is not None)
    assert sweep.seed == (1 if found.seed is None else found.seed)
    assert all(len(line) <= 100 for line in source.splitlines())
