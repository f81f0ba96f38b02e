"""Tell from the words of a name whether it was set or measured, and which way is better.

Three kinds of words, in one place: those of settings, those of measurements, and those that say
how far a run got. The rule is `sense`. Where it errs the user is told, and `--params` or `--ignore`
overrules it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

Sense = Literal["setting", "measurement", "progress", "index", "unknown"]
Direction = Literal["max", "min"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KNOWN = _words("""
    acc_steps accumulate_grad_batches activation adam_beta1 adam_beta2 adam_epsilon alpha
    attention_dropout attn_heads augment augmentation bagging_fraction bagging_freq base_lr
    batch_size beta beta1 beta2 betas bias bidirectional bits block_size booster bootstrap
    buffer_size c cfg_scale chunk_size class_weight clip clip_coef clip_eps clip_epsilon
    clip_range cliprange coef0 colsample colsample_bylevel colsample_bynode colsample_bytree
    context_length cp criterion crop_size crossover_rate cutmix d_model dataset degree depth
    depth_multiplier dim discount drop_path drop_path_rate dropout dropout_rate droppath
    droprate early_stopping ema_decay embed_dim embedding_dim end_lr ensemble_size
    entropy_coef epochs eps epsilon epsilon_decay epsilon_end epsilon_start eta
    eval_batch_size expansion exploration_fraction feature_fraction fit_intercept frame_skip
    gae_lambda gamma generations grad_acc grad_accum grad_clip grad_clip_norm
    gradient_accumulation_steps group_size growth_rate guidance_scale hidden hidden_dim
    hidden_dims hidden_layer_sizes hidden_size hidden_units horizon image_size img_size imgsz
    in_channels init init_kl_coef inner_lr input_size iterations k kernel kernel_size kl_coef
    l1 l1_ratio l2 label_smoothing lambd lambda lambda_l1 lambda_l2 layers learning_rate
    learning_rate_init learning_starts lora_alpha lora_dropout lora_r loss_fn loss_reduction
    lr0 lr_schedule lrf margin mask_ratio max_bin max_delta_step max_depth max_features
    max_grad_norm max_iter max_iters max_leaf_nodes max_leaves max_len max_length max_lr
    max_new_tokens max_samples max_seq_length max_steps max_tokens metric min_child_samples
    min_child_weight min_data_in_leaf min_impurity_decrease min_lr min_n min_samples_leaf
    min_samples_split min_split_gain minibatch_size mixup mlp_ratio model momentum
    momentum_decay mtry mutation_rate n_bins n_clusters n_components n_embd n_envs n_epochs
    n_estimators n_features n_head n_heads n_hidden n_iter n_jobs n_layer n_layers
    n_minibatches n_neighbors n_params n_steps n_trees n_units nbins nbits nesterov nhead
    nlayers noise noise_std normalization ntree nu num_beams num_boost_round num_class
    num_epochs num_heads num_hidden num_inference_steps num_iterations num_layers num_leaves
    num_minibatches num_parameters num_train_epochs num_trees num_units num_workers
    objective_fn optimizer ordering out_channels padding patch_size patience penalty
    per_device_eval_batch_size per_device_train_batch_size poly_degree pooling pop_size
    population_size power precision_bits precision_mode prefetch quantization ratio reg
    reg_alpha reg_lambda repetition_penalty replay_size resolution rho rollout_length
    sample_size seq_len seq_length sequence_length sgd_momentum sigma size smoothing solver
    step_size stride subsample subsample_for_bin subsample_freq t_max target_kl target_update
    tau temperature tie_weights tol top_k top_p total_timesteps train_batch_size train_size
    tree_depth tree_method trees units update_freq utd_ratio vf_coef vocab_size warmup_epochs
    warmup_iters warmup_ratio warmup_steps weight_decay weight_init width window window_size
""")
"""Names that are always those of hyperparameters."""

_SETS = _words("""
    activation agg aggregation alpha augment augmentation beta bonus budget buffer clip
    clipping coef coeff coefficient coefficients coefs correction criterion cutoff decay delay
    dim dims discount dropout enable enabled eps epsilon every factor fn format frac fraction
    freq frequency func function gamma goal horizon initializer interval kind lambda layers
    len length level levels limit lr mask masking maxlen method metric mixing mode momentum
    multiplier name normalization normalize num number objective optimizer option order
    patience penalties penalty period power prior ratio reduction regularization rescale scale
    scaler scaling schedule scheduler shape shaping size sizes smoothing source steps strategy
    target tau temp temperature thresh threshold tol tolerance transform type units use using
    version warmup weight weighting weights width window with
