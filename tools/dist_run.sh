#!/usr/bin/env bash
# Start TOOL in PROCESSES processes under torchrun; used by dist_train.sh and dist_test.sh.
set -euo pipefail
tool=$1 processes=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
if [ "${NNODES:-1}" = 1 ] && [ -z "${MASTER_PORT:-}" ]; then
  rendezvous=(--standalone) # picks a free port by itself
else
  rendezvous=(--nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}"
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${MASTER_PORT:-29500}")
fi
exec "${PYTHON:-python}" -m torch.distributed.run "${rendezvous[@]}" --nproc_per_node "$processes" \
  "$here/$tool" "$@" --launcher pytorch
