"""Kinds of tables that people publish, each read without a flag."""

from dataclasses import dataclass

import pytest

from harness.errors import UnclearTableError
from tests.tables.tables import read


@dataclass(frozen=True)
class Kind:
    """A kind of table: its header, the cells of row i, and how it is to be read.

    ``metric`` begins with "−" where less is better. ``choices`` are the first options offered where
    it has none. ``aside`` are columns that must not be parameters, and be listed.
    """

    header: str
    row: str
    metric: str | None
    params: str = ""
    aside: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    runs: int = 24


KINDS = {
    "a paper's appendix": Kind(
        "Method,Hidden Size,LR,Seed,Test Acc. (%),Std",
        "{ab},{size},{rate},{i},{up},{small}",
        "Test Acc. (%)", "method hidden_size learning_rate", ("Std",),
    ),
    "Weights & Biases": Kind(
        "Name,State,Created,_runtime,_step,_timestamp,lr,batch_size,optimizer,train_loss,val_loss",
        "run-{i},finished,2025-01-01T00:00:00.000Z,10{i},1000,17{i},{rate},{size},{ab},{up},{down}",
        "−val_loss", "learning_rate batch_size optimizer", ("train_loss", "_runtime", "_step"),
    ),
    "Weights & Biases with two metrics": Kind(
        "Name,State,Created,lr,val_loss,val_acc",
        "run-{i},finished,2025-01-01T00:00:00.000Z,{rate},{down},{up}",
        None, choices=("--metric val_loss --direction min", "--metric val_acc --direction max"),
    ),
    "Keras Tuner": Kind(
        "trial_id,units,dropout,learning_rate,tuner/epochs,tuner/bracket,tuner/round,score,best_step",
        "{i},{size},0.{i},{rate},9,2,1,{up},{ab01}",
        "score", "units dropout learning_rate", ("tuner/epochs", "tuner/bracket", "best_step"),
    ),
    "nanoGPT": Kind(
        "run,n_layer,n_embd,learning_rate,max_iters,iter,train_loss,val_loss,mfu,time_ms",
        "gpt{i},6,{size},{rate},5000,5000,{up},{down},0.4{i},10{i}",
        "−val_loss", "n_layer n_embd learning_rate max_iters",
        ("iter", "train_loss", "mfu", "time_ms"),
    ),
    "a leaderboard of language models": Kind(
        "Model,#Params (B),Precision,Average ⬆️,ARC,HellaSwag,MMLU,TruthfulQA,Winogrande,GSM8K",
        "m{i},{size},{bits},{up},{up},{up},{up},{up},{up},{down}",
        "Average ⬆️", "params_b precision",
        ("Model", "ARC", "HellaSwag", "MMLU", "TruthfulQA", "Winogrande", "GSM8K"),
    ),
    "Kaggle": Kind(
        "exp,model,lr,n_folds,cv,public_lb,private_lb", "e{i},{ab},{rate},5,{up},{up},{down}",
        None, choices=("--metric cv --direction max", "--metric cv --direction min",
                       "--metric private_lb --direction max"),
    ),
    "lm-eval": Kind(
        'model,num_fewshot,"acc,none","acc_stderr,none","acc_norm,none","acc_norm_stderr,none"',
        "{ab},{size},{up},0.01,{down},0.01",
        "acc,none", "model num_fewshot", ("acc_norm,none", "acc_norm_stderr,none"),
    ),
    "a benchmark of reinforcement learning": Kind(
        "algo,lr,gamma,seed,return_mean,return_std,timesteps,fps",
        "{ab},{rate},0.9,{i},{up},{small},1000000,9{i}",
        "return_mean", "algo learning_rate gamma timesteps", ("return_std", "fps"),
    ),
    "scikit-learn": Kind(
        ",mean_fit_time,param_C,param_gamma,params,split0_test_score,split1_test_score,"
        "mean_test_score,std_test_score,rank_test_score",
        "{i},0.{i},{rate},0.1,\"{{'C': {rate}, 'gamma': 0.1}}\",{up},{down},{up},0.01,{i}",
        "mean_test_score", "c gamma",
        ("mean_fit_time", "params", "split0_test_score", "rank_test_score"),
    ),
    "Weka": Kind(
        "Key_Scheme,Key_Run,Date_time,Percent_correct,Root_mean_squared_error,UserCPU_Time_training",
        "{ab},{i},2.02e7,{up},{down},0.{i}",
        None,
        choices=("--metric Percent_correct --direction max",
                 "--metric Root_mean_squared_error --direction min"),
    ),
    "a surrogate of hyperparameter search": Kind(
        "config_id,learning_rate,n_layers,epoch,val_error,train_error,runtime",
        "{i},{rate},{size},27,{down},{up},1{i}",
        "−val_error", "learning_rate n_layers", ("config_id", "epoch", "train_error", "runtime"),
    ),
    "quantised models": Kind(
        "model,quant,group_size,tokens/s,ppl,VRAM (GB)", "llama,{bits},{size},5{i},{down},7.9",
        "−ppl", "model quant group_size", ("tokens/s", "VRAM (GB)"),
    ),
    "speed alone": Kind(
        "threads,batch_size,tokens/s,VRAM (GB)", "{size},{size},5{i},7.9", "tokens/s",
        "threads batch_size", ("VRAM (GB)",),
    ),
    "YOLO": Kind(
        "lr0,momentum,metrics/mAP50(B),metrics/mAP50-95(B),fitness,val/box_loss",
        "{rate},0.9,{up},{up},{up},{down}",
        None, choices=("--metric 'metrics/mAP50(B)' --direction max",),
    ),
    "transformers' Trainer": Kind(
        "learning_rate,per_device_train_batch_size,epoch,train_loss,eval_loss,eval_runtime,"
        "eval_samples_per_second,total_flos",
        "{rate},{size},3,{up},{down},3.2,30{i},1e15",
        "−eval_loss", "learning_rate per_device_train_batch_size",
        ("epoch", "train_loss", "eval_runtime", "eval_samples_per_second", "total_flos"),
    ),
    "caret": Kind(
        "eta,max_depth,RMSE,Rsquared,MAE,RMSESD", "0.1,{size},{down},{up},{down},0.1",
        None, choices=("--metric RMSE --direction min", "--metric Rsquared --direction max",
                       "--metric MAE --direction min"),
    ),
    "TensorBoard's hparams": Kind(
        "trial,lr,optimizer,hparam/accuracy", "{i},{rate},{ab},{up}", "hparam/accuracy",
        "learning_rate optimizer",
    ),
    "SMAC": Kind(
        "config_id,lr,depth,cost,time,status,seed,starttime,endtime",
        "{i},{rate},{size},{down},1.{i},SUCCESS,0,17{i},18{i}",
        "−cost", "learning_rate depth", ("config_id", "time", "starttime", "endtime"),
    ),
    "a support vector machine in R": Kind(
        "cost,gamma,Accuracy,Kappa", "{rate},0.{size},{up},{down}", None,
        choices=("--metric Accuracy --direction max", "--metric Kappa --direction max"),
    ),
    "speech recognition": Kind(
        "exp,lr,dev-clean WER,dev-other WER", "e{i},{rate},{down},{down}", None,
        choices=("--metric 'dev-clean WER' --direction min",),
    ),
    "another language": Kind(
        "Lernrate,Genauigkeit", "{rate},{up}", None,
        choices=("--metric Genauigkeit --direction max", "--metric Genauigkeit --direction min"),
    ),
    "an optimiser's log": Kind(
        "trial_number,x,y", "{i},{rate},{up}", None,
        choices=("--metric y --direction max", "--metric y --direction min"),
    ),
}  # fmt: skip