""")
"""Words that make a name a setting's, whatever it measures: `loss_weight`, `reward_scale`."""

_HIGHER = _words("""
    acc acc1 acc5 accuracy accuracies ap auc auprc aupr aucroc auroc bacc bertscore bleu bleu4
    bleurt chrf cider codebleu corr correlation dice elbo elo em f05 f1 f1score f2 fbeta fitness
    fscore gini goodput hv hypervolume iou jaccard kappa likelihood llh loglik macrof1 map mcc
    meteor miou mrr ndcg passes pcc pearson pearsonr perf performance pnl precision profit
    prauc psnr quality r2 rsquared rating recall return returns revenue rew reward rewards rocauc
    rouge rouge1 rouge2 rougel rougelsum sacrebleu score scores sensitivity sharpe
    silhouette solved spearman spearmanr specificity speedup ssim success successes
    top1 top5 utility winrate wins
    humaneval mmlu hellaswag truthfulqa winogrande gsm8k mbpp bbh ifeval gpqa musr squad glue
    superglue cola sst2 mrpc qqp mnli qnli rte boolq piqa openbookqa obqa lambada triviaqa arc
    agieval ceval cmmlu alpacaeval swebench livebench simpleqa
""")
_LOWER = _words("""
    aic bic bpb bpc bpd bpt bpw brier cer ce crossentropy crps deviance ece eer epe err error errors
    fid fpr hamming kid latency lift_error logloss loss losses lpips mae mape mase medae mer
    misclassification mpjpe mre mse msle mspe nll nmae nmse nrmse perplexity ppl regret residual
    rmse rmsle rmspe rse sse smape ter toxicity violations wape wer xent
""")
_NEUTRAL = _words("""
    accuracysd after before clipfrac converged correct crashed diverged flops flos fps gflops
    kappasd lb maesd rmsesd rsquaredsd gradnorm macs mfu oom qps tflops throughput tps
    tokpersec usd co2 kwh joules watts
""")
"""Words of measurements without a plain direction, and of speed and use."""

FLAGS = _words("oom success solved converged diverged crashed failed passed correct nan")
"""Words of what became of a run, which true and false may say as well as numbers."""

BENCHMARKS = _words("""
    humaneval mmlu hellaswag truthfulqa winogrande gsm8k mbpp bbh ifeval gpqa musr squad glue
    superglue cola sst2 mrpc qqp mnli qnli rte boolq piqa openbookqa obqa lambada triviaqa arc
    agieval ceval cmmlu alpacaeval swebench livebench simpleqa
""")
"""Words of the names of benchmarks: a table with several has no single one to be judged by."""


def _phrase(way: Direction | None, *alternatives: str) -> tuple[re.Pattern[str], Direction | None]:
    return re.compile(rf"(?:^|_)(?:{'|'.join(alternatives)})(?:_|$)"), way


