"""What tests of several verbs ask of the command and of a store."""

import json

from harness.store import Store

ROWS = [
    {"run": "a", "lr": 1e-7, "bs": 8, "status": "finished", "delta_perf": 0.1, "steps": 50},
    {"run": "b", "lr": 2e-7, "bs": 8, "status": "finished", "delta_perf": 0.3, "steps": 50},
    {"run": "c", "lr": 3e-7, "bs": 4, "status": "crashed", "delta_perf": None, "steps": None},
]


def data(sweep, line):
    status, out, err = sweep(f"{line} --json")
    assert (status, err) == (0, ""), err
    return json.loads(out)


def stored(sweep=None, url=".sweep/store.db"):
    with Store.open(url, create=False, read_only=True) as store:
        return store.results(sweep)


def keep(url, *results):
    with Store.open(url) as store:
        for result in results:
            store.save(result)
