"""Sizes and spans of time as people write them: ``20GB``, ``512MiB``, ``30d``, ``12h``."""

from __future__ import annotations

import re

SIZES = {
    "": 1,
    "b": 1,
    **{unit: 1000 ** (index + 1) for index, unit in enumerate(("k", "m", "g", "t"))},
    **{unit: 1000 ** (index + 1) for index, unit in enumerate(("kb", "mb", "gb", "tb"))},
    **{unit: 1024 ** (index + 1) for index, unit in enumerate(("kib", "mib", "gib", "tib"))},
}
"""Bytes per unit, lower-case. As disks are sold: ``GB`` is a thousand million bytes, ``GiB`` is 2**30."""

SPANS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
"""Seconds per unit."""

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def parse_size(text: str) -> int:
    """Return the bytes that a text such as ``20GB`` means.

    Raises:
        ValueError: It means none; the message says what does.
    """
    found = _parse(text, SIZES)
    if found is None:
        raise ValueError(f"{text!r} is not a size, such as 20GB, 512MiB or 1000000")
    return int(found)


def parse_span(text: str) -> float:
    """Return the seconds that a text such as ``30d`` means.

    Raises:
        ValueError: It means none; the message says what does.
    """
    found = _parse(text, SPANS)
    if found is None:
        raise ValueError(f"{text!r} is not a span of time, such as 30d, 12h, 2w or 90min")
    return found


def size_text(size: int) -> str:
    """Return a size in three or four digits: ``999 B``, ``12.3 MB``, ``1234.5 TB``."""
    if size < 1000:
        return f"{size} B"
    amount = size / 1000
    for unit in ("kB", "MB", "GB"):
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def span_text(seconds: float) -> str:
    """Return a span in its largest whole unit: ``0 s``, ``59 min``, ``47 h``, ``12 d``."""
    if seconds < 60:
        return f"{max(seconds, 0):.0f} s"
    for limit, length, unit in ((7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds // 86400)} d"


def counted(number: int, word: str) -> str:
    """Return a number with its word: ``1 record``, ``2 records``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _parse(text: str, units: dict[str, int]) -> float | None:
    match = _AMOUNT.fullmatch(text.strip())
    if match is None or match[2].lower() not in units:
        return None
    return float(match[1]) * units[match[2].lower()]
