"""The fleet as plain doit tasks; BENCH_MODELS and BENCH_TARGETS say how large."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

from dag import command, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

DOIT_CONFIG = {
    "backend": os.environ.get("BENCH_BACKEND", "json"),
    "dep_file": f".doit.{os.environ.get('BENCH_BACKEND', 'json')}",
    "verbosity": 0,
}


def task_build() -> Iterator[dict[str, Any]]:
    """Yield one task per action."""
    for row in rows(int(os.environ["BENCH_MODELS"]), int(os.environ["BENCH_TARGETS"])):
        body = command(row, os.environ.get("BENCH_PYTHON", ""))
        yield {"name": row[0], "actions": [body], "file_dep": row[1], "targets": row[2]}
