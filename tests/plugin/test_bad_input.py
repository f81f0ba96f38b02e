"""What cannot be run is one line, before anything is trained."""

import re
import sqlite3
import textwrap

import pytest

from tests.plugin.shared import GRPO

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sweep", "tyo"], "no sweep 'tyo' was collected; did you mean 'toy'?"),
        (["--sweep", ","], "names nothing"),
        (["--sweep", "toy", "--sweep-arms", "placbo"], "did you mean 'placebo'?"),
        (["--sweep", "toy", "--sweep-runs", "0"], "'0' is not a whole number of at least 1"),
        (["--sweep", "toy", "--sweep-steps", "0"], "'0' is not a whole number of at least 1"),
        (["--sweep", "toy", "--sweep-workers", "two"], "'two' is not a whole number"),
        (["--sweep", "toy", "--sweep-timeout", "-1"], "'-1' is not a number of seconds above 0"),
        (
            ["--sweep", "toy", "--sweep-memory", "4"],
            "'4' is not an amount of memory; give a number",
        ),
        (
            ["--sweep", "toy", "--sweep-gpus", "0"],
            "'0' is neither a number of GPUs, at least 1, nor",
        ),
        (["--sweep", "toy", "--sweep-gpus", "a,b"], "'a,b' is neither a number of GPUs"),
        (["--sweep", "toy", "--sweep-per-gpu", "2"], "--sweep-per-gpu 2 needs --sweep-gpus"),
        (
            ["--sweep", "toy", "--sweep-gpus", "1", "--sweep-device", "cpu"],
            "--sweep-device cpu names another device; give one of them",
        ),
        (
            ["--sweep", "toy", "--sweep-gpus", "1", "--sweep-executor", "inline"],
            "--sweep-executor inline has none",
        ),
        (["--sweep", "toy", "--sweep-threads", "0"], "'0' is not a whole number of at least 1"),
        (["--sweep", "toy", "--sweep-baseline", "brod"], "baseline 'brod' is not in the store"),
        (["--sweep", "toy", "--sweep-fail-on", "refutd"], "did you mean 'refuted'?"),
        (["--sweep", "toy", "--sweep-executor", "lokal"], "did you mean 'local'?"),
        (
            ["--sweep", "toy", "--sweep-ray-address", "auto"],
            "--sweep-ray-address auto is for --sweep-executor ray, not inline: give",
        ),
        (["--sweep", "toy", "--sweep-precision", "float8"], "'float8' is not one of float32"),
        (["--sweep", "toy", "--sweep-device", "gpu"], "'gpu' is not auto, cpu, cuda or cuda:N"),
        (["--sweep", "toy", "--sweep-offline", "--sweep-fresh"], "give one of them"),
        (["--sweep", "toy", "--sweep-until", "answerd"], "did you mean 'answered'?"),
        (["--sweep", "toy", "--sweep-store", "/proc/nowhere/store.db"], "/proc/nowhere"),
    ],
)
def test_a_bad_option_is_one_line_and_a_usage_error(sweeps, options, said):
    sweeps.write()
    result = sweeps.run(*options)
    assert result.ret == 4
    text = result.stderr.str() + result.stdout.str()
    assert said in text
    assert "Traceback" not in text
    assert sweeps.trained == []


def test_a_backend_that_there_is_not_is_refused_before_training(sweeps, monkeypatch):
    monkeypatch.setattr("harness.training.backends._installed", lambda module: True)
    sweeps.write(body=GRPO)
    result = sweeps.run("--sweep", "toy", "--sweep-backend", "trch")
    assert result.ret == 4
    assert "backend 'trch' is not one of auto, torch, jax; did" in result.stderr.str()


def with_arm(arm):
    return GRPO.replace("arms={}", f"arms={{{arm}}}")


