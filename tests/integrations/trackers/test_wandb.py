"""W&B: folders of what is offline, read back record by record by W&B's own messages."""

import json
from pathlib import Path

import pytest

from harness.tables.stores.wandb import _records
from tests.integrations.trackers.contract import Seen, TrackerContract

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


class TestWandB(TrackerContract):
    library, good, bad, stopped = "wandb", "0", "1", "1"

    @pytest.fixture
    def target(self, tmp_path):
        return f"wandb:{tmp_path / 'logs'}"

    def written(self, target, sweep="toy"):
        files = Path(target.partition(":")[2]).glob("wandb/offline-run-*/*.wandb")
        found = [of_file(file) for file in files]
        return [one for one in found if one["group"] == sweep]

    def runs(self, target, sweep="toy"):
        found = [one for one in self.written(target, sweep) if one["type"] != "verdicts"]
        for one in found:
            assert one["type"] == one["config"]["pytest_sweep"]["arm"]
            assert one["name"] == one["config"]["pytest_sweep"]["run"]
            assert one["project"] == sweep
        return [
            Seen(
                key=one["id"],
                status=one["exit"],
                config={
                    name: value if isinstance(value, str) else plain(value)
                    for name, value in one["config"].items()
                },
                tags={name: str(v) for name, v in one["config"]["pytest_sweep"].items()},
                numbers={n: x for n, x in one["summary"].items() if n[0] != "_"},
                curve=one["curve"],
            )
            for one in sorted(found, key=lambda one: one["name"])
        ]

    def verdicts(self, target, sweep="toy", scope=""):
        name = f"{sweep} {scope} verdicts" if scope else f"{sweep} verdicts"
        (found,) = [one for one in self.written(target, sweep) if one["name"] == name]
        return {name: text for name, text in found["summary"].items() if name[0] != "_"}

    def harm(self, target):
        (mark,) = Path(target.partition(":")[2]).glob("wandb/offline-*/sweep.content")
        mark.unlink()


def plain(value):
    return f"({', '.join(map(str, value))})" if isinstance(value, list) else str(value)


def of_file(file):
    from wandb.proto.wandb_internal_pb2 import Record

    found = {"config": {}, "summary": {}, "curve": [], "exit": None}
    for data in _records(file):
        record = Record.FromString(data)
        if record.HasField("run"):
            run = record.run
            found |= {"id": run.run_id, "name": run.display_name, "group": run.run_group}
            found |= {"type": run.job_type, "project": run.project}
            found["config"] |= items(run.config.update)
        elif record.HasField("config"):
            found["config"] |= items(record.config.update)
        elif record.HasField("summary"):
            found["summary"] |= items(record.summary.update)
        elif record.HasField("history"):
            logged = items(record.history.item)
            found["curve"].append((record.history.step.num, logged["perf"]))
        elif record.HasField("exit"):
            found["exit"] = str(record.exit.exit_code)
    return found


def items(given):
    named = {one.key or ".".join(one.nested_key): json.loads(one.value_json) for one in given}
    return {name: value for name, value in named.items() if name != "_wandb"}
