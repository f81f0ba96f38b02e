"""What the name of a column says: set or measured, and which way is better."""

import re

import pytest

from harness import words
from harness.tables.naming import parsed
from harness.words import canonical

_SET = """
lr learning_rate dropout momentum weight_decay temperature alpha beta gamma eps batch_size
loss_type loss_fn reward_scale score_function memory_size time_embedding_dim step_size
warmup_steps error_correction loss_weight reward_clip entropy_coef vf_coef target_return target_kl
max_depth min_samples_leaf n_estimators C kernel num_layers hidden_size n_heads lora_alpha
lora_rank lora_dropout optimizer scheduler activation error_threshold acc_steps
gradient_accumulation_steps label_smoothing train_batch_size eval_batch_size eval_steps save_steps
loss_scale aux_loss_weight kl_loss_coef focal_loss_gamma huber_delta reward_discount
normalize_reward score_threshold f1_threshold accuracy_threshold test_size validation_split
train_fraction time_limit time_budget memory_limit memory_length buffer_size replay_buffer_size
timeout patience early_stopping_rounds min_delta width depth resolution img_size patch_size
crop_size rank n_bits quant group_size max_grad_norm clip_norm grad_clip learning_rate_decay
lr_schedule cosine_t_max polynomial_power epochs num_epochs max_steps num_train_epochs n_envs
rollout_length gae_lambda ppo_epochs num_minibatches noise_std sigma encoder_layers actor_lr
critic_lr model.hidden_dim opt.weight_decay policy_type score_norm_type use_loss_mask class_weight
l1_ratio tol nu degree subsample colsample_bytree reg_lambda reg_alpha min_child_weight top_k
top_p repetition_penalty max_new_tokens context_length vocab_size precision_mode warmup_ratio
reward_shaping_coef loss_reduction metric criterion solver penalty mutation_rate crossover_rate
population_size learningRate batchSize weightDecay error_penalty score_fn latency_weight
mse_weight loss_alpha acc_target p0 p19 x1 foo depth_multiplier ratio step_decay epoch_size
epochs_per_cycle lr_decay_epochs time_mask n_iter kl entropy cost train.learning_rate
evaluation_every seedling
"""
SET = tuple(_SET.split())

_MEASURED = """
loss acc accuracy score error mse rmse rmspe mae f1 auc ppl reward return val_loss val_acc
val_loss_early best_val_acc MSE_train RMSPE recon_loss tokens_per_second samples/s it/s tok/s fps
flops GFLOPs mfu memory_gb OOM vram peak_memory gpu_mem_mb max_memory time seconds hours runtime
elapsed duration fit_time mean_fit_time std_fit_time train_time_s wall_clock time_total_s
latency_ms throughput samples_per_sec images_per_second train_runtime train_samples_per_second
eval_steps_per_second step_time ms_per_token epoch best_epoch epochs_trained last_epoch
stopped_epoch global_step iteration best_iteration training_iteration trainer/global_step
mean_test_score std_test_score split0_test_score rank_test_score mean_train_score val/loss
eval/rewards/mean rollout/ep_rew_mean ep_len_mean train/kl win_rate success_rate error_rate
word_error_rate WER CER pass@1 pass@10 hits@10 exact_match bleu BLEU-4 rougeL rouge-1 meteor psnr
ssim lpips fid inception_score mAP mAP@50 mAP50-95 mIoU dice IoU ndcg@10 mrr recall@5 top1 top-5
top1_acc acc1 r2 R2 pearson spearman nll bpb bits_per_byte perplexity log_loss brier_score ece
roc_auc pr_auc AUROC balanced_accuracy f1_macro f1_weighted weighted_f1 macro_f1 matthews_mcc
neg_mean_squared_error neg_log_loss episode_return mean_return return_mean return_std reward_std
normalized_score human_normalized_score train_loss test_loss final_loss min_loss max_reward
loss_ema grad_norm approx_kl explained_variance clip_fraction policy_loss value_loss MMLU
HellaSwag ARC GSM8K TruthfulQA HumanEval mt_bench val_bpb kwh gpu_hours total_time_hours acc,none
acc_norm,none exact_match,strict-match valAccuracy testLoss Test_Acc Val.Loss
num_env_steps_sampled crash_rate fitness sharpe regret num_errors n_correct train.acc
loss_train_final Rsquared RMSESD time/fps F1-score Std
"""
_WITH_SPACES = (
    "tokens per second",
    "Test Accuracy (%)",
    "Top-1 Acc. (%)",
    "Val Loss",
    "Peak Memory (GB)",
    "Training time (s)",
    "Wall-clock time [h]",
    "throughput (img/s)",
)
MEASURED = (*_MEASURED.split(), *_WITH_SPACES)


def sense(name):
    return words.sense(parsed([name])[name].canonical, parsed([name])[name].bare)


def test_there_are_many_names_of_both_kinds():
    assert min(len(set(SET)), len(set(MEASURED))) >= 150


def test_what_is_set_is_not_taken_for_measured():
    told = {name: sense(name) for name in SET}
    assert [name for name, meant in told.items() if meant not in ("setting", "unknown")] == []


def test_what_is_measured_is_known_by_any_word_of_its_name():
    told = {name: sense(name) for name in MEASURED}
    assert [name for name, meant in told.items() if meant not in ("measurement", "progress")] == []


@pytest.mark.parametrize("name", ["Unnamed: 0", "Unnamed: 0.1", "index", "idx", "level_0"])
def test_columns_that_count_rows(name):
    assert sense(name) == "index"


@pytest.mark.parametrize(
    ("way", "names"),
    [
        ("max", "acc val_accuracy f1 f1_macro auc roc_auc reward score return bleu win_rate pass@1 "
         "r2 mIoU mAP@50 exact_match tokens_per_second throughput neg_mean_squared_error "
         "neg_log_loss MMLU explained_variance ep_rew_mean success_rate psnr precision recall@10 "
         "log_likelihood elbo fitness mean_test_score Percent_correct"),
        ("min", "loss val_loss val/loss error test_error_rate ppl perplexity rmse mae wer cer bpb "
         "val_bpb nll neg_log_likelihood fid fid_score latency_ms brier_score log_loss "
         "cross_entropy regret ms_per_token RMSPE crash_rate s/it mean_absolute_error cost"),
        (None, "value grad_norm approx_kl entropy epoch memory_gb time kl objective x flops "
         "ep_len_mean closs glossary"),
    ],
)  # fmt: skip
def test_the_better_way_is_told_where_it_is_plain(way, names):
    told = {name: words.direction(canonical(name)) for name in names.split()}
    assert told == dict.fromkeys(told, way)


def test_every_word_is_one_word():
    sets = (words.KNOWN, words.FLAGS, words.BENCHMARKS, words.GIVEN, words.REACHED)
    assert all(re.fullmatch(r"[a-z0-9_.]+", word) for each in sets for word in each)
