#!/usr/bin/env bash
# Sets up a virtual environment, installs the harness, trains the focused sweep beside its broad
# baseline and its control arms, and prints the report. Run again, it resumes what is unfinished or
# reports what is done. Further arguments go to pytest: --sweep-workers 4, --sweep-backend jax, -v, …
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

venv=${SWEEP_VENV:-.venv}
python=${PYTHON:-python3}

if [ ! -x "$venv/bin/python" ]; then
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "needs Python 3.11 or newer, not '$("$python" --version 2>&1)'; set PYTHON=/path/to/python3.11" >&2
        exit 2
    fi
    echo "making the virtual environment $venv"
    "$python" -m venv "$venv"
fi

# The CPU build of Torch, unless there is a GPU that could use the other one.
constraints=(-c constraints-cpu.txt)
if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU; then
    constraints=()
fi

# The backend that the arguments name, or the one that the harness takes by itself.
extra=torch
case " $* " in
    *" --sweep-backend jax "* | *" --sweep-backend=jax "*) extra=jax ;;
esac

stamp="$venv/.installed-$extra-$(cat pyproject.toml constraints-cpu.txt | cksum | cut -d' ' -f1)"
if [ ! -e "$stamp" ]; then
    echo "installing pytest-sweep[$extra] into $venv (a minute or two)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        ${constraints[@]+"${constraints[@]}"} -e ".[$extra]"
    touch "$stamp"
fi

exec "$venv/bin/python" -m pytest experiments/ --sweep broad,focused --sweep-fail-on failed "$@"
