#!/usr/bin/env bash
# Tests a checkpoint on the GPUs of one node, or of several: run it on each of them
# with the same NNODES, MASTER_ADDR and PORT and with its own NODE_RANK.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: [NNODES=2 NODE_RANK=0 MASTER_ADDR=HOST [PORT=29500]] $0 CONFIG CHECKPOINT GPUS [arguments of test.py]" >&2
    exit 2
fi
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
shift 3

TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
NNODES=${NNODES:-1}
if [ "$NNODES" != 1 ]; then
    : "${MASTER_ADDR:?with NNODES=$NNODES set it to the address of node 0}"
    : "${NODE_RANK:?with NNODES=$NNODES set it to the number of this node, from 0}"
    RENDEZVOUS=(--node_rank="$NODE_RANK" --master_addr="$MASTER_ADDR"
        --master_port="${PORT:-29500}")
elif [ -n "${PORT:-}" ]; then
    RENDEZVOUS=(--master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="$PORT")
else
    RENDEZVOUS=(--standalone --local_addr=127.0.0.1) # takes a free port
fi

PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" \
    exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="$NNODES" --nproc_per_node="$GPUS" "${RENDEZVOUS[@]}" \
    "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "$@"
