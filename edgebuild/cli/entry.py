"""Where the program starts: answer at once when nothing changed, else load the command line."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line and return its exit code."""
    from edgebuild.idle import answer  # noqa: PLC0415 - Ctrl-C may come at any moment

    text = answer(sys.argv[1:], dict(os.environ))
    if text is not None:
        sys.stdout.write(text)
        return 0
    from edgebuild.cli.main import main as command_line  # noqa: PLC0415 - the whole point is not to load it

    return command_line()


def entry() -> None:
    """Run the command line and exit with its code."""
    try:
        sys.exit(_entry())
    except KeyboardInterrupt:
        sys.exit(130)


def _entry() -> int:
    from edgebuild.cli import streams  # noqa: PLC0415 - as above

    streams.mend()
    try:
        code = main()
    except SystemExit as asked:  # argparse, after `--help` or a mistake
        code = asked.code if isinstance(asked.code, int) else 0
    except streams.LostOutputError as error:
        return streams.lost(error)
    return streams.finish(code)
