"""GRPO in JAX: the policy that `harness.training.course` trains.

`harness.training.grpo_torch` says which GRPO this is. Prompts and noise are the same there, so the
tokens are the same until rounding first differs. Three programs do the computing
(`harness.training.programs_jax`): one samples a tile of completions, one adds a tile's gradient to
the batch's, one takes the optimiser's step.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from jax.typing import DTypeLike

from harness.protocols import Notify
from harness.records import Job, Outcome
from harness.training import course, warm_start_jax
from harness.training import programs_jax as programs
from harness.training.checkpoints import Arrays
from harness.training.device_jax import (
    PRECISIONS,
    computing_on,
    describe,
    keeping_programs,
    open_device,
    out_of_memory,
    peak_bytes,
)
from harness.training.grpo import Batch, require_finite
from harness.training.model_jax import Decoder, vector_of
from harness.training.settings import GRPOSettings
from harness.training.tasks import Scores, Task, Tokens
from harness.training.tiles import Tile, evaluation_tile, training_tile
from harness.training.uniforms import Uniforms
from harness.training.warm_start import Weights


def train(job: Job, notify: Notify) -> Outcome:
    """Train ``job``'s run on an embedded task (see `course.train`), as a `protocols.Trainer`.

    Also raises `BackendError` if the device is not here, and `MemoryError` if it or the host runs
    out of memory.
    """
    device = open_device(job.conditions.device)
    dtype = PRECISIONS[job.conditions.precision]
    programs = Path(job.cache) / "programs"
    with out_of_memory(), keeping_programs(programs, device), computing_on(device):
        return course.train_decoder(
            job,
            notify,
            warm_start_jax.make,
            lambda task, weights, settings: Policy(task, weights, settings, dtype),
            device=describe(device),
            library=f"jax {jax.__version__}, optax {optax.__version__}",
            peak=lambda: peak_bytes(device),
        )


class Policy:
    """The weights being trained, the reference they started from, and their optimiser."""

    def __init__(
        self, task: Task, weights: Weights, settings: GRPOSettings, dtype: DTypeLike
    ) -> None:
        self.task = task
        self.settings = settings
        self.tile = training_tile(settings.batch_size, settings.generations, settings.microbatch)
        self.decoder = Decoder.of(task.shape, weights, dtype)
        vector = vector_of(weights)
        self.weights, self.reference = jnp.array(vector), jnp.array(vector)
        self.moments = programs.first_moments(self.weights)
        self.total = programs.no_gradient(self.weights)

    def sample(self, prompts: Tokens, noise: Uniforms, tile: Tile | None = None) -> Tokens:
        """Return completions of ``prompts``, computed a ``tile`` at a time, or one of training."""
        tile = tile or self.tile
        asked = prompts.astype(np.int32)
        parts = [
            (
                cut,
                programs.sample(
                    self.weights,
                    tile.fill(asked[cut[0]], grouped=False),
                    tile.fill(noise[cut]),
                    decoder=self.decoder,
                    end=self.task.end,
                ),
            )
            for cut in tile.cuts(*noise.shape[:2])
        ]
        completions = np.empty(noise.shape, dtype=np.int64)
        for cut, drawn in parts:
            part = completions[cut]
            part[...] = np.asarray(drawn)[: part.shape[0], : part.shape[1]]
        return completions

    def sample_held_out(self, prompts: Tokens, noise: Uniforms) -> Tokens:
        """Return completions of ``prompts`` in an evaluation."""
        most = self.settings.microbatch or course.EVALUATION_BATCH
        tile = evaluation_tile(len(prompts), self.task.samples, most)
        return self.sample(prompts, noise, tile)

    def learn(self, batch: Batch, kl_coef: float, learning_rate: float) -> list[float]:
        """Take a training step; see `course.Policy.learn`."""
        self.gradient(*batch, kl_coef)
        *measured, norm = self.update(learning_rate)
        # A norm that overflows is 0 further on, and so would be the gradient: not a NaN.
        require_finite(loss=measured[0], gradient_norm=measured[3], norm_of_the_weights=norm)
        return measured

    def gradient(
        self,
        prompts: Tokens,
        completions: Tokens,
        mask: npt.NDArray[np.bool_],
        advantages: Scores,
        kl_coef: float,
    ) -> None:
        """Compute the gradient over all tiles, for `update`; see `course.Policy.learn`."""
        share = mask / np.float32(mask.sum())
        asked, drawn = prompts.astype(np.int32), completions.astype(np.int32)
        coefficients = programs.Coefficients(
            np.float32(kl_coef), np.float32(self.settings.entropy_coef)
        )
        total, tile = programs.no_gradient(self.weights), self.tile
        for cut in tile.cuts(*mask.shape[:2]):
            batch = programs.Batch(
                tile.fill(asked[cut[0]], grouped=False),
                tile.fill(drawn[cut]),
                tile.fill(share[cut]),
                tile.fill(advantages[cut]),
            )
            total = programs.add_gradient(
                total, self.weights, self.reference, batch, coefficients, decoder=self.decoder
            )
        self.total = total

    def update(self, learning_rate: float) -> list[float]:
        """Clip the gradient's norm and take a step of AdamW.

        Returns what `course.Policy.learn` does, and the norm of the weights before the step.
        """
        rates = programs.Rates(
            np.float32(learning_rate),
            np.float32(self.settings.max_grad_norm),
            np.float32(self.settings.weight_decay),
        )
        self.weights, self.moments, measured = programs.update(
            self.weights, self.moments, self.total, rates
        )
        numbers: list[float] = np.asarray(measured).tolist()
        return numbers

    def norm(self) -> float:
        """Return the Euclidean norm of all weights together."""
        return float(programs.norm(self.weights))

    def moved(self) -> float:
        """Return the share of weights that have changed; see `course.Policy.moved`."""
        now, then = (
            np.asarray(vector).astype(jnp.dtype(self.decoder.dtype))
            for vector in (self.weights, self.reference)
        )
        return float((now != then).mean())

    def state(self) -> Arrays:
        """Return the weights and AdamW's state, for `restore`; valid until the next `update`."""
        leaves = jax.tree.leaves(self.moments)
        moments = {f"adamw.{index}": np.asarray(leaf) for index, leaf in enumerate(leaves)}
        return {"weights": np.asarray(self.weights)} | moments

    def restore(self, state: Arrays) -> None:
        """Restore the weights and the optimiser's state that `state` returned, of the same run."""
        self.weights = jnp.array(state["weights"])
        leaves, structure = jax.tree.flatten(self.moments)
        restored = [jnp.array(state[f"adamw.{index}"]) for index in range(len(leaves))]
        self.moments = jax.tree.unflatten(structure, restored)
