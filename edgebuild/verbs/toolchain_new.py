"""``edgebuild toolchain new``: a folder that passes all checks, to be edited into a vendor's."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from edgebuild.errors import StoreError, UsageError
from edgebuild.toolchain.load import load_toolchain
from edgebuild.toolchain.where import place_of, search_folders

TOOLCHAIN = """\
# docs/toolchains.md explains every key. What is said here has to be true of the vendor's documentation: list
# its real values, so that a wrong one is refused before anything runs.
toolchain: 1
title: NAME compiler
links:
  - https://example.com/NAME

tools:
  NAME:
    executable: NAME
    version: {command: ["--version"], regex: '(\\d+\\.\\d+(?:\\.\\d+)*)'}
    supported: ">=1.0,<2"
    get: Say here in a sentence how to get it.

# Where the tools live, when not on PATH (docs/environments.md): requirements, activate or image.
environment: {pass: []}

options:
  chip:
    type: string
    enum: [a1, a2]
    default: a1
    description: The chip.

limits:
  opset: [11, 17]
  dynamic: false

calibration: {format: npy, minimum: 1, useful_maximum: 200}

recipes:
  fp16:
    title: Floating point
    default: true
    precision: fp16
    steps:
      - step: compile
        inputs: {model: onnx}
    artifact: compile.model
    # The artifact cannot be run here: the float ONNX stands in. A runtime is better: docs/environments.md.
    evaluate: {artifact: onnx, evidence: proxy}
    benchmark: none

steps:
  compile:
    command: compile.cmd.j2
    tools: [NAME]
    outputs:
      model: {path: model.bin}
    # Exit code 0 alone proves nothing: what does the tool print when it is done, and when it failed?
    success: {log_lacks: ['(?i)\\berror\\b']}
    timeout: 3600

findings:
  - {pattern: '(?i)fall(s|ing)? back to (the )?cpu', id: cpu-fallback, level: warning, hint: What to do.}
"""

COMMAND = """\
NAME
  --model={{ inputs.model }}
  --chip={{ options.chip }}
  --shape={{ input_shape | join('x') }}
  --output={{ outputs.model }}
  {{ extra_args }}
"""

README = """\
# NAME

What it makes, from what, and for which chips.

| Recipe | What it does |
|---|---|
| `fp16` | floating point |

## Next steps

1. Fill in `toolchain.yaml` and `compile.cmd.j2` from the vendor's documentation. In this folder,
   `edgebuild toolchain show NAME --templates ..` checks it and shows what it says.
2. `edgebuild toolchain test NAME --templates .. --recipe all` compiles a small model with the real tool.
3. Write `toolchain: NAME` in a target, and `edgebuild run MANIFEST --templates FOLDER`. In
   `templates/` beside the manifest it is found without.
4. With a board: write rules for what its tools print (`device`), and try them on a log with
   `edgebuild toolchain parse NAME TOOL LOG`.

Then take this section out.

## What was run, and what was only checked

Nothing was run yet. `edgebuild toolchain test NAME` compiles a small model with the real tool.

## Options

| Option | Values | Default | Meaning |
|---|---|---|---|
| `chip` | `a1`, `a2` | `a1` | The chip. |

## Limits

What the compiler cannot take, and what is not known.

## Sources

Every flag, value, output and message in `toolchain.yaml` and `compile.cmd.j2`, with where the vendor says so.
"""


def new(name: str, templates: str) -> int:
    """Write the folder and check it as it would be checked when it is used.

    Raises:
        UsageError: The name cannot be one, or the folder is there.
        StoreError: The folder cannot be written.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise UsageError(
            f"{name!r} cannot be a toolchain's name", hint="lower-case letters, digits, '_' and '-'"
        )
    folder = Path(templates) / name
    hidden = place_of(name, search_folders(Path.cwd()))
    if folder.exists():
        raise UsageError(f"{folder} is there already", hint="take another name, or edit what is there")
    files = {"toolchain.yaml": TOOLCHAIN, "compile.cmd.j2": COMMAND, "README.md": README}
    try:
        folder.mkdir(parents=True)
        for file, text in files.items():
            (folder / file).write_text(text.replace("NAME", name), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror}") from error
    load_toolchain(name, (Path(templates),))
    if hidden:
        text = f"there is a toolchain {name} already, {hidden}: where this one is found, that one is not used"
        print(f"edgebuild: warning: {text}", file=sys.stderr)
    print(f"wrote {folder}: {', '.join(files)}")
    print(f"next: edit them, then `edgebuild toolchain test {name} --templates {templates}`")
    return 0
