#!/usr/bin/env bash
# One command from nothing to a checked working copy: makes an environment, then lint, types, tests.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh dev
echo "==> ruff"
ruff check .
ruff format --check .
echo "==> mypy"
mypy
echo "==> pytest"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec python -m pytest --numprocesses 2 "$@"
