"""Documents that steps left for the report, which shows what there is even when something went wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def read_document(path: Path | None, *, rows: str = "") -> dict[str, Any]:
    """Return a JSON document; empty when it is absent or not one.

    Args:
        path: Where it lies, if there is one.
        rows: Key whose value has to be a list.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError):
        return {}
    sound = isinstance(document, dict) and (not rows or isinstance(document.get(rows), list))
    return document if sound else {}
