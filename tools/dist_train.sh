#!/usr/bin/env bash
# Trains on several GPUs; see torchrun.sh for several nodes.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: [NNODES=2 NODE_RANK=0 MASTER_ADDR=HOST [PORT=29500]] $0 CONFIG GPUS [arguments of train.py]" >&2
    exit 2
fi
exec "$(dirname "${BASH_SOURCE[0]}")/torchrun.sh" "$2" train.py "$1" "${@:3}"
