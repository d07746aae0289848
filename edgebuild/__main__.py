"""``python -m edgebuild``."""

from edgebuild.cli.entry import entry

entry()
