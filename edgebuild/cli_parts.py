"""What the parsers of all verbs are made of."""

from __future__ import annotations

import argparse

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
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def number(text: str, least: int = 1) -> int:
    """Return the whole number that a text is, as argparse takes types.

    Raises:
        argparse.ArgumentTypeError: It is none, or too small.
    """
    if not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least {least}")
    return int(text)
