from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebuild.errors import ManifestError
from edgebuild.render import file_lookup, render_argv, render_text
from edgebuild.template import VARIABLES

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
        ("atc {{ options.soc_version }} {{ options.fast }}", ":1:34: True has no one spelling"),
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


def test_importing_the_module_does_not_import_jinja() -> None:
    code = "import sys, edgebuild.render, edgebuild.toolchain.load; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_documentation_lists_every_variable(pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs" / "toolchains.md").read_text(encoding="utf-8")
    table = page[page.index("| Variable | Value |") : page.index("Filters beyond Jinja's")]
    missing = {name for name in VARIABLES if f"`{name}" not in table}
    assert not missing
