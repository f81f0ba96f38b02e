"""A fake nvidia-smi, of a machine with two GPUs unless told otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

TWO = """\
0, GPU-aaaa1111-2222, NVIDIA H100 80GB HBM3, 81559 MiB
1, GPU-bbbb1111-2222, NVIDIA GB10, [N/A]
"""
TWO_LISTED = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa1111-2222)
GPU 1: NVIDIA GB10 (UUID: GPU-bbbb1111-2222)
"""
CUT_UP = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa1111-2222)
  MIG 3g.40gb     Device  0: (UUID: MIG-cccc-1)
  MIG 1g.10gb     Device  1: (UUID: MIG-dddd-2)
GPU 1: NVIDIA GB10 (UUID: GPU-bbbb1111-2222)
"""

PROGRAM = """\
#!{python}
import sys

known = {{
    ("--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader"): {query!r},
    ("--list-gpus",): {listing!r},
}}
print(known[tuple(sys.argv[1:])], end="")
sys.exit({code})
"""


def write_smi(folder: Path, query=TWO, listing=TWO_LISTED, code=0) -> Path:
    """Put an nvidia-smi into ``folder``, for the path, and return the folder."""
    folder.mkdir(exist_ok=True)
    program = folder / "nvidia-smi"
    program.write_text(
        PROGRAM.format(python=sys.executable, query=query, listing=listing, code=code)
    )
    program.chmod(0o755)
    return folder
