from __future__ import annotations

import pytest

from edgebuild.toolchain.environment import Environment, Group, parse_requirements


def test_requirements_are_resolved_together_and_those_without_dependencies_come_last() -> None:
    text = """
    # what the compiler needs
    acme-compiler==2.3.2 --no-deps   # its metadata demand an older torch
    numpy<=1.26.4
    onnx[reference] >= 1.15, < 1.19 ; python_version < "3.13"
    """
    groups, faults = parse_requirements(text)
    assert faults == ()
    assert groups == (
        Group(lines=("numpy<=1.26.4", 'onnx[reference] >= 1.15, < 1.19 ; python_version < "3.13"')),
        Group(lines=("acme-compiler==2.3.2",), no_deps=True),
    )


def test_no_deps_on_a_line_of_its_own_holds_for_the_rest() -> None:
    groups, _ = parse_requirements("a==1\n--no-deps\nb==2\nc~=3.1\n")
    assert groups == (Group(lines=("a==1",)), Group(lines=("b==2", "c~=3.1"), no_deps=True))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("onnx", "names no version"),
        ("--index-url https://example.invalid", "'--index-url' has no place here"),
        ("-r other.txt", "'-r' has no place here"),
        ("onnx @ https://example.invalid/onnx.whl", "is not a requirement"),
        ("./wheels/onnx.whl", "is not a requirement"),
        ("onnx==1.18.0; rm -rf /\n$(x)", "is not a requirement"),
    ],
)
def test_what_is_no_plain_requirement_is_refused_with_its_line(line: str, said: str) -> None:
    _, faults = parse_requirements(f"numpy==2.0\n{line}\n")
    assert [said in message for _, message in faults] == [True]
    assert faults[0][0] >= 2


def test_a_file_without_requirements_is_refused() -> None:
    assert parse_requirements("# nothing\n") == ((), ((0, "names no requirement"),))


def test_an_environment_is_named_by_its_requirements_and_its_python() -> None:
    one = Environment(requirements=(Group(lines=("a==1",)),))
    assert one.digest("3.11") == Environment(requirements=(Group(lines=("a==1",)),), python=">=3.9").digest(
        "3.11"
    )
    others = {
        one.digest("3.12"),
        Environment(requirements=(Group(lines=("a==2",)),)).digest("3.11"),
        Environment(requirements=(Group(lines=("a==1",), no_deps=True),)).digest("3.11"),
    }
    assert len(others) == 3
    assert one.digest("3.11") not in others


def test_an_environment_of_its_own_is_one_of_three() -> None:
    assert not Environment(locate=("ACME_HOME",)).own
    assert Environment(requirements=(Group(lines=("a==1",)),)).own
    assert Environment(activate=("/opt/acme/set_env.sh",)).own
    assert Environment(image="acme:1").own
