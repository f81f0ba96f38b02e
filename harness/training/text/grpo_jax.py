"""GRPO of language models in JAX: the policy that `harness.training.course` trains on text.

`harness.training.grpo_torch` says which GRPO this is; the loss is of the policy at the temperature
that it is sampled with, over the whole vocabulary. Tests check loss and gradient against
`harness.training.reference` and Torch's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax

from harness.errors import UsageError
from harness.protocols import Notify
from harness.records import Job, Outcome
from harness.training.checkpoints import Arrays
from harness.training.device_jax import (
    computing_on,
    describe,
    keeping_programs,
    open_device,
    out_of_memory,
    peak_bytes,
    threads_given,
)
from harness.training.grpo import Batch, Diverged, require_finite
from harness.training.programs_jax import Coefficients, Rates
from harness.training.settings import GRPOSettings
from harness.training.tasks import Tokens
from harness.training.text import adapters, training
from harness.training.text import programs_jax as programs
from harness.training.text.architecture import Architecture, architecture
from harness.training.text.decoder_files import read_weights
from harness.training.text.decoder_jax import Prompts, bucket
from harness.training.text.layers_jax import Parameters, cast
from harness.training.text.model_files import ModelFiles, config_of
from harness.training.text.sampling_jax import Sampling
from harness.training.text.tokenised import TokenisedTask
from harness.training.uniforms import Uniforms

SEQUENCES = 64
"""The most completions that are drawn at once, unless ``microbatch`` says fewer."""


def train(job: Job, notify: Notify) -> Outcome:
    """Train ``job``'s run on a language model (see `course.train`), as a `protocols.Trainer`.

    Also raises `BackendError` if the device is not here, and `MemoryError` if it or the host runs
    out of memory.
    """
    threads = threads_given()
    device = open_device(job.conditions.device, threads=threads)

    def policy(task: TokenisedTask, files: ModelFiles, settings: GRPOSettings) -> Policy:
        shape = architecture(config_of(files), files.name)
        precision, seed = job.conditions.precision, job.run.seed

        def start() -> Arrays:
            return read_weights(files.folder, shape, files.name)

        return Policy(task, shape, start(), settings, dtype=precision, seed=seed, start=start)

    kept = keeping_programs(Path(job.cache) / "programs", device)
    with out_of_memory(), kept, computing_on(device):
        return training.train(
            job,
            notify,
            policy,
            device=describe(device, threads),
            library=f"jax {jax.__version__}, optax {optax.__version__}",
            peak=lambda: peak_bytes(device),
        )


class Source(Protocol):
    """What the policy asks of a task: the tokens of its prompts, and how they are answered."""

    @property
    def tokens(self) -> Sequence[Sequence[int]]:
        """The tokens of each row's prompt, at least one."""
        ...

    @property
    def ends(self) -> tuple[int, ...]:
        """The tokens that end a completion, at least one."""
        ...

    @property
    def known(self) -> npt.NDArray[np.int64]:
        """The tokens that the tokenizer has."""
        ...

    @property
    def temperature(self) -> float:
        """What logits are divided by in an evaluation."""
        ...

    @property
    def top_p(self) -> float:
        """The share of the most probable tokens that an evaluation draws from."""
        ...


