"""Worker processes: what they return, and how they fail."""

from __future__ import annotations

import os
import threading
from functools import partial

import pytest

from mmseg_pointrend.datasets.preparation.workers import run_in_workers
from mmseg_pointrend.errors import InputError

run = partial(run_in_workers, workers=2, description='numbers')


def test_results_come_in_order():
    assert run(int, ['3', '1', '2']) == [3, 1, 2]


def test_a_failure_is_raised_and_leaves_no_thread_behind():
    before = threading.enumerate()
    with pytest.raises(ValueError, match='invalid literal') as caught:
        run(int, ['1', 'x'])
    # The traceback keeps the frames alive, and with them what they did not end.
    assert caught.tb is not None
    assert threading.enumerate() == before


def test_a_killed_worker_is_named():
    with pytest.raises(InputError, match=r'a worker .* killed, .* fewer --workers th'):
        run(os._exit, [1])


def test_workers_below_one_are_refused():
    with pytest.raises(InputError, match='workers is 0: give 1'):
        run(int, ['1'], workers=0)
