"""Optuna: studies that are read back by `optuna.load_study`."""

import io
import json
import shutil

import pytest

from harness import Choice, Given, LogInt, LogUniform, Uniform
from harness.integrations.trackers.optuna import distribution
from tests.integrations.trackers.contract import Seen, TrackerContract, a_run, verdict, verdicts_in

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database without a study, which takes Optuna a second to make."""
    from optuna.storages import get_storage

    path = tmp_path_factory.mktemp("optuna") / "empty.db"
    get_storage(f"sqlite:///{path}").remove_session()
    return path


class TestOptuna(TrackerContract):
    library, good, bad, stopped = "optuna", "COMPLETE", "FAIL", "PRUNED"

    @pytest.fixture
    def target(self, tmp_path, empty):
        shutil.copy(empty, tmp_path / "study.db")
        return f"optuna:sqlite:///{tmp_path}/study.db"

    def study(self, target, sweep):
        import optuna

        return optuna.load_study(study_name=sweep, storage=target.partition(":")[2])

    def runs(self, target, sweep="toy"):
        study = self.study(target, sweep)
        assert study.direction.name == "MAXIMIZE"
        return [
            Seen(
                key=trial.user_attrs["sweep.key"],
                status=trial.state.name,
                config=config_of(trial),
                tags={
                    name.removeprefix("sweep."): str(value)
                    for name, value in trial.user_attrs.items()
                },
                numbers={
                    name.removeprefix("sweep."): value
                    for name, value in trial.user_attrs.items()
                    if isinstance(value, float)
                },
                curve=sorted(trial.intermediate_values.items()),
            )
            for trial in study.trials
        ]

    def verdicts(self, target, sweep="toy", scope=""):
        return verdicts_in(self.study(target, sweep).user_attrs, scope)

    def harm(self, target):
        import optuna

        optuna.delete_study(study_name="toy", storage=target.partition(":")[2])

    def test_the_value_and_the_distributions_are_optuna_s_own(self, target):
        self.write(target, a_run(), a_run(1, delta=0.3))
        study = self.study(target, "toy")
        assert study.best_value == 0.3
        assert study.metric_names == ["delta_perf"]
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        found = study.best_trial.distributions
        assert found["learning_rate"] == FloatDistribution(1e-8, 1e-5, log=True)
        assert found["batch_size"] == CategoricalDistribution((8, 4))
        assert found["warmup"] == CategoricalDistribution((0, 10, 5))
        assert found["layers"] == CategoricalDistribution(("(64,)", "(64, 64)"))

    def test_its_dashboard_shows_the_runs_and_the_verdicts(self, target):
        from optuna.storages import get_storage
        from optuna_dashboard import wsgi

        self.write(target, a_run(), a_run(1, delta=0.3), verdicts=[verdict()])
        app = wsgi(get_storage(target.partition(":")[2]))

        def page(path):
            said = {}
            environ = {"wsgi.url_scheme": "http", "SERVER_NAME": "host", "SERVER_PORT": "80"}
            environ |= {"REQUEST_METHOD": "GET", "PATH_INFO": path, "wsgi.input": io.BytesIO()}
            body = b"".join(app(environ, lambda status, _, *more: said.update(status=status)))
            assert said["status"] == "200 OK"
            return json.loads(body)

        (found,) = page("/api/studies")["study_summaries"]
        study = page(f"/api/studies/{found['study_id']}")
        assert [trial["values"] for trial in study["trials"]] == [[0.05], [0.3]]
        assert {one["name"] for one in study["union_search_space"]} >= {"learning_rate", "layers"}
        attributes = {one["key"]: one["value"] for one in found["user_attrs"]}
        assert "supported" in attributes["verdict.success_above_half"]

    def test_a_value_outside_of_the_space_is_an_attribute(self, target):
        self.write(target, a_run(arm="placebo", config={"learning_rate": 0.0, "batch_size": 8}))
        (trial,) = self.study(target, "toy").trials
        assert trial.params == {"batch_size": 8}
        assert trial.user_attrs["config.learning_rate"] == 0.0

    def test_a_study_of_somebody_else_is_left_alone(self, target):
        import optuna

        from harness.errors import UsageError

        theirs = optuna.create_study(study_name="toy", storage=target.partition(":")[2])
        theirs.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
        with pytest.raises(UsageError, match="was not written by pytest-sweep"):
            self.write(target, a_run())
        assert len(self.study(target, "toy").trials) == 1


def config_of(trial):
    kept = {n.removeprefix("config."): v for n, v in trial.user_attrs.items() if "config." in n[:7]}
    return {name: str(value) for name, value in {**kept, **trial.params}.items()}


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (Uniform(0, 1), "FloatDistribution(high=1.0, log=False, low=0.0, step=None)"),
        (LogUniform(1e-3, 1), "FloatDistribution(high=1.0, log=True, low=0.001, step=None)"),
        (LogInt(1, 64), "IntDistribution(high=64, log=True, low=1, step=1)"),
        (Choice(1, "a", None), "CategoricalDistribution(choices=(1, 'a', None))"),
        (
            Given("x", a=LogUniform(1e-4, 1), b=LogUniform(1e-3, 10)),
            "FloatDistribution(high=10.0, log=True, low=0.0001, step=None)",
        ),
        (
            Given("x", a=LogUniform(1e-4, 1), b=0.0),
            "FloatDistribution(high=1.0, log=False, low=0.0, step=None)",
        ),
        (Given("x", a=LogInt(2, 8), b=1), "IntDistribution(high=8, log=False, low=1, step=1)"),
        (Given("x", a=Uniform(0, 1), b="none"), "None"),
    ],
)
def test_a_distribution_of_ours_is_one_of_optuna_s(ours, expected):
    assert str(distribution(ours)) == expected
