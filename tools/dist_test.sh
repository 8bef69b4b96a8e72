#!/usr/bin/env bash
# Tests on several GPUs; see torchrun.sh for several nodes.
USAGE="$0 CONFIG CHECKPOINT GPUS [arguments of test.py]" \
    exec "$(dirname "$0")/torchrun.sh" "${3:-}" test.py "${1:-}" "${2:-}" "${@:4}"
