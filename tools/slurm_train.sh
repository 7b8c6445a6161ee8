#!/usr/bin/env bash
# Train under Slurm: tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of train.py]
# GPUS (4), GPUS_PER_NODE (4), CPUS_PER_TASK (8) and SRUN_ARGS set the resources.
set -euo pipefail
if [ $# -lt 3 ]; then
  echo "usage: [GPUS=4] [GPUS_PER_NODE=4] tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options]" >&2
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
  "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$@" --launcher slurm
