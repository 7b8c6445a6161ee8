#!/usr/bin/env bash
# One command from nothing to a checked working copy: makes an environment, then lint, types, tests.
# Options go to pytest; with options the second pass, all packages of plugins/ installed, is left out.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh dev
echo "==> ruff"
code=(mcltoolkit plugins configs tools tests benchmarks docs setup.py)  # not what users make beside it
ruff check "${code[@]}"
ruff format --check "${code[@]}"
echo "==> mypy"
mypy
mypy plugins/*/mcltoolkit_*
echo "==> pytest"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
if [ $# -gt 0 ]; then
  exec python -m pytest --numprocesses 2 "$@"
fi
python -m pytest --numprocesses 2 --dist worksteal
# each package's conformance tests ran with that package alone (tests/integration)
echo "==> all packages of plugins/ installed: their tests, and the toolkit's where plugins come in"
python tests/plugin_environment.py .venv-plugins plugins/*/
exec .venv-plugins/bin/python -m pytest --numprocesses 2 --dist worksteal -m "not integration" \
  --ignore-glob "*/plugins/*/tests/test_conformance.py" plugins tests/models \
  tests/test_{cli,commands,configs,interfaces,plugin_packages,registry,signatures,structures}.py \
  tests/engine/test_{adjust,config,config_files,explain,provenance}.py
