"""``python -m edgebuild``."""

from edgebuild.entry import entry

entry()
