"""An independent reference of GRPO in NumPy, with loops and formulae, to check the trainers.

Training does not use it. It computes in float64, with gradients derived by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def log_softmax(logits: npt.NDArray[Any]) -> Array:
    """Return log-probabilities over the last axis."""
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = shifted - shifted.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def decoder_logits(
    weights: Mapping[str, npt.NDArray[Any]], layers: int, heads: int, tokens: Integers
) -> Array:
    """Return the decoder's logits after each of the ``tokens`` ``[n]``: ``[n, vocabulary]``.

    Pre-norm blocks as in GPT-2 (Radford et al., 2019, section 2.3) over learned positions, causal
    attention softmax(QKᵀ/√d)V (Vaswani et al., 2017, arXiv:1706.03762, equation 1), ReLU and no
    biases. `harness.training.warm_start` names the weights.
    """
    w = {name: np.asarray(array, dtype=np.float64) for name, array in weights.items()}
    x = np.array([w["embed"][token] + w["position"][at] for at, token in enumerate(tokens)])
    size = x.shape[1] // heads
    for layer in range(layers):
        own = {name.split(".")[2]: w[name] for name in w if name.startswith(f"layers.{layer}.")}
        query, key, value = np.split(_layer_norm(x, own["attention_norm"]) @ own["qkv"], 3, axis=1)
        mixed = np.zeros_like(x)
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            for at in range(len(tokens)):
                scores = key[: at + 1, part] @ query[at, part] / np.sqrt(size)
                mixed[at, part] = np.exp(log_softmax(scores)) @ value[: at + 1, part]
        x = x + mixed @ own["out"]
        x = x + np.maximum(_layer_norm(x, own["mlp_norm"]) @ own["up"], 0.0) @ own["down"]
    return np.asarray(_layer_norm(x, w["norm"]) @ w["head"])


def _layer_norm(x: Array, scale: Array, epsilon: float = 1e-5) -> Array:
    rows = [(row - row.mean()) / np.sqrt(row.var() + epsilon) * scale for row in x]
    return np.array(rows)


def sample(logits: npt.NDArray[Any], uniforms: npt.NDArray[Any]) -> Integers:
    """Return the first tokens whose cumulative probability exceeds the uniform number: ``[...]``.

    ``logits`` is ``[..., vocabulary]``, ``uniforms`` is ``[...]``.
    """
    flat = np.asarray(logits).reshape(-1, np.shape(logits)[-1])
    tokens = []
    for row, uniform in zip(flat, np.ravel(uniforms), strict=True):
        total, token = 0.0, 0
        for token, log_prob in enumerate(log_softmax(row)):  # noqa: B007  (the last is the clamp)
            total += np.exp(log_prob)
            if total > uniform:
                break
        tokens.append(token)
    return np.array(tokens, dtype=np.int64).reshape(np.shape(uniforms))


def kl_divergence(logits: npt.NDArray[Any], reference: npt.NDArray[Any]) -> Array:
    """Return KL(policy‖reference) = Σᵥ pᵥ (log pᵥ − log rᵥ) of each distribution: ``[...]``."""
    log_p, log_r = log_softmax(logits), log_softmax(reference)
    return np.asarray((np.exp(log_p) * (log_p - log_r)).sum(axis=-1))


def entropy(logits: npt.NDArray[Any]) -> Array:
    """Return the entropy −Σᵥ pᵥ log pᵥ of each distribution, in nats: ``[...]``."""
    log_p = log_softmax(logits)
    return np.asarray(-(np.exp(log_p) * log_p).sum(axis=-1))


def completion_mask(completions: Integers, end: int) -> Array:
    """Return 1 for each token up to the first ``end`` with it, 0 after: ``[..., tokens]``."""
    mask = np.zeros(completions.shape)
    for index in np.ndindex(*completions.shape[:-1]):
        for position, token in enumerate(completions[index]):
            mask[(*index, position)] = 1.0
            if token == end:
                break
    return mask


def advantages(rewards: npt.NDArray[Any], clip: float = 2.0, epsilon: float = 1e-6) -> Array:
    """Return Âᵢ = (rᵢ − mean r) / (std r + ε) over each group, clipped to ±clip: ``[rows, group]``.

    See DeepSeekMath (arXiv:2402.03300), section 4.1.2. The standard deviation has ddof 0.
    """
    result = np.zeros(np.shape(rewards))
    for row, group in enumerate(np.asarray(rewards, dtype=np.float64)):
        mean = sum(group) / len(group)
        spread = np.sqrt(sum((reward - mean) ** 2 for reward in group) / len(group))
        for member, reward in enumerate(group):
            result[row, member] = min(max((reward - mean) / (spread + epsilon), -clip), clip)
    return result


def grpo_loss(
    logits: npt.NDArray[Any],
    completions: Integers,
    mask: npt.NDArray[Any],
    advantages: npt.NDArray[Any],
    *,
    reference: npt.NDArray[Any] | None = None,
    kl_coef: float = 0.0,
    entropy_coef: float = 0.0,
    old_log_probs: npt.NDArray[Any] | None = None,
) -> tuple[float, Array]:
    """Return GRPO's loss and its gradient with respect to ``logits``.

    The loss is the mean over the M unmasked tokens of the batch of

        −Âᵢ ρᵢₜ + β KL(πᵢₜ‖π_ref) − c H(πᵢₜ),    ρᵢₜ = π(oᵢₜ) / π_old(oᵢₜ),

    DeepSeekMath's objective (arXiv:2402.03300, equation 3) with the exact KL of the distributions,
    one update a batch (so nothing is clipped, as ρ = 1), and DAPO's normalisation by tokens
    (arXiv:2503.14476, equation 8). With e = onehot(o), the gradient of one token's terms is

        ∇(−Âρ) = −Âρ (e − p)
        ∇KL = p ⊙ (log p − log r − KL)
        ∇H = −p ⊙ (log p + H)

    Parameters
    ----------
    logits
        ``[rows, group, tokens, vocabulary]``.
    completions, mask
        ``[rows, group, tokens]``.
    advantages
        ``[rows, group]``.
    reference
        The reference policy's logits, shaped as ``logits``; needed if ``kl_coef`` is not 0.
    kl_coef, entropy_coef
        β and c.
    old_log_probs
        log π_old of the drawn tokens, shaped as ``completions``; by default that of ``logits``.
    """
    log_p = log_softmax(logits)
    gradient = np.zeros(log_p.shape)
    tokens = float(np.sum(mask))
    loss = 0.0
    for index in np.argwhere(np.asarray(mask) > 0):
        at = tuple(int(i) for i in index)
        token, advantage = completions[at], float(advantages[at[:2]])
        p, log_q = np.exp(log_p[at]), log_p[at]
        onehot = np.eye(len(p))[token]
        ratio = 1.0 if old_log_probs is None else np.exp(log_q[token] - old_log_probs[at])
        uncertainty = float(entropy(logits[at]))
        loss += -advantage * ratio - entropy_coef * uncertainty
        gradient[at] = -advantage * ratio * (onehot - p) + entropy_coef * p * (log_q + uncertainty)
        if reference is not None and kl_coef:
            divergence = float(kl_divergence(logits[at], reference[at]))
            loss += kl_coef * divergence
            gradient[at] += kl_coef * p * (log_q - log_softmax(reference[at]) - divergence)
    return loss / tokens, gradient / tokens
