"""Logs of evaluations as Inspect and lm-eval write them, made by hand."""

import json
import zipfile

import pyarrow

SCORES = {"a": ("C", "I"), "b": ("C", "C"), "c": ("I", "I"), "d": ("P", "N")}
"""Item → the scores of its two epochs: means 0.5, 1, 0 and 0.25."""
LATER = {"a": ("C", "C"), "b": ("C", "C"), "c": ("I", "C"), "e": ("I", "I")}


def inspect_log(model="m/base", scores=SCORES, number="aaaaaaaa11", status="success", **args):
    """Return a log of Inspect with two epochs; cluster by the field ``text`` of the metadata."""
    values = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
    means = {item: sum(values[v] for v in got) / len(got) for item, got in scores.items()}
    accuracy = sum(means.values()) / len(means)
    samples = [
        {
            "id": item,
            "epoch": epoch,
            "metadata": {"text": "one" if item in "ab" else "two", "deep": {"er": item}},
            "scores": {"match": {"value": value}},
        }
        for item, got in scores.items()
        for epoch, value in enumerate(got, start=1)
    ]
    return {
        "version": 2,
        "status": status,
        "eval": {
            "task": "sums",
            "task_id": number,
            "created": f"2026-01-01T00:00:0{number[0] == 'b':d}",
            "model": model,
            "task_args": {"level": 3, **args},
            "model_args": {"level": 4, "nested": {"a": 1}},
            "config": {"epochs": 2},
        },
        "plan": {"config": {"temperature": 0.5, "max_connections": 8}},
        "results": {
            "scores": [
                {
                    "name": "match",
                    "scorer": "match",
                    "metrics": {
                        "accuracy": {"name": "accuracy", "value": accuracy},
                        "stderr": {"name": "stderr", "value": 0.2},
                    },
                }
            ]
        },
        "samples": samples,
        "reductions": [
            {
                "scorer": "match",
                "samples": [{"sample_id": item, "value": mean} for item, mean in means.items()],
            }
        ],
    }


def write_eval(path, log, *, packing="deflate", summaries=True, leave_out=()):
    """Write a log as Inspect writes an ``.eval`` file; newer versions pack with zstd."""
    parts = {"header.json": {k: v for k, v in log.items() if k not in ("samples", "reductions")}}
    parts["_journal/start.json"] = {name: log[name] for name in ("version", "eval", "plan")}
    parts["reductions.json"] = log["reductions"]
    if summaries:
        parts["summaries.json"] = log["samples"]
    else:
        for one in log["samples"]:
            parts[f"samples/{one['id']}_epoch_{one['epoch']}.json"] = one
    method = zipfile.ZIP_DEFLATED if packing == "deflate" else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, part in parts.items():
            data = json.dumps(part).encode()
            if packing == "zstd":
                data = pyarrow.Codec("zstd").compress(data, asbytes=True)
            if name not in leave_out:
                archive.writestr(name, data)
        offsets = [one.header_offset for one in archive.infolist()]
    if packing == "zstd":  # which Python's zipfile cannot write: mark what it stored
        whole = bytearray(path.read_bytes())
        for at in offsets:
            whole[at + 8 : at + 10] = (93).to_bytes(2, "little")
        at = whole.find(b"PK\x01\x02")
        while at >= 0:
            whole[at + 10 : at + 12] = (93).to_bytes(2, "little")
            at = whole.find(b"PK\x01\x02", at + 1)
        path.write_bytes(whole)


def write_lm_eval(folder, model="base", scores=(1.0, 0.0, 1.0, 0.0), stamp="2026-01-01T00", **more):
    """Write what lm-eval writes of a task with two filters, and of a group of tasks."""
    folder.mkdir(parents=True, exist_ok=True)
    mean = sum(scores) / len(scores)
    results = {
        "results": {
            "toy": {"alias": "toy", "sample_len": 4, "acc,none": mean, "acc_stderr,none": 0.1},
            "gen": {"alias": "gen", "exact_match,strict": 0.25, "exact_match,loose": 0.75},
            "all": {"alias": "all", "acc,none": mean},
        },
        "group_subtasks": {"all": ["toy"], "toy": []},
        "higher_is_better": {"toy": {"acc": True}, "gen": {"exact_match": True}},
        "n-shot": {"toy": 5, "gen": 0},
        "config": {"model": "hf", "model_args": f"pretrained=x/{model},dtype=float16", **more},
        "model_name": f"x/{model}",
    }
    (folder / f"results_{stamp}.json").write_text(json.dumps(results, indent=2))
    lines = [
        {"doc_id": n, "doc": {"subject": f"s{n // 2}"}, "filter": "none", "acc": score}
        for n, score in enumerate(scores)
    ]
    (folder / f"samples_toy_{stamp}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    lines = [
        {"doc_id": n, "doc": {}, "filter": name, "exact_match": float(n < right)}
        for name, right in (("strict", 1), ("loose", 3))
        for n in range(4)
    ]
    (folder / f"samples_gen_{stamp}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder
