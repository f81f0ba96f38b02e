"""Our GRPO trainers of language models beside TRL's: tokens a second and memory.

    python benchmarks/real_models.py MODEL [--env DIR] [--rounds 5] [--backends torch,jax]
                                           [--only TEXT] [--threads 2] [--json FILE]

MODEL is the folder that `scripts/smollm2.py` writes. TRL is the one of this Python, or with
``--env`` one that is installed below DIR, of the pinned version.

A step is everything from prompts to new weights: generate, decode, reward, advantage, gradient,
update. All sides have the same model, prompts, number of completions, reward, learning rate, and
float32; each is a process of its own that takes a step in its turn. All completions have the
greatest length: no token ends one. The first three steps are dropped. Printed are medians, and the
median of the ratios of steps that followed each other. Memory is the most that the process ever
held (VmHWM), reading the model included.

TRL has its defaults, but for what `trl_text_worker.py` says. What differs:

- TRL always measures the entropy, which it reports; it is a part of its loss, and the KL penalty
  too, in the cases named so alone. Its KL is estimated from the token that was drawn, one number a
  token, where ours is that of the whole vocabulary.
- TRL draws by `torch.multinomial` from the model's logits; we draw by inverse CDF from the
  uniforms of the run, tokens that the tokenizer lacks left out.
- TRL's reference is a second model, as is ours without LoRA; neither has one without KL penalty.

The shares of the phases are those of two more steps, with Torch's hooks. The part of the machine's
greatest speed that our step reaches is its matrix products by the time of the step, over what a
product of two square matrices reaches in the same process, the best of ten.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, Self

import numpy as np

from harness.training import uniforms
from harness.training.course import Policy
from harness.training.grpo import Batch, group_advantages
from harness.training.settings import GRPOSettings
from harness.training.tasks import Scores, Tokens
from harness.training.text.heap import freed_memory_kept
from harness.training.text.prompts import ends_of
from harness.training.uniforms import Uniforms

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # for the small models of the tests
WORKER = Path(__file__).with_name("trl_text_worker.py")
PROMPTS = 256
"""That are trained on."""
DROPPED = 3
"""Steps of each side before those that count: they compile, and fill caches."""


@dataclass(frozen=True, slots=True)
class Work:
    """What both sides do in a step."""

    model: str
    """The folder of the model."""
    rows: int
    """Prompts of a step."""
    generations: int
    tokens: int
    """Of each completion."""
    kl_coef: float = 0.0
    entropy_coef: float = 0.0
    threads: int = 2
    device: str = "cpu"
    """Of Torch; JAX computes on its first."""
    precision: str = "float32"

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(**json.loads(text))

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    def prompts(self) -> Iterator[list[dict[str, str]]]:
        """Give the prompts, all of one length: 46 tokens of SmolLM2's."""
        for number in range(PROMPTS):
            a, b = 10 + number * 37 % 90, 10 + number * 53 % 90
            yield [{"role": "user", "content": f"What is {a} + {b}? Say the number and stop."}]


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    work: Work
    faster: float | None = None
    """How many times TRL's tokens a second Torch is promised to reach."""
    memory: float | None = None
    """The most memory it is promised to take, beside TRL's."""


def cases(model: str, small: str, threads: int) -> list[Case]:
    smollm2 = Work(model, 4, 4, 24, threads=threads)
    eight = replace(smollm2, generations=8)
    return [
        Case("SmolLM2 4×4×24", smollm2, 2.4, 0.7),
        Case("SmolLM2 4×8×24", eight, 3.0, 0.6),
        Case("SmolLM2 4×4×24, KL and entropy", replace(smollm2, kl_coef=0.005, entropy_coef=0.002)),
        Case("10M parameters 4×8×64", replace(eight, model=small, tokens=64), 1.5),
    ]


def chosen(every: Sequence[Case], only: str) -> list[Case]:
    """Return the case of the name ``only``, else those whose names have it, if there is a model."""
    there = [case for case in every if case.work.model]
    return [case for case in there if case.name == only] or [
        case for case in there if only in case.name
    ]


def write_small(folder: Path) -> None:
    """Write a Llama of 10 million random weights, with a tokenizer of bytes."""
    from tests.training.text import tiny_models

    tiny_models.write(
        folder,
        "llama",
        vocab_size=8192,
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
    )


