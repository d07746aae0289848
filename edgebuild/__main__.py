"""``python -m edgebuild``."""

from edgebuild.cli import entry

entry()
