"""What a step program and its caller agree on, besides argv and files."""

from __future__ import annotations

PROGRESS_PREFIX = "@progress "
"""A line of standard output that starts so is progress for the terminal: ``@progress 12/200 images``."""

EXIT_FAILED = 3
"""A step's input is wrong or its tool failed; the last line of standard error says what to do."""

EXIT_MISSING = 5
"""A step needs a package that is not installed."""

ERROR_PREFIX = "error: "
"""How a step's own error line starts; what follows is shown to the user as it stands."""

FINDING_PREFIX = "@finding "
"""A line of standard output that starts so is a finding: ``@finding {"id": ..., "level": ..., ...}``.

What follows is one JSON object with the strings ``id`` (a slug), ``level`` (``note``, ``warning`` or
``error``), ``message`` and ``hint``. A finding is kept with the action's result, so a cached result brings it
again; it does not make the action fail.
"""

RUNTIME_VARIABLE = "EDGEBUILD_RUNTIME"
"""Variable that tells a step of ours where a toolchain's runtime file has to run, as JSON.

It holds the ``python`` that runs it, or the command that starts one in a ``container``, and the whole ``env``
of that process. It is set when the process starts and is in no key: the environment's identity is.
"""

TRAIN_TAKEN = frozenset(
    {
        "amp", "batch", "data", "deterministic", "device", "epochs", "exist_ok", "imgsz", "mode", "model",
        "name", "plots", "project", "resume", "save", "save_dir", "seed", "task", "val",
    }
)  # fmt: skip
"""Training arguments of Ultralytics that ``train`` sets itself, so that a manifest may not."""
