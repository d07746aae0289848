from __future__ import annotations

from typing import Any

import pytest

from edgebuild.document.parse import parse
from edgebuild.errors import UsageError
from edgebuild.manifest.overrides import apply, parse_setting

ROOT = """
name: fasteners
model: {imgsz: [320, 320]}
acceptance:
targets:
  rpi5: {batch: 1}
  ascend-310.p: {batch: 1, options: {a.b: 1}}
"""


def applied(*texts: str) -> tuple[dict[str, Any], list[str]]:
    root, problems = apply(parse(ROOT, file="m.yaml")[0], [parse_setting(text) for text in texts])
    return root.unwrap(), [str(problem) for problem in [*problems]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=4", 4), ("a=0.5", 0.5), ("a=true", True), ("a=null", None), ("a=text", "text"),
        ("a='1.10'", "1.10"),
        ("a=[1, 2]", [1, 2]), ("a={min: 0.4}", {"min": 0.4}), ("a=b=c", "b=c"), ("a=''", ""), ("a= 4 ", 4),
    ],
)  # fmt: skip
def test_the_value_is_yaml(text: str, value: object) -> None:
    assert parse_setting(text).value.unwrap() == value


def test_paths_are_dotted_and_parts_may_be_quoted() -> None:
    assert parse_setting("targets.rpi5.batch=4").path == ("targets", "rpi5", "batch")
    assert parse_setting("targets.'a.b=c'.batch=4").path == ("targets", "a.b=c", "batch")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch", "--set batch: no '=' after a path\n  write --set path.to.key=value"),
        ("=4", "--set =4: no '=' after a path\n  write --set path.to.key=value"),
        ("a..b=4", "--set a..b=4: 'a..b' is no path\n  write --set path.to.key=value"),
        (".a=4", "--set .a=4: '.a' is no path\n  write --set path.to.key=value"),
        ("a=", "--set a=: no value after '='\n  null takes a value back; '' is an empty text"),
        ("a=[1", "--set a=[1: is not YAML: did not find expected ',' or ']'"),
        ("a=[yes]", "--set a=[yes]: 'yes' is true in YAML 1.1 and a string in YAML 1.2"),
        ("a={b: 1, b: 2}", "--set a={b: 1, b: 2}: the key 'b' is given twice"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_read_is_a_usage_error(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_setting(text)

    assert str(caught.value).startswith(message)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("value", ["2.0", "2", "1.10", "0012", "2026-11-20", "yes", "1_000", "0x1F"])
def test_where_a_text_is_wanted_a_value_is_the_text_that_was_typed(value: str) -> None:
    """The shell takes quotes away."""
    document, problems = applied(
        f"package.version={value}", f"targets.rpi5.recipe={value}", f"targets.ascend-310.p.device='{value}'"
    )

    assert problems == []
    assert document["package"] == {"version": value}
    assert document["targets"]["rpi5"]["recipe"] == value
    assert document["targets"]["ascend-310.p"]["device"] == value


def test_elsewhere_a_value_that_parsers_disagree_on_is_refused_with_what_to_type() -> None:
    for setting in ("targets.rpi5.batch=012", "targets.rpi5.options.code= 012"):
        with pytest.raises(UsageError) as caught:
            applied(setting)
        message = f"--set {setting}: 012 is octal to some YAML parsers and decimal to others"
        path = setting.partition("=")[0]
        assert str(caught.value) == f"""{message}\n  write 12, or type: --set "{path}='012'\""""
        given, _ = applied(f"{path}='012'")
        assert "012" in str(given["targets"]["rpi5"])


def test_null_is_no_text() -> None:
    assert applied("targets.rpi5.recipe=null")[0]["targets"]["rpi5"]["recipe"] is None


def test_values_are_overridden_and_created() -> None:
    document, problems = applied(
        "targets.rpi5.batch=4", "targets.rpi5.quantize.method=entropy", "acceptance.map50={min: 1}"
    )

    assert problems == []
    assert document["targets"]["rpi5"] == {"batch": 4, "quantize": {"method": "entropy"}}
    assert document["acceptance"] == {"map50": {"min": 1}}


def test_the_last_setting_wins() -> None:
    assert applied("name=a", "name=b")[0]["name"] == "b"


def test_known_names_that_hold_dots_need_no_quotes() -> None:
    document, problems = applied("targets.ascend-310.p.batch=4", "targets.ascend-310.p.options.a.b=2")

    assert problems == []
    assert document["targets"]["ascend-310.p"] == {"batch": 4, "options": {"a.b": 2}}


def test_the_place_of_an_overridden_value_is_the_command_line() -> None:
    root, _ = apply(parse(ROOT, file="m.yaml")[0], [parse_setting("targets.rpi5.options={a: [1]}")])

    node = root.get("targets", "rpi5", "options", "a")
    assert node is not None
    assert str(node.items[0].problem("x", "wrong")) == "--set targets.rpi5.options={a: [1]}: x: wrong"


def test_settings_that_do_not_fit_are_all_reported() -> None:
    _, problems = applied("targets.rpi.batch=4", "name.first=x", "model.imgsz.0=32")

    assert problems == [
        "--set targets.rpi.batch=4: targets.rpi: there is no such target; did you mean 'rpi5'?",
        "--set name.first=x: name: is a single value",
        "--set model.imgsz.0=32: model.imgsz: is a list: set it as a whole",
    ]
