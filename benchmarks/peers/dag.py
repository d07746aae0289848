"""The fleet's actions as plain files and commands: what edgebuild's plan says, for the peers.

Imports nothing: peers that load this pay for nothing but the loop.
"""

from __future__ import annotations

DATA = ["data/images/val/0.png", "data/labels/val/0.txt"]


def rows(models: int, targets: int) -> list[tuple[str, list[str], list[str]]]:
    """Return (name, inputs, outputs) per action, in an order they can run in."""
    found: list[tuple[str, list[str], list[str]]] = []
    for model in range(models):
        name = f"m{model:02}"
        base = f"out/{name}"
        onnx, info = f"{base}/export/model.onnx", f"{base}/export/model.json"
        found.append((f"{name}/export", [f"weights/{name}.onnx"], [onnx, info]))
        for suffix, outputs in (
            ("baseline", ("metrics.json", "golden.npz")),
            ("pictures", ("detections.json",)),
        ):
            place = f"{base}/{suffix}"
            found.append((f"{name}/{suffix}", [onnx, info, *DATA], [f"{place}/{o}" for o in outputs]))
        for target in range(targets):
            found += _target(name, f"t{target:03}", onnx, info)
    return found


def command(row: tuple[str, list[str], list[str]], python: str = "") -> list[str]:
    """Return the command of a row: the same body that edgebuild's actions get.

    Args:
        row: One of :func:`rows`.
        python: An interpreter, for the body in Python.
    """
    name, inputs, outputs = row
    body = [python, "body.py"] if python else ["sh", "body.sh"]
    return [*body, name.partition("/")[2], inputs[0], *outputs]


def _target(name: str, target: str, onnx: str, info: str) -> list[tuple[str, list[str], list[str]]]:
    base = f"out/{name}/{target}"
    binary = f"{base}/compile/model.bin"
    metrics, golden = f"{base}/validate/metrics.json", f"{base}/validate/golden.npz"
    verdict = f"{base}/verdict/verdict.json"
    stem = f"{base}/package/{name}-{target}-0.0.0"
    return [
        (f"{name}/{target}/compile", [onnx], [binary]),
        (f"{name}/{target}/validate", [binary, info, *DATA], [metrics, golden]),
        (f"{name}/{target}/detections", [binary, info, *DATA], [f"{base}/detections/detections.json"]),
        (f"{name}/{target}/verdict", [metrics, binary], [verdict]),
        (
            f"{name}/{target}/package",
            [binary, info, metrics, golden, verdict, f"weights/{name}.onnx"],
            [f"{stem}.tar.gz", f"{stem}.measurements.json"],
        ),
    ]