def digits(texts: Sequence[str]) -> list[float]:
    """Return the share of digits in each text: the reward."""
    return [sum(sign.isdigit() for sign in text) / max(len(text), 1) for text in texts]


def peak_memory() -> int:
    """Return the most bytes that this process ever held; 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


# ---- our side ------------------------------------------------------------------------------------


class Source:
    """The prompts as a policy asks for them: row numbers, whose tokens it looks up.

    The tokens that end a completion are never drawn, as they are not with TRL's here.
    """

    temperature = top_p = 1.0

    def __init__(self, work: Work) -> None:
        from transformers import AutoTokenizer, GenerationConfig

        self._tokenizer = AutoTokenizer.from_pretrained(work.model)
        asked = {"add_generation_prompt": True, "tokenize": True, "return_dict": False}
        self.tokens = tuple(
            tuple(self._tokenizer.apply_chat_template(prompt, **asked)) for prompt in work.prompts()
        )
        generation = GenerationConfig.from_pretrained(work.model)
        self.ends = tuple(
            sorted(ends_of(self._tokenizer, SimpleNamespace(generation_config=generation)))
        )
        self.known = np.array(sorted({*self._tokenizer.get_vocab().values()} - {*self.ends}))

    @property
    def task(self) -> Self:
        """What evaluations sample with."""
        return self

    def grade(self, completions: Tokens) -> Scores:
        """Return the rewards ``[rows, group]`` of ``completions`` ``[rows, group, tokens]``."""
        texts = self._tokenizer.batch_decode(completions.reshape(-1, completions.shape[-1]))
        return np.array(digits(texts), dtype=np.float32).reshape(completions.shape[:2])


class Clock:
    """The seconds of each phase of the steps so far. Phases may lie within each other."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}
        self._open: list[str] = []
        self._since = time.perf_counter()

    def begin(self, phase: str) -> None:
        self._pass()
        self._open.append(phase)

    def end(self) -> None:
        self._pass()
        self._open.pop()

    def _pass(self) -> None:
        """Add the time that has passed to the innermost phase."""
        now = time.perf_counter()
        for phase in self._open[-1:]:
            self.phases[phase] = self.phases.get(phase, 0.0) + now - self._since
        self._since = now

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self.begin(name)
        try:
            yield
        finally:
            self.end()

    def is_in(self, phase: str) -> bool:
        return phase in self._open