_PHRASES = (
    # The sign is turned, or a loss has fallen: more is better.
    _phrase("min", "neg(?:ative)?_(?:log_likelihood|ll)"),
    _phrase(
        "max", r"neg(?:ative)?_(?:\w+_)?(?:loss|error|mse|mae|rmse|mape|logloss|ppl|perplexity)"
    ),
    _phrase("max", r"neg(?:ative)?_(?:\w+_)?(?:deviance|brier_score|regret)"),
    _phrase("max", "(?:loss|error|perplexity|regret)_improvement"),
    _phrase("min", "brier_score", "fid_score", "davies_bouldin", r"bits_per_\w+", "cross_entropy"),
    _phrase("min", "log_loss", "edit_distance", "mean_rank", "drawdown", "chamfer", "hausdorff"),
    _phrase("min", "(?:val|valid|validation|test|total|mean|avg|final)_cost"),
    _phrase("min", r"(?:word_|char_|character_|bit_|top\d*_|equal_)?error_(?:rate|ratio)"),
    _phrase("min", "(?:failure|fail|crash|miss|refusal|hallucination|collision|timeout)_rate"),
    _phrase("min", "(?:false_positive|false_negative|fp|fn|violation)_rate"),
    _phrase("min", "(?:num|n|total)_(?:errors|failures|collisions|violations)"),
    _phrase("max", "(?:num|n|total)_(?:wins|successes|solved|correct)"),
    _phrase(
        "max", "(?:win|success|pass|hit|solve|solved|completion|accept|acceptance)_(?:rate|ratio)"
    ),
    _phrase("max", "(?:goal|detection|true_positive|true_negative|tp|tn|survival|retention)_rate"),
    _phrase("max", "percent_correct", "correct_(?:rate|percent|fraction)"),
    _phrase("max", "explained_variance", "log_likelihood", "roc_auc", "pr_auc", "exact_match"),
    _phrase(
        "max", r"m_ap\d*", r"map\d+", "r_2", "r_squared", "adj_r2", "f_1", "f_beta", "mean_iou"
    ),
    _phrase("max", r"(?:pass|hits?|p|recall|precision|ndcg|maj)_\d+", r"top_?(?:1|5|10)"),
    _phrase("max", r"rouge_[12l]\w*", r"bleu_\d", "mt_bench", "arena_hard", "big_bench"),
    _phrase(None, "(?:grad|gradient|update|weight|param)_norm", "approx_kl", "mean_kl"),
    _phrase(None, "kl_div(?:ergence)?", "clip_frac(?:tion)?", "ep_len(?:gth)?"),
    _phrase(None, r"(?:mean|avg|average)_(?:\w+_)?(?:length|len|tokens)", r"episode_length_mean"),
)
"""Phrases of measurements with the direction that is plain by them; an earlier one comes first."""

_SPEED = re.compile(
    r"(?:^|_)(?:(?:tok|toks|tokens?|samples?|imgs?|images?|steps?|it|its|iters?|iterations?|frames?|"
    r"examples?|sequences?|seqs?|batch(?:es)?|requests?|words?|queries|episodes?|gb|mb)"
    r"_(?:per_|p)?(?:s|sec|secs|second|gpu|day|hour|min|minute)(?:_gpu|_device)?|"
    r"per_(?:s|sec|second|day|hour|minute)|(?:throughput|tokpersec|fps|qps|tps))(?:_|$)"
)
_SLOW = re.compile(
    r"(?:^|_)(?:s|ms|us|ns|sec|secs|seconds?|minutes?|hours?)_(?:per_)?"
    r"(?:tok|tokens?|steps?|it|its|iter|iterations?|samples?|batch|epochs?|images?|frames?)(?:_|$)"
)
_UNITS = (
    r"(?:s|ms|us|ns|sec|secs|seconds?|m|mins?|minutes?|h|hrs?|hours?|days?|total|mean|avg|average|"
    r"std|max|min|median|sum|p50|p90|p95|p99|gb|mb|kb|gib|mib|bytes|pct|per_(?:step|epoch|iter|batch|"
    r"iteration|token|sample|run|fold)|this_iter|ms_per_token|used|usage|peak|allocated|reserved)"
)
_DURATION = re.compile(
    rf"(?:^|_)(?:cpu|gpu|wall|training|elapsed)_time(?:_|$)|"
    rf"(?:^|_)(?:time|times|runtime|elapsed|duration|walltime|wallclock|wall_clock|latency|"
    rf"seconds|secs|minutes|mins|hours|hrs|gpu_hours)(?:_{_UNITS})*$"
)
_MEMORY = re.compile(
    rf"(?:^|_)(?:memory|mem|vram|ram|rss|oom)(?:_{_UNITS})*$|(?:^|_)(?:gb|gib|mib|mb)$"
)
_REACHED = re.compile(
    r"(?:\w+_)?(?:global_step|training_iteration|env_steps?|timesteps_total)|"
    r"(?:best|last|final|stopped|stop|stopping|current|cur|end|early_stop|early_stopped|converged|"
    r"trained|completed|actual|elapsed|done)_"
    r"(?:epochs?|steps?|iter|iters|iterations?|rounds?|ntree_limit)(?:_\w+)?|"
    r"(?:epochs?|steps?|iter|iters|iterations?|rounds?)_"
    r"(?:trained|run|ran|completed|done|used|best|stopped|taken|reached)|"
    r"epoch|iteration|iter|n_iter_|n_iters_run|num_env_steps_sampled|n_resources|"
    r"current_epoch|stopped_at|tuner_epochs"
)
GIVEN = _words("""
    steps train_steps training_steps total_steps max_steps epochs num_epochs n_epochs max_epochs
    num_train_epochs total_epochs train_epochs training_epochs total_timesteps timesteps
    num_timesteps max_iters train_iters
""")
"""Names of budgets that are given to a run, and so belong to its configuration."""

