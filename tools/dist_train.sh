#!/usr/bin/env bash
# Train with several processes on one or more nodes: tools/dist_train.sh CONFIG GPUS [options of train.py]
# Several nodes: NNODES=2 NODE_RANK=0 MASTER_ADDR=host MASTER_PORT=29500 tools/dist_train.sh ... on each.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: tools/dist_train.sh CONFIG GPUS [options of tools/train.py]" >&2
  exit 2
fi
exec "$(dirname "$0")/dist_run.sh" train.py "$2" "$1" "${@:3}"
