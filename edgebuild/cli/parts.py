"""What the parsers of all verbs are made of."""

from __future__ import annotations

import argparse
import os
import sys

Verbs = argparse._SubParsersAction  # noqa: SLF001 - argparse gives this type no public name


def add_verb(
    verbs: Verbs[argparse.ArgumentParser], name: str, text: str, example: str
) -> argparse.ArgumentParser:
    """Add a verb whose help shows an example of it."""
    return verbs.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=formatter,
    )


def formatter(prog: str) -> argparse.HelpFormatter:
    """Return what lays help out, as wide as the terminal; argparse would load archive modules to find out."""
    columns = os.environ.get("COLUMNS", "")
    try:
        width = int(columns) if columns.isdigit() else os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        width = 0
    return argparse.RawDescriptionHelpFormatter(prog, width=(width or 80) - 2)


def number(text: str, least: int = 1) -> int:
    """Return the whole number that a text is, as argparse takes types.

    Raises:
        argparse.ArgumentTypeError: It is none, or too small.
    """
    if not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least {least}")
    return int(text)
