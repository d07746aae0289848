"""Pack one target for shipping: ``python -m edgebuild.steps.package``.

The package holds nothing that changes from one measurement to the next, so that it can be rebuilt to the same
bytes: latencies and memory go into a document of their own beside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.digest import digest_file
from edgebuild.gates import METRICS
from edgebuild.package import ARTIFACT, IDENTITY, REJECTED, json_bytes, write_package
from edgebuild.steps import _on_device, _on_device_shapes
from edgebuild.steps._readme import MEMBERS, readme
from edgebuild.steps._step import fail, run_step, write_json
from edgebuild.steps.verdict import read_document, read_json_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA = 1


def main(argv: Sequence[str]) -> None:
    """Write the package and, beside it, the measurements."""
    options = _arguments(argv)
    parts = read_parts(options)
    members = {**artifact_members(options.artifact), **documents(parts)}
    for name in ("golden", "calibration", "quantize"):
        path = getattr(options, name)
        if path is not None:
            members[f"{name}{path.suffix}"] = path
    if options.files is not None:
        members |= further_members(options.files, members)
    if parts["info"].get("head", {}).get("kind", "full") != "full":
        members["decode.py"] = decode_source()
    if parts["verdict"]["status"] == "rejected":
        members[REJECTED] = rejected_text(parts["verdict"]["verdicts"]).encode()
    members["README.md"] = readme(parts, sorted({*members, "README.md", "contents.json"})).encode()
    about = {key: str(parts["spec"][key]) for key in IDENTITY} | {"status": parts["verdict"]["status"]}
    try:
        write_package(options.output, members, about=about)
    except ValueError as error:
        fail(f"{options.artifact}: {error}", hint="rename the file the compile step leaves")
    measurements = options.measurements or _beside(options.output)
    write_json(measurements, measured_document(parts["verdict"], options.output))
    print(f"{about['status']}: {options.output.name} with {len(members) + 1} files")


def read_parts(options: argparse.Namespace) -> dict[str, Any]:
    """Read the documents that describe the package: spec, tools, info, metrics and verdict.

    Raises:
        StepFailure: One is missing, damaged, or lacks what a package must say.
    """
    spec = read_json_file(options.spec)
    missing = [key for key in (*IDENTITY, "edgebuild") if not spec.get(key)]
    if missing:
        fail(f"{options.spec}: {', '.join(missing)} missing", hint="a package says what it was made for")
    info = read_json_file(options.info)
    return {
        "spec": spec | origin(options.weights, info),
        "tools": read_json_file(options.tools),
        "info": info,
        # Without a dataset nothing was validated.
        "metrics": read_document(options.metrics) if options.metrics else {},
        "verdict": read_document(options.verdict),
    }


def origin(weights: Path, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a package says of where it comes from, besides its commands.

    Args:
        weights: The trained weights that the model was made of.
        info: The model's description; the licence is what the model's metadata says.
    """
    if not weights.is_file():
        fail(f"{weights}: no such file", hint="a package names the weights that it was made of")
    sha256 = digest_file(weights).removeprefix("sha256:")
    found: dict[str, Any] = {"sources": {"weights": {"name": weights.name, "sha256": sha256}}}
    licence = {"license": info["license"]} if info.get("license") else {}
    return found | licence


def decode_source() -> bytes:
    """Return the program for the device that does what the model's head leaves to do."""
    from edgebuild.steps import _decode

    return Path(_decode.__file__).read_bytes()


def artifact_members(artifact: Path) -> dict[str, Path | bytes]:
    """Return the artifact's files by their paths inside the package.

    Raises:
        StepFailure: There is no such artifact, or it is an empty folder.
    """
    if artifact.is_file():
        return {f"{ARTIFACT}/{artifact.name}": artifact}
    files = [path for path in artifact.rglob("*") if path.is_file()] if artifact.is_dir() else []
    if not files:
        fail(f"{artifact}: no such artifact", hint="the compile step left nothing to ship")
    root = artifact.parent
    return {f"{ARTIFACT}/{path.relative_to(root).as_posix()}": path for path in files}


