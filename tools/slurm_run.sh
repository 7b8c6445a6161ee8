#!/usr/bin/env bash
# Start TOOL with srun; used by slurm_train.sh and slurm_test.sh: slurm_run.sh TOOL PARTITION JOB_NAME ...
# GPUS (4), GPUS_PER_NODE (4), CPUS_PER_TASK (8) and SRUN_ARGS set the resources; PORT the port where
# the ranks meet, which else follows from the job's number.
# srun passes SIGTERM and SIGUSR1 on to the ranks, which save and stop; SRUN_ARGS=--signal=USR1@120 has
# Slurm send it 120 s before the time is up.
set -euo pipefail
tool=$1 partition=$2 name=$3
shift 3
gpus=${GPUS:-4} per_node=${GPUS_PER_NODE:-4}
if [ "$gpus" -lt "$per_node" ]; then per_node=$gpus; fi
if [ -n "${PORT:-}" ]; then export MASTER_PORT=$PORT; fi
# shellcheck disable=SC2086  # SRUN_ARGS holds several words
exec srun --partition "$partition" --job-name "$name" --gres "gpu:$per_node" \
  --ntasks "$gpus" --ntasks-per-node "$per_node" --cpus-per-task "${CPUS_PER_TASK:-8}" \
  --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
  "${PYTHON:-python}" -u "$(dirname "$0")/$tool" "$@" --launcher slurm