@pytest.mark.parametrize(
    ("body", "options", "said"),
    [
        (GRPO.replace("arms", "task='adition', arms"), [], "did you mean 'addition'?"),
        (GRPO.replace("generations=4", "generations=1"), [], "generations is 1; expected a whole"),
        (GRPO.replace("generations=4", "generation=4"), [], "did you mean 'generations'?"),
        (GRPO.replace(", generations=4", ""), [], "a config of GRPO needs generations"),
        (GRPO.replace("=8", "=4.5"), [], "batch_size is 4.5; expected a whole number of at"),
        (GRPO.replace("=8", "=Uniform(4, 8)"), [], "; expected a whole number of at least 1"),
        (GRPO.replace("=8", "='8'"), [], "batch_size is '8'; expected a whole number of at least 1"
                                         "; write it without quotes: 8"),
        (GRPO.replace("=8", "=(8, 8)"), [], "batch_size is (8, 8); expected a whole number"),
        (GRPO.replace("=8", "=Choice(8, 9000)"), [],
         "batch_size is 9000; expected at most the 7076 training prompts of task 'addition'"),
        (with_arm("'batch_size': Pairs(1, (9000,))"), [], "batch_size is 9000; expected at most"),
        (with_arm("'learning_rate': Pairs(1, (-1.0,))"), [], "learning_rate is -1.0; expected a"),
        (GRPO.replace("=8", "=8, lr_schedule='cosin'"), [], "lr_schedule is 'cosin'; expected one"),
        (GRPO.replace("=8", "=8, kl_coef=-1"), [], "kl_coef is -1; expected a finite number"),
        (GRPO.replace("arms", "sampler='latin_hypercube', arms"), ["runs 9"],
         "a latin hypercube sample of 8 runs cannot be enlarged to 9"),
        (GRPO, ["arms placbo"], "arm 'placbo' is in none of the chosen sweeps, which have none"),
    ],
)  # fmt: skip
def test_what_pytest_refuses_before_training_sweep_plan_refuses_in_the_same_words(
    sweeps, sweep, monkeypatch, body, options, said
):
    monkeypatch.setattr("harness.training.backends._installed", lambda module: True)
    sweeps.write(body=body)
    given = [word for option in options for word in f"--sweep-{option}".split()]
    result = sweeps.run("--sweep", "toy", *given)
    assert result.ret in (2, 4)
    text = result.stderr.str() + result.stdout.str()
    assert "Traceback" not in text
    status, _, err = sweep(f"plan toy {' '.join(f'--{option}' for option in options)}")
    assert status == 2
    assert said in err
    assert err.count("\n") == 1
    assert err.removeprefix("sweep: error: ").strip() in text
    assert sweeps.trained == []


@pytest.mark.parametrize(
    ("body", "options", "said"),
    [
        (GRPO.replace("=8", "=9000"), [], "sweep 'toy': batch_size is 9000; expected at most"),
        ("sweep = toy(sampler='latin_hypercube')", ["--sweep-runs", "9"], "cannot be enlarged"),
    ],
)
def test_xdist_s_controller_refuses_it_in_one_line(sweeps, monkeypatch, body, options, said):
    monkeypatch.setattr("harness.training.backends._installed", lambda module: True)
    sweeps.write(body=body)
    result = sweeps.run("--sweep", "toy", "-n", "1", *options)
    assert result.ret == 4
    assert said in result.stderr.str()
    assert "INTERNALERROR" not in result.stdout.str()


def test_what_all_runs_of_a_part_can_be_trained_with_is_not_refused(sweeps, sweep, monkeypatch):
    """An arm that is left out is not trained."""
    monkeypatch.setattr("harness.training.backends._installed", lambda module: True)
    sweeps.write(body=with_arm("'batch_size': Pairs(1, (9000,))"))
    assert sweep("plan toy --arms none")[0] == 0
    assert sweep("plan toy")[0] == 2


