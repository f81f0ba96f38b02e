"""Which column is what, and what is asked rather than guessed."""

import pytest

from harness.errors import UsageError
from tests.tables.tables import WANDB, configs, deltas, read, statuses, write_json


@pytest.fixture
def csv(tmp_path):
    return tmp_path / "runs.csv"


def refused(path, text, *parts, **asked):
    with pytest.raises(UsageError) as caught:
        read(path, text, **asked)
    for part in parts:
        assert part in str(caught.value), str(caught.value)


def said(reading, start):
    return [line for line in reading.notes if line.startswith(start)]


# ---- parameters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["lr", "learning_rate", "config.lr", "params.learning_rate", "config/lr", "learningRate",
     "hparams.lr", "Param lr"],
)  # fmt: skip
def test_the_learning_rate_under_any_name(csv, name):
    reading = read(csv, f"{name},delta_perf\n1e-7,0.1\n2e-7,0.2\n")
    assert reading.parameters == ("learning_rate",)
    assert configs(reading) == [{"learning_rate": 1e-7}, {"learning_rate": 2e-7}]


def test_every_other_column_is_a_parameter_except_bookkeeping(csv):
    text = """run,model,lr,bs,depth,note,pid,output_dir,started,val_loss,ckpt,delta_perf
a,small,1e-7,8,2,x,11,out/a,2025-01-01,0.3,/tmp/a,0.1
b,large,2e-7,8,3,y,12,out/b,2025-01-02,0.4,/tmp/b,0.2
"""
    reading = read(csv, text)
    assert reading.parameters == ("model", "learning_rate", "batch_size", "depth")
    assert said(reading, "parameters:") == [
        "parameters: model, learning_rate (lr), batch_size (bs), depth"
    ]
    assert said(reading, "not used, ") == [
        "not used, bookkeeping: note, pid, output_dir, started",
        "not used, looks measured: val_loss",
        "not used, paths: ckpt",
    ]


def test_a_path_that_runs_share_is_a_parameter(csv):
    models = ["/models/a.gguf", "/models/b.gguf"]
    rows = "".join(f"{models[i % 2]},/tmp/{i},0.{i}\n" for i in range(8))
    reading = read(csv, f"start,place,delta_perf\n{rows}")
    assert reading.parameters == ("start",)
    assert said(reading, "not used, ") == ["not used, paths: place"]
    same = read(csv, "lr,start,delta_perf\n" + "".join(f"{i},/m/a,0.{i}\n" for i in range(8)))
    assert said(same, "not used, ") == ["not used, paths: start"]


def test_time_stamps_and_texts_that_differ_in_every_row_are_no_parameters(csv):
    rows = "".join(f"{i},hello {i},2025-01-0{1 + i % 9}T10:00:00,0.{i}\n" for i in range(10))
    reading = read(csv, f"lr,greeting,began,delta_perf\n{rows}")
    assert reading.parameters == ("learning_rate",)
    assert said(reading, "not used, ") == [
        "not used, another text in every row: greeting",
        "not used, time stamps: began",
    ]


def test_a_few_texts_may_all_differ(csv):
    assert read(csv, "optimizer,delta_perf\nadam,0.1\nsgd,0.2\n").parameters == ("optimizer",)


def test_a_blank_is_a_level_of_its_own_and_an_empty_column_is_none(csv):
    reading = read(csv, "lr,warmup,gone,delta_perf\n1,10,,0.1\n2,,,0.2\n3,20,NA,0.3\n")
    assert reading.parameters == ("learning_rate", "warmup_steps")
    assert [config["warmup_steps"] for config in configs(reading)] == [10, None, 20]
    assert said(reading, "not used, empty") == ["not used, empty: gone"]


def test_only_marked_columns_are_parameters_where_some_are_marked(csv):
    text = "run,config.lr,config.run_name,epoch,metrics.acc,delta_perf\na,1,x,3,0.5,0.1\n"
    reading = read(csv, text)
    assert reading.parameters == ("learning_rate",)
    assert said(reading, "not used, ") == [
        "not used, bookkeeping: config.run_name",
        "not used, looks measured: epoch",
        "not used, measurements: metrics.acc",
    ]


def test_a_marked_column_that_has_another_role_marks_no_others(csv):
    reading = read(csv, "config.seed,lr,delta_perf\n1,1e-7,0.1\n2,2e-7,0.2\n")
    assert reading.parameters == ("learning_rate",)
    assert reading.has_seed


