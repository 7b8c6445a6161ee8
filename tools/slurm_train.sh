#!/usr/bin/env bash
# Train under Slurm: tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of train.py]
# GPUS (4), GPUS_PER_NODE (4), CPUS_PER_TASK (8) and SRUN_ARGS set the resources.
set -euo pipefail
if [ $# -lt 3 ]; then
  echo "usage: [GPUS=4] [GPUS_PER_NODE=4] tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options]" >&2
  exit 2
fi
exec "$(dirname "$0")/slurm_run.sh" train.py "$@"
