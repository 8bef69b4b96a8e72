#!/usr/bin/env bash
# Runs a tool on the GPUs of one node, or of several: run it on each of them with the
# same NNODES, MASTER_ADDR and PORT and with its own NODE_RANK.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: [NNODES=2 NODE_RANK=0 MASTER_ADDR=HOST [PORT=29500]] $0 GPUS TOOL.py [arguments of the tool]" >&2
    exit 2
fi
GPUS=$1
TOOL=$2
shift 2
if ! [[ $GPUS =~ ^[1-9][0-9]*$ ]]; then
    echo "error: GPUS=$GPUS: give the number of processes of a node, as in 4." >&2
    exit 2
fi

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
    exec "${PYTHON:-$(command -v python || command -v python3)}" "$TOOLS/torchrun.py" \
    --nnodes="$NNODES" --nproc_per_node="$GPUS" "${RENDEZVOUS[@]}" \
    "$TOOLS/$TOOL" "$@" --launcher pytorch
