#!/usr/bin/env bash
# Runs a tool on the GPUs of one node, or of several: run it on each of them with the
# same NNODES, MASTER_ADDR and PORT and with its own NODE_RANK.
set -euo pipefail

if [ $# -lt 2 ] || ! [[ $1 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: [NNODES=2 NODE_RANK=0 MASTER_ADDR=HOST [PORT=29500]] ${USAGE:-$0 GPUS TOOL.py [arguments of the tool]}" >&2
    exit 2
fi
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "${NNODES:-1}" = 1 ]; then
    RENDEZVOUS=(--standalone --local_addr=127.0.0.1) # takes a free port
else
    RENDEZVOUS=(--nnodes="$NNODES" --master_port="${PORT:-29500}"
        --master_addr="${MASTER_ADDR:?set it to the address of node 0}"
        --node_rank="${NODE_RANK:?set it to the number of this node, from 0}")
fi
PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python}" \
    -m torch.distributed.run --nproc_per_node="$1" "${RENDEZVOUS[@]}" \
    "$TOOLS/$2" "${@:3}" --launcher pytorch
