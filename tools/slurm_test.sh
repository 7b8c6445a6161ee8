#!/usr/bin/env bash
# Evaluate under Slurm: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]
# GPUS (4), GPUS_PER_NODE (4), CPUS_PER_TASK (8) and SRUN_ARGS set the resources.
set -euo pipefail
if [ $# -lt 4 ]; then
  echo "usage: [GPUS=4] [GPUS_PER_NODE=4] tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options]" >&2
  exit 2
fi
exec "$(dirname "$0")/slurm_run.sh" test.py "$@"
