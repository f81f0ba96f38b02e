"""What the training tests share: the device, and jobs."""

from __future__ import annotations

import pytest

from harness.records import Conditions, Config, Job, Run
from harness.training.grpo import TRAINING_VERSION
from harness.training.tasks import get_task
from tests.training.text import tiny_models

CONFIG = {
    "learning_rate": 1e-7,
    "batch_size": 8,
    "generations": 16,
    "lr_schedule": "advanced",
    "warmup_steps": 2,
    "entropy_coef": 0.002,
}


@pytest.fixture(scope="session")
def device(pytestconfig):
    """The device that the trainers' contract is tested on."""
    return pytestconfig.getoption("--trainer-device")


@pytest.fixture(scope="module")
def quick_programs():
    """Let JAX optimise little: what runs once or twice takes far longer to compile.

    Programs that are compiled as users have them are those of the sessions that tests start.
    """
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Return the folder of a tiny language model, written once: ``tiny_model("gpt2")``.

    It takes what `tiny_models.write` does. Needs Torch and transformers.
    """
    written = {}

    def folder(kind="llama", **changes):
        key = repr((kind, sorted(changes.items())))
        if key not in written:
            written[key] = tiny_models.write(tmp_path_factory.mktemp(kind), kind, **changes)
        return written[key]

    return folder


@pytest.fixture
def make_job(warm_cache, tmp_path):
    """Return a job of the embedded task; every part of it can be given."""

    def make(
        backend="torch",
        *,
        trainer="harness.training.grpo_torch:train",
        arm="main",
        seed=3,
        steps=6,
        declared_steps=None,
        evaluate_every=3,
        precision="float32",
        device="cpu",
        task="addition",
        cache=warm_cache,
        lr_transfer=10_000.0,
        **config,
    ):
        declared = steps if declared_steps is None else declared_steps
        run = Run(
            id=f"toy-{arm}-0",
            sweep="toy",
            index=0,
            arm=arm,
            pair=None,
            config=Config(CONFIG | config),
            seed=seed,
            steps=steps,
            declared_steps=declared,
            evaluate_every=evaluate_every,
        )
        conditions = Conditions(
            trainer=trainer,
            trainer_version=TRAINING_VERSION,
            backend=backend,
            precision=precision,
            device=device,
            task=task,
            task_version=get_task(task).version,
            model=get_task(task).model,
            lr_transfer=lr_transfer,
        )
        return Job("key", run, conditions, cache=str(cache), log=str(tmp_path / "run.log"))

    return make