def test_a_backend_that_is_not_installed_comes_with_the_line_that_installs_it(sweeps, monkeypatch):
    monkeypatch.setattr("harness.training.backends._installed", lambda module: False)
    sweeps.write(body=GRPO)
    for options, extra in (
        ([], "torch"),
        ([], "jax"),
        (["--sweep-backend", "torch"], "torch"),
        (["--sweep-backend", "jax"], "jax"),
    ):
        result = sweeps.run("--sweep", "toy", *options)
        assert result.ret == 4
        assert f'pip install "pytest-sweep[{extra}]"' in result.stderr.str()
    result = sweeps.run("--sweep", "toy", "--sweep-offline")
    assert "there is no store at" in result.stderr.str()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sweep = toy(space=dict(learning_rate=LogUniform(2, 1)))", "the lower end must be below"),
        ("sweep = toy(space=dict(learning_rate=-1.0))", "-1.0 is not above zero"),
        (
            "sweep = toy(space=dict(x=Choice(1, 2, weights=(1,))), arms={})",
            "2 options but 1 weight",
        ),
        ("a = toy()\nb = toy()", "sweep 'toy' is declared"),
        ("sweep = toy(questions=dict(q=best_inside('lr')))", "names the parameter 'lr'"),
        ("sweep = toy(runs=0)", "runs is 0"),
        ("sweep = toy(space=dict(x=Choice([64], [128])), arms={})", "[64] is a list; write a tup"),
        ("sweep = toy(space=dict(x=Choice(1.0, float('nan'))), arms={})", "nan is not a finite"),
        ("sweep = toy(space=dict(learning_rate='1e-6'))", "'1e-6' is not a number; write it with"),
        ("sweep = toy(space=dict(x=Choice(len, abs)), arms={})", "is a function; write its name"),
        ("sweep = toy(weights='gpt2')", "Sweep has no argument 'weights' (it has: name, runs, "),
        ("sweep = toy(questions=dict(q=still_improves(since='5')))", "since is '5'; expected"),
    ],
)
def test_a_bad_sweep_is_one_line_with_its_place(sweeps, body, said):
    sweeps.write(body=body)
    result = sweeps.run("--sweep", "toy")
    assert result.ret in (2, 4)
    text = result.stdout.str() + result.stderr.str()
    assert said in text
    assert "Traceback" not in text
    assert "experiments/test_toy.py" in text or "test_toy.py" in text
    assert sweeps.trained == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sweep = toy(space=dict(x=Choice([64], [128])), arms={})", "[64] is a list; write a tup"),
        ("sweep = toy(space=dict(x=Choice(1.0, float('nan'))), arms={})", "nan is not a finite"),
        ("sweep = toy(space=dict(x=Odd()), arms={})", "its distribution draws nan is not a finit"),
        ("sweep = toy(weights='gpt2')", "Sweep has no argument 'weights' (it has: name, runs, "),
    ],
)
def test_a_bad_sweep_stops_no_sweep_of_another_file(sweeps, sweep, body, said):
    odd = """
    class Odd:
        quantile = lambda self, u, given: float("nan")
        values = lambda self: (0, 1)
        describe = lambda self: "odd"
    """
    sweeps.write(body=textwrap.dedent(odd) + body)
    sweeps.write(file="test_good", body="good = toy('good', arms={})")
    status, out, err = sweep("list")  # which shows the others
    assert status == 0
    assert "good" in out
    assert re.search(r"^not read: experiments/test_toy.py:\d+: .*" + re.escape(said), err)
    assert err.count("\n") == 1
    assert sweep("plan good")[0] == 0
    status, _, err = sweep("plan toy")
    assert status == 2
    assert err.startswith("sweep: error: no sweep 'toy'; there are good")
    assert said in err
    assert err.count("\n") == 1


def test_a_duplicate_in_another_file_is_named(sweeps):
    sweeps.write()
    sweeps.write(file="test_too")
    result = sweeps.run("--sweep", "toy")
    assert result.ret in (2, 4)
    text = result.stdout.str() + result.stderr.str()
    assert "sweep 'toy' is declared in test_too.py and in test_toy.py: rename one" in text


def test_a_latin_hypercube_cannot_be_enlarged(sweeps):
    sweeps.write(body="sweep = toy(sampler='latin_hypercube')")
    result = sweeps.run("--sweep", "toy", "--sweep-runs", "9")
    assert result.ret in (2, 4)
    assert "sample of 8 runs cannot be enlarged to 9" in result.stdout.str() + result.stderr.str()


def test_a_store_that_is_no_database_is_named(sweeps):
    sweeps.write()
    (sweeps.path / "broken.db").write_text("not a database at all" * 100)
    result = sweeps.run("--sweep", "toy", "--sweep-store", "sqlite:///broken.db")
    assert result.ret == 4
    assert "broken.db" in result.stderr.str()
    assert sweeps.trained == []


def test_a_run_that_cannot_be_read_is_named_before_any_is_trained(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy")
    trained = sweeps.trained
    with sqlite3.connect(sweeps.path / ".sweep/store.db") as connection:
        for key, *_ in connection.execute("SELECT key FROM sweep_outcomes LIMIT 1").fetchall():
            connection.execute("DELETE FROM sweep_outcomes WHERE key = ?", (key,))
        connection.execute("UPDATE sweep_outcomes SET trace = x'00'")
    connection.close()
    result = sweeps.run("--sweep", "toy")
    assert result.ret == 4
    said = result.stderr.str()
    assert "the store is damaged: the run with key " in said
    assert "restore it from a copy, or name another store" in said
    assert "Traceback" not in said + result.stdout.str()
    assert sweeps.trained == trained


def test_an_item_that_is_marked_to_be_forked_is_refused(sweeps):
    sweeps.write(body="import pytest\npytestmark = pytest.mark.forked\nsweep = toy()")
    sweeps.pytester.makeini("[pytest]\nmarkers = forked: in a process of its own\n")
    result = sweeps.run("--sweep", "toy")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: *test_run[[]toy-00-*] is marked to be forked: a sweep's*"])
    assert sweeps.trained == []