@contextmanager
def torch_phases(clock: Clock) -> Iterator[None]:
    """Tell the optimiser and the reference from the policy within it.

    The reference is what is computed without a gradient. Hooks of all modules take time, so steps
    with them are not those that are compared with TRL's.
    """
    import torch
    from torch.nn.modules import module
    from torch.optim import optimizer

    def enters(*_: object) -> None:
        if clock.is_in("policy") and not torch.is_grad_enabled():
            clock.begin("reference")

    def leaves(*_: object) -> None:
        if clock.is_in("reference"):
            clock.end()

    def begins(*_: object) -> None:
        clock.begin("optimiser")

    def ends(*_: object) -> None:
        clock.end()

    hooks: list[Any] = [
        module.register_module_forward_pre_hook(enters),
        module.register_module_forward_hook(leaves),
        optimizer.register_optimizer_step_pre_hook(begins),
        optimizer.register_optimizer_step_post_hook(ends),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def torch_policy(work: Work, source: Source, settings: GRPOSettings) -> Policy:
    import torch
    from transformers import AutoModelForCausalLM

    from harness.training.text import grpo_torch

    torch.set_num_threads(work.threads)
    model = AutoModelForCausalLM.from_pretrained(work.model, dtype=torch.float32)
    device, dtype = torch.device(work.device), getattr(torch, work.precision)
    return grpo_torch.Policy(source, model, settings, device, dtype)  # type: ignore[arg-type]


def jax_policy(work: Work, source: Source, settings: GRPOSettings) -> Policy:
    from harness.training.text import grpo_jax
    from harness.training.text.architecture import architecture
    from harness.training.text.decoder_files import read_weights

    folder = Path(work.model)
    shape = architecture(json.loads((folder / "config.json").read_text()), folder.name)
    weights = read_weights(folder, shape, folder.name)
    return grpo_jax.Policy(source, shape, weights, settings, dtype=work.precision)


def policy_of(backend: str, work: Work) -> tuple[Source, GRPOSettings, Policy]:
    """Return the prompts, the settings, and the policy of a backend."""
    source = Source(work)
    settings = GRPOSettings(
        1e-6,
        work.rows,
        work.generations,
        kl_coef=work.kl_coef,
        kl_warmup_steps=0,
        entropy_coef=work.entropy_coef,
    )
    make = {"torch": torch_policy, "jax": jax_policy}[backend]
    return source, settings, make(work, source, settings)


def noise_of(work: Work, now: int) -> tuple[Tokens, Uniforms]:
    """Return the prompts of a step ``[rows, 1]`` and its noise ``[rows, generations, tokens]``."""
    chosen = uniforms.draw_prompts(1, now, PROMPTS, work.rows)[:, None]
    return chosen, uniforms.train_uniforms(1, now, work.rows, work.generations, work.tokens)


def stepper(backend: str, work: Work, clock: Clock) -> Callable[[], int]:
    """Return a function that takes a training step as the trainer does, and counts its tokens."""
    source, settings, policy = policy_of(backend, work)
    steps = count()

    def step() -> int:
        chosen, noise = noise_of(work, next(steps))
        with clock.phase("generation"):
            completions = policy.sample(chosen, noise)
        with clock.phase("reward"):
            advantages = group_advantages(source.grade(completions), settings.advantage_clip)
        mask = np.ones(completions.shape, dtype=bool)
        with clock.phase("policy"):
            batch = Batch(chosen, completions, mask, advantages)
            policy.learn(batch, work.kl_coef, settings.learning_rate)
        return int(mask.sum())

    return step


def serve(backend: str, work: Work) -> None:
    """Answer lines of standard input as `trl_text_worker.py` does; one may also be ``details``."""
    from against_trl import peak

    clock = Clock()
    step = stepper(backend, work, clock)
    print(json.dumps({backend: import_module(backend).__version__}), flush=True)
    for line in sys.stdin:
        if line.strip() == "details":
            clock.phases.clear()
            with torch_phases(clock) if backend == "torch" else nullcontext():
                step(), step()
            whole = sum(clock.phases.values())
            shares = {phase: seconds / whole for phase, seconds in clock.phases.items()}
            found = {"shares": shares, "peak": max(peak(backend)), "operations": operations(work)}
            print(json.dumps(found), flush=True)
            continue
        tokens, ends = [], [time.perf_counter()]
        for _ in range(int(line)):
            tokens.append(step())
            ends.append(time.perf_counter())
        answer = {"seconds": np.diff(ends).tolist(), "tokens": tokens, "memory": peak_memory()}
        print(json.dumps(answer), flush=True)


def operations(work: Work) -> int:
    """Return how many operations the matrix products of a step have, if none is computed twice.

    A prompt is computed once for its group, in generation and in training, and logits for
    completions alone. Going back takes two products for each of the forward pass. The products
    within attention are left out: at these lengths they are a few hundredths of the rest.
    """
    from safetensors import safe_open

    folder, layers, prompt = Path(work.model), 0, len(Source(work).tokens[0])
    config = json.loads((folder / "config.json").read_text())
    head: int = config["vocab_size"] * config["hidden_size"]
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "numpy") as arrays:
            for name in arrays.keys():  # noqa: SIM118 - it is no mapping
                shape = arrays.get_slice(name).get_shape()
                layers += math.prod(shape) if ".layers." in name and len(shape) == 2 else 0
    completions = work.rows * work.generations * work.tokens
    packed = work.rows * prompt + completions
    passes = 4 + (work.kl_coef > 0)  # generation, forward, twice back, and the reference's forward
    return 2 * passes * (packed * layers + completions * head)


# ---- the frame -----------------------------------------------------------------------------------