def test_the_user_s_word_on_parameters_is_final(csv):
    text = "run,lr,bs,val_loss,seed,delta_perf\na,1e-7,8,0.3,1,0.1\nb,2e-7,8,0.4,2,0.2\n"
    reading = read(csv, text, params=("val_loss", "learning_rate", "seed"))
    assert reading.parameters == ("val_loss", "learning_rate", "seed")
    assert not reading.has_seed
    assert said(reading, "not used, ") == ["not used, not named by --params: bs"]


def test_two_columns_of_one_name(csv):
    same = read(csv, "lr,learning_rate,delta_perf\n1,1.0,0.1\n2,2,0.2\n")
    assert same.parameters == ("learning_rate",)
    assert said(same, "not used, the same") == [
        "not used, the same as another column: learning_rate"
    ]
    differ = "lr,learning_rate,delta_perf\n1,1,0.1\n2,3,0.2\n"
    refused(csv, differ, "'lr' and 'learning_rate' are both learning_rate", "--params")
    assert configs(read(csv, differ, params=("lr",)))[1] == {"learning_rate": 2}
    assert configs(read(csv, differ, params=("learning_rate",)))[1] == {"learning_rate": 3}
    refused(csv, differ, "are both learning_rate", params=("lr", "learning_rate"))


def test_no_parameters_at_all(csv):
    reading = read(csv, "delta_perf\n0.1\n0.2\n")
    assert reading.parameters == ()
    assert said(reading, "parameters:") == ["parameters: none"]


# ---- columns that the user names ----------------------------------------------------------------


def test_a_column_that_is_not_there(csv):
    text = "run,config.lr,val_loss,delta_perf\na,1,2,3\n"
    refused(csv, text, "no column 'vall_loss'; did you mean 'val_loss'?", metric="vall_loss",
            direction="min")  # fmt: skip
    refused(csv, text, "did you mean 'learning_rate'?", params=("learning_rat",))
    refused(csv, text, "no column 'qqq'; it has 'run', 'config.lr'", by=("qqq",))


def test_a_column_is_known_with_its_prefix_or_without_or_by_its_last_part(csv):
    text = "run,config.optimizer.lr,config.bs,delta_perf\na,1,8,0.1\n"
    for name in ("config.optimizer.lr", "optimizer.lr", "params.optimizer.lr", "lr"):
        assert read(csv, text, params=(name,)).parameters == ("optimizer.learning_rate",)
    assert read(csv, text, params=("batch_size",)).parameters == ("batch_size",)


def test_of_two_columns_the_one_of_the_kind_that_is_asked_for(csv):
    text = "config.entropy,summary.entropy\n1,0.5\n2,0.6\n"
    reading = read(csv, text, metric="entropy", direction="max", params=("entropy",))
    assert deltas(reading) == [0.5, 0.6]
    assert configs(reading) == [{"entropy": 1}, {"entropy": 2}]


def test_a_name_that_may_be_several_columns(csv):
    text = "train/acc,eval/acc\n1,0.5\n"
    refused(csv, text, "'acc' may be any of 'train/acc', 'eval/acc'", metric="acc",
            direction="max")  # fmt: skip


def test_a_column_has_one_use(csv):
    text = "lr,model,delta_perf\n1,a,0.1\n"
    refused(csv, text, "--params model", "--by too", params=("model",), by=("model",))
    refused(csv, text, "--params delta_perf", "judged by", params=("delta_perf", "lr"),
            metric="delta_perf")  # fmt: skip
    refused(csv, text, "--by delta_perf", by=("delta_perf",))


def test_by_takes_columns_out_of_the_parameters(csv):
    text = "lr,model,size,seed,delta_perf\n1,a,7,1,0.1\n2,b,7.0,2,0.2\n"
    reading = read(csv, text, by=("model", "size", "seed"))
    assert reading.by == ("model", "size", "seed")
    assert reading.groups == (("a", 7, 1), ("b", 7, 2))
    assert reading.parameters == ("learning_rate",)
    assert reading.has_seed
    assert read(csv, text).groups == ((), ())


# ---- what is no parameter -----------------------------------------------------------------------


def test_columns_to_ignore(csv):
    text = "run,lr,bs,acc,loss\na,1,8,0.5,0.3\nb,2,8,0.6,0.2\n"
    reading = read(csv, text, ignore=("loss", "batch_size"))
    assert reading.parameters == ("learning_rate",)
    assert reading.set_aside == {"--ignore": ("loss", "bs")}
    assert reading.metric.name == "acc"
    refused(csv, text, "no column 'lss'; did you mean 'loss'?", ignore=("lss",))
    refused(csv, text, "--ignore leaves 'loss' out", ignore=("loss",), metric="loss")
    refused(csv, text, "--ignore leaves 'bs' out", ignore=("batch_size",), params=("bs", "lr"))
    assert read(csv, text, ignore=("loss", "gone"), may_lack=True).parameters == (
        "learning_rate", "batch_size"
    )  # fmt: skip
    assert [r.run.id for r in read(csv, text, ignore=("run", "loss")).results] == [
        "runs-1", "runs-2"
    ]  # fmt: skip
    refused(csv, text.replace("b,2", "a,2"), "--ignore run", ignore=("loss",))


