"""The GRPO loss of tokens over a large vocabulary, and its gradient by the logits, by formula.

The loss is `harness.training.grpo_torch.grpo_loss`, of the policy at its temperature. Autograd
would keep several arrays of all tokens and the whole vocabulary; here there are two, and a third
where a reference is compared with.
"""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def loss_and_gradient(
    logits: Tensor,
    drawn: Tensor,
    weights: Tensor,
    advantages: Tensor,
    *,
    reference: Tensor | None = None,
    kl_coef: float = 0.0,
    entropy_coef: float = 0.0,
    temperature: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Return the loss, KL and entropy together ``[3]``, and the loss's gradient by the logits.

    Each is a sum over tokens, by their weights. With p the probabilities of a token, q the
    reference's and A its advantage, its loss is −A · p(drawn) / p_old(drawn) + kl_coef · KL −
    entropy_coef · H. Its derivative by the tempered logit j is

        p_j · (A + kl_coef · (log p_j − log q_j − KL) + entropy_coef · (log p_j + H)),

    less A for the token that was drawn.

    Parameters
    ----------
    logits
        ``[tokens, vocabulary]`` of the policy in float32, before they are divided by
        ``temperature``. They are not changed.
    drawn
        ``[tokens]``, the tokens that were drawn.
    weights, advantages
        ``[tokens]``, of each token.
    reference
        Logits of the reference policy, shaped as ``logits``; without it KL is 0.
    kl_coef, entropy_coef
        The weights of KL and entropy in the loss.
    temperature
        What logits are divided by, the reference's too.
    """
    tempered = logits if temperature == 1.0 else logits / temperature
    log_probs = torch.log_softmax(tempered, dim=-1)
    probs = log_probs.exp()
    entropy = -torch.linalg.vecdot(probs, log_probs)
    kl = torch.zeros_like(entropy)
    differs = None
    if reference is not None:
        compared = reference if temperature == 1.0 else reference / temperature
        differs = torch.log_softmax(compared, dim=-1)
        torch.sub(log_probs, differs, out=differs)
        kl = torch.linalg.vecdot(probs, differs)
    # The ratio of the policy to the one that sampled is 1: only its gradient matters.
    losses = -advantages + kl_coef * kl - entropy_coef * entropy
    scale = weights / temperature
    if differs is None and not entropy_coef:
        gradient = probs.mul_((scale * advantages)[:, None])
    else:
        same = advantages - kl_coef * kl + entropy_coef * entropy
        factor = log_probs.mul_(entropy_coef)
        if differs is not None:
            factor.add_(differs, alpha=kl_coef)
        gradient = probs.mul_(factor.add_(same[:, None]).mul_(scale[:, None]))
    at = torch.arange(len(drawn), device=logits.device)
    gradient[at, drawn] -= scale * advantages
    return torch.stack([(weights * one).sum() for one in (losses, kl, entropy)]), gradient