def compare(case: Case, commands: Mapping[str, Sequence[object]], rounds: int) -> dict[str, Any]:
    """Run the sides in turn, and return what they took, by name."""
    from against_trl import Side

    sides: dict[str, Any] = {}
    took: dict[str, list[float]] = defaultdict(list)
    rate: dict[str, list[float]] = defaultdict(list)
    found: dict[str, Any] = {}
    with ExitStack() as started:
        for name, command in commands.items():
            sides[name] = Side(name, command, case.work.threads)
            started.callback(sides[name].end)
        for side in sides.values():
            side.ask(DROPPED)
        for _ in range(rounds):
            for name, side in sides.items():
                answer = side.ask(1)
                took[name] += answer["seconds"]
                rate[name].append(sum(answer["tokens"]) / sum(answer["seconds"]))
                found[name] = {"memory": answer["memory"]}
        for name, side in sides.items():
            seconds = median(took[name])
            found[name] |= {"seconds": seconds, "tokens_per_second": median(rate[name])}
            if name == "trl":
                continue
            details = side.ask("details")
            pairs = zip(rate[name], rate["trl"], strict=True)
            found[name] |= {
                "times_as_fast": median(ours / theirs for ours, theirs in pairs),
                "of_memory": found[name]["memory"] / found["trl"]["memory"],
                "of_peak": details["operations"] / seconds / details["peak"] / 1e9,
                "peak_gflops": details["peak"],
                "shares": details["shares"],
            }
    return found


def missed(case: Case, found: Mapping[str, Any]) -> list[str]:
    """Return which promises a case does not keep; they are Torch's."""
    torch, lines = found.get("torch"), []
    if torch and case.faster and torch["times_as_fast"] < case.faster:
        lines.append(f"MISSED: {case.name}: {case.faster:g} times as fast as TRL")
    if torch and case.memory and torch["of_memory"] > case.memory:
        lines.append(f"MISSED: {case.name}: {case.memory:g} of TRL's memory")
    return lines


def rows(case: Case, found: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Give the lines of the table of a case."""
    for name, side in found.items():
        line = {
            case.name: name,
            "s a step": f"{side['seconds']:.2f}",
            "tokens/s": f"{side['tokens_per_second']:.1f}",
            "GB": f"{side['memory'] / 1e9:.1f}",
        }
        if name != "trl":
            line |= {"times TRL's": f"{side['times_as_fast']:.2f}"}
            line |= {"of its memory": f"{side['of_memory']:.2f}"}
            line |= {"of peak": f"{side['of_peak']:.0%}"}
            shares = side["shares"].items()
            line |= {"shares": ", ".join(f"{phase} {share:.0%}" for phase, share in shares)}
        yield line


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", help="the folder of SmolLM2-135M-Instruct")
    parser.add_argument("--env", type=Path, metavar="DIR", help="where TRL is installed")
    parser.add_argument("--rounds", type=int, default=5, help="how many steps count")
    parser.add_argument("--backends", default="torch,jax")
    parser.add_argument(
        "--only",
        metavar="TEXT",
        default="",
        help="only the case of this name, or cases with it in theirs",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        work = Work.parse(options.model)
        as_in_training = options.serve == "torch" and work.device == "cpu"
        with freed_memory_kept() if as_in_training else nullcontext():
            serve(options.serve, work)
        return
    from against_trl import environment
    from tabulate import tabulate

    python = environment(options.env.absolute()) if options.env else sys.executable
    if sys.platform == "linux":
        # All that is started from here on has these cores.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-options.threads :])
    backends = []
    for name in filter(None, options.backends.split(",")):
        if find_spec(f"harness.training.text.grpo_{name}") is None or find_spec(name) is None:
            print(f"{name} is left out: it is not here")
        else:
            backends.append(name)
    all_found, all_missed = {}, []
    with tempfile.TemporaryDirectory() as small:
        write_small(Path(small))
        for case in chosen(cases(options.model or "", small, options.threads), options.only):
            served = [sys.executable, __file__, str(case.work), "--serve"]
            commands: dict[str, list[object]] = {"trl": [python, WORKER, str(case.work)]}
            commands |= {name: [*served, name] for name in backends}
            found = compare(case, commands, options.rounds)
            all_found[case.name], lines = found, [*rows(case, found)]
            all_missed += missed(case, found)
            print(tabulate(lines, headers="keys", disable_numparse=True), "\n", flush=True)
    print(*all_missed, sep="\n")
    if options.json:
        options.json.write_text(json.dumps(all_found, indent=2))


if __name__ == "__main__":
    main()