def test_true_and_false_are_a_setting_unless_they_say_what_became_of_a_run(csv):
    text = "lr,return_sequences,oom,acc\n1,True,False,0.5\n2,False,False,0.6\n"
    reading = read(csv, text)
    assert reading.parameters == ("learning_rate", "return_sequences")
    assert reading.set_aside == {"looks measured": ("oom",)}


def test_a_loss_in_words_is_a_setting_and_one_with_its_error_is_not(csv):
    text = "lr,loss,score,acc\n1,hinge,0.81 ± 0.02,0.5\n2,log,0.7 ± 0.1,0.6\n"
    reading = read(csv, text)
    assert reading.parameters == ("learning_rate", "loss")
    assert reading.set_aside == {"looks measured, and is no number": ("score",)}


@pytest.mark.parametrize(("start", "n", "set_aside"), [(0, 8, True), (1, 8, True), (2, 8, False),
                                                       (0, 7, False)])  # fmt: skip
def test_a_column_that_counts_the_rows(csv, start, n, set_aside):
    rows = "".join(f"{i + start},{i % 3},{0.5 + 0.01 * (i * 5 % 7)}\n" for i in range(n))
    reading = read(csv, f"nr,lr,acc\n{rows}")
    assert ("nr" in reading.parameters) is not set_aside
    assert reading.set_aside == ({"counts the rows": ("nr",)} if set_aside else {})


def test_the_only_parameter_may_count_up_and_so_may_a_known_one(csv):
    rows = "".join(f"{i},{0.5 + 0.01 * (i * 5 % 7)}\n" for i in range(1, 9))
    assert read(csv, f"quux,acc\n{rows}").parameters == ("quux",)
    rows = "".join(f"{i},{i % 2},{0.5 + 0.01 * (i * 5 % 7)}\n" for i in range(1, 9))
    assert read(csv, f"max_depth,lr,acc\n{rows}").parameters == ("max_depth", "learning_rate")


def copied(n, noise, name="quux"):
    """A table in which a column ranks the runs as the metric does, but for ``noise``."""
    rows = [f"{i * 7 % n},{i + noise * (i * 5 % 3)},{0.5 + 0.01 * i}" for i in range(n)]
    return f"lr,{name},acc\n" + "\n".join(rows) + "\n"


def test_a_column_of_no_known_name_that_ranks_the_runs_as_the_metric_is_asked_about(csv):
    refused(csv, copied(12, 0.4), "'quux' ranks the runs almost as acc does",
            "--ignore quux or --params learning_rate,quux")  # fmt: skip
    refused(csv, copied(24, 1.3), "'quux' ranks the runs")
    assert read(csv, copied(12, 0.4), ignore=("quux",)).parameters == ("learning_rate",)
    named = read(csv, copied(12, 0.4), params=("lr", "quux"))
    assert named.parameters == ("learning_rate", "quux")


@pytest.mark.parametrize(
    "text",
    [copied(9, 0.4), copied(24, 30.0), copied(24, 0.4, "dropout"),
     copied(24, 0.4).replace("lr,quux", "score,quux")],
    ids=["few rows", "little alike", "a known name", "the only parameter"],
)  # fmt: skip
def test_what_is_not_asked_about(csv, text):
    assert len(read(csv, text, metric="acc").parameters) in (1, 2)


def test_twenty_numeric_parameters_that_all_differ_are_not_asked_about(csv):
    rows = [
        ",".join(f"{(i * p * 7919 % 1009) / 1009:.4f}" for p in range(1, 22)) for i in range(300)
    ]
    header = ",".join([*(f"p{i}" for i in range(20)), "val_acc"])
    assert len(read(csv, "\n".join([header, *rows])).parameters) == 20


# ---- what is asked, not guessed -----------------------------------------------------------------


def test_a_wandb_export_of_known_names(csv):
    reading = read(csv, WANDB, metric="val_loss", direction="min")
    assert reading.parameters == ("batch_size", "epochs", "learning_rate", "optimizer")
    assert statuses(reading) == ["completed", "completed", "failed"]
    assert reading.results[0].run.id == "misty-sun-1"
    assert reading.notes[0] == (
        "runs.csv: 4 rows of 17 columns, CSV; an export of W&B (Name, State, Created)"
    )
    assert "not finished yet, left out: 1 row" in reading.notes
    assert "crashed: 1 run, counted as failed" in reading.notes


