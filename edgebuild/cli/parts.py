"""What the parsers of all verbs are made of."""

from __future__ import annotations

import argparse
import os
import sys

TYPE_CHECKING = False  # as in edgebuild.cli.main

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

Verbs = argparse._SubParsersAction  # noqa: SLF001 - argparse gives this type no public name


class MistakeError(Exception):
    """The words of a command line make no sense; the usage has been shown."""


class Parser(argparse.ArgumentParser):
    """A parser that leaves to others what comes of a mistake."""

    def error(self, message: str) -> NoReturn:
        """Show the usage and what is wrong.

        Raises:
            MistakeError: Always.
        """
        self.print_usage(sys.stderr)
        sys.stderr.write(f"{self.prog}: error: {message}\n")
        raise MistakeError(message)


SELECTOR_HELP = "what to do: a target, target/step, a step, a glob, tag:NAME; everything when left out"


def add_verb(
    verbs: Verbs[argparse.ArgumentParser],
    name: str,
    text: str,
    example: str,
    verb: Callable[[argparse.Namespace], int] | None = None,
) -> argparse.ArgumentParser:
    """Add a verb whose help shows an example of it, with what it calls, where that is known already."""
    parser = verbs.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=formatter,
    )
    if verb:
        parser.set_defaults(verb=verb)
    return parser


def add_manifest(parser: argparse.ArgumentParser, *, words: bool = True) -> None:
    """Add the manifest, what of it is meant, and what changes it."""
    parser.add_argument("manifest", metavar="MANIFEST", help="the manifest, such as manifest.yaml")
    if words:
        # With a default, or argparse says of a missing manifest that this is required too.
        parser.add_argument("words", metavar="SELECT", nargs="*", default=[], help=SELECTOR_HELP)
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="PATH=VALUE",
        action="append",
        default=[],
        help="override a manifest value, such as targets.rpi5.batch=4; it is part of the plan",
    )
    parser.add_argument(
        "--templates",
        metavar="DIR",
        action="append",
        default=[],
        help="a folder of toolchains, searched before the project's own and the bundled ones",
    )


def add_remote(parser: argparse.ArgumentParser) -> None:
    """Add the address of a remote cache."""
    text = "a cache shared with other machines (EDGEBUILD_REMOTE)"
    parser.add_argument("--remote", default="", metavar="URL", help=text)


def common(options: argparse.Namespace) -> dict[str, object]:
    """Return what :func:`add_manifest` took, by the names that the options of verbs have."""
    found: dict[str, object] = {
        "manifest": options.manifest,
        "overrides": tuple(options.overrides),
        "templates": tuple(options.templates),
    }
    return found | ({"words": tuple(options.words)} if "words" in options else {})


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
