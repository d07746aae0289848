from __future__ import annotations

from typing import TYPE_CHECKING

from edgebuild.document.parse import parse
from edgebuild.manifest.matrix import MAX_TARGETS, expand

if TYPE_CHECKING:
    from edgebuild.document.node import Node

FAMILY = """
matrix:
- name: "ascend-{soc}-b{batch}"
  axes: {soc: [Ascend310P3, Ascend310P1], batch: [1, 4]}
  exclude: [{soc: Ascend310P1, batch: [2, 4]}]
  target:
    toolchain: ascend
    batch: "{batch}"
    options: {soc_version: "{soc}", extra_args: ["--log={batch}", "{{soc}}", "{}"]}
targets:
  host: {toolchain: onnxruntime}
"""


def expanded(text: str) -> tuple[Node, list[str]]:
    node, problems = parse(text, file="m.yaml")
    assert problems == []
    root, wrong = expand(node)
    return root.entries.get("targets", root), [str(problem) for problem in wrong]


def test_a_family_becomes_a_target_per_combination_that_is_not_excluded() -> None:
    targets, problems = expanded(FAMILY)

    assert problems == []
    assert list(targets.entries) == [
        "host",
        "ascend-ascend310p3-b1",
        "ascend-ascend310p3-b4",
        "ascend-ascend310p1-b1",
    ]


def test_a_value_that_is_one_placeholder_keeps_its_type() -> None:
    target = expanded(FAMILY)[0].entries["ascend-ascend310p3-b4"].unwrap()

    assert target["batch"] == 4
    assert target["options"] == {"soc_version": "Ascend310P3", "extra_args": ["--log=4", "{soc}", "{}"]}


def test_a_number_is_filled_in_as_it_is_written() -> None:
    targets, _ = expanded("matrix: [{name: 'v{v}', axes: {v: [1.10]}, target: {options: {flag: 'x-{v}'}}}]")

    assert targets.unwrap() == {"v1.10": {"options": {"flag": "x-1.10"}}}


def test_expanded_values_point_at_the_template_and_the_target_at_its_family() -> None:
    target = expanded(FAMILY)[0].entries["ascend-ascend310p3-b4"]

    assert target.where.line == 3
    assert target.entries["batch"].where.line == 8


def test_too_many_combinations_are_refused_without_making_them_all() -> None:
    digits = "[" + ", ".join("0123456789") + "]"
    axes = ", ".join(f"a{n}: {digits}" for n in range(9))
    name = "".join(f"{{a{n}}}" for n in range(9))

    targets, problems = expanded(f"matrix: [{{name: '{name}', axes: {{{axes}}}, target: {{}}}}]")

    assert problems == [f"m.yaml:1:10: matrix.0: makes more than {MAX_TARGETS} targets; shorten an axis"]
    assert len(targets.entries) <= MAX_TARGETS + 1


def test_an_exclusion_by_an_unknown_axis_names_the_axis() -> None:
    _, problems = expanded(
        "matrix: [{name: 'b{batch}', axes: {batch: [1]}, exclude: [{bacth: 1}], target: {toolchain: x}}]"
    )

    assert len(problems) == 1
    assert "excludes nothing; did you mean 'batch'?" in problems[0]


def test_a_family_of_a_wrong_shape_is_left_to_the_schema() -> None:
    for family in (
        "[]",
        "1",
        "{name: a}",
        "{name: a, axes: {b: [{}]}, target: {}}",
        "{name: 1, axes: {b: [1]}}",
    ):
        targets, problems = expanded(f"matrix: [{family}]\ntargets: {{}}")
        assert (targets.unwrap(), problems) == ({}, [])


def test_without_a_matrix_nothing_changes() -> None:
    node, _ = parse("targets: {a: {}}", file="m.yaml")

    assert expand(node) == (node, [])
