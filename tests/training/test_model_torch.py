"""The decoder: generation with a cache against plain forward passes, and inverse-CDF sampling."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from harness.training import reference, warm_start
from harness.training.tasks import get_task

with contextlib.suppress(ModuleNotFoundError):
    import torch

    from harness.training import model_torch

pytestmark = pytest.mark.torch

TASK = get_task("addition")
ROWS, GROUP, LENGTH = 5, 3, TASK.max_tokens


@pytest.fixture(scope="module")
def parameters():
    """Return untrained weights, made less even so that tokens differ."""
    weights = warm_start.initial_weights(TASK)
    uneven = {name: array * (3 if array.ndim == 2 else 1) for name, array in weights.items()}
    return model_torch.FlatWeights(uneven, torch.device("cpu")).named()


@pytest.fixture(scope="module")
def prompts():
    return torch.from_numpy(TASK.prompts("train")[:ROWS])


@pytest.fixture(scope="module")
def uniforms():
    return np.random.default_rng(7).random((ROWS, GROUP, LENGTH), dtype=np.float32)


def some_completions():
    draws = np.random.default_rng(3)
    return torch.from_numpy(draws.integers(TASK.vocabulary, size=(ROWS, GROUP, LENGTH)))


def plain_logits(parameters, sequence):
    """Return the logits after every token of one ``[1, n]`` sequence: no group, no cache."""
    layout = model_torch.Layout(prompt=sequence.shape[1], group=1, steps=0)
    with torch.no_grad():
        return model_torch.forward(parameters, TASK.shape, sequence, layout)[0]


def test_packed_logits_are_those_of_each_sequence_alone(parameters, prompts):
    completions = some_completions()
    packed = model_torch.completion_logits(parameters, TASK.shape, prompts, completions).detach()
    assert packed.shape == (ROWS, GROUP, LENGTH, TASK.vocabulary)
    for row in range(ROWS):
        for member in range(GROUP):
            sequence = torch.cat([prompts[row], completions[row, member, :-1]])[None]
            alone = plain_logits(parameters, sequence)[TASK.prompt_tokens - 1 :]
            np.testing.assert_allclose(packed[row, member], alone, atol=2e-5)


def test_cached_logits_are_those_without_a_cache(parameters, prompts):
    completions = some_completions()
    expected = model_torch.completion_logits(parameters, TASK.shape, prompts, completions).detach()
    layout = model_torch.Layout(TASK.prompt_tokens, GROUP, LENGTH - 1)
    with torch.inference_mode():
        cache = model_torch.Cache(TASK.shape, ROWS, layout.length, parameters["head"])
        first = TASK.prompt_tokens - 1
        logits = model_torch.forward(
            parameters, TASK.shape, prompts, layout, first=first, cache=cache
        )
        for step in range(LENGTH):
            wanted = expected[:, :, step]
            np.testing.assert_allclose(logits.expand_as(wanted), wanted, atol=2e-5)
            if step < LENGTH - 1:
                start = TASK.prompt_tokens + step * GROUP
                logits = model_torch.forward(
                    parameters,
                    TASK.shape,
                    completions[:, :, step],
                    layout,
                    start=start,
                    cache=cache,
                )


def test_generated_tokens_are_those_drawn_from_the_logits(parameters, prompts, uniforms):
    tokens = model_torch.generate(
        parameters, TASK.shape, prompts, torch.from_numpy(uniforms), end=TASK.vocabulary
    )
    logits = model_torch.completion_logits(
        parameters, TASK.shape, prompts, torch.from_numpy(tokens)
    ).detach()
    np.testing.assert_array_equal(tokens, reference.sample(logits.numpy(), uniforms))
    assert len(np.unique(tokens)) > 4


def test_after_its_end_a_completion_is_filled_with_it(parameters, prompts, uniforms):
    free = model_torch.generate(
        parameters, TASK.shape, prompts, torch.from_numpy(uniforms), end=TASK.vocabulary
    )
    end = int(free[0, 0, 1])
    ended = model_torch.generate(
        parameters, TASK.shape, prompts, torch.from_numpy(uniforms), end=end
    )
    assert (ended[0, 0, 1:] == end).all()
    for kept, other in zip(ended.reshape(-1, LENGTH), free.reshape(-1, LENGTH), strict=True):
        stop = next((i for i, token in enumerate(other) if token == end), LENGTH)
        np.testing.assert_array_equal(kept[:stop], other[:stop])
        assert (kept[stop:] == end).all()


def test_a_prompt_is_computed_once_and_no_token_twice(parameters, prompts, uniforms, monkeypatch):
    shapes = []
    original = model_torch.forward

    def recorded(parameters, shape, tokens, *arguments, **keywords):
        shapes.append(tuple(tokens.shape))
        return original(parameters, shape, tokens, *arguments, **keywords)

    monkeypatch.setattr(model_torch, "forward", recorded)
    model_torch.generate(parameters, TASK.shape, prompts, torch.from_numpy(uniforms), end=16)
    assert shapes == [(ROWS, TASK.prompt_tokens), *[(ROWS, GROUP)] * (LENGTH - 1)]


def test_generation_stops_when_all_have_ended(parameters, prompts, monkeypatch):
    calls = []
    original = model_torch.forward
    monkeypatch.setattr(
        model_torch, "forward", lambda *a, **k: calls.append(1) or original(*a, **k)
    )
    highest = torch.full((ROWS, GROUP, LENGTH), np.float32(1 - 2**-24))
    tokens = model_torch.generate(parameters, TASK.shape, prompts, highest, end=TASK.vocabulary - 1)
    assert (tokens == TASK.vocabulary - 1).all()
    assert len(calls) == 1


def test_flat_weights_are_the_weights():
    weights = warm_start.initial_weights(TASK)
    flat = model_torch.FlatWeights(weights, torch.device("cpu"))
    assert list(flat.arrays()) == list(weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(flat.arrays()[name], array)
    half = flat.named(torch.bfloat16)
    assert {tensor.dtype for tensor in half.values()} == {torch.bfloat16}
    half["head"].float().sum().backward()
    assert flat.vector.grad.dtype == torch.float32
    assert flat.vector.grad.sum() == weights["head"].size


class TestInverseCdf:
    def test_it_agrees_with_the_reference(self):
        draws = np.random.default_rng(9)
        logits = (3 * draws.standard_normal((2000, 16))).astype(np.float32)
        uniforms = draws.random(2000, dtype=np.float32)
        got = model_torch.inverse_cdf(torch.from_numpy(logits), torch.from_numpy(uniforms))
        differ = np.count_nonzero(got.numpy() != reference.sample(logits, uniforms))
        assert differ <= 1, "only where rounding puts a uniform on the other side"

    def test_frequencies_are_the_probabilities(self):
        logits = torch.log(torch.tensor([0.5, 0.2, 0.0, 0.3]))
        uniforms = torch.from_numpy(np.random.default_rng(1).random(40_000, dtype=np.float32))
        tokens = model_torch.inverse_cdf(logits.expand(40_000, 4), uniforms)
        share = np.bincount(tokens.numpy(), minlength=4) / 40_000
        np.testing.assert_allclose(share, [0.5, 0.2, 0.0, 0.3], atol=0.01)

    def test_the_ends_stay_in_the_vocabulary(self):
        logits = torch.zeros(2, 7)
        uniforms = torch.tensor([0.0, 1.0])
        assert model_torch.inverse_cdf(logits, uniforms).tolist() == [0, 6]

    def test_a_token_of_no_probability_is_never_drawn(self):
        logits = torch.tensor([[-torch.inf, 0.0, -torch.inf]])
        assert model_torch.inverse_cdf(logits, torch.tensor([0.0])).tolist() == [1]
