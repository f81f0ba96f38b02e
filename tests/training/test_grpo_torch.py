"""The Torch trainer: the contract, and its mathematics against the NumPy reference."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest

from harness.errors import BackendError
from harness.training import reference, tasks, warm_start
from harness.training.grpo import group_advantages
from harness.training.settings import GRPOSettings
from harness.training.tasks import completion_mask, get_task
from tests.training.contract import TrainerContract, assert_same_run

# Without Torch these tests are deselected by their mark; where they are not, they must fail.
with contextlib.suppress(ModuleNotFoundError):
    import torch

    from harness.training import device_torch, grpo_torch

pytestmark = pytest.mark.torch

CPU = "cpu"
ROWS, GROUP, TOKENS, VOCABULARY = 3, 4, 5, 7
TASK = get_task("addition")


class TestGRPOTorch(TrainerContract):
    backend = "torch"
    trainer = "harness.training.grpo_torch:train"

    @pytest.fixture(autouse=True)
    def _one_thread(self):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)

    def train(self, job, notify):
        return grpo_torch.train(job, notify)

    def library_state(self):
        threads, drawn = torch.get_num_threads(), torch.random.get_rng_state().tolist()
        numbers = torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()
        return threads, drawn, numbers, torch.is_grad_enabled()

    def parameter_dtypes(self, precision):
        policy = make_policy(precision=precision)
        batch = a_batch(policy)
        policy.gradient(*batch, 0.1)
        policy.update(1e-3)
        moments = policy.optimizer.state[policy.weights.vector]
        tensors = [policy.weights.vector, policy.weights.vector.grad, *moments.values()]
        return [str(tensor.dtype).removeprefix("torch.") for tensor in tensors]

    def test_ambient_torch_randomness_does_not_matter(self, run, device):
        torch.manual_seed(1)
        first = run(steps=2)
        torch.manual_seed(2)
        assert_same_run(run(steps=2), first, device)

    def test_a_fresh_warm_start_trains_as_a_cached_one(self, run, tmp_path, monkeypatch, device):
        short = replace(TASK, warm_start=replace(TASK.warm_start, steps=3))
        monkeypatch.setitem(tasks.TASKS, TASK.name, short)
        fresh = run(steps=3, cache=tmp_path)
        assert_same_run(run(steps=3, cache=tmp_path), fresh, device)

    def test_updates_are_adamw_s_written_by_hand(self, run, monkeypatch):
        seen = []

        class Watched(grpo_torch.Policy):
            def update(self, learning_rate):
                vector = self.weights.vector
                before, gradient = vector.detach().clone(), vector.grad.clone()
                super().update(learning_rate)
                parts = before, gradient, vector.detach()
                seen.append([part.double().cpu().numpy() for part in parts])

        monkeypatch.setattr(grpo_torch, "Policy", Watched)
        rate, decay = 0.1, 0.5
        constant = dict(lr_schedule="constant", warmup_steps=0)
        run(steps=2, learning_rate=1e-7, lr_transfer=1e6, weight_decay=decay, **constant)
        assert len(seen) == 2
        weights = seen[0][0]
        first = second = np.zeros_like(weights)
        for step, (_, gradient, after) in enumerate(seen, 1):
            # Loshchilov & Hutter (2019), algorithm 2, with β = (0.9, 0.999) and ε = 1e-8.
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            root = np.sqrt(second / (1 - 0.999**step)) + 1e-8
            weights = weights - rate * (first / (1 - 0.9**step) / root + decay * weights)
            np.testing.assert_allclose(after, weights, rtol=0, atol=1e-5)


def make_policy(precision="float32", noise=0.0, **settings):
    given = dict(learning_rate=1e-3, batch_size=ROWS, generations=GROUP) | settings
    weights = warm_start.initial_weights(TASK)
    if noise:
        draws = np.random.default_rng(5)
        weights = {
            name: array + noise * draws.standard_normal(array.shape).astype(np.float32)
            for name, array in weights.items()
        }
    dtype = device_torch.PRECISIONS[precision]
    return grpo_torch.Policy(TASK, weights, GRPOSettings(**given), torch.device(CPU), dtype)


def a_batch(policy, seed=0):
    """Return prompts, completions, mask and advantages: what `Policy.gradient` takes."""
    draws = np.random.default_rng(seed)
    prompts = TASK.prompts("train")[:ROWS]
    noise = draws.random((ROWS, GROUP, TASK.max_tokens), dtype=np.float32)
    completions = policy.sample(prompts, noise, None)
    mask = completion_mask(completions, TASK.end)
    advantages = group_advantages(draws.random((ROWS, GROUP)).astype(np.float32), 2.0)
    return prompts, completions, mask, advantages


@pytest.fixture
def numbers():
    """Return arguments of a loss: logits, completions, mask, advantages, reference logits."""
    draws = np.random.default_rng(11)
    shape = (ROWS, GROUP, TOKENS)
    completions = draws.integers(VOCABULARY, size=shape)
    return {
        "logits": 2 * draws.standard_normal((*shape, VOCABULARY)),
        "completions": completions,
        "mask": completion_mask(completions, 0).astype(np.float64),
        "advantages": draws.standard_normal(shape[:2]),
        "reference": 2 * draws.standard_normal((*shape, VOCABULARY)),
    }


@pytest.mark.parametrize("kl_coef", [0.0, 0.3])
@pytest.mark.parametrize("entropy_coef", [0.0, 0.2])
def test_loss_and_gradient_are_the_reference_s(numbers, kl_coef, entropy_coef):
    coefficients = {"kl_coef": kl_coef, "entropy_coef": entropy_coef}
    expected, gradient = reference.grpo_loss(**numbers, **coefficients)
    mask = numbers["mask"]
    logits = torch.tensor(numbers["logits"], dtype=torch.float32, requires_grad=True)
    loss, kl, entropy = grpo_torch.grpo_loss(
        logits,
        torch.tensor(numbers["completions"]),
        torch.tensor(mask / mask.sum(), dtype=torch.float32),
        torch.tensor(numbers["advantages"], dtype=torch.float32),
        reference=torch.tensor(numbers["reference"], dtype=torch.float32),
        **coefficients,
    )
    loss.backward()
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(logits.grad.numpy(), gradient, atol=1e-5)
    divergence = reference.kl_divergence(numbers["logits"], numbers["reference"])
    assert kl.item() == pytest.approx(np.average(divergence, weights=mask), abs=1e-5)
    uncertainty = reference.entropy(numbers["logits"])
    assert entropy.item() == pytest.approx(np.average(uncertainty, weights=mask), abs=1e-5)


def test_the_gradient_of_the_weights_is_the_reference_s():
    policy = make_policy(max_grad_norm=1e9, entropy_coef=0.1)
    policy.reference = {name: tensor * 1.1 for name, tensor in policy.reference.items()}
    batch = a_batch(policy)
    loss, kl, entropy, norm = policy.gradient(*batch, 0.2)
    got = policy.weights.vector.grad.numpy().copy()

    prompts, completions, mask, advantages = batch
    tensors = torch.from_numpy(prompts), torch.from_numpy(completions)
    policy.weights.vector.grad = None
    logits = grpo_torch.completion_logits(policy.weights.named(), TASK.shape, *tensors)
    with torch.no_grad():
        other = grpo_torch.completion_logits(policy.reference, TASK.shape, *tensors)
    expected, gradient = reference.grpo_loss(
        logits.detach().numpy(),
        completions,
        mask,
        advantages,
        reference=other.numpy(),
        kl_coef=0.2,
        entropy_coef=0.1,
    )
    logits.backward(torch.from_numpy(gradient.astype(np.float32)))
    assert loss == pytest.approx(expected, abs=1e-5)
    assert kl > 0
    assert entropy > 0
    np.testing.assert_allclose(got, policy.weights.vector.grad.numpy(), atol=1e-5)
    assert norm == pytest.approx(np.linalg.norm(got), rel=1e-4)


def test_the_gradient_s_norm_is_clipped():
    policy = make_policy(max_grad_norm=1e-3)
    *_, norm = policy.gradient(*a_batch(policy), 0.0)
    assert norm > 1e-2
    assert policy.weights.vector.grad.norm().item() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("microbatch", [1, 3, 4, 8])
def test_microbatches_add_up_to_the_batch(microbatch):
    policy = make_policy(entropy_coef=0.1)
    batch = a_batch(policy)
    whole = policy.gradient(*batch, 0.2)
    gradient = policy.weights.vector.grad.numpy().copy()
    policy.settings = replace(policy.settings, microbatch=microbatch)
    assert policy.gradient(*batch, 0.2) == pytest.approx(whole, rel=1e-4, abs=1e-6)
    np.testing.assert_allclose(policy.weights.vector.grad.numpy(), gradient, atol=1e-5)


def test_the_reference_policy_is_computed_only_where_it_counts(monkeypatch):
    policy = make_policy()
    batch = a_batch(policy)
    used = []
    original = grpo_torch.completion_logits

    def counted(parameters, *arguments):
        used.append(parameters is policy.reference)
        return original(parameters, *arguments)

    monkeypatch.setattr(grpo_torch, "completion_logits", counted)
    policy.gradient(*batch, 0.0)
    assert used == [False]
    policy.gradient(*batch, 0.1)
    assert used == [False, False, True]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_that_moved_are_those_that_the_forward_pass_sees(precision):
    policy = make_policy(precision, noise=0.1)
    vector = policy.weights.vector
    assert policy.moved() == 0.0
    with torch.no_grad():
        vector[:7] += 1.0
        vector[7:] *= 1 + 2**-12  # too little for bfloat16 to tell, but where it rounds elsewhere
    moved = policy.moved()
    assert moved > 0.9 if precision == "float32" else 7 / vector.numel() <= moved < 0.2


def test_an_update_moves_against_the_gradient():
    policy = make_policy()
    policy.gradient(*a_batch(policy), 0.0)
    vector = policy.weights.vector
    before, gradient = vector.detach().clone(), vector.grad.clone()
    head = policy.reference["head"].clone()
    policy.update(1e-3)
    moved = vector.detach() - before
    # AdamW's first step is lr · sign(gradient) where the gradient is far above its epsilon.
    large = gradient.abs() > 1e-5
    np.testing.assert_allclose(moved[large], -1e-3 * gradient[large].sign(), rtol=0.01)
    assert not torch.equal(policy.weights.named()["head"], head)
    assert torch.equal(policy.reference["head"], head), "the reference stays where it was"


class TestDevice:
    def test_a_device_that_is_not_here_is_one_clear_line(self):
        with pytest.raises(BackendError, match="device 'cuda:3' is not here; this machine has cpu"):
            device_torch.open_device("cuda:3", available=("cpu",))

    def test_auto_takes_what_is_here(self):
        assert device_torch.open_device("auto", available=("cpu",)) == torch.device("cpu")
        assert device_torch.available_devices()[0] == "cpu"

    def test_running_out_of_device_memory_is_a_memory_error(self):
        with (
            pytest.raises(MemoryError, match=r"^CUDA out of memory"),
            device_torch.out_of_memory(),
        ):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried\nto allocate")

    def test_running_out_of_host_memory_is_a_memory_error(self):
        with pytest.raises(MemoryError, match="can't allocate"), device_torch.out_of_memory():
            torch.empty(2**60, dtype=torch.uint8)

    def test_other_errors_stay_what_they_are(self):
        with pytest.raises(RuntimeError, match="mat1"), device_torch.out_of_memory():
            torch.ones(2, 3) @ torch.ones(2, 3)
