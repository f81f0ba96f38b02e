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
exec "$venv/bin/tox" run "$@"