REACHED = _words("""
    training_iteration global_step step epoch iteration iter n_resources budget fidelity
    tuner.epochs trainer.global_step
""")
"""Names of budgets that a run reached: a scheduler, or the run itself, may have stopped it."""

_INDEX = re.compile(r"Unnamed: \d+(\.\d+)*|index|idx|level_\d+|row|row_?(id|nr|num|number)|#")

_FOLD = re.compile(r"(?:^|_)(?:(?:split|fold|cv|rep|repeat|run|seed)_?\d+|rank|ranking)(?:_|$)")
_SPREADS = _words("std stdev stderr se sem sd var variance ci lo hi lower upper low high conf iqr")
_PARTS = _words(
    "actor adversarial adv aux auxiliary box cls commit commitment critic dfl discriminator disc "
    "entropy generator gen kl kld obj policy recon reconstruction reg rpn value vf vq"
)
_EARLY = re.compile(
    r"(?:^|_)(?:early|earliest|first|init|initial|start|before|pre|begin|partial|prev|previous|half|"
    r"(?:ep|epoch|step|iter|e)_?\d+k?|at_?\d{3,}k?|at_?\d+k|\d+k?_?(?:steps?|epochs?|iters?|ep))"
    r"(?:_|$)"
)
_BEST = _words("best peak top highest lowest max min maximum minimum")
_LAST = _words("final last end")
_AVERAGES = _words("mean avg average overall total full all none")
_HELD_OUT: tuple[frozenset[str], ...] = (
    _words("val valid validation dev devel cv oof eval evaluation heldout holdout"),
    _words("test testing private ood"),
    frozenset(),
    _words("train training tr trn fit rollout insample"),
)
"""Words that say what a metric was measured on, the likeliest to judge by first; none is third."""

_LOGGED = re.compile(
    r"(train|training|val|valid|validation|eval|evaluation|test|dev|rollout|charts|losses|time|"
    r"timing|perf|system|gradients|metrics?)/.+",
    re.IGNORECASE,
)


_MIXED_CASE = tuple(
    (apart, apart.replace("_", ""))
    for apart in [
        "m_io_u",
        "io_u",
        "gflo_ps",
        "tflo_ps",
        "m_ap",
        "gsm8_k",
        "hella_swag",
        "truthful_qa",
        "human_eval",
        "wino_grande",
        "trivia_qa",
        "super_glue",
        "open_book_qa",
        "bool_q",
        "if_eval",
        "alpaca_eval",
        "swe_bench",
        "live_bench",
        "simple_qa",
        "agi_eval",
        "co_la",
        "sa_cre_bleu",
        "bert_score",
    ]
)
"""Words that change between small and capital letters, as a canonical name takes them apart."""


ALIASES = {
    alias: name
    for name, aliases in {
        "learning_rate": "lr learningrate learn_rate",
        "batch_size": "bs batchsize",
        "generations": "num_generations n_generations",
        "lr_schedule": "lr_scheduler lr_scheduler_type scheduler learning_rate_schedule",
        "warmup_steps": "warmup num_warmup_steps n_warmup_steps",
        "entropy_coef": "ent_coef entropy_coeff entropy_coefficient",
        "kl_coef": "kl_coeff kl_coefficient",
        "weight_decay": "wd",
        "delta_perf": "δperf δ_perf deltaperf",
        "delta_perf_se": "δperf_se δ_perf_se delta_perf_stderr",
    }.items()
    for alias in aliases.split()
}
"""Other name → the name that this project uses."""


def canonical(text: str) -> str:
    """Return the name that this project uses for a parameter, however it is written.

    >>> [canonical(text) for text in ("learningRate", "Batch Size", "optimizer/lr", "bs")]
    ['learning_rate', 'batch_size', 'optimizer.learning_rate', 'batch_size']
    """
    text = text.replace("∆", "Δ")
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    parts = (re.sub(r"\W+", " ", part).strip().replace(" ", "_") for part in re.split("[./]", text))
    name = re.sub(r"(?<=\w)__+", "_", ".".join(filter(None, parts)).lower())
    above, dot, last = name.rpartition(".")
    return above + dot + ALIASES.get(last, last) or text


