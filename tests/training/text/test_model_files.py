import json
import shutil

import pytest

from harness.errors import UsageError
from harness.training.text.model_files import config_of, locate


def weights(content=b"four", **changes):
    """Return a file of safetensors with one number of four bytes."""
    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} | changes
    header = json.dumps({"__metadata__": {"format": "pt"}, "a": tensor}).encode()
    return len(header).to_bytes(8, "little") + header + content


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "Small-Model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(weights())
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_a_model_is_known_by_its_content_not_by_its_path(model, tmp_path):
    found = locate("Small-Model", tmp_path)
    assert found.identity == f"Small-Model@{found.digest}"
    (tmp_path / "elsewhere").mkdir()
    copied = shutil.copytree(model, tmp_path / "elsewhere" / model.name)
    assert locate(str(copied), tmp_path).identity == found.identity
    (copied / "README.md").write_text("words")
    (copied / "trainer_state.json").write_text("{}")
    assert locate(str(copied), tmp_path).identity == found.identity


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_change_of_any_of_its_files_is_another_model(model, tmp_path, name):
    before = locate(str(model), tmp_path).digest
    changed = (model / name).read_bytes() + b" "
    (model / name).write_bytes(weights(b"five") if name == "model.safetensors" else changed)
    assert locate(str(model), tmp_path).digest != before


def test_a_digest_is_kept_until_a_file_changes(model, tmp_path, monkeypatch):
    known = tmp_path / "cache" / "models.json"
    first = locate(str(model), tmp_path, known)
    with monkeypatch.context() as patched:
        patched.setattr("hashlib.file_digest", None)  # nothing is read again
        assert locate(str(model), tmp_path, known) == first
    (model / "model.safetensors").write_bytes(weights(b"more"))
    assert locate(str(model), tmp_path, known) != first
    known.write_text("no JSON")
    assert locate(str(model), tmp_path, known).digest != first.digest


def test_a_gguf_file_is_a_model(tmp_path):
    (tmp_path / "small.gguf").write_bytes(b"GGUF")
    found = locate("small.gguf", tmp_path)
    assert (found.name, found.folder, found.gguf) == ("small", tmp_path, "small.gguf")
    with pytest.raises(UsageError, match="GGUF file, which Torch alone"):
        config_of(found)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("./Small-Modle", "does not exist, did you mean 'Small-Model'|does not exist"),
        ("no.gguf", "no.gguf does not exist"),
        ("notes.txt", "is a file; expected a folder"),
        (".", "has no config.json"),
        ("empty", "has no weights"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(model, tmp_path, source, said):
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=said) as caught:
        locate(source, tmp_path)
    assert "\n" not in str(caught.value)
    assert source in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        weights(b"fou"),
        weights(b"four more"),
        weights(data_offsets=[0]),
        b"version https://git-lfs.github.com/spec/v1",
        (99).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
    ],
)
def test_weights_that_are_not_whole_are_refused(model, tmp_path, content):
    (model / "model.safetensors").write_bytes(content)
    with pytest.raises(UsageError, match="is not a whole file of safetensors; is its download"):
        locate(str(model), tmp_path)
