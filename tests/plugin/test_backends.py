"""Which backend trains, on which device, and what is compared with what."""

from dataclasses import replace

import pytest

from tests.plugin.shared import GRPO, compared, report

pytest_plugins = ["pytester"]


@pytest.fixture
def two_backends(sweeps, monkeypatch):
    """Have toys in the place of both backends' trainers; sweeps without a trainer use them."""
    from harness.training import backends

    trainer = f"{sweeps.path}/experiments/toy_trainer.py:trainer"
    toys = {name: replace(of, trainer=trainer) for name, of in backends.BACKENDS.items()}
    monkeypatch.setattr(backends, "BACKENDS", toys)
    monkeypatch.setattr(backends, "_installed", lambda module: True)
    sweeps.write(
        body="""
        space = dict(learning_rate=LogUniform(1e-7, 1e-6), batch_size=8, generations=16)
        harness = dict(trainer=None, space=space, arms={})
        base = toy("base", questions={}, **harness)
        sweep = toy(baseline="base", **harness,
                    questions=dict(mean_vs_baseline=mean_gain.above_baseline()))
        """
    )
    return sweeps


def test_what_auto_chose_is_said_once(two_backends):
    result = two_backends.run("--sweep", "base,toy")
    said = "sweep: backend torch (auto; jax is installed too), device auto, float32"
    assert [line for line in result.outlines if "(auto" in line] == [said]
    result = two_backends.run("--sweep", "toy", "--sweep-backend", "jax", "--sweep-device", "cpu")
    assert "sweep: backend jax, device cpu, float32" in result.outlines
    assert report(two_backends)["conditions"]["backend"] == "jax"


def test_a_sweep_with_a_function_of_its_own_names_no_backend(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy").stdout.no_fnmatch_line("*backend*device*")


def test_a_baseline_of_another_backend_is_compared_and_said_to_be(two_backends):
    two_backends.run("--sweep", "base", "--sweep-backend", "torch")
    result = two_backends.run("--sweep", "toy", "--sweep-backend", "jax")
    assert "sweep toy: 8 runs of up to 20 steps, 0 in the store" in result.outlines
    answer, needs = (compared(two_backends)[name] for name in ("answer", "needs"))
    assert answer.startswith("not like for like (backend jax against torch): ")
    assert not any("--sweep base" in need for need in needs)
    findings = {f["code"]: f["message"] for f in report(two_backends)["audit"]}
    assert "backend jax against torch" in findings["mixed_conditions"]
    assert "--sweep base,toy --sweep-backend jax" in findings["mixed_conditions"]
    assert {run["backend"] for run in report(two_backends)["runs"]} == {"jax"}


def test_a_whole_baseline_of_this_backend_goes_before_one_of_another(two_backends):
    jax = ("--sweep-backend", "jax")
    two_backends.run("--sweep", "base")
    two_backends.run("--sweep", "base", "-k", "base-00 or base-01", *jax)
    two_backends.run("--sweep", "toy", *jax)
    assert compared(two_backends)["answer"].startswith("not like for like (backend jax against t")
    assert compared(two_backends)["n"] == 8 + 8
    two_backends.run("--sweep", "base", *jax)
    two_backends.run("--sweep", "toy", *jax)
    assert "not like for like" not in compared(two_backends)["answer"]
    assert "mixed_conditions" not in {f["code"] for f in report(two_backends)["audit"]}


def test_a_baseline_run_beside_is_of_the_same_backend(two_backends):
    two_backends.run("--sweep", "base", "--sweep-backend", "torch")
    result = two_backends.run("--sweep", "base,toy", "--sweep-backend", "jax")
    said = "sweep base: 8 runs of up to 20 steps, 0 in the store (8 more by torch, not counted)"
    assert said in result.outlines
    assert len(two_backends.trained) == 3 * 8
    assert "mixed_conditions" not in {f["code"] for f in report(two_backends)["audit"]}


def test_what_is_needed_is_asked_for_by_the_same_backend(two_backends):
    options = ["--sweep-backend", "jax", "--sweep-precision", "bfloat16"]
    two_backends.run("--sweep", "toy", *options)
    needs = compared(two_backends)["needs"]
    assert needs == [f"pytest experiments/ --sweep base,toy {' '.join(options)}"]
    two_backends.run("--sweep", "base", "-k", "base-00", *options)
    two_backends.run("--sweep", "toy", *options)
    question = report(two_backends, "toy-smoke")["questions"][0]
    assert question["answer"] == "not judged: 7 of 8 runs of base missing"
    assert question["needs"] == needs
    two_backends.run("--sweep", "toy", "-k", "test_question")
    question = report(two_backends, "toy-smoke")["questions"][0]
    assert question["needs"] == ["pytest experiments/ --sweep toy"]


@pytest.mark.torch
def test_a_device_that_is_not_here_is_refused_before_training(sweeps):
    sweeps.write(body=GRPO)
    result = sweeps.run_apart("--sweep", "toy", "--sweep-device", "cuda:93")
    assert result.ret == 4
    assert "device 'cuda:93' is not here; this machine has cpu" in result.stderr.str()


@pytest.mark.jax
def test_jax_is_asked_for_a_device_in_another_process(sweeps):
    sweeps.write(body=GRPO)
    options = ["--sweep-backend", "jax", "--sweep-device", "tpu:93"]
    result = sweeps.run_apart("--sweep", "toy", *options)
    assert result.ret == 4
    assert "device 'tpu:93' is not here; this machine has cpu" in result.stderr.str()


@pytest.mark.torch
@pytest.mark.slow
def test_precision_and_device_reach_the_trainer(sweeps, warm_cache):
    (sweeps.path / ".sweep").mkdir()
    (sweeps.path / ".sweep" / "cache").symlink_to(warm_cache, target_is_directory=True)
    body = GRPO.replace("space=space", "space=space, runs=1, steps=2, questions={}")
    sweeps.write(body=body)
    options = ["--sweep-precision", "bfloat16", "--sweep-device", "cpu", "--sweep-backend", "torch"]
    sweeps.run_apart("--sweep", "toy", *options).assert_outcomes(passed=1, skipped=1)
    written = report(sweeps)
    assert written["conditions"]["precision"] == "bfloat16"
    assert written["runs"][0]["backend"] == "torch"
    assert written["runs"][0]["device"].startswith("cpu")