@cache
def tokens(canonical: str) -> tuple[str, ...]:
    """Return the words of a canonical name: ``("val", "loss")`` of ``val.loss``."""
    joined = re.sub(r"[._\s]+", "_", canonical)
    for apart, word in _MIXED_CASE:
        joined = re.sub(rf"(?<![a-z0-9]){apart}(?![a-z0-9])", word, joined)
    return tuple(filter(None, joined.split("_")))


@cache
def sense(canonical: str, bare: str = "") -> Sense:
    """Return what a name says of its column; ``bare`` is the name as it is written.

    A name that is always a setting's is one. A phrase that is always a measurement's is one:
    `win_rate`. A word of settings comes before one of measurements: `loss_weight`. What is left is
    a measurement where any word of it is one: `val_loss_early`.
    """
    found = tokens(canonical)
    joined, last = "_".join(found), canonical.rpartition(".")[2]
    known = canonical in KNOWN or ("/" not in bare and last in KNOWN)
    alone = joined in _SPREADS | {"std_dev", "standard_deviation", "standard_error"}
    rules: tuple[tuple[Sense, bool], ...] = (
        ("index", _INDEX.fullmatch(bare or canonical) is not None),
        ("setting", known),
        ("progress", _REACHED.fullmatch(joined) is not None),
        ("measurement", alone or _is_phrase(joined) or _SPEED.search(joined) is not None),
        ("setting", bool(_SETS.intersection(found)) or found[:1] == ("n",)),
        ("measurement", bool((_HIGHER | _LOWER | _NEUTRAL).intersection(found))),
        ("measurement", is_use(canonical) or _LOGGED.fullmatch(bare) is not None),
    )
    return next((meant for meant, holds in rules if holds), "unknown")


def _is_phrase(joined: str) -> bool:
    return any(phrase.search(joined) for phrase, _ in _PHRASES)


def direction(canonical: str) -> Direction | None:
    """Return whether more or less of a metric is better, where its name says so plainly."""
    found = tokens(canonical)
    joined = "_".join(found)
    for phrase, way in _PHRASES:
        if phrase.search(joined):
            return way
    if _SPEED.search(joined):
        return "max"
    if _SLOW.search(joined):
        return "min"
    if _LOWER.intersection(found):
        return "min"
    if _HIGHER.intersection(found):
        return "max"
    # A cost may be a setting, of a support vector machine; as what was measured, less is better.
    return "min" if "cost" in found else None


def is_spread(canonical: str) -> bool:
    """Return whether a name is that of a spread, an error or a bound: ``acc_std``, ``ci_low``."""
    return bool(_SPREADS.intersection(tokens(canonical)))


def is_fold(canonical: str) -> bool:
    """Return whether a name is that of one fold of several, or of a rank: ``split0_test_score``."""
    return _FOLD.search("_".join(tokens(canonical))) is not None


def is_part(canonical: str) -> bool:
    """Return whether a name is that of a part of what is optimised: ``kl_loss``, ``box_loss``."""
    return bool(_PARTS.intersection(tokens(canonical)))


def is_use(canonical: str) -> bool:
    """Return whether a measurement is of time, memory or speed, not of how well a run did."""
    joined = "_".join(tokens(canonical))
    return any(used.search(joined) for used in (_SPEED, _SLOW, _DURATION, _MEMORY))


def held_out(canonical: str) -> int:
    """Return on what a metric was measured: 0 validation, 1 test, 2 not said, 3 training."""
    found = set(tokens(canonical))
    return next((rank for rank in (0, 1, 3) if _HELD_OUT[rank] & found), 2)


def moment(canonical: str) -> int:
    """Return when a metric was measured: 0 final, 1 not said, 2 the best of a run, 3 early."""
    found = set(tokens(canonical))
    if _EARLY.search("_".join(tokens(canonical))):
        return 3
    if _LAST & found:
        return 0
    return 2 if _BEST & found else 1


def essence(canonical: str) -> frozenset[str]:
    """Return the words that name a metric, without those on what and when it was measured.

    ``loss`` of ``final_val_loss``: a name with these words and more is that of a part of it.
    """
    aside = _AVERAGES | _LAST | _BEST | frozenset().union(*_HELD_OUT)
    return frozenset(_SAME.get(word, word) for word in tokens(canonical)) - aside


_SAME = {"accuracy": "acc", "perplexity": "ppl", "rewards": "reward", "returns": "return"}