def text_of(kind):
    rows = [
        kind.row.format(
            i=i, ab="ab"[i % 2], ab01=i % 2, size=(8, 16, 32)[i % 3], bits=("4bit", "8bit")[i % 2],
            rate=(0.001, 0.003, 0.01, 0.03)[i % 4], up=0.5 + 0.013 * (7 * i % 24),
            down=0.9 - 0.011 * (5 * i % 24), small=0.01 * (1 + i % 5),
        )
        for i in range(10, 34)
    ]  # fmt: skip
    return "\n".join([kind.header, *rows]) + "\n"


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.metric])
def test_it_is_read_right_without_a_flag(tmp_path, name):
    kind = KINDS[name]
    reading = read(tmp_path / "t.csv", text_of(kind))
    sign = "−" * reading.metric.minimised
    assert sign + reading.metric.name == kind.metric
    assert reading.judged_by.inferred
    assert reading.parameters == tuple(kind.params.split())
    assert set(kind.aside) <= {raw for raws in reading.set_aside.values() for raw in raws}
    assert len(reading.results) == kind.runs


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if not kind.metric])
def test_where_it_cannot_be_told_the_options_are_offered(tmp_path, name):
    kind = KINDS[name]
    with pytest.raises(UnclearTableError) as caught:
        read(tmp_path / "t.csv", text_of(kind))
    offered = [" ".join(choice) for choice in caught.value.choices]
    wanted = [choice.replace("'", "") for choice in kind.choices]
    assert offered[: len(wanted)] == wanted
