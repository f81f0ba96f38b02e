"""GRPO of language models in Torch: against NumPy's loss, a plain forward pass, and itself."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from harness.errors import UsageError
from harness.records import Conditions, Config, Job, Run
from harness.training import checkpoints, reference, uniforms
from harness.training.grpo import TEXT_TRAINING_VERSION, Batch
from harness.training.settings import GRPOSettings
from harness.training.text import adapters, training
from harness.training.text.architecture import architecture
from harness.training.text.model_files import locate
from harness.training.text.tasks import TextTask

with contextlib.suppress(ModuleNotFoundError):
    import torch

    from harness.training.text import grpo_torch, loading_torch, model_torch
    from harness.training.text.tokenised import tokenised
    from tests.training.text import tiny_models

pytestmark = [pytest.mark.torch, pytest.mark.trl]

GROUP, STEPS = 4, 5
KINDS = ("llama", "llama3", "qwen2", "qwen3", "gpt2")
ASKED = ("2+2=", "Say something, anything at all:", "x", "one, two,")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}

    def folder(kind):
        if kind not in made:
            made[kind] = tiny_models.write(tmp_path_factory.mktemp("models") / kind, kind)
        return made[kind]

    return folder


@pytest.fixture(scope="module")
def task():
    return TextTask.from_records(
        [
            {"prompt": text, "answer": "4", "split": split}
            for split in ("train", "held_out")
            for text in ([f"{one} {split}" for one in ASKED] if split == "held_out" else ASKED)
        ],
        name="tiny",
        max_tokens=STEPS,
        samples=2,
        rewards="exact",
    )


@pytest.fixture
def policy(folders, task):
    def make(kind="llama", dtype=torch.float32, seed=1, **settings):
        given = GRPOSettings(
            **{"learning_rate": 1e-3, "batch_size": 4, "generations": GROUP} | settings
        )
        files = locate(str(folders(kind)), folders(kind))
        model = loading_torch.load(files, given, seed=seed)
        bound = tokenised(task, files)
        return grpo_torch.Policy(bound, model, given, torch.device("cpu"), dtype)

    return make


@pytest.fixture(scope="module")
def batch():
    draws = np.random.default_rng(5)
    completions = draws.integers(8, 200, size=(4, GROUP, STEPS))
    lengths = draws.integers(1, STEPS + 1, size=(4, GROUP))
    mask = np.arange(STEPS) < lengths[..., None]
    completions[~mask] = tiny_models.ENDS[0]
    advantages = draws.standard_normal((4, GROUP)).astype(np.float32)
    return Batch(np.arange(4)[:, None], completions, mask, advantages)


def plain_logits(policy, model, completions, rows=range(4)):
    """Return the logits of each sequence alone, without padding: [rows, group, tokens, words]."""
    found = []
    for row, group in zip(rows, completions, strict=True):
        prompt = policy.task.tokens[row]
        for completion in group:
            tokens = torch.tensor([[*prompt, *map(int, completion)]])
            found.append(model(tokens).logits[0, len(prompt) - 1 : -1])
    return torch.stack(found).reshape(*completions.shape, -1) / policy.settings.temperature


def moved(policy, scale=0.02):
    """Move the trained weights away from the reference."""
    draws = np.random.default_rng(9)
    with torch.no_grad():
        for weight in policy.weights:
            weight.add_(torch.from_numpy(draws.standard_normal(weight.shape)).float(), alpha=scale)
    policy._show()


@pytest.mark.parametrize(
    ("kind", "kl_coef", "given"),
    [
        ("llama3", 0.0, {}),
        ("qwen3", 0.3, {}),
        ("gpt2", 0.3, {"microbatch": 3}),
        ("qwen2", 0.3, {"gradient_checkpointing": True}),
        ("gpt2", 0.0, {"gradient_checkpointing": True, "microbatch": 3}),
        ("mistral", 0.3, {"gradient_checkpointing": True}),
        ("gemma2", 0.3, {}),
        ("llama", 0.3, {"microbatch_tokens": 100}),
        ("llama", 0.3, {"microbatch_tokens": 1}),
    ],
)
def test_loss_and_gradient_are_the_reference_s(policy, batch, monkeypatch, kind, kl_coef, given):
    monkeypatch.setattr(grpo_torch, "LOGITS", 7)  # in parts of the tokens
    ours = policy(kind, entropy_coef=0.05, kl_coef=0.3, temperature=0.7, max_grad_norm=1e9, **given)
    with torch.no_grad():
        before = plain_logits(ours, ours.model.module, batch.completions).numpy()
    moved(ours)
    measured = ours.gradient(*batch, kl_coef)
    found = [weight.grad.clone() for weight in ours.weights]
    logits = plain_logits(ours, ours.model.module, batch.completions)
    loss, by_logits = reference.grpo_loss(
        logits.detach().numpy(),
        batch.completions,
        batch.mask,
        batch.advantages,
        reference=before if kl_coef else None,
        kl_coef=kl_coef,
        entropy_coef=0.05,
    )
    ours.optimizer.zero_grad()
    logits.backward(torch.from_numpy(by_logits).float())
    assert measured[0] == pytest.approx(loss, rel=1e-4, abs=1e-6)
    norm = math.sqrt(sum(float(weight.grad.square().sum()) for weight in ours.weights))
    assert measured[3] == pytest.approx(norm, rel=1e-4)
    for one, weight in zip(found, ours.weights, strict=True):
        torch.testing.assert_close(one, weight.grad, rtol=2e-3, atol=2e-6)


@pytest.mark.parametrize(
    ("kind", "given"),
    [("llama3", {}), ("qwen2", {}), ("qwen3", {"lora_rank": 2}), ("gpt2", {})],
)
def test_a_pass_has_as_many_tokens_as_on_jax(policy, folders, monkeypatch, kind, given):
    monkeypatch.setitem(training.ACTIVATIONS, "host", 2**27)
    ours = policy(kind, **given)
    shape = architecture(json.loads((folders(kind) / "config.json").read_text()), kind)
    assert ours.tokens == 2**27 // (4 * shape.features) > training.LEAST_TOKENS
    assert policy(kind, microbatch_tokens=9, **given).tokens == 9


@pytest.mark.parametrize("tokens", [1, 60, 200, 10_000])
@pytest.mark.parametrize("given", [{}, {"gradient_checkpointing": True}])
def test_no_pass_has_more_tokens_than_allowed(policy, batch, monkeypatch, tokens, given):
    cut, parts = grpo_torch.microbatches, []

    def noted(*size):
        parts.extend(cut(*size))
        return parts

    monkeypatch.setattr(grpo_torch, "microbatches", noted)
    ours = policy(microbatch_tokens=tokens, **given)
    ours.gradient(*batch, 0.0)
    written = int(batch.mask.sum(axis=-1).max())
    for rows, group in parts:
        many, members = batch.mask[rows, group].shape[:2]
        read = max(len(ours.task.tokens[row]) for row in batch.prompts[rows, 0])
        prompts = many * (members if ours.model.way(read, members, written) == "plain" else 1)
        assert prompts * read + many * members * written <= tokens or many * members == 1
    assert (len(parts) == 1) == (tokens == 10_000)


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [1, 1, 1, 1]])
@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_is_computed_once_for_its_group(policy, batch, kind, rows):
    """Also where the prompts are of one length, so that nothing is padded."""
    ours = policy(kind)
    ours.model._ways.remove("packed")
    assert ours.model.way(30, GROUP, STEPS, rows=4) == "cached"
    tokens = torch.from_numpy(batch.completions)
    with torch.no_grad():
        once = ours.model.hidden(np.array(rows), tokens)
        found = ours.model.logits(once).reshape(4, GROUP, STEPS, -1)
        plain = plain_logits(ours, ours.model.module, batch.completions, rows)
    torch.testing.assert_close(found, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_is_packed_with_its_group(policy, batch, kind):
    ours = policy(kind)
    assert ours.model.way(30, GROUP, STEPS) == "packed"
    rows, tokens = np.arange(4), torch.from_numpy(batch.completions)
    with torch.no_grad():
        found = ours.model.logits(ours.model._packed(rows, tokens)).reshape(4, GROUP, STEPS, -1)
        plain = plain_logits(ours, ours.model.module, batch.completions)
    torch.testing.assert_close(found, plain, rtol=1e-3, atol=1e-4)
    packed = ours.gradient(*batch, 0.0)
    by_packed = [weight.grad.clone() for weight in ours.weights]
    ours.model._ways = {"plain"}
    assert packed == pytest.approx(ours.gradient(*batch, 0.0), rel=1e-4, abs=1e-6)
    for one, weight in zip(by_packed, ours.weights, strict=True):
        torch.testing.assert_close(one, weight.grad, rtol=2e-3, atol=2e-6)


@pytest.mark.parametrize("kind", ["mistral", "qwen2-windows"])
def test_a_model_with_windows_is_not_packed(policy, batch, kind):
    """A mask of all tokens overrules the windows, which are shorter than the prompts here."""
    ours = policy(kind, gradient_checkpointing=True)
    rows, tokens = np.arange(4), torch.from_numpy(batch.completions)
    with torch.no_grad():
        plain = ours.model._plain(rows, tokens)
        assert not torch.allclose(ours.model._packed(rows, tokens), plain, atol=0.01)
        torch.testing.assert_close(ours.model._cached(rows, tokens), plain, rtol=1e-3, atol=1e-4)
    assert ours.model.way(30, GROUP, STEPS) == "plain"
    assert policy(kind).model.way(30, GROUP, STEPS, rows=4) == "cached"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"prompt": 30, "group": 1, "length": 5}, {"plain"}),  # nothing to save
        ({"prompt": 30, "group": 4, "length": 5}, {"packed"}),
        ({"prompt": 300, "group": 8, "length": 400}, {"cached", "plain"}),  # too many pairs
        ({"prompt": 3, "group": 4, "length": 40, "rows": 1}, {"plain"}),  # too little to save
    ],
)
def test_the_way_is_the_one_of_the_least_operations(policy, given, expected):
    """The second is what is left under gradient checkpointing, which has no cache."""
    ours = [policy("llama", gradient_checkpointing=on) for on in (False, True)]
    assert {one.model.way(**given) for one in ours} == expected


def test_windows_longer_than_what_is_compared_are_not_packed_either(policy, monkeypatch):
    monkeypatch.setattr(model_torch.LanguageModel, "_packed", model_torch.LanguageModel._plain)
    ways = [
        policy(kind, gradient_checkpointing=True).model.way(30, GROUP, STEPS)
        for kind in ("llama", "mistral", "qwen2-windows", "gemma2")
    ]
    assert ways == ["packed", "plain", "plain", "plain"]


@pytest.mark.parametrize("kind", ["granite", "cohere", "gemma2"])
def test_a_head_may_scale_or_cap_its_logits(policy, batch, kind):
    ours = policy(kind)
    tokens = torch.from_numpy(batch.completions)
    with torch.no_grad():
        found = ours.model.logits(ours.model.hidden(np.arange(4), tokens))
        plain = plain_logits(ours, ours.model.module, batch.completions)
    torch.testing.assert_close(found.reshape(plain.shape), plain, rtol=1e-3, atol=1e-4)


def test_a_head_that_does_what_is_not_known_is_refused(policy, monkeypatch):
    monkeypatch.setattr(model_torch, "_capped", model_torch._scaled)
    with pytest.raises(UsageError, match=r"Gemma2ForCausalLM.* cannot be trained here"):
        policy("gemma2")


def test_few_completions_are_drawn_at_once_on_a_cpu(policy, monkeypatch):
    monkeypatch.setattr(grpo_torch, "SEQUENCES", 6)
    drawn, draws = [], grpo_torch.Policy._generate

    def generate(self, rows, noise, *given):
        drawn.append(noise.shape[0] * noise.shape[1])
        return draws(self, rows, noise, *given)

    monkeypatch.setattr(grpo_torch.Policy, "_generate", generate)
    ours, prompts = policy(), np.arange(4)[:, None]
    ours.sample(prompts, uniforms.train_uniforms(1, 0, 4, 5, 3))
    assert max(drawn) <= 6
    assert sum(drawn) == 20
    drawn.clear()
    policy(microbatch=2).sample(prompts, uniforms.train_uniforms(1, 0, 4, 5, 3))
    assert max(drawn) == 2


@pytest.mark.parametrize(
    ("tokens", "given", "expected"), [(12, {}, [20]), (11, {}, []), (12, {"lora_rank": 2}, [])]
)
def test_weights_are_reordered_for_many_tokens(policy, monkeypatch, tokens, given, expected):
    """Not beside adapters: there no gradients of the weights have given their room."""
    asked, use = [], grpo_torch.reordered

    def reordered(module, rows):
        asked.append(rows)
        return use(module, rows)

    monkeypatch.setattr(grpo_torch, "reordered", reordered)
    prompts = np.arange(4)[:, None]
    policy(**given).sample(prompts, uniforms.train_uniforms(1, 0, 4, 5, tokens))
    assert asked == expected


def test_gradients_are_dropped_after_a_step(policy, batch):
    ours = policy()
    ours.learn(batch, 0.0, 1e-3)
    assert [weight.grad for weight in ours.weights] == [None] * len(ours.weights)


@pytest.mark.parametrize("way", ["cached", "packed"])
def test_a_model_that_differs_is_computed_with_its_prompts(policy, batch, monkeypatch, way):
    once = getattr(model_torch.LanguageModel, f"_{way}")
    for name in ("_cached", "_packed"):
        monkeypatch.setattr(
            model_torch.LanguageModel, name, lambda self, *given: once(self, *given) * 1.5
        )
    ours = policy("qwen2")
    assert ours.model.way(30, GROUP, STEPS) == "plain"
    monkeypatch.undo()
    # Then the prompts of completions are read for each of them, with what it drew before.
    noise = np.random.default_rng(2).random((4, GROUP, STEPS), dtype=np.float32)
    rows = np.arange(4)[:, None]
    np.testing.assert_array_equal(ours.sample(rows, noise), policy("qwen2").sample(rows, noise))


def test_completions_end_and_are_drawn_from_the_logits(policy):
    ours = policy("qwen3", temperature=1.3)
    noise = np.random.default_rng(2).random((4, GROUP, STEPS), dtype=np.float32)
    drawn = ours.sample(np.arange(4)[:, None], noise)
    assert drawn.shape == noise.shape
    ended = np.isin(drawn, ours.task.ends)
    mask = np.cumsum(ended, axis=-1) - ended == 0
    assert (drawn[~mask] == ours.task.ends[0]).all()
    assert drawn.max() < tiny_models.KNOWN
    with torch.no_grad():
        logits = plain_logits(ours, ours.model.module, drawn).numpy()
    logits[..., tiny_models.KNOWN :] = -np.inf
    expected = reference.sample(logits, noise)
    assert (expected[mask] == drawn[mask]).mean() > 0.99


def test_only_the_most_probable_tokens_are_kept():
    logits = torch.log(torch.tensor([[0.5, 0.2, 0.2, 0.1]]))
    kept = [
        grpo_torch.most_probable(logits, share).isfinite().tolist()[0]
        for share in (0.4, 0.6, 0.95, 1.0)
    ]
    assert kept == [
        [True, False, False, False],
        [True, True, True, False],
        [True, True, True, True],
        [True, True, True, True],
    ]


@pytest.mark.parametrize("given", [{}, {"lora_rank": 2}])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_no_learning_rate_measures_exactly_0(run_text, precision, given):
    outcome = run_text(precision=precision, learning_rate=0.0, arm="placebo", **given)
    assert (outcome.delta_perf, outcome.prompts_changed) == (0.0, 0)
    assert outcome.weights_moved == 0.0
    assert len({point.perf for point in outcome.curve}) == 1


def test_useless_training_of_a_language_model_learns_from_other_rewards(run_text):
    """No completion of a tiny model is right: permuted, nothing is to be learned; coins move it."""
    main, null, chance = (run_text(arm=arm) for arm in ("main", "null", "random"))
    first = [outcome.trace[0] for outcome in (main, null, chance)]
    assert len({entry.completions for entry in first}) == 1
    assert [entry.reward for entry in first] == [first[0].reward] * 3
    assert (first[0].no_signal, first[1].no_signal, first[2].no_signal) == (1.0, 1.0, 0.0)
    assert [outcome.weights_moved > 0.5 for outcome in (main, null, chance)] == [False, False, True]


@pytest.mark.parametrize("given", [{}, {"lora_rank": 2, "kl_coef": 0.1, "kl_warmup_steps": 0}])
@pytest.mark.parametrize("every", [1, timedelta(microseconds=1)])
@pytest.mark.parametrize("large", [0, 2**26])
def test_an_interrupted_run_ends_bit_for_bit_as_another(
    run_text, tmp_path, given, every, large, monkeypatch
):
    monkeypatch.setattr(checkpoints, "LARGE", large)
    whole = run_text(**given)
    where = {"checkpoint": str(tmp_path / "saved"), "checkpoint_every": every}

    def interrupt(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_text(interrupt, job=where, **given)
    seen = []
    again = run_text(seen.append, job=where, **given)
    assert [progress.step for progress in seen if progress.reward is not None] == [4]
    assert timeless(again) == timeless(whole)


def test_small_steps_move_weights_in_bfloat16(policy, batch):
    ours = policy(dtype=torch.bfloat16, learning_rate=4e-7)
    before = [weight.clone() for weight in ours.weights]
    assert {live.dtype for live in ours._live} == {torch.bfloat16}
    ours.learn(batch, 0.0, 4e-7)
    for was, weight in zip(before, ours.weights, strict=True):
        assert weight.dtype is torch.float32
        assert (was != weight).float().mean() > 0.5


@pytest.mark.parametrize(
    ("given", "least"),
    [({"kl_coef": 0.0}, 0.9), ({"kl_coef": 0.1}, 0.9), ({"lora_rank": 2}, 0.4)],
)
def test_weights_that_moved_are_counted_in_every_way(policy, batch, folders, given, least):
    """Against the model loaded again, the reference, and the first adapters."""
    settings = GRPOSettings(learning_rate=1e-2, batch_size=4, generations=GROUP, **given)
    files = locate(str(folders("llama")), folders("llama"))
    bound, device = policy().task, torch.device("cpu")
    ours = grpo_torch.Policy(
        bound,
        grpo_torch.load(files, settings, seed=1),
        settings,
        device,
        start=lambda: grpo_torch.load(files, settings, seed=1),
    )
    assert ours.moved() == 0.0
    with torch.no_grad():
        ours.weights[0].view(-1)[:3] += 1.0
    total = sum(weight.numel() for weight in ours.weights)
    assert ours.moved() == 3 / total
    ours.learn(batch, given.get("kl_coef", 0.0), 1e-2)
    assert least < ours.moved() <= 1.0


def test_weights_that_moved_are_those_that_the_forward_pass_sees(policy, batch):
    ours = policy(dtype=torch.bfloat16, kl_coef=0.1)
    ours.learn(batch, 0.1, 1e-7)
    assert 0.0 < ours.moved() < 0.05
    assert any(
        (weight.to(torch.bfloat16) != old).any()
        for weight, old in zip(ours.weights, ours._reference.module.parameters(), strict=True)
    )


def test_a_model_whose_files_are_gone_costs_no_run(policy, batch):
    def gone():
        raise UsageError("model 'x' cannot be read")

    ours = policy(kl_coef=0.0)
    assert ours.moved() is None
    ours._start = gone
    assert ours.moved() is None


def test_adapters_begin_as_the_model_and_alone_are_trained(policy, batch):
    plain, ours, other = policy(), policy(lora_rank=2), policy(lora_rank=2, seed=2)
    tokens = torch.from_numpy(batch.completions)
    rows = np.arange(4)
    with torch.no_grad():
        start = plain.model.hidden(rows, tokens)
        torch.testing.assert_close(ours.model.hidden(rows, tokens), start)
    names = [name for name, one in ours.model.module.named_parameters() if one.requires_grad]
    assert names
    assert all(".lora_" in name for name in names)
    assert any(
        not torch.equal(one, two) for one, two in zip(ours.weights, other.weights, strict=True)
    )
    ours.learn(batch, 0.0, 1e-2)
    with torch.no_grad():
        assert not torch.allclose(ours.model.hidden(rows, tokens), start)
        with ours._as_reference() as model:
            torch.testing.assert_close(model.hidden(rows, tokens), start)


def test_modules_that_are_not_there_are_refused(policy):
    with pytest.raises(UsageError, match=r"lora_modules has 'q_prj'; the linear layers .*q_proj"):
        policy(lora_rank=2, lora_modules=("q_prj",))


@pytest.mark.parametrize(
    ("kind", "path"), [("llama", "layers.1.mlp.down_proj"), ("gpt2", "h.1.attn.c_proj")]
)
def test_the_first_factor_is_that_of_every_backend(policy, kind, path):
    ours = policy(kind, lora_rank=2, lora_modules=(path.rpartition(".")[2],), seed=3)
    weights = dict(ours.model.module.named_parameters())
    (name,) = (name for name in weights if f".{path}.lora_A." in name)
    drawn = adapters.first_factor(3, path, *weights[name].shape)
    np.testing.assert_array_equal(weights[name].detach().numpy(), drawn)


def test_an_evaluation_changes_no_training(run_text):
    seldom, often = (run_text(evaluate_every=every) for every in (4, 1))
    assert seldom.trace == often.trace
    assert seldom.delta_perf == often.delta_perf


def timeless(outcome):
    return replace(outcome, seconds=None, evaluation_seconds=None, peak_memory=None)


@pytest.fixture
def run_text(folders, tmp_path):
    """Train a run of a tiny model on arithmetic and return its outcome."""
    file = tmp_path / "task.jsonl"
    lines = ['{"task": {"max_tokens": 3, "samples": 2, "rewards": "exact"}}']
    lines += [f'{{"prompt": "{n}+1=", "answer": "{n + 1}"}}' for n in range(40)]
    file.write_text("\n".join(lines))

    def run(notify=lambda progress: None, *, kind="llama", precision="float32", job=None, **given):
        from harness.training.text.tasks import load_task

        arm, every = given.pop("arm", "main"), given.pop("evaluate_every", 2)
        base = {"learning_rate": 1e-3, "batch_size": 4, "generations": GROUP, "kl_coef": 0.0}
        planned = Run("t-00", "t", 0, arm, None, Config(base | given), 7, 4, 4, every)
        files, task = locate(str(folders(kind)), tmp_path), load_task(str(file), tmp_path)
        conditions = Conditions(
            trainer="harness.training.text.grpo_torch:train",
            trainer_version=TEXT_TRAINING_VERSION,
            backend="torch",
            precision=precision,
            device="cpu",
            task=task.name,
            task_version=task.version,
            model=files.identity,
            model_source=str(files.path),
            task_source=str(file),
        )
        todo = Job("k", planned, conditions, str(tmp_path), str(tmp_path / "log"), **job or {})
        return grpo_torch.train(todo, notify)

    return run
