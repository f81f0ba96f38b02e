"""A program that trains and knows nothing of sweeps: it fits a polynomial by gradient descent.

It prints a line of JSON for each point of its learning curve, and the last one is its result.
"""

import argparse
import json

import numpy as np


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--learning_rate", type=float, required=True)
    parser.add_argument("--degree", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=300)
    y = np.sin(4 * x) + 0.3 * rng.normal(size=300)
    features = np.polynomial.legendre.legvander(x, options.degree)
    order = np.random.default_rng(options.seed)
    weights = np.zeros(options.degree + 1)
    for step in range(1, options.steps + 1):
        batch = order.choice(200, size=32)
        error = features[batch] @ weights - y[batch]
        weights -= options.learning_rate * features[batch].T @ error / len(batch)
        if step % 10 == 0:
            loss = np.mean((features[200:] @ weights - y[200:]) ** 2)
            print(json.dumps({"step": step, "val_loss": float(loss)}), flush=True)


if __name__ == "__main__":
    main()
