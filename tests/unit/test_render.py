from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebuild.errors import ManifestError
from edgebuild.lint import command_problems, path_problems, programs, text_problems
from edgebuild.render import file_lookup, render_argv, render_text
from edgebuild.template import PACKAGE_VARIABLES, VARIABLES

WORDS = st.text().filter(lambda text: "\0" not in text)


def refused(template: str, **variables: Any) -> str:
    with pytest.raises(ManifestError) as caught:
        render_argv(template, "acme/compile.cmd.j2", variables)
    return str(caught.value)


@settings(deadline=None)
@given(WORDS)
def test_any_string_is_exactly_one_word(value: str) -> None:
    argv = render_argv("tool {{ target }} --a={{ target }} {{ target }}:{{ target }}", "t", {"target": value})
    assert argv == ("tool", value, f"--a={value}", f"{value}:{value}")


@settings(deadline=None)
@given(st.lists(WORDS))
def test_a_list_is_one_word_per_item(values: list[str]) -> None:
    assert render_argv("tool {{ extra_args }}", "t", {"extra_args": values}) == ("tool", *values)
    assert render_argv("tool {{ extra_args | join(';') }}", "t", {"extra_args": values}) == (
        "tool",
        ";".join(values),
    )


def test_nothing_in_a_value_reaches_a_shell() -> None:
    value = "; rm -rf $HOME `id` \n' \" \\ | > x"
    assert render_argv("tool --x={{ options.x }}", "t", {"options": {"x": value}}) == ("tool", f"--x={value}")


def test_a_command_may_span_lines_and_tags_do_not_glue_words() -> None:
    template = (
        "tool\n  {% if batch > 1 %}--many{% endif %}\n  {% if batch %}--some{% endif %}\n  --n={{ batch }}\n"
    )
    assert render_argv(template, "t", {"batch": 4}) == ("tool", "--many", "--some", "--n=4")
    assert render_argv(template, "t", {"batch": 1}) == ("tool", "--some", "--n=1")


def test_numbers_are_written_as_python_writes_them() -> None:
    assert render_argv("t {{ batch }} {{ model.r }}", "t", {"batch": 8, "model": {"r": 0.5}}) == (
        "t",
        "8",
        "0.5",
    )


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("atc\n--soc={{ options.soc_versoin }}", "compile.cmd.j2:2:18: there is no value 'soc_versoin'"),
        ("atc {{ options.soc_versoin }}", "did you mean 'soc_version'? (there are soc_version, fast)"),
        ("atc\n\n{{ optoins.soc_version }}", ":3:4: there is no variable 'optoins', did you mean 'options'?"),
        ("atc {{ options.fast }}", "True has no one spelling"),
        ("atc {{ options.none }}", "there is no value 'none'"),
        ("atc {{ none }}", "None cannot be written as it is"),
        ("atc {{ options }}", "(dict) cannot be written as it is"),
        ("atc {{ options.soc_version", "compile.cmd.j2:1: unexpected end of template"),
        ("atc\n--x={{ batch }", "compile.cmd.j2:2:14: unexpected '}'; in `--x={{ batch }`"),
        ("atc {{ batch | dirname }}", "TypeError"),
        ("atc '{{ options.soc_version }}", "quotes and backslashes do not belong in a command"),
        ("  \n", "is empty; it holds a command line"),
        ("", "is empty"),
        ("{% if batch > 1 %}atc{% endif %}", "renders to nothing"),
        ("atc\n--soc_versoin {{ options.soc_versoin }}", ":2:26: there is no value 'soc_versoin'"),
        ("atc {{ options.batch }} {{ batch }}", ":1:16: there is no value 'batch'"),
        ("atc {{ outputs['model.omm'] }}", ":1:16: there is no value 'model.omm', did you mean 'model.om'?"),
        ("atc --x={{ options.fast }}", ":1:12: True has no one spelling"),
        ("atc {{ [] | first }}", "No first item, sequence was empty."),
    ],
)  # fmt: skip
def test_a_template_error_says_where_and_what(template: str, message: str) -> None:
    variables = {"options": {"soc_version": "Ascend310P3", "fast": True}, "outputs": {"model.om": "out/m"}}
    text = refused(template, batch=1, **variables)
    assert text.startswith("acme/compile.cmd.j2:")
    assert message in text


