#!/usr/bin/env bash
# Train with several processes on one or more nodes: tools/dist_train.sh CONFIG GPUS [options of train.py]
# Several nodes: NNODES=2 NODE_RANK=0 MASTER_ADDR=host PORT=29500 tools/dist_train.sh ... on each, with
# NODE_RANK=1 on the second. One node takes a free port unless PORT is set.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: tools/dist_train.sh CONFIG GPUS [options of tools/train.py]" >&2
  exit 2
fi
exec "$(dirname "$0")/dist_run.sh" train.py "$2" "$1" "${@:3}"
