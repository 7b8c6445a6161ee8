#!/usr/bin/env bash
# Start TOOL in PROCESSES processes; used by dist_train.sh and dist_test.sh. mcltoolkit.launcher
# is torchrun with the cause of a failure on the first lines.
set -euo pipefail
tool=$1 processes=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} MKL_NUM_THREADS=${MKL_NUM_THREADS:-1}
exec "${PYTHON:-python}" -m mcltoolkit.launcher "$processes" "$here/$tool" "$@" --launcher pytorch
