#!/usr/bin/env bash
# Runs every check by tox, which this installs into a virtual environment of its own: style, types,
# documentation, the sdist and the wheel, and every test, on the oldest or the newest Python. Further
# arguments go to tox: -e py312, …
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

venv=.tox/launcher
if [ ! -x "$venv/bin/tox" ]; then
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'tox>=4.40'
fi

# The tests start a PostgreSQL server of their own: on Debian root can bring the programs for it.
have() { command -v "$1" >/dev/null 2>&1 || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null; }
if ! have initdb && command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql
fi

# Pythons that pyenv keeps are not on the path by their version: show them to tox.
discover=()
if command -v pyenv >/dev/null 2>&1; then
    for candidate in "$(pyenv root)"/versions/3.*/bin/python3.1[1-9]; do
        if [ -x "$candidate" ]; then discover+=("$candidate"); fi
    done
fi
options=(${discover[@]+--discover "${discover[@]}"} --workdir .tox)
# Installing keeps one core busy: all is installed side by side, and tested one after the other, since
# some tests measure time.
if [ $# -eq 0 ]; then "$venv/bin/tox" run-parallel "${options[@]}" --notest --parallel-no-spinner; fi
exec "$venv/bin/tox" run "${options[@]}" "$@"
