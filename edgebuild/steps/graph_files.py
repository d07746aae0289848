"""Render files that depend on a model's graph: ``python -m edgebuild.steps.graph_files``.

The templates and the variables come from the plan, the nodes from the float_nodes step. docs/toolchains.md
lists what a template sees.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebuild.errors import ManifestError
from edgebuild.render import file_lookup, render_text
from edgebuild.steps._step import fail, read_json, run_step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def main(argv: Sequence[str]) -> None:
    """Read the arguments, render, and write the files."""
    parser = argparse.ArgumentParser(prog="edgebuild.steps.graph_files", description=__doc__)
    parser.add_argument("--files", required=True, help="what to render, and the plan's variables (JSON)")
    parser.add_argument("--templates", type=Path, required=True, help="folder with the templates")
    parser.add_argument(
        "--nodes", nargs=2, action="append", required=True, metavar=("ROLE", "FILE"), help="float_nodes.json"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the files")
    arguments = parser.parse_args(argv)
    document = read_json(arguments.files)
    graphs = {role: graph_variables(read_json(path)) for role, path in arguments.nodes}
    variables = document["variables"] | {"toolchain_file": file_lookup(document["uses"])}
    for file in document["files"]:
        text = (arguments.templates / file["template"]).read_text(encoding="utf-8")
        try:
            rendered = render_text(text, file["template"], variables | graphs[file["role"]])
        except ManifestError as error:
            fail(str(error).splitlines()[0], hint="mend the toolchain's template")
        place = arguments.output / file["path"]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(rendered or "\n", encoding="utf-8")
    print(f"{len(document['files'])} files for {document['name']}")


def graph_variables(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a template sees of a graph.

    Args:
        document: Content of ``float_nodes.json``.
    """
    nodes = document["nodes"]
    kept, others = [n for n in nodes if n["float"]], [n for n in nodes if not n["float"]]
    other_types = {node["type"] for node in others}
    return {
        "graph": {key: document[key] for key in ("inputs", "outputs", "groups", "nodes")},
        "float_nodes": [node["name"] for node in kept],
        "float_layers": [node["name"] for node in kept if node["layer"]],
        "float_outputs": [name for node in kept for name in node["outputs"]],
        "float_types": sorted({node["type"] for node in kept} - other_types),
        "float_modules": [node["module"] for node in kept if node["module"]],
        "quantized_nodes": [node["name"] for node in others],
        "quantized_layers": [node["name"] for node in others if node["layer"]],
    }


if __name__ == "__main__":
    run_step(main)
