"""``edgebuild``, and then on standard error how often weights were opened and how many bytes were read."""

from __future__ import annotations

import sys
from pathlib import Path

opened = 0


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    global opened  # noqa: PLW0603 - an audit hook has nowhere else to count
    if event == "open" and "/weights/" in str(arguments[0]):
        opened += 1


if __name__ == "__main__":
    sys.addaudithook(_watch)
    from edgebuild.cli.entry import main

    code = main()
    io = dict(line.split(": ") for line in Path("/proc/self/io").read_text(encoding="utf-8").splitlines())
    print(opened, io["rchar"], file=sys.stderr)
    sys.exit(code)
