"""torchrun, whose last words are a sentence; torchrun.sh calls it.

When a process dies, torchrun stops the others.
"""

from __future__ import annotations

import signal
import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

if __name__ == '__main__':
    try:
        main()
    except ChildFailedError as error:
        died = [
            f'process {rank} (pid {failure.pid}) '
            + (
                f'was killed by {failure.signal_name()}'
                if failure.exitcode < 0
                else f'ended with status {failure.exitcode}'
            )
            for rank, failure in sorted(error.failures.items())
            if failure.exitcode != -signal.SIGTERM
        ]
        print(
            f'error: {" and ".join(died) or "every process was terminated"}, so the '
            'job was stopped: what it said is above; a training goes on with --resume.',
            file=sys.stderr,
        )
        raise SystemExit(1) from None
