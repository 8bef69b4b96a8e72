#!/usr/bin/env bash
# Trains on several GPUs; see torchrun.sh for several nodes.
USAGE="$0 CONFIG GPUS [arguments of train.py]" \
    exec "$(dirname "$0")/torchrun.sh" "${2:-}" train.py "${1:-}" "${@:3}"