def test_in_a_wandb_export_what_may_be_either_is_asked_for(csv):
    text = WANDB.replace('"epochs"', '"kl"').replace('"8","2"', '"8","3"')
    refused(csv, text, "export of W&B", "'kl' may be one or the other",
            "--ignore kl or --params batch_size,kl,learning_rate,optimizer", metric="val_loss",
            direction="min")  # fmt: skip
    named = read(csv, text, metric="val_loss", direction="min", params=("kl", "lr"))
    assert named.parameters == ("kl", "learning_rate")


def test_a_logged_text_is_asked_for_a_plain_one_is_a_setting(csv):
    text = WANDB.replace('"optimizer"', '"log/note"')
    refused(csv, text, "'log/note' may be", metric="val_loss", direction="min")


def test_a_logged_learning_rate_is_asked_for_a_configured_one_is_not(csv):
    configured = WANDB.replace('"epochs"', '"optim.lr"').replace('"8","2"', '"8","3"')
    reading = read(csv, configured, metric="val_loss", direction="min")
    assert "optim.learning_rate" in reading.parameters
    logged = configured.replace("optim.lr", "actor/lr")
    refused(csv, logged, "'actor/lr' may be", metric="val_loss", direction="min")


def test_in_a_wandb_export_what_never_changes_need_not_be_asked_for(csv):
    reading = read(csv, WANDB.replace('"epochs"', '"kl"'), metric="val_loss", direction="min")
    assert said(reading, "not used, the same in") == [
        "not used, the same in every run, and maybe measurements: kl"
    ]


def test_names_of_wandb_that_repeat_are_no_ids(csv):
    reading = read(csv, WANDB.replace("misty-sun-2", "misty-sun-1"), metric="val_loss",
                   direction="min")  # fmt: skip
    assert [result.run.id for result in reading.results] == ["runs-1", "runs-2", "runs-3"]
    assert any("run ids from the number of the row" in line for line in reading.notes)


def test_a_wandb_table_of_its_api(csv):
    text = """name,config,summary
a,"{'lr': 1e-07, 'model': {'depth': 2}}","{'acc': 0.5, '_step': 10}"
b,"{'lr': 2e-07}","{'acc': nan, '_step': 10}"
c,"{""lr"": 3e-07}","{'acc': 0.7}"
"""
    reading = read(csv, text, metric="acc", direction="max")
    assert reading.parameters == ("learning_rate", "model.depth")
    assert [result.run.id for result in reading.results] == ["a", "b", "c"]
    assert statuses(reading) == ["completed", "diverged", "completed"]
    assert deltas(reading) == [0.5, None, 0.7]


def test_a_dictionary_whose_keys_are_columns_already_is_left_closed(csv):
    text = """config,config.lr,delta_perf\n"{'lr': 1}",2,0.1\n"""
    assert configs(read(csv, text)) == [{"learning_rate": 2}]


@pytest.mark.parametrize("text", ["plain", "{broken", "{1, 2}", "[1]"])
def test_a_config_that_is_no_dictionary_is_a_column_like_another(csv, text):
    assert read(csv, f'config,delta_perf\n"{text}",0.1\n').parameters == ("config",)


def test_nested_json(tmp_path):
    from harness.tables import read_runs

    rows = [{"config": {"lr": 1e-7}, "summary": {"delta_perf": 0.1}}]
    reading = read_runs(write_json(tmp_path / "t.jsonl", rows))
    assert configs(reading) == [{"learning_rate": 1e-7}]
    assert deltas(reading) == [0.1]


def test_an_mlflow_export_of_its_web_page_asks_too(csv):
    text = "Start Time,Duration,Run ID,Name,Source Type,Status,lr,zeta,acc\n"
    text += "2025,1s,r1,n1,LOCAL,FINISHED,1,3,0.5\n2025,1s,r2,n2,LOCAL,FAILED,2,4,\n"
    refused(csv, text, "'zeta' may be one", metric="acc", direction="max")
    reading = read(csv, text, metric="acc", direction="max", params=("lr", "zeta"))
    assert statuses(reading) == ["completed", "failed"]
    assert [result.run.id for result in reading.results] == ["r1", "r2"]


