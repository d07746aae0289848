"""How close to now a timestamp may repeat for a second write. Imports nothing: the quick answer uses it."""

GRAIN_NS = 20_000_000
"""Kernel ticks are 1 to 10 ms; a file written this shortly ago could be written again and look the same."""

COARSE_NS = 2_000_000_000
"""The same where a filesystem keeps whole seconds only."""


def grain(mtime: int, ctime: int) -> int:
    """Return how old a file has to be before its times prove anything, in nanoseconds.

    Args:
        mtime: When it was written, nanoseconds.
        ctime: When its inode changed, nanoseconds.
    """
    return COARSE_NS if mtime % 1_000_000_000 == 0 and ctime % 1_000_000_000 == 0 else GRAIN_NS