def test_a_file_says_near_misses_of_variables_too() -> None:
    with pytest.raises(ManifestError, match=r"t\.j2:2:4: there is no value 'targt', did you mean 'target'"):
        render_text("a\n{{ targt }}", "t.j2", {"target": "x"})


@pytest.mark.parametrize(
    "expression",
    [
        "options.ration | json",
        "{'a': [options.ration]} | json",
        "options.ration | tojson",
        "options.ration | stem",
        "options.ration | join(',')",
        "options.ration",
    ],
)
def test_a_filter_says_which_option_there_is_not(expression: str) -> None:
    with pytest.raises(ManifestError) as caught:
        render_text(f'{{\n "ration": {{{{ {expression} }}}}', "t.json.j2", {"options": {"ratio": 1}})
    column = 15 + expression.index("ration")
    said = f"t.json.j2:2:{column}: there is no value 'ration', did you mean 'ratio'? (there are ratio)"
    assert str(caught.value) == said


def test_what_json_cannot_write_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"t:1:4: .*cannot be written as JSON"):
        render_text("{{ options.x | json }}", "t", {"options": {"x": object()}})


def test_a_nul_is_refused() -> None:
    assert "NUL" in refused("tool {{ target }}", target="a\0b")


def test_an_absent_option_can_be_asked_for() -> None:
    template = "tool {% if options.x is defined %}--x={{ options.x }}{% endif %}"
    assert render_argv(template, "t", {"options": {}}) == ("tool",)
    assert render_argv(template, "t", {"options": {"x": 1}}) == ("tool", "--x=1")


@pytest.mark.parametrize("name", ["items", "keys", "get", "pop", "values", "copy"])
def test_an_option_may_have_the_name_of_a_method(name: str) -> None:
    assert render_argv(f"tool {{{{ options.{name} }}}}", "t", {"options": {name: "x"}}) == ("tool", "x")


def test_a_file_of_the_toolchain_must_be_declared() -> None:
    variables = {"toolchain_file": file_lookup(["run.py"])}
    assert render_argv("python {{ toolchain_file('run.py') }}", "t", variables) == (
        "python",
        "in/toolchain/run.py",
    )
    assert "does not declare it in `uses`" in refused("python {{ toolchain_file('other.py') }}", **variables)


@pytest.mark.parametrize(
    ("expression", "value"),
    [("stem", "out/model"), ("basename", "model.om"), ("dirname", "out"), ("json", '"out/model.om"')],
)
def test_filters(expression: str, value: str) -> None:
    variables = {"outputs": {"model": "out/model.om"}}
    assert render_text(f"{{{{ outputs.model | {expression} }}}}", "t", variables) == value


def test_a_file_is_not_quoted_and_its_tags_leave_no_lines() -> None:
    template = '{% if true %}\nname: "{{ target }}"\n{% endif %}\nflag: {{ options.flag | lower }}\n'
    assert (
        render_text(template, "t", {"target": "a b", "options": {"flag": True}})
        == 'name: "a b"\nflag: true\n'
    )


@settings(deadline=None)
@given(WORDS)
def test_json_quotes_for_files(value: str) -> None:
    assert json.loads(render_text("{{ target | json }}", "t", {"target": value})) == value


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


def test_importing_the_module_does_not_import_jinja() -> None:
    code = "import sys, edgebuild.render; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_documentation_lists_every_variable(pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs" / "toolchains.md").read_text(encoding="utf-8")
    table = page[page.index("| Variable | Value |") : page.index("Filters beyond Jinja's")]
    missing = {name for name in VARIABLES if f"`{name}" not in table}
    assert not missing
