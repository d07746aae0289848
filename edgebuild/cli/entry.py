"""Where the program starts: answer at once when nothing changed, else load the command line."""

from __future__ import annotations

import os
import sys

from edgebuild.idle import answer


def main() -> int:
    """Run the command line and return its exit code."""
    text = answer(sys.argv[1:], dict(os.environ))
    if text is not None:
        sys.stdout.write(text)
        return 0
    from edgebuild.cli.main import main as command_line  # noqa: PLC0415 - the whole point is not to load it

    return command_line()


def entry() -> None:
    """Run the command line and exit with its code."""
    sys.exit(main())
