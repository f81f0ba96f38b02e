"""A small network in Torch that tells two spirals apart.

Torch is imported where it is used, so that pytest finds the sweep without it.
"""

import numpy as np


def spirals(n, seed):
    """Return points [n, 2] on two noisy spirals, and which one each is on."""
    rng = np.random.default_rng(seed)
    spiral, angle = rng.integers(0, 2, size=n), rng.uniform(0.5, 8.0, size=n)
    turned = angle + np.pi * spiral
    points = np.stack([angle * np.cos(turned), angle * np.sin(turned)], axis=1)
    return (points + 0.3 * rng.normal(size=(n, 2))).astype("float32") / 4, spiral


def train(run):
    import torch

    x, y, held_x, held_y = (
        torch.as_tensor(part, device=run.device) for seed in (0, 1) for part in spirals(600, seed)
    )
    torch.manual_seed(run.seed)
    model = network(run.config["width"]).to(run.device)
    kind = getattr(torch.optim, run.config["optimizer"])
    optimizer = kind(model.parameters(), lr=run.config["learning_rate"])
    run.before(model(held_x).argmax(dim=1) == held_y)
    for step in run.steps():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        if run.evaluates(step):
            run.log(step, model(held_x).argmax(dim=1) == held_y)


def network(width):
    """Return a network with two hidden layers."""
    from torch.nn import Linear, ReLU, Sequential

    hidden = Linear(2, width), ReLU(), Linear(width, width), ReLU()
    return Sequential(*hidden, Linear(width, 2))
