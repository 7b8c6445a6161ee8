#!/usr/bin/env bash
# One command from nothing to a trained MCL-Net: makes an environment, trains on the embedded
# synthetic scenes, evaluates, and writes work_dirs/demo/report.html. Call it again to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh demo
echo "==> training MCL-Net on synthetic scenes; nothing but packages was downloaded"
exec python tools/demo.py "$@"
