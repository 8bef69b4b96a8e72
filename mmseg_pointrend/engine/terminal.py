"""What the terminal shows of a run; the log file has everything.

Of what comes before the first iteration, such as the environment, the config and the
list of hooks, the terminal shows what this package says and warnings. What libraries
say of themselves, such as that a function will be deprecated, it never shows.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

from mmengine.logging import MMLogger, print_log
from mmengine.runner import Runner

PACKAGE = str(Path(__file__).parents[1])
OF_THEMSELVES = re.compile(
    'DeprecationWarning|FutureWarning|(?:is|is a|are|be) deprecated|upcoming release|'
    'The prefix is not set in metric class|Default ``avg_non_ignore`` is False|'
    'For binary segmentation, we suggest|The draw is False, it means that|'
    'Failed to search registry with scope|'
    'Setting ..._NUM_THREADS environment variable'
)
"""Warnings that are no fault of a config or of data."""


class TerminalFilter(logging.Filter):
    """Decide what the terminal shows; ``started`` is set before the first iteration."""

    started = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a person needs a record."""
        if record.levelno >= logging.WARNING:
            return not OF_THEMSELVES.search(record.getMessage())
        return self.started or record.pathname.startswith(PACKAGE)


def filters_of(logger: logging.Logger) -> list[TerminalFilter]:
    """Find the filters between a logger and the terminal; none of a verbose run."""
    filters = [one for handler in logger.handlers for one in handler.filters]
    return [one for one in filters if isinstance(one, TerminalFilter)]


def start_showing(logger: logging.Logger) -> None:
    """Show what comes from now on, such as losses and figures."""
    for one in filters_of(logger):
        one.started = True


def log_prints(runner: Runner) -> None:
    """Log what every process prints as it loads a checkpoint."""
    load = runner.load_or_resume

    def load_or_resume() -> None:
        with redirect_stdout(StringIO()) as printed:
            load()
        if printed.getvalue():
            print_log(printed.getvalue().strip(), logger=runner.logger)

    runner.load_or_resume = load_or_resume


@contextmanager
def quiet_terminal() -> Iterator[None]:
    """Keep a filter between the terminal and the loggers that are made meanwhile.

    MMEngine's Runner makes its logger and at once writes to it.
    """
    make = MMLogger.__init__

    def make_quiet(logger: MMLogger, *args: Any, **kwargs: Any) -> None:
        make(logger, *args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(TerminalFilter())

    MMLogger.__init__ = make_quiet
    log_warnings()
    try:
        yield
    finally:
        MMLogger.__init__ = make


def log_warnings() -> None:
    """Send what libraries warn of themselves through Python to a quiet run's log."""
    show = warnings.showwarning
    if getattr(show, '__module__', None) == __name__:
        return

    def show_or_log(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = f'{filename}:{lineno}: {category.__name__}: {message}'
        logger = MMLogger.get_current_instance()
        if OF_THEMSELVES.search(text) and filters_of(logger):
            logger.warning(text)
        else:
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = show_or_log
