"""The JAX trainer: the contract, its mathematics against the reference, and what it compiles."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace

import numpy as np
import pytest
from filelock import FileLock

from harness.errors import BackendError
from harness.training import reference, tasks, warm_start
from harness.training.grpo import group_advantages
from harness.training.settings import GRPOSettings
from harness.training.tasks import completion_mask, get_task
from harness.training.tiles import Tile
from tests.training.contract import TrainerContract, assert_same_run

# Without JAX these tests are deselected by their mark; where they are not, they must fail.
with contextlib.suppress(ModuleNotFoundError):
    import jax
    import jax.numpy as jnp

    from harness.training import device_jax, grpo_jax, model_jax, programs_jax

pytestmark = pytest.mark.jax

ROWS, GROUP, TOKENS, VOCABULARY = 3, 4, 5, 7
TASK = get_task("addition")
COMPILED = "/jax/core/compile/backend_compile_duration"
"""What JAX tells its listeners whenever it turns a program into machine code or loads it."""


@pytest.fixture
def compiled():
    """Return a list that has an entry for each program compiled from now on."""
    seen = []

    def listen(event, duration_secs, **details):
        if event == COMPILED:
            seen.append(details)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


class TestGRPOJax(TrainerContract):
    backend = "jax"
    trainer = "harness.training.grpo_jax:train"

    def train(self, job, notify):
        return grpo_jax.train(job, notify)

    def library_state(self):
        return dict(jax.config.values)

    def parameter_dtypes(self, precision):
        # Of the shape that `run` compiles as well.
        policy = make_policy(precision=precision, batch_size=8, generations=16)
        policy.gradient(*a_batch(policy), 0.1)
        policy.update(1e-3)
        arrays = [policy.weights, policy.total.vector, *jax.tree.leaves(policy.moments)]
        return [str(array.dtype) for array in arrays if array.ndim]

    # What compiles programs of its own, or in a process of its own, takes ten seconds and more.
    @pytest.mark.slow
    def test_what_a_process_did_before_does_not_matter(self, run, job, device):
        super().test_what_a_process_did_before_does_not_matter(run, job, device)

    @pytest.mark.slow
    def test_microbatches_give_the_same_gradient(self, run):
        super().test_microbatches_give_the_same_gradient(run)

    @pytest.mark.slow
    def test_precisions_differ_but_agree_roughly(self, run):
        super().test_precisions_differ_but_agree_roughly(run)

    @pytest.mark.parametrize(
        "precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)]
    )
    def test_weights_keep_their_dtype(self, run, precision):
        super().test_weights_keep_their_dtype(run, precision)

    def test_updates_are_adamw_s_written_by_hand(self, run, monkeypatch):
        seen = []

        class Watched(grpo_jax.Policy):
            def update(self, learning_rate):
                before = np.asarray(self.weights, dtype=np.float64)
                gradient = np.asarray(self.total.vector, dtype=np.float64)
                measured = super().update(learning_rate)
                seen.append([before, gradient, np.asarray(self.weights, dtype=np.float64)])
                return measured

        monkeypatch.setattr(grpo_jax, "Policy", Watched)
        rate, decay, most = 0.1, 0.5, 0.3
        constant = dict(lr_schedule="constant", warmup_steps=0, max_grad_norm=most)
        run(steps=2, learning_rate=1e-7, lr_transfer=1e6, weight_decay=decay, **constant)
        assert len(seen) == 2
        weights = seen[0][0]
        first = second = np.zeros_like(weights)
        assert np.linalg.norm(seen[0][1]) > most > np.linalg.norm(seen[1][1])
        for step, (_, gradient, after) in enumerate(seen, 1):
            clipped = gradient * min(1.0, most / np.linalg.norm(gradient))
            # Loshchilov & Hutter (2019), algorithm 2, with β = (0.9, 0.999) and ε = 1e-8.
            first = 0.9 * first + 0.1 * clipped
            second = 0.999 * second + 0.001 * clipped**2
            root = np.sqrt(second / (1 - 0.999**step)) + 1e-8
            weights = weights - rate * (first / (1 - 0.9**step) / root + decay * weights)
            np.testing.assert_allclose(after, weights, rtol=0, atol=1e-5)

    def test_a_fresh_warm_start_trains_as_a_cached_one(self, run, tmp_path, monkeypatch, device):
        short = replace(TASK, warm_start=replace(TASK.warm_start, steps=3))
        monkeypatch.setitem(tasks.TASKS, TASK.name, short)
        fresh = run(steps=3, cache=tmp_path)
        assert_same_run(run(steps=3, cache=tmp_path), fresh, device)

    def test_the_second_run_compiles_nothing(self, run, compiled):
        run(steps=2)
        del compiled[:]
        other = dict(learning_rate=2e-7, lr_schedule="cosine", entropy_coef=0.005, kl_coef=0.1)
        run(steps=5, seed=9, warmup_steps=1, kl_warmup_steps=2, weight_decay=0.1, **other)
        assert compiled == []

    @pytest.mark.slow
    def test_batch_sizes_and_near_generations_share_their_programs(self, run, compiled):
        run(steps=1, evaluate_every=1, batch_size=8, generations=16)
        del compiled[:]
        for batch_size, generations in ((4, 16), (12, 16), (8, 12), (5, 9)):
            run(steps=1, evaluate_every=1, batch_size=batch_size, generations=generations)
        assert compiled == []
        run(steps=1, evaluate_every=1, batch_size=8, generations=40)
        assert len(compiled) == 2, "a program that samples, and one for the gradient"

    def test_a_new_process_compiles_nothing(self, run, tmp_path, warm_cache):
        jax.clear_caches()
        made, loaded = [], []
        listen = {
            "/jax/compilation_cache/cache_misses": made,
            "/jax/compilation_cache/cache_hits": loaded,
        }

        def count(event, **details):
            if event in listen:
                listen[event].append(event)

        jax.monitoring.register_event_listener(count)
        try:
            run(steps=2)
            jax.clear_caches()  # as a new process has it: nothing but what is on the disk
            del made[:], loaded[:]
            run(steps=2)
        finally:
            jax.monitoring.unregister_event_listener(count)
        assert made == []
        assert len(loaded) >= 4

    @pytest.mark.slow
    def test_a_damaged_program_is_compiled_again(self, run, tmp_path, warm_cache, device):
        """In a copy: other workers read the shared folder."""
        whole = run(steps=2)
        with FileLock(warm_cache / "programs" / ".lockfile"):  # JAX's own
            shutil.copytree(warm_cache, tmp_path / "copy", ignore=shutil.ignore_patterns("*lock*"))
        programs = list((tmp_path / "copy" / "programs").glob("jit_update-*-cache"))
        assert programs
        for program in programs:
            program.write_bytes(program.read_bytes()[:100])
        jax.clear_caches()
        with pytest.warns(UserWarning, match="persistent compilation cache"):
            again = run(steps=2, cache=tmp_path / "copy")
        assert_same_run(again, whole, device)


def make_policy(precision="float32", **settings):
    given = dict(learning_rate=1e-3, batch_size=ROWS, generations=GROUP) | settings
    device_jax.open_device("cpu")
    dtype = device_jax.PRECISIONS[precision]
    return grpo_jax.Policy(TASK, warm_start.initial_weights(TASK), GRPOSettings(**given), dtype)


def a_batch(policy, seed=0):
    """Return prompts, completions, mask and advantages: what `Policy.gradient` takes."""
    draws = np.random.default_rng(seed)
    prompts = TASK.prompts("train")[:ROWS]
    noise = draws.random((ROWS, GROUP, TASK.max_tokens), dtype=np.float32)
    completions = policy.sample(prompts, noise, policy.tile)
    mask = completion_mask(completions, TASK.end)
    advantages = group_advantages(draws.random((ROWS, GROUP)).astype(np.float32), 2.0)
    return prompts, completions, mask, advantages


@pytest.mark.parametrize("kl_coef", [0.0, 0.3])
@pytest.mark.parametrize("entropy_coef", [0.0, 0.2])
def test_loss_and_gradient_are_the_reference_s(kl_coef, entropy_coef):
    draws = np.random.default_rng(11)
    shape = (ROWS, GROUP, TOKENS)
    completions = draws.integers(VOCABULARY, size=shape)
    logits, other = 2 * draws.standard_normal((2, *shape, VOCABULARY))
    mask = completion_mask(completions, 0).astype(np.float64)
    advantages = draws.standard_normal(shape[:2])
    coefficients = {"kl_coef": kl_coef, "entropy_coef": entropy_coef}
    expected, gradient = reference.grpo_loss(
        logits, completions, mask, advantages, reference=other, **coefficients
    )

    def loss(logits):
        return programs_jax.grpo_loss(
            logits,
            completions,
            (mask / mask.sum()).astype(np.float32),
            advantages.astype(np.float32),
            reference=jnp.asarray(reference.log_softmax(other).transpose(3, 2, 0, 1), jnp.float32),
            **coefficients,
        )

    ours = jnp.asarray(logits.transpose(3, 2, 0, 1), dtype=jnp.float32)
    (value, (kl, entropy)), slope = jax.value_and_grad(loss, has_aux=True)(ours)
    assert float(value) == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(slope.transpose(2, 3, 1, 0), gradient, atol=1e-5)
    divergence = reference.kl_divergence(logits, other)
    assert float(kl) == pytest.approx(np.average(divergence, weights=mask), abs=1e-5)
    uncertainty = reference.entropy(logits)
    assert float(entropy) == pytest.approx(np.average(uncertainty, weights=mask), abs=1e-5)


def reference_loss(weights, other, batch, kl_coef, entropy_coef):
    """Return the loss of ``weights``, all of it by the NumPy reference."""
    prompts, completions, mask, advantages = batch
    layers, heads = TASK.shape.layers, TASK.shape.heads

    def logits_of(weights):
        found = np.zeros((*completions.shape, TASK.vocabulary))
        for row, member in np.ndindex(*completions.shape[:2]):
            sequence = np.concatenate([prompts[row], completions[row, member, :-1]])
            alone = reference.decoder_logits(weights, layers, heads, sequence)
            found[row, member] = alone[TASK.prompt_tokens - 1 :]
        return found

    return reference.grpo_loss(
        logits_of(weights),
        completions,
        mask,
        advantages,
        reference=logits_of(other),
        kl_coef=kl_coef,
        entropy_coef=entropy_coef,
        old_log_probs=None,
    )[0]


@pytest.mark.slow
def test_the_gradient_of_the_weights_is_the_slope_of_the_reference_s_loss():
    """A gradient check: along a direction, against central differences in float64.

    The loss as the reference computes it has a ratio of 1 whatever the weights, so only KL and
    entropy have a slope there; advantages are 0 for that. The policy loss is in the next test.
    """
    policy = make_policy(entropy_coef=0.3)
    prompts, completions, mask, advantages = a_batch(policy)
    batch = prompts, completions, mask, np.zeros_like(advantages)
    weights = {name: np.float64(array) for name, array in warm_start.initial_weights(TASK).items()}
    draws = np.random.default_rng(2)
    other = {n: a + 0.1 * a.std() * draws.standard_normal(a.shape) for n, a in weights.items()}
    policy.reference = jnp.asarray(model_jax.vector_of(other), jnp.float32)
    policy.gradient(*batch, 0.2)
    gradient = np.asarray(policy.total.vector, dtype=np.float64)
    for seed in range(3):
        draws = np.random.default_rng(seed)
        along = {name: draws.standard_normal(array.shape) for name, array in weights.items()}
        step = 1e-5
        ahead, behind = (
            reference_loss(
                {n: a + s * along[n] for n, a in weights.items()}, other, batch, 0.2, 0.3
            )
            for s in (step, -step)
        )
        slope = gradient @ model_jax.vector_of(along)
        size = np.linalg.norm(gradient) * np.sqrt(len(gradient))
        assert slope == pytest.approx((ahead - behind) / (2 * step), abs=1e-5 * size)
    assert float(policy.total.sums[0]) == pytest.approx(
        reference_loss(weights, other, batch, 0.2, 0.3), abs=1e-5
    )


def test_the_gradient_of_the_weights_is_the_reference_s_through_the_decoder():
    policy = make_policy(entropy_coef=0.1)
    batch = a_batch(policy)
    prompts, completions, mask, advantages = batch
    policy.reference = policy.reference * 1.1
    policy.gradient(*batch, 0.2)
    decoder = policy.decoder

    def logits_of(vector):
        parameters = model_jax.named(vector, decoder)
        return model_jax.completion_logits(parameters, TASK.shape, prompts, completions)

    logits, back = jax.vjp(jax.jit(logits_of), policy.weights)
    turned, other = (
        np.asarray(a).transpose(2, 3, 1, 0) for a in (logits, logits_of(policy.reference))
    )
    expected, slope = reference.grpo_loss(
        turned, completions, mask, advantages, reference=other, kl_coef=0.2, entropy_coef=0.1
    )
    (gradient,) = back(jnp.asarray(slope.transpose(3, 2, 0, 1), dtype=jnp.float32))
    assert float(policy.total.sums[0]) == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(policy.total.vector, gradient, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "tile",
    [
        Tile(2, 3),
        pytest.param(Tile(4, 8), marks=pytest.mark.slow),
        pytest.param(Tile(1, 1), marks=pytest.mark.slow),
        pytest.param(Tile(1, 4), marks=pytest.mark.slow),
        pytest.param(Tile(1, 3), marks=pytest.mark.slow),
    ],
    ids=lambda tile: tile.name,
)
def test_tiles_add_up_to_the_batch(tile):
    policy = make_policy(entropy_coef=0.1)
    policy.tile = Tile(ROWS, GROUP)
    batch = a_batch(policy)
    policy.gradient(*batch, 0.2)
    whole = policy.total
    policy.tile = tile
    np.testing.assert_array_equal(a_batch(policy)[1], batch[1])
    policy.gradient(*batch, 0.2)
    np.testing.assert_allclose(policy.total.sums, whole.sums, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(policy.total.vector, whole.vector, atol=1e-5)


def test_without_a_penalty_the_reference_policy_does_not_matter():
    policy = make_policy()
    batch = a_batch(policy)
    policy.gradient(*batch, 0.0)
    plain = policy.total
    policy.reference = policy.reference * np.nan
    policy.gradient(*batch, 0.0)
    np.testing.assert_array_equal(policy.total.vector, plain.vector)
    assert float(policy.total.sums[1]) == 0.0
    policy.gradient(*batch, 0.1)
    assert np.isnan(policy.total.sums[1])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_that_moved_are_those_that_the_forward_pass_sees(precision):
    policy = make_policy(precision)
    assert policy.moved() == 0.0
    vector = np.array(policy.weights) * (1 + 2**-12)  # too little for bfloat16, but at its edges
    vector[:7] += 1.0
    policy.weights = jnp.asarray(vector)
    changes = float((np.asarray(policy.reference) != 0).mean())
    moved = policy.moved()
    if precision == "float32":
        assert moved == pytest.approx(changes, abs=1e-3)
    else:
        assert 7 / vector.size <= moved < 0.2


def test_an_update_moves_against_the_gradient():
    policy = make_policy()
    policy.gradient(*a_batch(policy), 0.0)
    before, gradient = np.asarray(policy.weights), np.asarray(policy.total.vector)
    reference_before = np.asarray(policy.reference)
    *_, norm, size = policy.update(1e-3)
    assert size == pytest.approx(np.linalg.norm(before), rel=1e-5)
    assert norm == pytest.approx(np.linalg.norm(gradient), rel=1e-5)
    moved = np.asarray(policy.weights) - before
    # AdamW's first step is lr · sign(gradient) where the gradient is far above its epsilon.
    large = np.abs(gradient) > 1e-5
    np.testing.assert_allclose(moved[large], -1e-3 * np.sign(gradient[large]), rtol=0.01)
    np.testing.assert_array_equal(policy.reference, reference_before)


class TestDevice:
    def test_a_device_that_is_not_here_is_one_clear_line(self):
        with pytest.raises(BackendError, match="device 'tpu:3' is not here; this machine has cpu"):
            device_jax.open_device("tpu:3", available=("cpu",))

    def test_auto_takes_what_is_here(self):
        assert device_jax.open_device("auto", available=("cpu",)).platform == "cpu"
        assert device_jax.available_devices()[0] == "cpu"

    def test_devices_of_other_platforms_are_named_as_torch_names_them(self, monkeypatch):
        class Fake:
            def __init__(self, platform, id):
                self.platform, self.id, self.device_kind = platform, id, "H200"

            def memory_stats(self):
                return {"peak_bytes_in_use": 12}

        gpus = [Fake("gpu", 0), Fake("gpu", 1)]
        cpu = jax.devices("cpu")
        monkeypatch.setattr(jax, "devices", lambda platform=None: cpu if platform else gpus)
        assert device_jax.available_devices() == ("cpu", "cuda:0", "cuda:1")
        assert device_jax.open_device("auto") is gpus[0]
        assert device_jax.open_device("cuda:1") is gpus[1]
        assert device_jax.describe(gpus[1]) == "cuda:1 (H200)"
        assert device_jax.peak_bytes(gpus[1]) == 12

    def test_running_out_of_device_memory_is_a_memory_error(self):
        with pytest.raises(MemoryError, match=r"^RESOURCE_EXHAUSTED"), device_jax.out_of_memory():
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nallocating")

    def test_other_errors_stay_what_they_are(self):
        with pytest.raises(jax.errors.JaxRuntimeError), device_jax.out_of_memory():
            raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    def test_a_folder_of_the_user_s_for_programs_is_left_alone(self, tmp_path, monkeypatch):
        before = jax.config.values["jax_compilation_cache_dir"]
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
        device_jax.keep_programs(tmp_path / "other", device_jax.open_device("cpu"))
        assert jax.config.values["jax_compilation_cache_dir"] == before
