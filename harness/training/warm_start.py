"""The weights that a run starts from: made once by supervised learning, and cached by content.

The cache is a safetensors file of named float32 arrays that every backend can read:
``embed`` [vocabulary, width], ``position`` [context, width], for each layer *i*
``layers.i.attention_norm`` [width], ``layers.i.qkv`` [width, 3·width], ``layers.i.out``
[width, width], ``layers.i.mlp_norm`` [width], ``layers.i.up`` [width, 4·width],
``layers.i.down`` [4·width, width], then ``norm`` [width] and ``head`` [width, vocabulary].
Matrices multiply from the right: ``x @ w``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.files import write_whole
from harness.protocols import Notify
from harness.records import Progress, digest
from harness.training.tasks import Task, Tokens, completion_mask
from harness.training.uniforms import generator

Array = npt.NDArray[np.float32]
Weights = Mapping[str, Array]

STAGE = "warm start"
"""The stage of progress while weights are made or waited for."""

RECIPE_VERSION = 1
"""The version of the recipe. Raise it by hand when the recipe changes."""


def parameter_shapes(task: Task) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every array of the decoder that ``task`` is trained with."""
    width = task.shape.width
    context = task.prompt_tokens + task.max_tokens - 1  # the last token is never read
    shapes: dict[str, tuple[int, ...]] = {
        "embed": (task.vocabulary, width),
        "position": (context, width),
    }
    for layer in range(task.shape.layers):
        shapes |= {
            f"layers.{layer}.attention_norm": (width,),
            f"layers.{layer}.qkv": (width, 3 * width),
            f"layers.{layer}.out": (width, width),
            f"layers.{layer}.mlp_norm": (width,),
            f"layers.{layer}.up": (width, 4 * width),
            f"layers.{layer}.down": (4 * width, width),
        }
    return shapes | {"norm": (width,), "head": (width, task.vocabulary)}


def initial_weights(task: Task) -> dict[str, Array]:
    """Return untrained weights, drawn from the seed of the task's warm start.

    Norms are 1. The standard deviation is 0.02 for embeddings and 1/√rows for matrices, and is
    divided by √(2·layers) for those that write to the residual stream, as in GPT-2.
    """
    draws = generator(task.warm_start.seed, "initial weights")
    weights = {}
    for name, shape in parameter_shapes(task).items():
        if len(shape) == 1:
            weights[name] = np.ones(shape, dtype=np.float32)
            continue
        scale = 0.02 if name in ("embed", "position") else shape[0] ** -0.5
        if name.endswith((".out", ".down")):
            scale *= (2 * task.shape.layers) ** -0.5
        weights[name] = (scale * draws.standard_normal(shape)).astype(np.float32)
    return weights


def demonstration_batch(task: Task, step: int) -> tuple[Tokens, Tokens, Array, Array]:
    """Return the batch of one step of the warm start.

    Returns
    -------
    prompts : ``[batch, prompt_tokens]``
    completions : ``[batch, max_tokens]``
        Answers with noise, which the policy reads.
    targets : ``[batch, max_tokens, vocabulary]``
        The distribution of each token under the noise, which the policy learns to predict. Learning
        the distribution has the same optimum as learning a draw from it, and less variance.
    mask : ``[batch, max_tokens]``
        1 up to the first end of the noisy answer, then 0.
    """
    recipe = task.warm_start
    draws = generator(recipe.seed, "demonstrations", step)
    available = task.prompts("warm_start")
    prompts = available[draws.integers(len(available), size=recipe.batch)]
    answers = task.demonstrations(prompts)
    alphabet = np.array(recipe.alphabet)
    noisy = draws.random(answers.shape) < recipe.noise
    completions = np.where(noisy, draws.choice(alphabet, size=answers.shape), answers)
    targets = (1 - recipe.noise) * np.eye(task.vocabulary, dtype=np.float32)[answers]
    targets[..., alphabet] += recipe.noise / len(alphabet)
    mask = completion_mask(completions, task.end)
    return prompts, completions, targets.astype(np.float32), mask.astype(np.float32)


def learning_rate(task: Task, step: int) -> float:
    """Return the warm start's learning rate at ``step`` (from 0)."""
    recipe = task.warm_start
    rise = min(1.0, (step + 1) / max(1, recipe.warmup))
    fall = min(1.0, (recipe.steps - step) / max(1, recipe.steps - recipe.warmup))
    return recipe.learning_rate * min(rise, fall)


def cache_file(task: Task, cache: Path) -> Path:
    """Return the file with the weights of ``task``. Its name is a hash of all that makes them."""
    content = {
        "recipe": [RECIPE_VERSION, asdict(task.warm_start)],
        "task": [task.name, task.version],
        "shapes": parameter_shapes(task),
    }
    return cache / f"{task.name}-{digest(content)}.safetensors"


def warm_started(
    task: Task, cache: Path, make: Callable[[Task, Notify], Weights], notify: Notify
) -> Weights:
    """Return the weights that runs of ``task`` start from; ``make`` them if they are not cached.

    If several processes need them at once, one makes them and the others wait; where files cannot
    be locked, each makes them. A damaged file is made again. ``notify`` is called while they are
    made, here or in another process.
    """
    import filelock
    from safetensors.numpy import save

    path = cache_file(task, cache)
    weights = _load(path, task)
    if weights is not None:
        return weights
    cache.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path.with_suffix(".lock"), timeout=1.0)
    while True:
        try:
            lock.acquire()
            break
        except filelock.Timeout:
            notify(Progress(stage=STAGE, step=0, steps=task.warm_start.steps))
        except OSError as error:
            print(f"warm start: {lock.lock_file} cannot be locked ({error})", flush=True)
            break
    try:
        weights = _load(path, task)
        if weights is None:
            weights = _in_order(make(task, notify), task)
            write_whole(path, save(dict(weights), metadata={"checksum": checksum(weights)}))
        return weights
    finally:
        lock.release()


def _in_order(weights: Weights, task: Task) -> Weights:
    """Return ``weights`` in the order of `parameter_shapes`, on which sums over them depend."""
    return {name: weights[name] for name in parameter_shapes(task)}


def checksum(weights: Weights) -> str:
    """Return a digest of ``weights``, equal for equal names and numbers."""
    content = hashlib.sha256()
    for name in sorted(weights):
        content.update(name.encode())
        content.update(np.ascontiguousarray(weights[name]).tobytes())
    return content.hexdigest()


def _load(path: Path, task: Task) -> Weights | None:
    """Return the weights in ``path``, or None if the file is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            weights: dict[str, Array] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            stated = (file.metadata() or {}).get("checksum")
    except (OSError, SafetensorError):
        return None
    shapes = {name: array.shape for name, array in weights.items()}
    sound = shapes == parameter_shapes(task) and stated == checksum(weights)
    return _in_order(weights, task) if sound else None
