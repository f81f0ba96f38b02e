"""MLflow: experiments that are read back by its own client."""

import pytest

from tests.integrations.trackers.contract import Seen, TrackerContract, a_run, verdict, verdicts_in

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


class TestMLflow(TrackerContract):
    library, good, bad, stopped = "mlflow", "FINISHED", "FAILED", "FAILED"

    @pytest.fixture
    def target(self, tmp_path, monkeypatch):
        # A database takes MLflow seconds to make; the round trip in test_round_trip.py has one.
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        return f"mlflow:{(tmp_path / 'mlruns').as_uri()}"

    @pytest.fixture
    def wrong(self):
        return "mlflow:http://127.0.0.1:9"

    def client(self, target):
        from mlflow import MlflowClient

        return MlflowClient(target.partition(":")[2])

    def all_runs(self, target, sweep="toy"):
        client = self.client(target)
        experiment = client.get_experiment_by_name(sweep)
        return client, client.search_runs([experiment.experiment_id])

    def runs(self, target, sweep="toy"):
        client, found = self.all_runs(target, sweep)
        parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
        assert len(parents) == 1
        return [
            Seen(
                key=run.data.tags["sweep.key"],
                status=run.info.status,
                config=run.data.params,
                tags={
                    name.removeprefix("sweep."): text
                    for name, text in run.data.tags.items()
                    if name.startswith("sweep.")
                },
                numbers=run.data.metrics,
                curve=[
                    (point.step, point.value)
                    for point in client.get_metric_history(run.info.run_id, "perf")
                ],
            )
            for run in found
            if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id
        ]

    def verdicts(self, target, sweep="toy", scope=""):
        _, found = self.all_runs(target, sweep)
        (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
        return verdicts_in(parent.data.tags, scope)

    def harm(self, target):
        client, found = self.all_runs(target)
        (run,) = [run for run in found if "mlflow.parentRunId" in run.data.tags]
        client.delete_tag(run.info.run_id, "sweep.content")
        client.log_metric(run.info.run_id, "perf", 9.0, step=3)

    def test_its_page_shows_names_and_times(self, target):
        self.write(target, a_run(), verdicts=[verdict()])
        _, found = self.all_runs(target)
        named = {run.info.run_name: run for run in found}
        assert named.keys() == {"toy", "toy-00"}
        assert named["toy-00"].info.end_time == 1748779200250
        assert named["toy-00"].info.start_time == 1748779197250

    def test_an_experiment_that_was_deleted_is_said(self, target):
        from harness.errors import UsageError

        client = self.client(target)
        client.delete_experiment(client.create_experiment("toy"))
        with pytest.raises(UsageError, match="experiment 'toy' is deleted"):
            self.write(target, a_run())

    def test_a_server_that_is_gone_is_given_up_soon(self, wrong, monkeypatch):
        import os
        import time

        from harness.errors import UsageError
        from harness.integrations.trackers.mlflow import LIMITS

        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        began = time.monotonic()
        with pytest.raises(UsageError, match=r"127\.0\.0\.1"):
            self.write(wrong, a_run())
        assert time.monotonic() - began < 20
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
        assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ
        assert all(name.startswith("MLFLOW_") for name in LIMITS)