def further_members(folder: Path, taken: Mapping[str, Path | bytes]) -> dict[str, Path | bytes]:
    """Return a toolchain's own files by their paths inside the package, and what they import.

    Raises:
        StepFailure: A path is one of the package's own.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found: dict[str, Path | bytes] = {path.relative_to(folder).as_posix(): path for path in files}
    if any(path.endswith(".py") for path in found):
        found["device.py"] = Path(_on_device.__file__).read_bytes()
        found["shapes.py"] = Path(_on_device_shapes.__file__).read_bytes()
    clash = sorted({path for path in found if path in taken or path in MEMBERS})
    if clash:
        fail(f"{clash[0]}: every package has a file of that name", hint="rename it in package.files")
    return found


def documents(parts: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the text members, made from what other steps wrote."""
    verdict, metrics = parts["verdict"], parts["metrics"]
    accuracy = {
        "schema": SCHEMA,
        "evidence": metrics.get("evidence"),
        "protocol": metrics.get("protocol"),
        "metrics": [row for row in verdict["metrics"] if not volatile(row["name"])],
    }
    judged = {
        "schema": SCHEMA,
        "status": verdict["status"],
        "verdicts": [
            {**row, "value": None, "baseline": None, "text": ""} if volatile(row["metric"]) else row
            for row in verdict["verdicts"]
        ],
    }
    return {
        "labels.txt": "".join(f"{name}\n" for name in labels(parts["info"])).encode("utf-8"),
        "model.json": json_bytes(parts["info"]),
        "recipe.json": json_bytes(
            {"schema": SCHEMA, **parts["spec"], **{key: str(parts["spec"][key]) for key in IDENTITY}}
        ),
        "tools.json": json_bytes(parts["tools"]),
        "metrics.json": json_bytes(accuracy),
        "verdicts.json": json_bytes(judged),
    }


def volatile(name: str) -> bool:
    """Say whether a metric changes from one measurement to the next of the same bytes."""
    kind = METRICS.get(name.partition("/")[0])
    return kind is None or kind.source == "benchmark"


def labels(info: Mapping[str, Any]) -> list[str]:
    """Return the class names by class id, from a list or a mapping."""
    names = info.get("names", [])
    if isinstance(names, dict):
        names = [names[key] for key in sorted(names, key=int)]
    # One label per line is the file's whole syntax.
    return [" ".join(str(name).split()) for name in names]


def rejected_text(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of the marker file: which gates did not hold, without values that vary."""
    lines = ["This package missed its acceptance gates. Do not ship it.", ""]
    for row in verdicts:
        if row["status"] != "passed":
            said = "" if volatile(row["metric"]) else f": {row['text']}"
            lines.append(f"{row['metric']} {row['kind']} {row['limit']:g}: {row['status']}{said}")
    return "\n".join(lines) + "\n"


def measured_document(verdict: Mapping[str, Any], package: Path) -> dict[str, Any]:
    """Return what was measured and is not in the package, tied to the package by its digest."""
    return {
        "schema": SCHEMA,
        "package": package.name,
        "sha256": digest_file(package).removeprefix("sha256:"),
        "status": verdict["status"],
        "metrics": [row for row in verdict["metrics"] if volatile(row["name"])],
        "verdicts": [row for row in verdict["verdicts"] if volatile(row["metric"])],
        "benchmark": verdict.get("benchmark"),
    }


def _beside(package: Path) -> Path:
    return package.with_name(package.name.removesuffix(".tar.gz") + ".measurements.json")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="edgebuild.steps.package", description=__doc__)
    for name in ("spec", "tools", "artifact", "info", "weights", "verdict", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("metrics", "golden", "calibration", "quantize", "files", "measurements"):
        parser.add_argument(f"--{name}", type=Path)
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_step(main)