def test_the_dashboard_of_optuna(csv):
    text = "Number,State,Value,Param lr,Param warmup,UserAttribute seed\n"
    text += "0,COMPLETE,0.5,1e-7,3,1\n1,FAIL,,2e-7,,2\n2,RUNNING,,3e-7,,\n"
    reading = read(csv, text, metric="value", direction="max")
    assert reading.parameters == ("learning_rate", "warmup_steps")
    assert (deltas(reading), statuses(reading)) == ([0.5, None], ["completed", "failed"])
    assert [(r.run.id, r.run.seed) for r in reading.results] == [("0", 1), ("1", 2)]


def test_the_results_of_a_search_of_scikit_learn(csv):
    text = ",mean_fit_time,param_C,param_kernel,params,split0_test_score,mean_test_score\n"
    text += """0,0.1,1,rbf,"{'C': 1, 'kernel': 'rbf'}",0.5,0.6\n"""
    text += """1,0.1,10,linear,"{'C': 10, 'kernel': 'linear'}",0.6,0.7\n"""
    reading = read(csv, text, metric="mean_test_score", direction="max")
    assert configs(reading) == [{"c": 1, "kernel": "rbf"}, {"c": 10, "kernel": "linear"}]
    assert deltas(reading) == [0.6, 0.7]


def test_two_tables_give_the_same_parameters_the_same_names(csv, tmp_path):
    one = read(csv, "lr,bs,generations,delta_perf\n1e-7,8,16,0.1\n")
    two = read(
        tmp_path / "b.csv",
        "params.learningRate,params.batch_size,params.num_generations,delta_perf\n1e-07,8.0,16.0,0.1\n",
    )
    assert one.parameters == two.parameters
    assert configs(one) == configs(two)


# ---- roles --------------------------------------------------------------------------------------


def test_a_state_that_is_no_state_of_a_run_is_a_parameter(csv):
    assert read(csv, "state,delta_perf\nOhio,0.1\nUtah,0.2\n").parameters == ("state",)
    assert statuses(read(csv, "state,delta_perf\nFAIL,0.1\nCOMPLETE,0.2\n")) == [
        "failed",
        "completed",
    ]


def test_max_steps_of_minus_one_are_no_steps(csv):
    reading = read(csv, "max_steps,delta_perf\n-1,0.1\n-1,0.2\n")
    assert reading.parameters == ("max_steps",)
    assert {result.run.steps for result in reading.results} == {0}
    counted = read(csv, "max_steps,delta_perf\n100,0.1\n100,0.2\n")
    assert [result.run.steps for result in counted.results] == [100, 100]
    assert counted.parameters == ()


def test_prompts_are_those_of_an_evaluation_only_beside_its_standard_error(csv):
    alone = read(csv, "prompts,samples,delta_perf\n8,4,0.1\n12,4,0.2\n")
    assert alone.parameters == ("prompts", "samples")
    text = "prompts,samples,prompts_changed,delta_perf,delta_perf_se\n512,4,30,1,0.1\n"
    beside = read(csv, text)
    outcome = beside.results[0].outcome
    assert (outcome.prompts, outcome.samples, outcome.prompts_changed) == (512, 4, 30)
    assert beside.parameters == ()


def test_the_likeliest_of_two_ids_is_taken(csv):
    reading = read(csv, "id,run,lr,delta_perf\n1,a,1,0.1\n2,b,2,0.2\n")
    assert [result.run.id for result in reading.results] == ["a", "b"]
    assert reading.parameters == ("learning_rate",)


def test_names_are_ids_only_where_they_tell_all_runs_apart(csv):
    text = "name,lr,delta_perf\nx,1,0.1\ny,2,0.2\n"
    assert [result.run.id for result in read(csv, text).results] == ["x", "y"]
    repeated = read(csv, text.replace("y", "x"))
    assert [result.run.id for result in repeated.results] == ["runs-1", "runs-2"]


def test_any_of_two_delta_perfs_is_asked_for(csv):
    text = "lr,summary.delta_perf,delta_perf\n1,2,3\n"
    refused(csv, text, "'delta_perf', 'summary.delta_perf' may be ΔPerf", "--metric")
    assert deltas(read(csv, text, metric="summary.delta_perf", direction="max")) == [2]


def test_iterations_of_ray_tune_are_steps_where_nothing_else_counts_them(csv):
    text = "trial_id,training_iteration,config/lr,delta_perf{}\nt_1,3,1,0.1{}\nt_2,9,2,0.1{}\n"
    reading = read(csv, text.format("", "", ""))
    assert [result.run.steps for result in reading.results] == [3, 9]
    named = read(csv, text.format(",steps", ",100", ",100"))
    assert [result.run.steps for result in named.results] == [100, 100]
