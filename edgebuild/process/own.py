"""Programs of ours as child processes: the variables that they need, and short ones run to their end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgebuild.process import execute

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgebuild.process.values import Captured

PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])

SECONDS = 600.0
"""How long a step outside a plan may take."""


def own_variables(folder: Path) -> dict[str, str]:
    """Return the variables that every program of ours gets, whatever else it is given.

    Args:
        folder: Where its packages may leave settings.
    """
    return {
        # Found wherever edgebuild itself was imported from, and never shadowed by a file where it works.
        "PYTHONPATH": PACKAGE_PARENT,
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_OFFLINE": "true",
        "YOLO_CONFIG_DIR": str(folder),
        "ORT_DISABLE_TELEMETRY": "1",
    }


def capture_step(
    step: str, arguments: Sequence[str], *, folder: Path, variables: Mapping[str, str] | None = None
) -> Captured:
    """Run a step outside any plan, in the caller's directory and environment.

    Args:
        step: Its name.
        arguments: Its arguments.
        folder: Where its packages may leave settings.
        variables: What else it is told.

    Raises:
        StartError: It cannot be started.
        TimeoutError: It took longer than :data:`SECONDS`; it was killed.
    """
    argv = [sys.executable, "-m", f"edgebuild.steps.{step}", *arguments]
    env = {**os.environ, **own_variables(folder), **(variables or {})}
    return execute.capture(argv, env=env, timeout=SECONDS)
