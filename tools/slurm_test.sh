#!/usr/bin/env bash
# Evaluate under Slurm: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]
# GPUS (4), GPUS_PER_NODE (4), CPUS_PER_TASK (8) and SRUN_ARGS set the resources.
set -euo pipefail
if [ $# -lt 4 ]; then
  echo "usage: [GPUS=4] [GPUS_PER_NODE=4] tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options]" >&2
  exit 2
fi
partition=$1 name=$2
shift 2
gpus=${GPUS:-4} per_node=${GPUS_PER_NODE:-4}
if [ "$gpus" -lt "$per_node" ]; then per_node=$gpus; fi
export MASTER_PORT=${MASTER_PORT:-29500}
# shellcheck disable=SC2086  # SRUN_ARGS holds several words
exec srun --partition "$partition" --job-name "$name" --gres "gpu:$per_node" \
  --ntasks "$gpus" --ntasks-per-node "$per_node" --cpus-per-task "${CPUS_PER_TASK:-8}" \
  --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
  "${PYTHON:-python}" -u "$(dirname "$0")/test.py" "$@" --launcher slurm
