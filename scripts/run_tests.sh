#!/usr/bin/env bash
# Runs every check by tox, which this installs into a virtual environment of its own: style, types,
# documentation, and the tests on each Python there is. Further arguments go to tox: -e py311, …
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.tox/launcher
if [ ! -x "$venv/bin/tox" ]; then
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'tox>=4.20'
fi

# Pythons that pyenv keeps are not on the path by their version: show them to tox.
discover=()
if command -v pyenv >/dev/null 2>&1; then
    for candidate in "$(pyenv root)"/versions/3.*/bin/python3.1[1-9]; do
        if [ -x "$candidate" ]; then discover+=("$candidate"); fi
    done
fi
exec "$venv/bin/tox" run ${discover[@]+--discover "${discover[@]}"} --workdir .tox "$@"
