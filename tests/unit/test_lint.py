from __future__ import annotations

from typing import Any

import pytest

from edgebuild.lint import command_problems, path_problems, programs, text_problems
from edgebuild.template import PACKAGE_VARIABLES, VARIABLES


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("tool '{{ target }}'", ":1:6: quotes and backslashes do not belong"),
        ('tool\n  "{{ target }}"', ":2:3: quotes and backslashes do not belong"),
        ("tool \\\n --x", ":1:6: quotes and backslashes"),
        ("tool {{ target }}\n\n --x\n\n --y=$X", ":5:6: no shell reads the command: '$'"),
        ("tool\n{%- if target %} --y='x'{% endif %}", ":2:22: quotes and backslashes"),
        ("tool\r\n--y='x'", ":2:5: quotes and backslashes"),
        ("tool\n  # the model\n  {{ inputs.model }}", ":2:3: no shell reads the command: what follows '#'"),
        ("# first\ntool", ":1:1: no shell reads the command: what follows '#'"),
        ("tool {% set x = 1 %}", ":1:9: the tag 'set' is not allowed"),
        ("tool {% macro m() %}{% endmacro %}", "the tag 'macro' is not allowed"),
        ("tool\n{% include 'x' %}", ":2:4: the tag 'include' is not allowed"),
        ("tool > log", "no shell reads the command: '>'"),
        ("tool $HOME; x", "no shell reads the command: '$;'"),
        ("tool {{ optoins.x }}", ":1:9: there is no variable 'optoins', did you mean 'options'?"),
        ("tool {{ target | stm }}", ":1:18: there is no filter 'stm', did you mean 'stem'?"),
        ("tool {% if target %}", ":1: "),
    ],
)
def test_the_linter_finds(template: str, message: str) -> None:
    found = [str(problem) for problem in command_problems(template, "acme/x.cmd.j2")]
    assert found
    assert all(line.startswith("acme/x.cmd.j2:") for line in found)
    assert any(message in line for line in found), found


def test_a_fault_is_said_once() -> None:
    found = command_problems("tool\n --a\n --b='x' 'y'\n {{ target }}", "t")
    assert [(one.line, one.column) for one in found] == [(3, 6)]


def test_the_linter_has_nothing_against_plain_commands() -> None:
    template = (
        "{# it's a comment: $x > y #}\ntool {% for x in extra_args %}--x={{ x | default('a b') }}{% endfor %}"
    )
    assert command_problems(template, "t") == ()


def test_files_may_hold_quotes_but_no_unknown_variables() -> None:
    assert text_problems('a: "{{ target }}"', "t") == ()
    (problem,) = text_problems("a:\n{{ tarjet }}", "t")
    assert str(problem) == "t:2:4: there is no variable 'tarjet', did you mean 'target'?"


@pytest.mark.parametrize("tag", ["include", "import", "extends", "from"])
def test_a_file_stands_by_itself(tag: str) -> None:
    more = {"import": " as x", "from": " import x"}.get(tag, "")
    (problem,) = text_problems(f"a\n {{% {tag} 'other.j2'{more} %}}", "t")
    assert str(problem) == f"t:2:5: the tag {tag!r} is not allowed: a template stands by itself"


def test_what_a_package_does_not_have_is_said() -> None:
    (problem,) = text_problems("{{ inputs.model }}", "t", PACKAGE_VARIABLES)
    assert str(problem).startswith("t:1:4: a package's template has no 'inputs' (there are artifact, batch,")
    (problem,) = text_problems("{{ float_nodes | json }}", "t", VARIABLES)
    assert "a step's template has no 'float_nodes'" in str(problem)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{# a #}\n  cxc --a", [("cxc", 2, 3)]),
        ("cxc", [("cxc", 1, 1)]),
        ("{{ toolchain_file('x') }} cxc", []),
        ("cxc{{ batch }} --a", []),
        ("{# a #}\n{% if batch %}python x{% endif %}\n cxc", [("python", 2, 15), ("cxc", 3, 2)]),
        ("{% if batch %}python {% elif true %} a {% else %}b {% endif %} cxc", ["python", "a", "b"]),
        ("{% for x in extra_args %}{{ x }}{% endfor %} cxc", [("cxc", 1, 46)]),
    ],
)
def test_the_words_that_a_command_begins_with_are_found(template: str, words: list[Any]) -> None:
    assert [
        found if isinstance(word, tuple) else found[0]
        for word, found in zip(words, programs(template), strict=True)
    ] == words


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("tool --x=/opt/x", "/opt/x"),
        ("tool /opt/x", "/opt/x"),
        ("tool {{ inputs.model }}/x", ""),
        ("tool --url=https://x a/b /dev/null --x=/dev/shm", ""),
        ("tool {% if true %}--x{% endif %} /y", "/y"),
    ],
)
def test_absolute_paths_are_found(line: str, path: str) -> None:
    found = path_problems(line, "t")
    assert [one.column for one in found] == ([line.index(path) + 1] if path else [])
    assert all(f"the absolute path {path!r}" in one.message for one in found)
