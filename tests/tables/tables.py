"""Tables written for tests."""

import csv
import json

from harness.tables import ReadOptions, read_runs

WANDB = """\
"Name","State","Notes","User","Tags","Created","Runtime","Sweep","batch_size","epochs","lr",\
"optimizer","output_dir","_step","train/loss","val_loss","val/accuracy"
"misty-sun-1","finished","-","ann","","2025-01-01T10:00:00.000Z","310","abc1","8","2","0.0001",\
"adam","./out/1","100","0.4","0.5","0.71"
"misty-sun-2","finished","-","ann","","2025-01-01T10:10:00.000Z","320","abc1","16","2","0.0002",\
"sgd","./out/2","100","0.3","0.4","0.73"
"misty-sun-3","crashed","-","ann","","2025-01-01T10:20:00.000Z","30","abc1","8","2","0.01",\
"adam","./out/3","7","","",""
"misty-sun-4","running","-","ann","","2025-01-01T10:30:00.000Z","12","abc1","16","2","0.0003",\
"adam","./out/4","3","0.9","","0.5"
"""
"""Runs as the web page of W&B exports them."""


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def write_csv(path, rows, delimiter=","):
    """Write dictionaries as a CSV or TSV file; None is a blank."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]), delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)
    return path


def write_json(path, rows):
    """Write dictionaries as JSON, a list or lines as the ending says."""
    if path.suffix == ".json":
        return write(path, json.dumps(rows))
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_parquet(path, rows):
    """Write dictionaries as Parquet; columns of different types as text."""
    import pyarrow
    from pyarrow import parquet

    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for name, cells in columns.items():
        kinds = {type(cell) for cell in cells if cell is not None}
        if len(kinds) > 1 and kinds != {int, float}:
            columns[name] = [None if cell is None else str(cell) for cell in cells]
        elif kinds == {int, float}:
            columns[name] = [None if cell is None else float(cell) for cell in cells]
    parquet.write_table(pyarrow.table(columns), path)
    return path


def read(path, text, **asked):
    """Write a table and read its runs."""
    return read_runs(write(path, text), ReadOptions(**asked))


def deltas(reading):
    return [result.outcome.delta_perf for result in reading.results]


def configs(reading):
    return [dict(result.run.config) for result in reading.results]


def statuses(reading):
    return [result.outcome.status for result in reading.results]
