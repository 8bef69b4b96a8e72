"""What the commands of this folder share, without an import that takes time.

A command is a file with a docstring, whose first line ``pointrend --help`` shows;
``add_arguments(parser)``; ``check(parser, args)`` where arguments can contradict each
other; and ``main(args)``. It imports torch, MMEngine and the package only in its
``main``, so that ``--help`` and wrong arguments are answered at once.
"""

from __future__ import annotations

from argparse import (
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Callable


def parse(
    doc: str,
    add_arguments: Callable[[ArgumentParser], None],
    check: Callable[[ArgumentParser, Namespace], None] | None = None,
) -> Namespace:
    """Read the arguments of a command that runs as a file.

    Args:
        doc: what the command does.
        add_arguments: adds them to a parser.
        check: ends with ``parser.error`` where they contradict each other.
    """
    parser = ArgumentParser(
        description=doc, formatter_class=RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    args = parser.parse_args()
    if check:
        check(parser, args)
    return args


def key_value(text: str) -> str:
    """Refuse a word without ``=``, for which MMEngine has no sentence."""
    if '=' not in text:
        raise ArgumentTypeError(f'{text}: give key=value.')
    return text


def add_cfg_options(parser: ArgumentParser, example: str) -> None:
    """Add ``--cfg-options``, with an example to show.

    They are a list of ``key=value`` until :func:`run` makes a dictionary.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        type=key_value,
        action='extend',
        default=[],
        help=f'override config keys: {example}',
    )


def add_run_arguments(parser: ArgumentParser) -> None:
    """Add the arguments that ``tools/train.py`` and ``tools/test.py`` share."""
    parser.add_argument('--work-dir', help='where logs and checkpoints go')
    add_cfg_options(parser, 'model.pretrained=None train_cfg.max_iters=100')
    launchers = ['none', 'pytorch', 'slurm', 'mpi']
    parser.add_argument('--launcher', choices=launchers, default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def add_verbose(parser: ArgumentParser) -> None:
    """Add ``--verbose``, for ``build_runner``."""
    parser.add_argument(
        '--verbose',
        action='store_true',
        help='show the environment, the config and the initialisation, too, which '
        'otherwise go to the log file alone',
    )


def run(
    main: Callable[[Namespace], None],
    args: Namespace,
    say: Callable[[str], str] = str,
) -> None:
    """Call ``main(args)``; what a user can mend ends in one sentence and status 1.

    ``args.cfg_options``, if any, is a dictionary by then, as MMEngine reads it. ``say``
    makes of the sentence what is printed.
    """
    try:
        try:
            from mmseg_pointrend.errors import exit_with_sentence
        except ImportError as error:
            raise SystemExit(f'error: {error}') from None
        with exit_with_sentence(say):
            if hasattr(args, 'cfg_options'):
                args.cfg_options = dictionary(args.cfg_options)
            main(args)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def dictionary(options: list[str]) -> dict[str, object]:
    """Read ``key=value`` as MMEngine does.

    Raises:
        InputError: a bracket is not closed.
    """
    from mmengine.config import DictAction

    from mmseg_pointrend.errors import InputError

    read = DictAction([], 'options')
    given = Namespace(options={})
    for option in options:
        try:
            read(ArgumentParser(), given, [option])
        except AssertionError:
            raise InputError(f'--cfg-options {option}: close every bracket.') from None
    return given.options