class Policy:
    """The weights being trained, the reference they started from, and their optimiser."""

    def __init__(
        self,
        task: Source,
        shape: Architecture,
        weights: Arrays,
        settings: GRPOSettings,
        *,
        dtype: str = "float32",
        seed: int = 0,
        start: Callable[[], Arrays] | None = None,
    ) -> None:
        """Send ``weights``, as `decoder_files.read_weights` has them, to the device.

        Adapters are drawn from ``seed``. ``start`` reads the weights again, for `moved`.
        Raises `UsageError` where adapters are for modules that the model does not have.
        """
        self.task = task
        self.settings = settings
        rank = settings.lora_rank
        scale = adapters.scale_of(settings) if rank else 1.0
        self.plan = programs.Plan(shape, dtype, scale, settings.gradient_checkpointing)
        if rank:
            self.weights = programs.Weights(
                _sent(first_adapters(shape, settings, seed)),
                {name: jnp.asarray(a, dtype) for name, a in weights.items()},
            )
            reference = self.weights.frozen
        else:
            self.weights = programs.Weights(_sent(weights), {})
            # Only a penalty compares with the weights at the start: without one no copy is kept.
            reference = cast(self.weights.trained, dtype) if settings.kl_coef else {}
            if dtype == "float32":
                reference = {name: jnp.array(array) for name, array in reference.items()}
        self.reference = reference
        # No copy is kept of weights that can be had again: those of a whole model are large.
        self._start = (lambda: first_adapters(shape, settings, seed)) if rank else start
        self.moments = programs.first_moments(self.weights.trained)
        on_host = next(iter(self.weights.trained.values())).device.platform == "cpu"  # type: ignore[union-attr]
        self.tokens = training.tokens_of_a_pass(
            settings, shape.features, number_bytes=jnp.dtype(dtype).itemsize, on_host=on_host
        )
        known = np.zeros(shape.vocabulary, dtype=bool)
        known[[token for token in task.known if token < shape.vocabulary]] = True
        ends = np.array(task.ends, dtype=np.int32)
        self._at = {
            False: self._sampling(ends, known, settings.temperature, settings.top_p),
            True: self._sampling(ends, known, task.temperature, task.top_p),
        }

    @staticmethod
    def _sampling(
        ends: npt.NDArray[np.int32], known: npt.NDArray[np.bool_], temperature: float, top_p: float
    ) -> Sampling:
        return Sampling(
            jnp.asarray(ends), jnp.asarray(known), jnp.float32(temperature), jnp.float32(top_p)
        )

    def sample(self, prompts: Tokens, noise: Uniforms) -> Tokens:
        """Return completions of ``prompts`` in training; see `course.Policy.sample`.

        Raises `Diverged` where logits are not finite.
        """
        return self._sample(prompts, noise, held_out=False)

    def sample_held_out(self, prompts: Tokens, noise: Uniforms) -> Tokens:
        """Return completions of ``prompts`` in an evaluation, each batch as it always is."""
        return self._sample(prompts, noise, held_out=True)

    def _sample(self, prompts: Tokens, noise: Uniforms, *, held_out: bool) -> Tokens:
        rows, group, _ = noise.shape
        most = self.settings.microbatch or SEQUENCES
        members = min(group, most)
        together = min(rows, max(1, most // members))
        completions = np.empty(noise.shape, dtype=np.int64)
        for row in range(0, rows, together):
            for member in range(0, group, members):
                # The last batch is filled with copies of its last sequence: they end as it does.
                which = np.minimum(np.arange(row, row + together), rows - 1)
                who = np.minimum(np.arange(member, member + members), group - 1)
                tokens, sound = programs.sample(
                    self.weights,
                    self._read(prompts[which, 0]),
                    noise[np.ix_(which, who)],
                    self._at[held_out],
                    plan=self.plan,
                )
                if not sound:
                    raise Diverged("the logits of the model are not finite")
                completions[np.ix_(which, who)] = np.asarray(tokens)
        return completions

    def _read(self, rows: npt.NDArray[np.int64]) -> Prompts:
        """Return the prompts of the task's ``rows``, padded on the left."""
        found = [self.task.tokens[row] for row in rows.tolist()]
        length = bucket(max(map(len, found)))
        tokens = np.zeros((len(found), length), dtype=np.int32)
        for row, prompt in enumerate(found):
            tokens[row, length - len(prompt) :] = prompt
        starts = [length - len(prompt) for prompt in found]
        return Prompts(jnp.asarray(tokens), jnp.asarray(starts, jnp.int32))

    def learn(self, batch: Batch, kl_coef: float, learning_rate: float) -> list[float]:
        """Take a training step; see `course.Policy.learn`."""
        found = self.gradient(batch, kl_coef)
        rates = Rates(
            np.float32(learning_rate),
            np.float32(self.settings.max_grad_norm),
            np.float32(self.settings.weight_decay),
        )
        trained, self.moments, numbers = programs.update(
            self.weights.trained, self.moments, found, rates
        )
        self.weights = self.weights._replace(trained=trained)
        measured: list[float] = np.asarray(numbers).tolist()
        norm = measured.pop()
        require_finite(loss=measured[0], gradient_norm=measured[3], norm_of_the_weights=norm)
        return measured

    def gradient(self, batch: Batch, kl_coef: float) -> tuple[Parameters, jax.Array]:
        """Return the gradient of the trained weights, and the sums of loss, KL and entropy."""
        share = batch.mask / np.float32(batch.mask.sum())
        coefficients = Coefficients(np.float32(kl_coef), np.float32(self.settings.entropy_coef))
        reference = self.reference if kl_coef else None
        total: tuple[Parameters, jax.Array] | None = None
        for rows, members, length in self._parts(batch):
            cut = np.ix_(rows, members, np.arange(length))
            completions, weights = batch.completions[cut].astype(np.int32), share[cut]
            # Copies that fill the last part do not count.
            weights[(np.diff(rows, prepend=-1) == 0).nonzero()[0]] = 0.0
            weights[:, (np.diff(members, prepend=-1) == 0).nonzero()[0]] = 0.0
            size = programs.part_size(weights.size, self.plan.shape.vocabulary)
            order = np.argsort(weights.ravel() == 0, kind="stable").astype(np.int32)
            order = np.pad(order, (0, -len(order) % size), mode="edge")
            counted = weights.ravel()[order]
            counted[weights.size :] = 0.0
            advantages = np.broadcast_to(
                batch.advantages[np.ix_(rows, members)][..., None], completions.shape
            )
            found = programs.gradient(
                self.weights,
                reference,
                programs.Batch(
                    self._read(batch.prompts[rows, 0]),
                    completions,
                    order,
                    programs.Drawn(completions.ravel()[order], counted, advantages.ravel()[order]),
                ),
                coefficients,
                np.float32(self.settings.temperature),
                plan=self.plan,
                size=size,
            )
            total = found if total is None else programs.add(total, found)
        assert total is not None
        return total

    def _parts(
        self, batch: Batch
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]]:
        """Yield rows, members of each group, and a number of tokens: equal parts of a batch.

        See `training.completions_of_a_pass`. The last part is filled with copies.
        """
        rows, group, most = batch.completions.shape
        longest = int(batch.mask.sum(axis=-1).max())
        # All lengths between a half of the most and the most share a program.
        length = most
        while length // 2 >= longest:
            length = -(-length // 2)
        read = bucket(max(len(self.task.tokens[row]) for row in batch.prompts[:, 0].tolist()))
        sequences = training.completions_of_a_pass(
            rows,
            group,
            most=self.settings.microbatch,
            tokens=self.tokens,
            read=read,
            written=length,
        )
        members = min(group, sequences)
        together = min(rows, max(1, sequences // group))
        for row in range(0, rows, together):
            for member in range(0, group, members):
                yield (
                    np.minimum(np.arange(row, row + together), rows - 1),
                    np.minimum(np.arange(member, member + members), group - 1),
                    length,
                )

    def norm(self) -> float:
        """Return the Euclidean norm of all trained weights together."""
        return float(programs.norm(self.weights.trained))

    def moved(self) -> float | None:
        """Return the share of trained weights that have changed; see `course.Policy.moved`."""
        then: Mapping[str, Any]
        if self.settings.kl_coef and not self.settings.lora_rank:
            then = self.reference
        elif self._start is None:
            return None
        else:
            try:
                then = self._start()
            except UsageError:  # the model's files are gone, which shall not cost the run
                return None
        dtype = jnp.dtype(self.plan.dtype)
        changed, total = 0, 0
        for name, array in self.weights.trained.items():
            now, before = (np.asarray(one).astype(dtype) for one in (array, then[name]))
            changed += int((now != before).sum())
            total += now.size
        return changed / total

    def state(self) -> Arrays:
        """Return the trained weights and AdamW's state, for `restore`."""
        leaves = jax.tree.leaves(self.moments)
        moments = {f"adamw.{index}": np.asarray(leaf) for index, leaf in enumerate(leaves)}
        trained = self.weights.trained.items()
        return {f"weights.{name}": np.asarray(array) for name, array in trained} | moments

    def restore(self, state: Arrays) -> None:
        """Restore the weights and the optimiser's state that `state` returned, of the same run."""
        trained = {name: jnp.array(state[f"weights.{name}"]) for name in self.weights.trained}
        self.weights = self.weights._replace(trained=trained)
        leaves, structure = jax.tree.flatten(self.moments)
        restored = [jnp.array(state[f"adamw.{index}"]) for index in range(len(leaves))]
        self.moments = jax.tree.unflatten(structure, restored)


def _sent(weights: Arrays) -> Parameters:
    return {name: jnp.asarray(array, jnp.float32) for name, array in weights.items()}


def first_adapters(shape: Architecture, settings: GRPOSettings, seed: int) -> Arrays:
    """Return adapters that change nothing yet: A is drawn from ``seed``, B is 0; see `adapters`.

    Raises `UsageError` where a module is named that the model does not have.
    """
    sizes, weights = shape.shapes(), {ours: theirs for theirs, ours in shape.tensors().items()}
    # The path of each kind of layer in the first of the model's layers, and in all of them.
    paths = {
        name: [weights[f"layers.{n}.{name}"].removesuffix(".weight") for n in range(shape.layers)]
        for name in shape.modules.values()
    }
    within = {of[0].partition(".0.")[2]: name for name, of in paths.items()}
    found = {}
    for path in adapters.adapted_layers(settings, [*within]):
        name, rank = within[path], settings.lora_rank
        out, into = sizes[f"layers.{name}"]
        drawn = [adapters.first_factor(seed, one, rank, into) for one in paths[name]]
        found[f"layers.{name}.a"] = np.stack(drawn)
        found[f"layers.{name}.b"] = np.zeros((shape.layers, out, rank), dtype=np.float32)
    return found
