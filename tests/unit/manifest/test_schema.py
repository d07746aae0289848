from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edgebuild.document.parse import parse
from edgebuild.gates import EVIDENCE, GATE_KINDS
from edgebuild.manifest.schema import SCHEMA_FILE, check, properties, schema, with_defaults

EXAMPLE = """
edgebuild: 1
name: fasteners
model: {weights: w.pt, task: detect, imgsz: 320, export: {opset: 17, simplify: true, dynamic: false}}
dataset:
  data: data/fasteners.yaml
  calibration: {split: train, images: 200, sample: stratified, seed: 0}
  validation: {split: val}
quantize: {method: minmax, per_channel: true, keep_float: [decode, last]}
acceptance:
  map50_95: {min: 0.45, max_drop: 0.02}
  latency_ms_p50: {max: 40, evidence: device}
matrix:
- name: "mlu-b{batch}"
  axes: {batch: [1, 4]}
  target: {toolchain: cambricon, batch: "{batch}"}
targets:
  rpi5: {toolchain: onnxruntime, recipe: int8, device: pi-lab, acceptance: none}
devices: {pi-lab: {ssh: pi@pi5-lab, workdir: edgebuild}}
package: {version: 1.4.0}
"""


def walk(node: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = [(path, node)] if isinstance(node, dict) else []
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [*found, *(item for key, value in entries for item in walk(value, f"{path}/{key}"))]


def test_the_schema_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(schema())


def test_it_lies_inside_the_package_so_that_it_ships() -> None:
    assert SCHEMA_FILE.parent.parent == Path(check.__code__.co_filename).parents[1]


def test_what_a_user_writes_is_valid_for_editors_too() -> None:
    node, problems = parse(EXAMPLE, file="m.yaml")

    assert problems == []
    assert check(node) == []
    assert list(Draft202012Validator(schema()).iter_errors(node.unwrap())) == []


def test_every_mapping_refuses_unknown_keys() -> None:
    free = {
        "/$defs/train/properties/args",
        "/$defs/target/properties/options",
        "/$defs/family/properties/exclude/items",
    }
    objects = {
        path: node
        for path, node in walk(schema())
        if node.get("type") == "object" or node.get("type") == ["object", "null"]
    }

    assert len(objects) > 10
    assert {path for path, node in objects.items() if "additionalProperties" not in node} - free == {
        "/$defs/family/properties/target"
    }


def test_every_default_is_valid_by_its_own_schema() -> None:
    defaults = [(path, node) for path, node in walk(schema()) if "default" in node]

    assert len(defaults) > 25
    for path, node in defaults:
        validator = Draft202012Validator({**node, "$defs": schema()["$defs"]})
        assert validator.is_valid(node["default"]), path


def test_a_family_takes_exactly_the_fields_of_a_target() -> None:
    names = properties("family")["target"]["propertyNames"]["enum"]

    assert sorted(names) == sorted(properties("target"))


def test_gates_are_those_that_can_be_judged() -> None:
    gate = properties("gate")

    assert set(gate) == {*GATE_KINDS, "evidence"}
    assert [item for item in gate["evidence"]["enum"] if item] == list(EVIDENCE)


def test_defaults_are_filled_in_where_nothing_is_written() -> None:
    node, _ = parse("{threads: 8}", file="m.yaml")

    assert with_defaults("benchmark", node) == {"threads": 8, "warmup": 10, "runs": 100}
    assert with_defaults("benchmark", None) == {"threads": 2, "warmup": 10, "runs": 100}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("package: {version: 2}", "package.version: expected string, got integer 2; quote it: '2'"),
        ("package: {version: true}", "package.version: expected string, got boolean true; quote it: 'true'"),
        ("package: {version: ~}", "package.version: expected string, got nothing"),
        ("package: {version: [1]}", "package.version: expected string, got list"),
        ("package: {version: {a: 1}}", "package.version: expected string, got mapping"),
        ("package: {version: ''}", "package.version: '' is not allowed; use letters, digits, '.', '+'"),
        ('package: {version: "1\\n"}', "package.version: '1\\n' is not allowed"),
        ("quantize: {per_channel: 'true'}", "expected boolean, got string 'true'; remove the quotes: true"),
        ("quantize: {weigth: u8}", "quantize.weigth: unknown key; did you mean 'weight'?"),
        ("quantize: {zzz: u8}", "quantize.zzz: unknown key; known: method, percentile, per_channel"),
        ("acceptance: {map50: {min: high}}", "acceptance.map50.min: expected number, got string 'high'"),
        ("acceptance: {map50: {min: true}}", "acceptance.map50.min: expected number, got boolean true"),
        ("defaults: {quantize: {method: ~}}", "defaults.quantize.method: nothing is none of minmax, entropy"),
        ("devices: {}", ""),
    ],
)  # fmt: skip
def test_errors_are_words_about_the_value(line: str, expected: str) -> None:
    node, _ = parse(
        EXAMPLE.replace("package: {version: 1.4.0}", "").replace("quantize: {m", "x: {m"), file="m.yaml"
    )
    extra, _ = parse(line, file="m.yaml")
    entries = {key: value for key, value in node.entries.items() if key != "x"} | dict(extra.entries)
    found = [str(problem) for problem in check(type(node)(value=entries, place=node.place))]

    assert len(found) == (1 if expected else 0)
    assert all(expected in problem for problem in found)


def test_the_file_is_plain_json() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))["$schema"].endswith("2020-12/schema")


def test_the_manifests_in_the_documentation_are_valid() -> None:
    text = (SCHEMA_FILE.parents[2] / "docs/manifest.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in text.split("```yaml\n")[1:]]
    manifests = [block for block in blocks if block.startswith("edgebuild: 1")]

    assert len(manifests) >= 3
    for manifest in manifests:
        node, problems = parse(manifest, file="docs/manifest.md")
        assert problems == []
        assert check(node) == []


def test_the_documentation_names_every_field_with_its_default() -> None:
    text = (SCHEMA_FILE.parents[2] / "docs/manifest.md").read_text(encoding="utf-8")
    rows = [(row.split("|")[1], row) for row in text.splitlines() if row.startswith("| `")]

    for definition in [
        "model",
        "train",
        "export",
        "calibration",
        "validation",
        "quantize",
        "benchmark",
        "target",
        "device",
        "package",
    ]:
        for name, entry in properties(definition).items():
            found = [row for cell, row in rows if f"{name}`" in cell or f"`{name}." in cell]
            assert found, f"{definition}.{name} is not documented"
            default = entry.get("default")
            shown = ", ".join(default) if isinstance(default, list) else json.dumps(default).strip('"')
            assert default is None or any(shown in row for row in found), f"{definition}.{name}: {shown}"
