"""Train the network of rings_model.py.

That module imports JAX, and is imported only where a run trains: pytest finds the sweep without it.
"""


def train(run):
    import jax
    from rings_model import init, right, rings, update

    data = rings(600, seed=0)
    held_x, held_y = rings(600, seed=1)
    weights = init(jax.random.key(run.seed), run.config["width"])
    velocity = jax.tree.map(lambda w: 0 * w, weights)
    rates = run.config["learning_rate"], run.config["momentum"]
    run.before(right(weights, held_x, held_y))
    for step in run.steps():
        weights, velocity = update(weights, velocity, data, *rates)
        if run.evaluates(step):
            run.log(step, right(weights, held_x, held_y))
