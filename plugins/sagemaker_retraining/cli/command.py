"""How a command is added to the parser, so that all of them look alike."""

from __future__ import annotations

import argparse
from collections.abc import Callable

Commands = argparse._SubParsersAction  # what add_subparsers returns; argparse has no public name for it


def add_command(
    commands: Commands[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    summary: str,
    description: str,
    epilog: str,
) -> argparse.ArgumentParser:
    """The parser of a command; `run` gets the parsed arguments and returns the exit status."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_environment(parser: argparse.ArgumentParser) -> None:
    """The option `--env`."""
    parser.add_argument("--env", help="environment; default RETRAINING_ENV, else local")
