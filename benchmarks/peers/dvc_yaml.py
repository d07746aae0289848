"""Write the fleet as ``dvc.yaml``: one stage per action, over a matrix of models and targets."""

from __future__ import annotations

from dag import rows


def text(models: int, targets: int) -> str:
    """Return ``dvc.yaml``: the stages of the first model and target, with both as variables."""
    lines = ["stages:\n"]
    for name, inputs, outputs in rows(1, 1):
        parts = name.split("/")
        own = len(parts) == 3
        axes = [f"model: [{', '.join(f'm{n:02}' for n in range(models))}]"]
        axes += [f"target: [{', '.join(f't{n:03}' for n in range(targets))}]"] if own else []
        word = f"${{item.target}}/{parts[2]}" if own else parts[1]
        command = ["sh", "body.sh", word, _open(inputs[0]), *map(_open, outputs)]
        lines += [
            f"  {parts[-1]}:\n",
            "    matrix:\n",
            *(f"      {axis}\n" for axis in axes),
            f"    cmd: {' '.join(command)}\n",
            "    deps:\n",
            *(f"    - {_open(path)}\n" for path in inputs),
            "    outs:\n",
            *(f"    - {_open(path)}\n" for path in outputs),
        ]
    return "".join(lines)


def _open(path: str) -> str:
    return path.replace("m00", "${item.model}").replace("t000", "${item.target}")
